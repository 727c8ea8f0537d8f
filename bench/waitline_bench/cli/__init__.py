"""The commands of `waitline-bench`, one per question.

Compare figures within one run only: a shared machine makes runs incomparable.

hot_path.py  requests/s and CPU time of the hot calls, next to an empty handler
versus.py    the hot calls of two checkouts in one run
observing.py what access log and traces cost per enter
drivers.py   one script call through each driver of a cluster
gate.py      what the gate costs a site, by itself and behind nginx
failover.py  the death of a room's primary, and the cost of confirmed joins
scripts.py   the Lua scripts, memory and admission, without HTTP
booking.py   the box office: seat map, reservations, payments, confirmed events
carry.py     capacity of this machine in waiting visitors
scraping.py  time and size of a scrape of the metrics
growth.py    how the cost of a call grows with the line and the rooms
scale_out.py  instances, primaries, and the largest rush
scenario.py  load scenarios by k6, end to end
compare.py   two results of scenarios side by side
output.py    progress display and JSON output, shared by the commands
"""

import signal

import typer

from waitline import cli
from waitline_bench.cli import (
    booking,
    carry,
    compare,
    drivers,
    failover,
    gate,
    growth,
    hot_path,
    observing,
    scale_out,
    scenario,
    scraping,
    scripts,
    versus,
)

app = typer.Typer(
    name="waitline-bench",
    help="Benchmarks of Waitline on this machine. Each starts its own servers on free ports, in a "
    "temporary folder. Compare figures of one run only.",
    no_args_is_help=True,
)


@app.callback()
def _stop_cleanly() -> None:
    # SIGTERM stops the servers of a measurement, as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


app.command("hot-path")(hot_path.hot_path)
app.command("observing")(observing.observing)
app.command("gate")(gate.gate)
app.command("versus")(versus.versus)
app.command("scripts")(scripts.rates)
app.command("drivers")(drivers.drivers)
app.command("failover")(failover.failover)
app.command("memory")(scripts.memory)
app.command("admit")(scripts.admit)
app.command("carry")(carry.carry)
app.command("scale-out")(scale_out.scale_out)
app.command("primaries")(scale_out.measure_primaries)
app.command("rush")(scale_out.measure_rush)
app.command("growth")(growth.growth)
app.command("scrape")(scraping.scrape)
app.command("booking")(booking.booking)
app.command("events")(booking.events)
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
