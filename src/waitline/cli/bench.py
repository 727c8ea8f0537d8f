"""How fast it is here: the hot path, the scripts, memory, and admission.

Figures of one run only are compared with each other: machines are shared, and what was slow
yesterday may have been a neighbour. Each stack is started on free ports in a temporary folder.
"""

import json
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from waitline.bench import hot_path, machine, scripts

Note = Callable[[str], None]


class Part(StrEnum):
    """What can be measured."""

    HOT_PATH = "hot-path"
    SCRIPTS = "scripts"
    MEMORY = "memory"
    ADMIT = "admit"


def bench(
    only: Annotated[
        list[Part] | None, typer.Option(help="Measure this alone; may be repeated")
    ] = None,
    seconds: Annotated[float, typer.Option(help="Length of one measurement", min=0.2)] = 5.0,
    rounds: Annotated[int, typer.Option(help="Alternating rounds of the hot path", min=1)] = 3,
    scale: Annotated[
        float, typer.Option(help="Share of the full numbers of visitors", min=0.001, max=1)
    ] = 1.0,
    out: Annotated[Path, typer.Option(help="Where the figures go, as JSON")] = Path(
        "out/bench.json"
    ),
) -> None:
    """Measure the hot path, the scripts, memory, and admission, and print what came of it.

    Needs wrk, and a checkout of the project for the servers that it is compared with.
    """
    console = Console()
    wanted = only or list(Part)
    figures: dict[str, Any] = {"machine": machine.described(), "scale": scale}
    with Progress(
        SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), transient=True
    ) as progress:
        task = progress.add_task("starting", total=None)

        def note(text: str) -> None:
            progress.update(task, description=text)

        for part in wanted:
            figures[part.value] = _MEASURE[part](note, seconds, rounds, scale)
    for part in wanted:
        _SHOW[part](console, figures[part.value])
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(figures, indent=1), "utf-8")
    console.print(f"\nAll figures: {out}")


_MEASURE: dict[Part, Callable[[Note, float, int, float], Any]] = {
    Part.HOT_PATH: lambda note, seconds, rounds, _scale: hot_path.measure(note, seconds, rounds),
    Part.SCRIPTS: lambda note, seconds, _rounds, scale: scripts.rates(note, seconds / 5, scale),
    Part.MEMORY: lambda note, _seconds, _rounds, scale: scripts.memory(note, scale),
    Part.ADMIT: lambda note, _seconds, _rounds, scale: scripts.admission(note, scale),
}


def _show_hot_path(console: Console, figures: list[dict[str, Any]]) -> None:
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


def _show_scripts(console: Console, figures: dict[str, dict[str, float]]) -> None:
    table = Table(title="Scripts: visitors/s by visitors in a call", title_justify="left", box=None)
    table.add_column("", no_wrap=True)
    for size in scripts.SIZES:
        table.add_column(str(size), justify="right")
    for name, by_size in figures.items():
        table.add_row(name, *(f"{by_size[str(size)]:,.0f}" for size in scripts.SIZES))
    console.print(table)


def _show_memory(console: Console, figures: list[dict[str, float]]) -> None:
    table = Table(title="Memory of Valkey", title_justify="left", box=None)
    for heading in ("waiting visitors", "bytes a visitor", "MB in all"):
        table.add_column(heading, justify="right")
    for row in figures:
        megabytes = row["bytes"] / 1e6
        table.add_row(f"{row['visitors']:,}", f"{row['per_visitor']:.0f}", f"{megabytes:,.0f}")
    console.print(table)


def _show_admission(console: Console, figures: dict[str, float]) -> None:
    console.print(
        f"Admitting {figures['visitors']:,} visitors without a rate limit took "
        f"{figures['seconds']:.2f} s in {figures['calls']:,} calls; a call took "
        f"{figures['server_p50_ms']:.2f} ms at p50 and {figures['server_p99_ms']:.2f} ms at p99 in "
        f"the server, {figures['p50_ms']:.2f} and {figures['p99_ms']:.2f} ms to there and back"
    )


_SHOW: dict[Part, Callable[[Console, Any], None]] = {
    Part.HOT_PATH: _show_hot_path,
    Part.SCRIPTS: _show_scripts,
    Part.MEMORY: _show_memory,
    Part.ADMIT: _show_admission,
}
