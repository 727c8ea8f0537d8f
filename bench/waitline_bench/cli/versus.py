"""`waitline-bench versus`: compare two checkouts in one run."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from waitline.kernel.terminal import Terminal
from waitline_bench import versus as subject
from waitline_bench.cli import output


def versus(
    other: Annotated[Path, typer.Argument(help="Root folder of the other checkout")],
    seconds: output.Seconds = 1,
    rounds: Annotated[int, typer.Option(help="Measurements of each call and side", min=1)] = 5,
    paced: Annotated[
        bool, typer.Option(help="Also compare latency at 1,000 and 3,000 requests/s")
    ] = True,
    out: output.Out = output.OUT,
) -> None:
    """Compare the hot calls of this checkout with those of another one, in one run.

    The ratios are this / other. The empty handler is the same server on both sides, so its ratio
    shows the noise. Needs wrk.
    """
    with output.progress() as on_progress:
        figures = subject.run_versus(on_progress, other, seconds, rounds, paced=paced)
    console = Terminal()
    _show_flat_out(console, figures["flat_out"])
    if figures["paced"]:
        _show_paced(console, figures["paced"])
    console.print(f"\nThe host took at most {figures['stolen']:.0%} of the CPU time (steal).")
    output.keep(out, "versus", figures, seconds=seconds, rounds=rounds)


def _show_flat_out(console: Terminal, rows: list[dict[str, Any]]) -> None:
    for field, unit, form in (
        ("per_s", "requests/s", ",.0f"),
        ("cpu_us", "worker CPU per request, us", ".1f"),
    ):
        title = f"\nAt full load, one worker on one core, 64 connections: {unit}"
        table = Table(title=title, title_justify="left", box=None)
        table.add_column("", no_wrap=True)
        for heading in ("this", "other", "this / other", "least", "most"):
            table.add_column(heading, justify="right", no_wrap=True)
        for row in rows:
            ratio = row[f"{field}_ratio"]
            table.add_row(
                row["name"],
                *(f"{row[side][field]:{form}}" for side in ("this", "other")),
                *(f"{ratio[name]:.3f}" for name in ("median", "least", "most")),
            )
        console.print(table)


def _show_paced(console: Terminal, rows: list[dict[str, Any]]) -> None:
    title = "\nPaced: at a fixed request rate; this and other"
    table = Table(title=title, title_justify="left", box=None)
    table.add_column("", no_wrap=True)
    for heading in ("requests/s", "CPU us", "Valkey CPU us", "p50 ms", "p99 ms"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            row["name"],
            f"{row['per_s']:,}",
            *(
                f"{row['this'][field]:{form}}  {row['other'][field]:{form}}"
                for field, form in (
                    ("cpu_us", ".0f"), ("store_us", ".0f"), ("p50_ms", ".2f"), ("p99_ms", ".2f"),
                )
            ),
        )  # fmt: skip
    console.print(table)
