"""`waitline-bench compare`: compare two results of a scenario."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from waitline.kernel.clock import SystemClock
from waitline.kernel.errors import Misconfigured
from waitline.kernel.terminal import Terminal, styled
from waitline_bench.cli import output
from waitline_bench.scenario import compare as subject

Folder = Annotated[Path, typer.Argument(help="Result folder of a scenario")]


def compare(
    a: Folder,
    b: Folder,
    *,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Compare even if the offered loads differ")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the report; default out/compare-<time>", show_default=False),
    ] = None,
) -> None:
    """Compare two results of a scenario: every figure with its change in percent, and plots."""
    first, second = _result(a), _result(b)
    differing = subject.differences(first, second)
    if differing and not anyway:
        raise Misconfigured(
            f"{a} and {b} had different loads: {'; '.join(differing)}. --anyway compares them"
        )
    console = Terminal()
    for text in differing:
        console.print(styled((f"Different load: {text}", "yellow")))
    console.print(_table(first, second))
    folder = out or _folder()
    folder.mkdir(parents=True, exist_ok=True)
    report = folder / "compare.html"
    report.write_text(subject.html(first, second, (str(a), str(b))), "utf-8")
    console.print(f"\nReport: {report}")


def _table(a: dict[str, Any], b: dict[str, Any]) -> Table:
    table = Table(box=None)
    table.add_column("")
    for heading in ("A", "B", "change"):
        table.add_column(heading, justify="right", no_wrap=True)
    colours = {True: "green", False: "red", None: "default"}
    for one in subject.changes(a, b):
        change = styled((one.shown, colours[one.good]))
        table.add_row(one.name, one.written(one.a), one.written(one.b), change)
    return table


def _result(folder: Path) -> dict[str, Any]:
    path = folder / "result.json"
    try:
        result: dict[str, Any] = json.loads(path.read_text("utf-8"))
        _ = result["scenario"], result["load"]["scenarios"], result["samples"]
    except (OSError, ValueError, KeyError):
        raise Misconfigured(f"{path} is not the result of a scenario") from None
    return result


def _folder() -> Path:
    at = datetime.fromtimestamp(SystemClock().now_ms() / 1_000, UTC)
    return output.OUT / f"compare-{at:%Y%m%dT%H%M%SZ}"
