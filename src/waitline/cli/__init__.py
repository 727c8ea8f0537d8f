"""The command line: `waitline --help` teaches it.

up.py              everything on this machine
serve.py           the queue service, the booking service and the admitter, one command each
migrate.py         the box office's tables
rooms.py           commands on rooms
concerts.py        commands on concerts, schedules and seats
keys.py            the keys of tickets and passes
audit.py           checks the invariants of the line and of the box office
outbox.py          events that wait to be sent, and dead letters
settings.py        every setting, its value and its origin
setting_tables.py  the tables of settings in docs/operations.md
simulate.py        predicts how a sale would go
rehearse.py        plays a whole sale before the sale
report.py          what became of a sale
sandbox_pay.py     a payment provider that takes play money
options.py         options that commands share, and one for each setting
"""

import sys

import typer

from waitline import __version__
from waitline.cli import (
    audit,
    concerts,
    keys,
    migrate,
    outbox,
    rehearse,
    report,
    rooms,
    sandbox_pay,
    serve,
    settings,
    simulate,
    up,
)
from waitline.kernel.errors import Misconfigured, WaitlineError

app = typer.Typer(
    name="waitline",
    help="A virtual waiting room: it takes everybody in, keeps a fair line, and lets people "
    "through at the rate the shop can bear.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    epilog="Begin with: waitline up",
)
app.command("up")(up.up)
app.command("queue")(serve.queue)
app.command("booking")(serve.booking)
app.command("admitter")(serve.admitter)
app.command("migrate")(migrate.migrate)
app.command("sandbox-pay")(sandbox_pay.sandbox_pay)
app.add_typer(rooms.app, name="rooms")
app.add_typer(concerts.app, name="concerts")
app.add_typer(keys.app, name="keys")
app.command("audit")(audit.audit)
app.add_typer(outbox.app, name="outbox")
app.command("settings")(settings.show)
app.command("simulate")(simulate.simulate)
app.command("rehearse")(rehearse.rehearse)
app.add_typer(report.app, name="report")


@app.command("version")
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


def main() -> None:
    """Run the command line."""
    run(app)


def run(commands: typer.Typer) -> None:
    """Run a command line; an expected error is one line that names what to change."""
    try:
        commands()
    except WaitlineError as error:
        text = str(error) or type(error).__name__
        typer.secho(f"waitline: {text}", err=True, fg="red")
        sys.exit(2 if isinstance(error, Misconfigured) else 1)
