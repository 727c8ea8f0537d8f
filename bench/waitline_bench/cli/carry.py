"""`waitline-bench carry`: capacity of this machine in waiting visitors."""

from collections.abc import Callable, Iterator
from enum import StrEnum
from os import cpu_count
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from waitline.kernel.terminal import Terminal, styled
from waitline_bench.carry import polling, streams
from waitline_bench.carry.visitors import Way
from waitline_bench.cli import output

STRAIGHT = 5
"""Divisor of the visitors who poll now-serving without a cache. They poll every 3 s, which is this
many times as often as a visitor far back polls its status."""


class Ways(StrEnum):
    """Polling methods to measure."""

    STATUS = "status"
    NOW_SERVING = "now-serving"
    CACHED = "cached"
    ALL = "all"


class Kept(StrEnum):
    """How visitors use connections."""

    KEPT = "kept"
    SHARED = "shared"


Visitors = Annotated[int, typer.Option(help="Waiting visitors", min=1)]
By = Annotated[
    Ways,
    typer.Option(
        help="What they poll. status: the exact status; now-serving: the shared document without a "
        "cache, by a fifth of the visitors; cached: the same through caches that keep it for 1 s"
    ),
]
Sockets = Annotated[
    Kept,
    typer.Option(
        help="kept: each visitor keeps its own connection open; shared: visitors share a few, as "
        "behind a load balancer"
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        help="Processes of the queue service; default: one per core. More are started if they "
        "cannot hold all sockets",
        min=1,
    ),
]
Cores = Annotated[
    int,
    typer.Option(
        help="Cores of the service; the load generator gets the others. 0: both share all cores",
        min=0,
    ),
]
AdmitPerS = Annotated[
    float, typer.Option("--admit-per-s", help="Visitors admitted per second", min=0.1)
]
Steps = Annotated[
    int, typer.Option(help="Number of equal steps up to all visitors, each measured", min=1, max=20)
]
Listening = Annotated[
    int, typer.Option("--streams", help="Event streams to open on one worker; 0: none", min=0)
]


def carry(
    visitors: Visitors = 300_000,
    seconds: output.Seconds = 60.0,
    by: By = Ways.ALL,
    sockets: Sockets = Kept.KEPT,
    workers: Workers = None,
    cores: Cores = 0,
    admissions: AdmitPerS = 2_000,
    steps: Steps = 1,
    listening: Listening = 19_500,
    scale: output.Scale = 1.0,
    out: output.Out = output.OUT,
) -> None:
    """Measure whether this machine carries a full line of polling visitors.

    Visitors poll at the intervals that the service recommends. For each admission one visitor
    leaves and another enters. Latency is measured from when a poll was due. The CPU share of the
    load generator is reported. Exit status 1 if a visitor was refused or lost, or if the audit of
    the room has findings.
    """
    chosen: dict[str, Any] = {
        "seconds": seconds,
        "workers": workers or cpu_count() or 1,
        "kept": sockets is Kept.KEPT,
        "admit_per_s": admissions * scale,
        "cores": cores,
    }
    loads = list(_loads(by, max(1, int(visitors * scale)), steps, chosen))
    with output.progress() as on_progress:
        rows = [
            polling.run_polling(_numbered(on_progress, number, len(loads)), load)
            for number, load in enumerate(loads, 1)
        ]
        held = None
        if listening:
            count = max(1, int(listening * scale))
            held = streams.run_streams(on_progress, count, int(visitors * scale), seconds)
    console = Terminal()
    _show_polls(console, rows)
    if held:
        _show_streams(console, held)
    for row in (*rows, *([held] if held else [])):
        for trouble in row["troubles"]:
            console.print(styled((f"{row.get('way', 'streams')}: {trouble}", "red")))
    output.keep(out, "carry", {"polls": rows, "streams": held}, scale=scale)
    if any(row["troubles"] for row in rows) or (held and held["troubles"]):
        raise typer.Exit(1)


def _loads(
    by: Ways, visitors: int, steps: int, chosen: dict[str, Any]
) -> Iterator[polling.PollLoad]:
    for way in Way:
        if by not in (Ways.ALL, way.value):
            continue
        most = max(1, visitors // STRAIGHT) if way is Way.NOW_SERVING else visitors
        for step in range(1, steps + 1):
            yield polling.PollLoad(way=way, visitors=max(1, most * step // steps), **chosen)


def _numbered(on_progress: output.OnProgress, number: int, count: int) -> output.OnProgress:
    return lambda text: on_progress(f"run {number} of {count}: {text}")


def _show_polls(console: Terminal, rows: list[dict[str, Any]]) -> None:
    table = Table(title="A full line, polling", title_justify="left", box=None)
    table.add_column("", no_wrap=True)
    for row in rows:
        table.add_column(row["way"], justify="right")
    for name, shown in _LINES:
        table.add_row(name, *(shown(row) for row in rows))
    console.print(table)


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:,.1f}"


def _busy(row: dict[str, Any], *roles: str) -> str:
    return f"{sum(row['cores_used'].get(role, 0.0) for role in roles):.2f}"


_LINES: list[tuple[str, Callable[[dict[str, Any]], str | Text]]] = [
    ("visitors waiting", lambda row: _count(row["visitors"])),
    ("sockets open", lambda row: _count(row["sockets"])),
    ("worker processes", lambda row: _count(row["workers"])),
    ("memory of a socket, KiB", lambda row: _ms((row["bytes_per_socket"] or 0) / 1024 or None)),
    ("polls/s", lambda row: _count(row["polls"]["per_s"] + row["cached_per_s"])),
    ("  answered by caches", lambda row: _count(row["cached_per_s"])),
    ("admitted/s", lambda row: _count(row["admitted_per_s"])),
    ("entered/s", lambda row: _count(row["entered_per_s"])),
    ("poll p50, ms", lambda row: _ms(row["polls"]["p50_ms"])),
    ("poll p99, ms", lambda row: _ms(row["polls"]["p99_ms"])),
    ("enter p99, ms", lambda row: _ms(row["enters"]["p99_ms"])),
    ("generator late p99, ms", lambda row: _ms(row["late_p99_ms"])),
    ("cores: workers", lambda row: _busy(row, "worker")),
    ("cores: Valkey", lambda row: _busy(row, "valkey")),
    ("cores: admitter, parents", lambda row: _busy(row, "admitter", "parent", "supervisor")),
    ("cores: the generator", lambda row: _busy(row, "generator")),
    ("cores: others here", lambda row: _busy(row, "others")),
    ("cores: taken by the host", lambda row: _busy(row, "stolen")),
    (
        f"carried (p99 < {polling.P99_MS:.0f} ms)",
        lambda row: styled(("yes", "green") if row["carried"] else ("no", "red")),
    ),
]


def _show_streams(console: Terminal, held: dict[str, Any]) -> None:
    each = held["bytes_per_stream"] or 0
    spent = held["us_per_keepalive"]
    console.print(
        f"\nOne worker held {held['opened']:,} of {held['streams']:,} event streams: "
        f"{each / 1024:.1f} KiB each; while nothing happened it used "
        f"{held['cores_used']['worker']:.2f} of a core for {held['keepalives_per_s']:,.0f} signs "
        f"of life a second" + (f", {spent:.0f} us each" if spent else "")
    )
