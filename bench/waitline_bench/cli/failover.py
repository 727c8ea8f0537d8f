"""`waitline-bench failover`: the death of a primary under load, and the cost of confirmation."""

from typing import Annotated, Any

import typer
from rich.table import Table

from waitline.kernel.terminal import Terminal
from waitline.valkey.durability import Durability
from waitline_bench import confirmations
from waitline_bench import failover as subject
from waitline_bench.cli import output
from waitline_bench.failover import Fault

DURABILITIES: tuple[Durability, ...] = ("memory", "disk", "replicated")
FAULTS: tuple[Fault, ...] = ("kill", "freeze", "lag", "slow")


def failover(
    durability: Annotated[
        list[str] | None, typer.Option(help="memory, disk or replicated; all if omitted")
    ] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            help="kill (SIGKILL); freeze (SIGSTOP); lag: a kill after half a second without "
            "replication; slow: a kill after a time with a slow disk, needs root; all if omitted"
        ),
    ] = None,
    seconds: output.Seconds = 2.0,
    rounds: Annotated[int, typer.Option(help="Rounds of the confirmation's cost", min=1)] = 3,
    out: output.Out = output.OUT,
) -> None:
    """Let the primary of a room die under load, per durability; then measure the confirmation.

    Starts a cluster of embedded servers, a worker and an admitter for each: 3+3 servers, 3+6 for
    `replicated`. The visitors' own log of answers is compared with the line afterwards.
    """
    durabilities = [one for one in DURABILITIES if one in (durability or DURABILITIES)]
    faults = [one for one in FAULTS if one in (fault or FAULTS)]
    unknown = {*(durability or ()), *(fault or ())} - {*DURABILITIES, *FAULTS}
    if unknown or not durabilities or not faults:
        raise typer.BadParameter(
            f"{', '.join(sorted(unknown))}: --durability is {', '.join(DURABILITIES)}; "
            f"--fault is {', '.join(FAULTS)}"
        )
    with output.progress() as on_progress:
        rows = subject.run_failover(on_progress, durabilities, faults, seconds)
        costs = confirmations.run_confirmations(on_progress, seconds, rounds)
    _show(rows)
    _show_costs(costs)
    output.keep(out, "failover", {"failover": rows, "confirmation": costs}, seconds=seconds)


def _show(rows: list[dict[str, Any]]) -> None:
    table = Table(title="Death of the primary", title_justify="left", box=None)
    for heading in ("durability", "fault"):
        table.add_column(heading, no_wrap=True)
    for heading in (
        "joins",
        "lost",
        "turns",
        "lost",
        "first s",
        "last s",
        "503",
        "no answer",
        "old admits",
    ):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            row["durability"],
            row["fault"],
            f"{row['joins']:,}",
            f"{row['lost']:,}",
            f"{row['turns']:,}",
            f"{row['turns_lost']:,}",
            f"{row['first_s']:.1f}",
            f"{row['last_s']:.1f}",
            f"{row['refused'].get(503, 0):,}",
            f"{row['refused'].get(0, 0):,}",
            "yes" if row["admitted_by_old"] else "no",
        )
    Terminal().print(table)


def _show_costs(costs: dict[str, Any]) -> None:
    cost = Table(
        title="\nBatches of 16 joins or departures, two at once", title_justify="left", box=None
    )
    for heading in ("", "changes/s", "median ms", "p99 ms"):
        cost.add_column(heading, justify="right" if heading else "left")
    for name, figures in costs.items():
        cost.add_row(
            name,
            f"{figures['changes_per_s']:,.0f}",
            f"{figures['median_ms']:.2f}",
            f"{figures['p99_ms']:.1f}",
        )
    Terminal().print(cost)
