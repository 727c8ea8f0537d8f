"""The commands of `waitline-bench`: one command a question.

Figures of one run only are compared with each other: machines are shared, and what was slow
yesterday may have been a neighbour.

hot_path.py  requests/s and processor time of the calls, next to an empty handler
versus.py    the hot calls of two checkouts in one run
scripts.py   the scripts, memory, and admission, without the web
booking.py   the box office: the seat map, reserving, paying
carry.py     how many waiting visitors this machine carries
growth.py    how the cost of a call grows with the line and the rooms
scenario.py  a sale under load, by k6, from end to end
compare.py   two results of scenarios side by side
output.py    what the commands share: progress, and where the figures go
"""

import signal

import typer

from waitline import cli
from waitline_bench.cli import (
    booking,
    carry,
    compare,
    growth,
    hot_path,
    scenario,
    scripts,
    versus,
)

app = typer.Typer(
    name="waitline-bench",
    help="Measure how fast it is here. Each measurement starts servers of its own on free ports, "
    "in a temporary folder.",
    no_args_is_help=True,
)


@app.callback()
def _stop_cleanly() -> None:
    # What ends a measurement ends its servers too, as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


app.command("hot-path")(hot_path.hot_path)
app.command("versus")(versus.versus)
app.command("scripts")(scripts.rates)
app.command("memory")(scripts.memory)
app.command("admit")(scripts.admit)
app.command("carry")(carry.carry)
app.command("growth")(growth.growth)
app.command("booking")(booking.booking)
app.command("entry")(scenario.entry)
app.command("circulation")(scenario.circulation)
app.command("validation")(scenario.validation)
app.command("storm")(scenario.storm)
app.command("booking-journey")(scenario.booking_journey)
app.command("soak")(scenario.soak)
app.command("run")(scenario.run)
app.command("compare")(compare.compare)


def main() -> None:
    """Run the command line."""
    cli.run(app)
