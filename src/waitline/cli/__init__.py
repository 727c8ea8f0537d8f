"""The command line, built with Typer. One module per command or command group.

up.py              `up`: start everything on this machine
queue.py           `queue`: run the queue service
booking.py         `booking`: run the booking service
admitter.py        `admitter`: run one admitter
backup.py          `backup`, `restore`: both stores of an installation, to a point in time
migrate.py         `migrate`: create or upgrade the box office's tables
mode.py            `mode`: show and change the mode of the data
rooms.py           `rooms`: create, change, list, reset and delete rooms
protect.py         `protect`: show, set and try the rules of the gate
protect_rules.py   options of `protect add`, and the rule that they describe
concerts.py        `concerts`: create, list, change and delete concerts; the log of changes
schedules.py       `schedules`: create, change and delete schedules
seats.py           `seats`: import, export, change and delete seats
stops.py           `schedules cancel`, `postpone`, `resume`, `progress`
door.py            `door list`, `verify`: tickets with their codes, signed
house_seats.py     `seats hold`, `release`, `give`, `list`
change_log.py      shared by the logs of concerts and of rooms
catalogue_store.py connection and error messages of `concerts`, `schedules` and `seats`
keys.py            `keys`: create, list and rotate the signing keys
doctor.py          `doctor`: check an installation before a sale
audit.py           `audit`: check the invariants of a room or of the box office
outbox.py          `outbox`: list and retry unsent events and dead letters
payments.py        `payments`: list payments that need attention
reservations.py    `reservations show`: the evidence log of a booking
settings.py        `settings`: print every setting, its value and its origin
setting_tables.py  generator of the tables of settings in docs/operations.md
simulate.py        `simulate`: predict a sale without a server
size.py            `size`: what a sale needs: instances, shards, database, CDN requests, money
rehearse.py        `rehearse`: load-test an installation with a complete sale
report.py          `report`: report on a sale that has taken place
report_panels.py   `report panels`: draw a dashboard from Prometheus
report_performance.py `report performance`: report results of benchmarks
top.py             `top`: rooms, calls and instances, live
sandbox_pay.py     `sandbox-pay`: run the payment sandbox
options.py         options that commands share, and one for each setting
lazy_commands.py   the table of commands; imports a command's module when the command is used
"""

import io
import os
import sys
from typing import Annotated

import typer

from waitline import __version__
from waitline.cli.lazy_commands import LazyGroup
from waitline.kernel.errors import Misconfigured, NeedsOperator, WaitlineError
from waitline.kernel.escapes import visible
from waitline.kernel.folders import reason_of
from waitline.kernel.process import log_to_stderr

app = typer.Typer(
    cls=LazyGroup,
    name="waitline",
    help="A virtual waiting room: visitors wait in a fair line and are admitted to the shop at "
    "the rate that it can handle. The box office sells the seats.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Get started: waitline up. Before a sale: rooms create, concerts create, size, "
    "simulate, doctor, rehearse. During it: top, rooms show, rooms set. After it: report sale, "
    "audit.",
)


def _print_version(asked: bool) -> None:  # noqa: FBT001 - as Typer calls it
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", "-V", help="Print the version", is_eager=True, callback=_print_version
        ),
    ] = False,
) -> None:
    """See the application's help: this only adds the option."""


@app.command("version")
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


def main() -> None:
    """Run the command line."""
    run(app)


def run(commands: typer.Typer) -> None:
    """Run a command line; print an expected error as one line, or one for each fault, and exit.

    The exit status is 2 if the operator must change an option or a setting, otherwise 1.
    """
    _write_any_text()
    log_to_stderr()
    try:
        commands()
    except WaitlineError as error:
        _print_error(str(error) or type(error).__name__, remedied=isinstance(error, NeedsOperator))
        sys.exit(2 if isinstance(error, Misconfigured) else 1)
    except BrokenPipeError:
        # The reader has closed the pipe, as after `| head`. Python would report it again when it
        # flushes standard output at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        # An OSError of a file, folder or address is the operator's to fix, not a bug.
        where = f"{error.filename}: " if error.filename else ""
        _print_error(f"{where}{reason_of(error)}")
        sys.exit(1)


def _write_any_text() -> None:
    """Let standard output and error write every character, whatever their encoding.

    Characters that the encoding lacks are escaped.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _print_error(text: str, *, remedied: bool = False) -> None:
    """Print an error as one line, or one for each fault, with its remedy.

    Args:
        text: The error.
        remedied: Whether it names its remedy.
    """
    for line in text.split("\n"):
        remedy = "" if remedied else _remedy(line)
        typer.secho(f"waitline: {visible(line)}{remedy}", err=True, fg="red")


def _remedy(line: str) -> str:
    """Return the remedy for a store that does not answer; empty for other errors."""
    for words, option in (
        ("the store at ", "--valkey-url"),
        ("the database does not answer", "--database-url"),
    ):
        if line.startswith(words) and "-url" not in line:
            return f". Is it running? Set another address with {option}"
    return ""
