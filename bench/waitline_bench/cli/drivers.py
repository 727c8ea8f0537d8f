"""`waitline-bench drivers`: cost of a call through each cluster driver."""

from statistics import median
from typing import Annotated

import typer
from rich.table import Table

from waitline.kernel.terminal import Terminal
from waitline_bench import drivers as subject
from waitline_bench.cli import output


def drivers(
    seconds: output.Seconds = 1.0,
    rounds: Annotated[int, typer.Option(help="Alternating rounds", min=1)] = 5,
    out: output.Out = output.OUT,
) -> None:
    """Measure one script call through our driver, on one server and a cluster, and through others.

    Others are redis-py, and valkey-glide if it is installed (`pip install valkey-glide`).
    """
    with output.progress() as on_progress:
        figures = subject.run_drivers(on_progress, seconds, rounds)
    table = Table(title="One call of `status`", title_justify="left", box=None)
    table.add_column("", no_wrap=True)
    for heading in ("visitors", "calls in progress", "calls/s", "client CPU us"):
        table.add_column(heading, justify="right")
    # The sort is stable, so drivers keep their order.
    for row in sorted(figures["calls"], key=lambda row: (row["visitors"], row["under_way"])):
        table.add_row(
            row["driver"],
            str(row["visitors"]),
            str(row["under_way"]),
            f"{row['per_s']:,.0f}",
            f"{row['cpu_us']:.0f}",
        )
    Terminal().print(table)
    enter = Table(title="\n`enter` over HTTP, one worker", title_justify="left", box=None)
    for heading in ("", "requests/s", "worker CPU us"):
        enter.add_column(heading, justify="right" if heading else "left")
    for name, row in figures["enter"].items():
        enter.add_row(name, f"{row['per_s']:,.0f}", f"{row['cpu_us']:.1f}")
    Terminal().print(enter)
    ratios = figures["enter_ratio"]
    Terminal().print(
        "Entries of a worker's core, cluster / one server: "
        f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    )
    output.keep(out, "drivers", figures, seconds=seconds, rounds=rounds)
