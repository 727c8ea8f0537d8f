"""`waitline-bench scale-out`, `primaries` and `rush`: instances, primaries, the largest rush."""

from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.table import Table

from waitline.kernel.errors import Misconfigured
from waitline.kernel.terminal import Terminal, styled
from waitline_bench.cli import output
from waitline_bench.cpu_quotas import SHARE_LEAST
from waitline_bench.scale_out import primaries, run, rush
from waitline_bench.scale_out.visits import Work

INSTANCES_MAX = 8
"""Most instances: the store, the generator and all of them share this machine."""

Rounds = Annotated[int, typer.Option(help="Alternating rounds", min=1, max=20)]
Share = Annotated[
    float,
    typer.Option("--quota", help="CPU quota of each, as a share of a core", min=SHARE_LEAST, max=1),
]


def scale_out(
    instances: Annotated[
        str, typer.Option(help="Numbers of instances, separated by commas; the first is 1")
    ] = "1,2,4",
    work: Annotated[
        list[Work] | None,
        typer.Option(help="What to measure; repeat for several", show_default="all"),
    ] = None,
    quota: Share = 0.15,
    seconds: output.Seconds = 4.0,
    rounds: Rounds = 3,
    out: output.Out = output.OUT,
) -> None:
    """Measure the throughput of several instances of the queue service on one store.

    Every instance gets the same small CPU quota, so that the instances are the limit on this
    machine, as on machines of their own. Needs root, for cgroups. Exit status 1 if a request was
    refused or lost, or if the audit of a room has findings.

    Example: waitline-bench scale-out --instances 1,2,4
    """
    counts = _counts(instances)
    effort = run.ScaleOutEffort(counts, tuple(work or Work), quota, seconds, rounds)
    with output.progress() as on_progress:
        figures = run.run_scale_out(on_progress, effort)
    console = Terminal()
    bad = False
    for name, rows in figures.items():
        console.print(_table(name, rows))
        for count, row in rows.items():
            for trouble in row["troubles"]:
                bad = True
                console.print(styled((f"{name}, instances: {count}; {trouble}", "red")))
    output.keep(out, "scale-out", figures, quota=quota, seconds=seconds, rounds=rounds)
    if bad:
        raise typer.Exit(1)


def measure_primaries(
    quota: Share = 0.1,
    seconds: output.Seconds = 2.0,
    rounds: Rounds = 3,
    out: output.Out = output.OUT,
) -> None:
    """Measure 1, 3 and 9 rooms on 1 and 3 primaries of a cluster.

    Every primary gets the same small CPU quota, so that the primaries are the limit. The scripts
    are called without HTTP, 16 visitors a call. Needs root, for cgroups.
    """
    effort = primaries.ShardEffort(quota, seconds, rounds)
    with output.progress() as on_progress:
        figures = primaries.run_primaries(on_progress, effort)
    table = Table(title="Rooms over primaries", title_justify="left", box=None)
    for heading in ("call", "rooms", "primaries", "visitors/s", "x one primary", "call p50 ms",
                    "p99 ms", "cores: primaries", "others", "taken by the host"):  # fmt: skip
        table.add_column(heading, justify="left" if heading == "call" else "right")
    # The sort is stable, so 1 primary comes before 3.
    for row in sorted(figures["rows"], key=lambda row: (row["call"], row["rooms"])):
        table.add_row(
            row["call"],
            str(row["rooms"]),
            str(row["primaries"]),
            f"{row['per_s']:,.0f}",
            f"{row['times']:.2f} ({row['times_least']:.2f} to {row['times_most']:.2f})",
            f"{row['p50_ms']:.1f}",
            f"{row['p99_ms']:.1f}",
            f"{row['primaries_cores']:.2f}",
            f"{row['others_cores']:.2f}",
            f"{row['stolen_cores']:.2f}",
        )
    Terminal().print(table)
    output.keep(out, "primaries", figures, quota=quota, seconds=seconds, rounds=rounds)


def measure_rush(
    visitors: Annotated[int, typer.Option(help="Visitors who enter", min=1)] = 300_000,
    per_s: Annotated[float, typer.Option(help="Arrivals per second", min=1)] = 10_000,
    workers: Annotated[int, typer.Option(help="Processes of the queue service", min=1)] = 1,
    out: output.Out = output.OUT,
) -> None:
    """Let visitors enter one room at a fixed rate, by a generator that costs less than k6.

    Latency counts from when an arrival was due. Exit status 1 if one was dropped or refused, if the
    audit of the room has findings, or if p99 is not below 250 ms.
    """
    with output.progress() as on_progress:
        figures = rush.run_rush(on_progress, rush.Rush(visitors, per_s, workers))
    console = Terminal()
    table = Table(box=None, show_header=False)
    table.add_column("", no_wrap=True)
    table.add_column("", justify="right")
    table.add_row("arrivals", f"{visitors:,} at {per_s:,.0f}/s")
    table.add_row("dropped", f"{figures['dropped']:,}")
    shown = " / ".join(f"{figures[name] or 0:.1f}" for name in ("p50_ms", "p95_ms", "p99_ms"))
    table.add_row("enter: p50 / p95 / p99, ms", shown)
    for role, used in figures["cpu_us"].items():
        table.add_row(f"CPU of {role}, us an arrival", f"{used:.0f}")
        table.add_row(f"CPU of {role}, cores", f"{figures['cores'][role]:.2f}")
    table.add_row("passed", styled(("yes", "green") if figures["passed"] else ("no", "red")))
    console.print(table)
    for trouble in figures["troubles"]:
        console.print(styled((trouble, "red")))
    output.keep(out, "rush", figures)
    if not figures["passed"]:
        raise typer.Exit(1)


def _counts(text: str) -> tuple[int, ...]:
    words = text.split(",")
    if not all(word.strip().isdecimal() for word in words):
        raise Misconfigured(f"--instances: {text!r} is not a list of numbers; write 1,2,4")
    counts = tuple(map(int, words))
    if counts[0] != 1 or list(counts) != sorted(set(counts)) or counts[-1] > INSTANCES_MAX:
        raise Misconfigured(
            f"--instances: {text!r} must begin with 1 and rise to at most {INSTANCES_MAX}; "
            "write 1,2,4"
        )
    return counts


def _table(name: str, rows: dict[str, Any]) -> Table:
    table = Table(title=f"\n{name}", title_justify="left", box=None)
    table.add_column("instances", no_wrap=True)
    for count in rows:
        table.add_column(count, justify="right")
    for title, shown in _LINES:
        table.add_row(title, *(shown(row) for row in rows.values()))
    steps = next(iter(rows.values()))["steps"]
    for step in steps:
        table.add_row(
            f"{step}: p50 / p95 / p99, ms",
            *(
                " / ".join(
                    f"{row['steps'][step][which]:.0f}" for which in ("p50_ms", "p95_ms", "p99_ms")
                )
                for row in rows.values()
            ),
        )
    return table


def _instances_cores(row: dict[str, Any]) -> float:
    return float(sum(used for role, used in row["cores"].items() if role.startswith("queue-")))


_LINES: list[tuple[str, Callable[[dict[str, Any]], str]]] = [
    ("visits/s", lambda row: f"{row['per_s']:,.0f}"),
    ("requests/s", lambda row: f"{row['answers_per_s']:,.0f}"),
    (
        "x one instance",
        lambda row: f"{row['times']:.2f} ({row['times_least']:.2f} to {row['times_most']:.2f})",
    ),
    ("efficiency", lambda row: f"{row['efficiency']:.0%}"),
    (
        "CPU of an instance, us a request",
        lambda row: f"{_instances_cores(row) / row['answers_per_s'] * 1e6:.0f}",
    ),
    ("CPU quota used", lambda row: f"{row['quota_used']:.0%}"),
    ("periods throttled", lambda row: f"{row['throttled']:.0%}"),
    ("admissions refused by lease", lambda row: f"{row['lease_refused']:.1%}"),
    (
        "requests by instance",
        lambda row: ", ".join(
            f"{each['instance']} {each['share']:.1%}" for each in row["instances"]
        ),
    ),
    ("cores: instances", lambda row: f"{_instances_cores(row):.2f}"),
    ("cores: Valkey", lambda row: f"{row['cores']['valkey']:.2f}"),
    ("cores: admitters", lambda row: f"{row['cores']['admitters']:.2f}"),
    ("cores: the generator", lambda row: f"{row['cores']['generator']:.2f}"),
    ("cores: others here", lambda row: f"{row['cores']['others']:.2f}"),
    ("cores: taken by the host", lambda row: f"{row['cores']['stolen']:.2f}"),
]
