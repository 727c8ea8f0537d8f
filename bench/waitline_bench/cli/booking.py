"""`waitline-bench booking` and `events`: seat map, reservations, payments, confirmed events."""

from typing import Annotated, Any

import typer
from rich.table import Table

from waitline.kernel.errors import WaitlineError
from waitline.kernel.plurals import counted
from waitline.kernel.terminal import Terminal
from waitline_bench.booking import run
from waitline_bench.cli import output


class _BrokenError(WaitlineError):
    """The audit of the box office found a broken invariant."""


Workers = Annotated[int, typer.Option(help="Processes of the booking service", min=1)]


def booking(
    seconds: output.Seconds = 5.0, workers: Workers = 1, out: output.Out = output.OUT
) -> None:
    """Measure seat map, reservations and payments, next to the bare SQL statements in one run.

    Covers the box office only; `waitline-bench booking-journey` includes the line. The sandbox
    provider answers at once. A measurement disturbed by steal is repeated, up to three times. Exit
    status 1 if the audit finds a broken invariant.
    """
    with output.progress() as on_progress:
        figures = run.run_booking(seconds, workers, on_progress)
    console = Terminal()
    console.print(_looked(figures), _bought(figures), sep="\n")
    statements = figures["buy"]["statements"]
    each = sum(statements.values())
    console.print(f"\nStatements per booking: {each:.1f}", style="bold")
    for name, count in sorted(statements.items(), key=lambda row: -row[1]):
        console.print(f"  {name} {count:.2f}")
    tables, log = (figures["buy"][f"{name}_bytes"] for name in ("table", "log"))
    console.print(f"\nBytes per booking: {tables:,.0f} in the tables, {log:,.0f} in the log")
    output.keep(out, "booking", figures, seconds=seconds, workers=workers)
    findings = figures["audit"]["findings"]
    if findings:
        count = counted(len(findings), "finding")
        raise _BrokenError(f"the audit has {count}, the first: {findings[0]}")


def events(
    seconds: output.Seconds = 4.0,
    rounds: Annotated[int, typer.Option(help="Measurements of each", min=1)] = 2,
    out: output.Out = output.OUT,
) -> None:
    """Measure what it costs bookings that the box office's events are confirmed on a replica.

    Starts a cluster of 3+3 embedded servers and an installation for each measurement, with
    `memory` and `replicated` in turn.
    """
    with output.progress() as on_progress:
        figures = run.run_confirmed(seconds, rounds, on_progress)
    columns = ("", "bookings/s", "pay p50 ms", "pay p99 ms", "steal", "answers")
    table = Table(*columns, box=None, title="Bookings by durability", title_justify="left")
    for name, found in figures.items():
        for one in found:
            table.add_row(
                name,
                f"{one['per_s']:,.0f}",
                *(f"{one['ms']['pay'][which]:.1f}" for which in ("p50", "p99")),
                f"{one['stolen']:.0%}",
                _statuses(one),
            )
    Terminal().print(table)
    output.keep(out, "events", figures, seconds=seconds, rounds=rounds)


def _looked(figures: dict[str, Any]) -> Table:
    columns = ("", "requests/s", "p50 ms", "p95 ms", "p99 ms", "steal", "answers")
    table = Table(*columns, box=None)
    table.title = "Seat map of 10,000 seats"
    table.title_justify = "left"
    for name in ("seats", "seats, changing", "seats, 304", "sections"):
        found = figures[name]
        (took,) = found["ms"].values()
        table.add_row(
            name,
            f"{found['per_s']:,.0f}",
            *(f"{took[which]:.1f}" for which in ("p50", "p95", "p99")),
            f"{found['stolen']:.0%}",
            _statuses(found),
        )
    return table


def _bought(figures: dict[str, Any]) -> Table:
    columns = ("", "done/s", "x bare", "p50 ms", "p95 ms", "p99 ms", "steal", "answers")
    table = Table(*columns, box=None, title="Reservations and payments", title_justify="left")
    for name, against, step in (
        ("reserve", "bare reservations", "reserve"),
        ("buy", "bare bookings", "booking"),
        ("overload", "bare bookings", "booking"),
    ):
        found = figures[name]
        took = found["ms"].get(step, {})
        table.add_row(
            name,
            f"{found['per_s']:,.0f}",
            f"{found['per_s'] / figures[against]['per_s']:.2f}",
            *(f"{took[which]:.1f}" if took else "" for which in ("p50", "p95", "p99")),
            f"{found['stolen']:.0%}",
            _statuses(found),
        )
    for name in ("bare reservations", "bare bookings"):
        found = figures[name]
        table.add_row(name, f"{found['per_s']:,.0f}", "1", "", "", "", f"{found['stolen']:.0%}")
    return table


def _statuses(found: dict[str, Any]) -> str:
    said = [f"{count:,} {name}" for name, count in sorted(found["statuses"].items())]
    return ", ".join([*said, *([f"{found['left']:,} unanswered"] if found["left"] else [])])
