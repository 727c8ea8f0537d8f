"""Requests/s and processor time of the hot calls."""

from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from waitline.bench import hot_path as subject
from waitline.cli.bench import output


def hot_path(
    seconds: output.Seconds = 5.0,
    rounds: Annotated[int, typer.Option(help="Alternating rounds", min=1)] = 3,
    out: output.Out = output.OUT,
) -> None:
    """Measure the hot calls next to an empty handler and a naive server, in one run.

    Needs wrk, and a checkout of the project for the servers that it is compared with.
    """
    with output.progress() as note:
        figures = subject.measure(note, seconds, rounds)
    _show(Console(), figures)
    output.keep(out, "hot-path", figures, seconds=seconds, rounds=rounds)


def _show(console: Console, figures: list[dict[str, Any]]) -> None:
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
