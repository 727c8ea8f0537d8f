"""`waitline-bench growth`: how the cost of a call grows with the line and the number of rooms."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from waitline.kernel.terminal import Terminal
from waitline_bench.cli import output
from waitline_bench.growth import plot, run
from waitline_bench.growth.costs import growth_max

HEADINGS = {"waiting": "visitors waiting in one room", "rooms": "rooms"}


def growth(
    rounds: Annotated[
        int, typer.Option(help="Alternating rounds; the result is their median", min=1)
    ] = 7,
    scale: output.Scale = 1.0,
    out: output.Out = output.OUT,
) -> None:
    """Measure how the cost of enter, status and admit grows with the line and the rooms.

    Lines of 1,000 to 1,000,000 waiting visitors, and 1 to 1,000 rooms of 1,000 each; --scale 0.1
    omits the sizes above a tenth. The cost is CPU time: of a worker with 64 connections, of the
    admitter, and of Valkey. Takes about six minutes.
    """
    with output.progress() as on_progress:
        figures = run.run_growth(on_progress, scale, rounds)
    console = Terminal()
    for kind, table in figures.items():
        _show(console, HEADINGS[kind], table)
    drawing = _draw(figures, out)
    console.print(f"\nPlot: {drawing}")
    output.keep(out, "growth", figures, rounds=rounds, scale=scale)


def _draw(figures: dict[str, Any], out: Path) -> Path:
    text = plot.drawn(figures)
    out.mkdir(parents=True, exist_ok=True)
    path = out / "growth.svg"
    path.write_text(text, "utf-8")
    return path


def _show(console: Terminal, heading: str, figures: dict[str, Any]) -> None:
    sizes = figures["sizes"]
    table = Table(title=f"By {heading}", title_justify="left", box=None)
    table.add_column("CPU time", no_wrap=True)
    table.add_column("")
    for size in sizes:
        table.add_column(f"{size:,}", justify="right", no_wrap=True)
    table.add_column("faster than log N", justify="right")
    for row in figures["rows"]:
        cells = [
            f"{value:,.1f} x{grown:.2f}"
            for value, grown in zip(row["values"], row["of_first"], strict=True)
        ]
        too_fast = ", ".join(f"at {size:,}" for size in row["too_fast_at"]) or "no"
        table.add_row(row["name"], row["unit"], *cells, too_fast if row["is_cost"] else "")
    limits = [f"x{growth_max(size, sizes[0]):.2f}" for size in sizes]
    table.add_row("log N", "", *limits, "")
    console.print(table)
    console.print()
