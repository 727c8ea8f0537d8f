"""`waitline-bench hot-path`: requests/s and CPU time of the hot calls."""

from typing import Annotated, Any

import typer
from rich.table import Table

from waitline.kernel.terminal import Terminal
from waitline_bench import hot_path as subject
from waitline_bench.cli import output


def hot_path(
    seconds: Annotated[int, typer.Option(help="Length of one measurement, in s", min=1)] = 5,
    rounds: Annotated[int, typer.Option(help="Alternating rounds", min=1)] = 3,
    out: output.Out = output.OUT,
) -> None:
    """Measure the hot calls next to an empty handler and a naive server, in one run.

    Needs wrk, and a checkout of the project for the servers to compare with.
    """
    with output.progress() as on_progress:
        figures = subject.run_hot_path(on_progress, seconds, rounds)
    console = Terminal()
    _show(console, figures["flat_out"])
    _show_paced(console, figures["paced"])
    enter_us = next(row["cpu_us"] for row in figures["flat_out"] if row["name"] == "enter")
    counting_us = figures["counting_us"]
    console.print(
        f"\nCounting a request for the metrics takes {counting_us:.1f} us, "
        f"{counting_us / enter_us:.1%} of the worker's CPU time for enter. Access log and traces "
        "are off.\nThe host took at most "
        f"{figures['stolen']:.0%} of the CPU time (steal) in the measurements above."
    )
    output.keep(out, "hot-path", figures, seconds=seconds, rounds=rounds)


def _show(console: Terminal, figures: list[dict[str, Any]]) -> None:
    table = Table(
        title="Hot path: one worker on one core, 64 connections", title_justify="left", box=None
    )
    table.add_column("", no_wrap=True)
    for heading in ("requests/s", "spread", "x empty", "x naive", "worker CPU us"):
        table.add_column(heading, justify="right")
    for row in figures:
        naive = f"{row['of_naive']:.1f}" if row["of_naive"] else ""
        table.add_row(
            row["name"],
            f"{row['per_s']:,.0f}",
            f"{row['least_per_s']:,.0f} to {row['most_per_s']:,.0f}",
            f"{row['of_empty']:.2f}",
            naive,
            f"{row['cpu_us']:.0f}",
        )
    console.print(table)


def _show_paced(console: Terminal, figures: list[dict[str, Any]]) -> None:
    table = Table(title="\nPaced: CPU time per request", title_justify="left", box=None)
    table.add_column("")
    for heading in ("requests/s", "worker CPU us", "Valkey CPU us", "p50 ms", "p99 ms"):
        table.add_column(heading, justify="right")
    for row in figures:
        table.add_row(
            row["name"],
            f"{row['per_s']:,}",
            f"{row['cpu_us']:.0f}",
            f"{row['store_us']:.0f}",
            f"{row['p50_ms']:.1f}",
            f"{row['p99_ms']:.1f}",
        )
    console.print(table)
