"""Progress display and JSON output, shared by the commands."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from waitline.kernel.terminal import Terminal
from waitline.trial import machine

OnProgress = Callable[[str], None]
Seconds = Annotated[float, typer.Option(help="Length of one measurement, in s", min=0.2)]
Scale = Annotated[
    float,
    typer.Option(
        help="Share of the full number of visitors; below 1 for trying a command out",
        min=0.001,
        max=1,
    ),
]
Out = Annotated[Path, typer.Option(help="Folder for the figures, one JSON file per command")]

OUT = Path("out")


@contextmanager
def progress() -> Iterator[OnProgress]:
    """Show the current step and the elapsed time on stderr."""
    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    with Progress(*columns, console=Terminal(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=None)

        def update(text: str) -> None:
            bar.update(task, description=text)

        yield update


def keep(out: Path, name: str, figures: Any, **conditions: Any) -> None:  # noqa: ANN401 - JSON
    """Write figures and a description of the machine to a JSON file, and print its path."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{name}.json"
    document = {"machine": machine.described(), **conditions, "figures": figures}
    path.write_text(json.dumps(document, indent=1), "utf-8")
    Terminal().print(f"\nAll figures: {path}")
