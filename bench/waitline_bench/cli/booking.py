"""How fast is the box office?"""

from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from waitline.kernel.errors import WaitlineError
from waitline_bench.booking import run
from waitline_bench.cli import output


class _BrokenError(WaitlineError):
    """Something was sold that must not be, or was lost."""


Workers = Annotated[int, typer.Option(help="Processes of the booking service", min=1)]


def booking(
    seconds: output.Seconds = 5.0, workers: Workers = 1, out: output.Out = output.OUT
) -> None:
    """Measure the seat map, reserving and paying, next to the bare statements in one run.

    The box office by itself; `waitline-bench booking-journey` sends visitors through the line too.
    The sandbox provider answers at once. What the machine's host took too much of is measured
    again, up to three times. Exit status 1 if the audit finds anything.
    """
    with output.progress() as note:
        figures = run.run_booking(seconds, workers, note)
    console = Console(highlight=False)
    console.print(_looked(figures), _bought(figures), sep="\n")
    statements = figures["buy"]["statements"]
    each = sum(statements.values())
    console.print(f"\nStatements per booking: {each:.1f}", style="bold")
    for name, count in sorted(statements.items(), key=lambda row: -row[1]):
        console.print(f"  {name} {count:.2f}")
    output.keep(out, "booking", figures, seconds=seconds, workers=workers)
    findings = figures["audit"]["findings"]
    if findings:
        raise _BrokenError(
            f"the audit found {len(findings)} things that must not be: {findings[0]}"
        )


def _looked(figures: dict[str, Any]) -> Table:
    columns = ("", "asked/s", "p50 ms", "p95 ms", "p99 ms", "host took", "answers")
    table = Table(*columns, box=None)
    table.title = "The seat map: 10 000 seats"
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
    columns = ("", "done/s", "x bare", "p50 ms", "p95 ms", "p99 ms", "host took", "answers")
    table = Table(*columns, box=None, title="Reserving and paying", title_justify="left")
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
