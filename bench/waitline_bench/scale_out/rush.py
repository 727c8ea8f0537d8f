"""The largest rush: new visitors enter one room at a fixed rate, by our own generator.

The generator is an open loop: arrivals come whether or not earlier ones have been answered, and
latency counts from when an arrival was due. Servers and generator share the machine, under
SCHED_BATCH, so that they do not preempt each other.
"""

from typing import Any, NamedTuple

from waitline.trial import installation, machine
from waitline_bench.measured_room import Room
from waitline_bench.scale_out.clients import ClientPlan
from waitline_bench.scale_out.load import Load, OnProgress, run_visits, troubles
from waitline_bench.scale_out.visits import ENTER, Crowd, Work

CONNECTIONS = 512
"""Connections of all visitors, as a load balancer keeps them to a server. An arrival that finds no
free one waits, and its latency includes the wait."""

P99_MS = 250.0
"""Target p99."""

ADMIT_PER_S = 2_000.0
"""Admissions per second meanwhile: the default of a room."""


class Rush(NamedTuple):
    """Load of a rush.

    Attributes:
        visitors: Number of arrivals.
        per_s: Arrivals per second.
        workers: Processes of the queue service.
    """

    visitors: int
    per_s: float
    workers: int


def run_rush(on_progress: OnProgress, rush: Rush) -> dict[str, Any]:
    """Start an installation, let the visitors enter, and audit the room.

    Returns:
        `dropped`: arrivals without an answer in time; `p50_ms`, `p95_ms`, `p99_ms`; `cpu_us` by
        role per arrival, with `cores`; `troubles`: what went wrong; `passed`: nothing dropped or
        refused, no findings, and p99 below the target.

    Raises:
        Unavailable: A server did not start, or the generator failed.
    """
    on_progress("starting an installation")
    with installation.start(rush.workers) as stack, machine.taking_turns():
        room = Room(stack.valkey_url, "rush")
        room.fill(0, ADMIT_PER_S)
        room.open()
        plan = ClientPlan((stack.port,), CONNECTIONS, 0, rush.per_s)
        roles = {name: pids for name, pids in stack.processes().items() if name != "supervisor"}
        seconds = rush.visitors / rush.per_s
        crowd = Crowd(Work.ENTER, (room.name,), 0, "n")
        found = run_visits(on_progress, plan, crowd, Load(0.5, seconds), roles)
        on_progress("auditing the room")
        entered = room.survey().counters["entered"]
        missing = found["entered"] - entered
        findings = room.findings()
    latency = found["steps"][ENTER]
    wrong = [*troubles(found), *findings]
    if missing > 0:
        wrong.append(f"{missing:,} entered visitors are missing in the room")
    dropped = rush.visitors - latency["count"]
    return {
        "visitors": rush.visitors,
        "per_s": rush.per_s,
        "workers": rush.workers,
        "dropped": dropped,
        **{name: latency[name] for name in ("p50_ms", "p95_ms", "p99_ms")},
        "cores": found["cores"],
        "cpu_us": {
            role: cores * seconds / rush.visitors * 1e6 for role, cores in found["cores"].items()
        },
        "troubles": wrong,
        "passed": not wrong and dropped == 0 and latency["p99_ms"] < P99_MS,
    }
