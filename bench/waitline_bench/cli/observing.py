"""`waitline-bench observing`: what access log and traces cost per enter."""

from typing import Annotated

import typer
from rich.table import Table

from waitline.kernel.terminal import Terminal
from waitline_bench import observing as subject
from waitline_bench.cli import output


def observing(
    seconds: Annotated[int, typer.Option(help="Length of one measurement, in s", min=1)] = 2,
    rounds: Annotated[int, typer.Option(help="Measurements of each variant", min=1)] = 5,
    out: output.Out = output.OUT,
) -> None:
    """Measure what access log and traces cost per enter: off, sampled, and on.

    The ratios are to the worker with both off, in the same round. Needs wrk and the extra traces.
    """
    with output.progress() as on_progress:
        figures = subject.run_observing(on_progress, seconds, rounds)
    console = Terminal()
    title = "Enter at full load, one worker on one core, 64 connections"
    table = Table(title=title, title_justify="left", box=None)
    table.add_column("", no_wrap=True)
    for heading in ("requests/s", "worker CPU us", "CPU / off", "least", "most"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in figures["variants"]:
        ratio = row["cpu_ratio"]
        table.add_row(
            row["name"],
            f"{row['per_s']:,.0f}",
            f"{row['cpu_us']:.1f}",
            *(f"{ratio[name]:.3f}" for name in ("median", "least", "most")),
        )
    console.print(table)
    console.print(
        f"\nCounting a request for the metrics, in each of them, takes {figures['counting_us']:.1f}"
        f" us.\nThe host took at most {figures['stolen']:.0%} of the CPU time (steal)."
    )
    output.keep(out, "observing", figures, seconds=seconds, rounds=rounds)
