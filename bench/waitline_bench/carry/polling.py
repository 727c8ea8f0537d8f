"""Capacity of one machine: waiting visitors poll as recommended while the line moves.

A room is filled and its visitors poll; for each one admitted, another enters. The CPU time of the
generator processes is counted separately.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from time import monotonic
from typing import Any

from waitline.kernel.plurals import counted
from waitline.sales.histogram import Histogram
from waitline.trial import installation, processes
from waitline_bench import usage
from waitline_bench.carry.pollers import GRACE_S, PollerPlan
from waitline_bench.carry.visitors import Share, Way
from waitline_bench.generator import sockets
from waitline_bench.generator.crew import Crew
from waitline_bench.measured_room import Room

P99_MS = 100.0
"""Target p99 of answers: waiting visitors count as carried below it."""

WARM_UP_S = 10.0
"""Warm-up between opening the room and the measurement, at most as long as the measurement."""

OPEN_S = 300.0
"""Timeout of opening all sockets, in case the service is overloaded."""

START_S = 30.0
"""Timeout of a report of a generator process."""

OPENING = 64
"""Concurrent first polls while sockets are opened: enough to keep the service busy, and few enough
that visitors who already poll get their answers."""

BALANCE = 0.8
"""Share of a worker's files that visitors' sockets may fill on average. Workers take new
connections as they come: of six, with 10 000 each on average, one took 11 600."""

SHARED = 256
"""Connections that a generator process shares among visitors without a socket of their own."""

GENERATED = 150_000
"""Visitors of one generator process, where sockets do not need more: a process has capacity to
spare, and each further one costs wake-ups."""

OnProgress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class PollLoad:
    """Plan of one measurement.

    Attributes:
        way: Polling method.
        visitors: Number of waiting visitors.
        seconds: Length of the measurement.
        workers: Processes of the service; more are started if the sockets need them.
        kept: Whether each visitor keeps its socket, or all share some as behind a load balancer.
        admit_per_s: Admissions per second; about as many visitors enter.
        cores: Cores of the service, with the rest for the generator; 0: both use all cores.
    """

    way: Way
    visitors: int
    seconds: float
    workers: int
    kept: bool
    admit_per_s: float
    cores: int

    @property
    def own(self) -> int:
        """Number of sockets of the visitors' own; those behind a cache share its sockets."""
        return self.visitors if self.kept and self.way is not Way.CACHED else 0


@dataclass(frozen=True, slots=True)
class _Run:
    load: PollLoad
    room: Room
    crew: Crew
    roles: usage.Roles


def run_polling(on_progress: OnProgress, load: PollLoad) -> dict[str, Any]:
    """Measure one load.

    Args:
        on_progress: Receives the current step as text.
        load: The plan.

    Returns:
        Its figures; `troubles` lists what went wrong.
    """
    files = sockets.raise_file_limit() - sockets.FILES_SPARE
    workers = max(load.workers, ceil(load.own / (files * BALANCE)))
    generators = max(ceil(load.own / files), ceil(load.visitors / GENERATED))
    on_progress(f"starting {counted(workers, 'worker')}")
    with installation.start(workers) as stack:
        roles = stack.processes()
        _place(roles, load.cores, ours=False)
        room = Room(stack.valkey_url, "carry")
        on_progress(counted(load.visitors, "visitor joins", "visitors join"))
        room.fill(load.visitors, load.admit_per_s)
        with Crew(
            "waitline_bench.carry.pollers", list(_plans(load, stack.port, generators))
        ) as crew:
            roles["generator"] = crew.pids
            _place({"generator": crew.pids}, load.cores, ours=True)
            figures = _carried(on_progress, _Run(load, room, crew, roles))
        on_progress("reading the whole room")
        figures["troubles"] += room.findings()
    return {
        "way": load.way,
        "visitors": load.visitors,
        "kept": load.own > 0,
        "cores": load.cores,
        "workers": workers,
        "generators": generators,
        **figures,
        "carried": not figures["troubles"] and (figures["polls"]["p99_ms"] or 0) < P99_MS,
    }


def _plans(load: PollLoad, port: int, generators: int) -> Iterator[dict[str, Any]]:
    # Process ids differ between concurrent commands.
    network = 1 + os.getpid() % 250
    for process in range(generators):
        # Interleaved, so that every process has visitors from the whole line.
        count = len(range(process, load.visitors, generators))
        own, shared = (count, 0) if load.own else (0, SHARED)
        opening = max(1, OPENING // generators)
        plan = PollerPlan(process, network, "127.0.0.1", port, own, opening, shared)
        share = Share("carry", load.way, count, process + 1, generators)
        yield {"plan": plan._asdict(), "share": share._asdict()}


def _place(roles: usage.Roles, cores: int, *, ours: bool) -> None:
    """Pin the service and the generator to different cores."""
    allowed = sorted(os.sched_getaffinity(0))
    if not 0 < cores < len(allowed):
        return
    chosen = allowed[cores:] if ours else allowed[:cores]
    for pid in (pid for pids in roles.values() for pid in pids):
        processes.set_affinity(pid, chosen)


def _carried(on_progress: OnProgress, run: _Run) -> dict[str, Any]:
    """Open the sockets, start admissions, and measure."""
    load, crew, workers = run.load, run.crew, run.roles["worker"]
    empty_bytes = usage.memory_bytes(workers)

    opening_s = _open(on_progress, load, crew)
    opened = crew.total("opened")
    run.room.open()
    from_s = monotonic() + min(WARM_UP_S, load.seconds)
    until_s = from_s + load.seconds
    crew.order(from_s=from_s, until_s=until_s)
    _wait(on_progress, crew, from_s, "warming up")
    first, before = usage.take_reading(run.roles), run.room.survey()
    _wait(on_progress, crew, until_s, "measuring")
    last, after = usage.take_reading(run.roles), run.room.survey()
    open_bytes = usage.memory_bytes(workers)
    held = [processes.open_sockets(pid) for pid in workers]
    on_progress("waiting for the last answers")
    crew.listen(
        lambda: crew.total("over") == len(crew.pids), GRACE_S + 30, "the generator's figures"
    )
    found = troubles(crew.reports, load.visitors, run.room.survey().counters["entered"])
    if opened < load.own:
        missing = counted(load.own - opened, "socket")
        found.append(f"{missing} could not be opened within {OPEN_S:.0f} s")
    took_s = (after.at_ms - before.at_ms) / 1000
    return {
        **_told(crew.reports, load.seconds),
        "opening_s": opening_s,
        "admitted_per_s": (after.counters["admitted"] - before.counters["admitted"]) / took_s,
        "entered_per_s": (after.counters["entered"] - before.counters["entered"]) / took_s,
        "cores_used": usage.cores_between(first, last),
        "bytes_per_socket": (open_bytes - empty_bytes) / opened if opened else None,
        "sockets_least": min(held),
        "sockets_most": max(held),
        "troubles": found,
    }


def _open(on_progress: OnProgress, load: PollLoad, crew: Crew) -> float:
    """Wait until every visitor has its socket, or until the deadline; return the seconds."""
    began_s = monotonic()

    def opened() -> bool:
        on_progress(f"{crew.total('opened'):,} of {counted(load.own, 'socket')} open")
        late = monotonic() - began_s > OPEN_S
        return all(crew.reports) and (late or crew.total("opened") >= load.own)

    crew.listen(opened, OPEN_S + START_S, "the generator's start")
    return monotonic() - began_s


def _wait(on_progress: OnProgress, crew: Crew, until_s: float, what: str) -> None:
    answers, since_s = crew.total("answers"), monotonic()

    def over() -> bool:
        now_s = monotonic()
        if now_s > since_s:
            per_s = (crew.total("answers") - answers) / (now_s - since_s)
            on_progress(f"{what}: {per_s:,.0f} answers/s, {max(0.0, until_s - now_s):.0f} s to go")
        return now_s >= until_s

    crew.listen(over, until_s - since_s + 5, what)


def _told(reports: Sequence[dict[str, Any]], seconds: float) -> dict[str, Any]:
    """Combine the reports of the generator processes."""
    late = Histogram()
    for report in reports:
        late.add(report["late"])
    figures: dict[str, Any] = {"sockets": sum(report["sockets"] for report in reports)}
    for kind in ("polls", "turns", "enters"):
        times = Histogram()
        for report in reports:
            times.add(report["times"][kind])
        figures[kind] = {
            "per_s": times.total / seconds,
            "p50_ms": times.quantile_ms(0.5),
            "p99_ms": times.quantile_ms(0.99),
            "most_ms": times.quantile_ms(1),
        }
    figures["cached_per_s"] = sum(report["cached"] for report in reports) / seconds
    figures["closed"] = sum(report["closed"] for report in reports)
    # The generator's own share of the latencies above.
    figures["late_p50_ms"] = late.quantile_ms(0.5)
    figures["late_p99_ms"] = late.quantile_ms(0.99)
    return figures


def troubles(reports: Sequence[dict[str, Any]], visitors: int, entered: int) -> list[str]:
    """Return the failures of the run as sentences.

    Args:
        reports: Final reports of the generator processes.
        visitors: Visitors waiting at the start.
        entered: The room's total of joins.
    """
    refused: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for report in reports:
        refused.update(report["seen"]["refused"])
        for name in ("missing", "broken"):
            counts[name] += report[name]
        for name in ("lost", "early", "entered"):
            counts[name] += report["seen"][name]
    found = [
        f"{counted(times, 'answer')} had status {code}" for code, times in sorted(refused.items())
    ]
    for name, text in (
        ("missing", "polls got no answer"),
        ("broken", "connections broke while an answer was awaited"),
        ("lost", "visitors were neither waiting nor admitted"),
        ("early", "visitors read that it was their turn, and had to wait"),
    ):
        if counts[name]:
            found.append(f"{counts[name]:,} {text}")
    if entered < visitors + counts["entered"]:
        gone = visitors + counts["entered"] - entered
        who = counted(gone, "visitor was", "visitors were")
        found.append(f"{who} acknowledged, but missing in the room")
    return found
