"""Throughput of rooms by the number of primaries, each with the same CPU quota.

The line's scripts are called as a worker calls them, in batches and without HTTP: the services
would need more than this machine before the primaries are the limit.
"""

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import uvloop

from waitline.kernel.ids import RoomId, VisitorId
from waitline.queue import keys
from waitline.queue.limits import Limits
from waitline.queue.rooms import Rooms
from waitline.queue.settings import Rules
from waitline.queue.store import Line
from waitline.sales.histogram import Histogram
from waitline.trial.valkey_cluster import Size, ValkeyCluster
from waitline.valkey.client import ValkeyClient
from waitline.valkey.slots import SLOTS, slot_of
from waitline_bench import usage
from waitline_bench.cpu_quotas import CpuQuotas
from waitline_bench.scale_out.load import OnProgress

PRIMARIES = (1, 3)
ROOMS = (1, 3, 9)
CALLS = ("join", "status")

BATCH = 16
"""Visitors per call: as many as a busy worker waits for (`queue/batches.py`)."""

UNDER_WAY = 36
"""Concurrent calls, spread evenly over the rooms: with three primaries, enough for each to be busy
whenever its quota allows."""

CALL_S = 10.0
WAITING = 5_000
"""Visitors waiting in each room."""

WARM_UP_S = 0.5


@dataclass(frozen=True, slots=True)
class ShardEffort:
    """Size of a run.

    Attributes:
        share: CPU quota of a primary, as a share of a core.
        seconds: Length of a measurement.
        rounds: How often each is measured, alternately.
    """

    share: float
    seconds: float
    rounds: int


def run_primaries(on_progress: OnProgress, effort: ShardEffort) -> dict[str, Any]:
    """Measure each call with each number of rooms on each number of primaries.

    Returns:
        `rows`: by call, primaries and rooms, medians of visitors/s, of the latency of a call, of
        the busy cores, and `times`: visitors/s as a multiple of those of one primary with as many
        rooms, in the same round.

    Raises:
        Misconfigured: CPU quotas cannot be set here.
    """
    with ExitStack() as stack:
        quotas = stack.enter_context(CpuQuotas())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="waitline-bench-")))
        clusters = {}
        for primaries in PRIMARIES:
            on_progress(f"starting a cluster, primaries: {primaries}")
            cluster = ValkeyCluster(folder / f"cluster-{primaries}", Size(primaries, 0))
            stack.callback(cluster.stop)
            cluster.start()
            clusters[primaries] = cluster
            for number, node in enumerate(cluster.nodes):
                quotas.limit(f"primary-{primaries}-{number}", [node.pid], effort.share)
        return uvloop.run(_measured(on_progress, clusters, effort))


def rooms_on(primaries: int, rooms: int) -> list[RoomId]:
    """Return names of rooms such that every primary has as many of them, one after the other."""
    chosen: list[RoomId] = []
    for number in count():
        if len(chosen) == rooms:
            return chosen
        room = RoomId(f"room-{number}")
        # A cluster that has just been formed divides the slots into ranges of equal length.
        primary = slot_of(keys.of(room).room) * primaries // SLOTS
        if primary == len(chosen) % primaries:
            chosen.append(room)
    raise AssertionError


async def _measured(
    on_progress: OnProgress, clusters: dict[int, ValkeyCluster], effort: ShardEffort
) -> dict[str, Any]:
    stores = {size: ValkeyClient(one.url, timeout_s=CALL_S) for size, one in clusters.items()}
    for primaries, store in stores.items():
        on_progress(f"filling the rooms, primaries: {primaries}")
        await _fill(store, rooms_on(primaries, max(ROOMS)))
    # Names of those who join differ between all measurements.
    fresh = count()
    found: dict[tuple[str, int, int], list[dict[str, Any]]] = {}
    for number in range(effort.rounds):
        for call in CALLS:
            for rooms in ROOMS:
                order = PRIMARIES if number % 2 == 0 else tuple(reversed(PRIMARIES))
                for primaries in order:
                    on_progress(
                        f"round {number + 1} of {effort.rounds}: {call}, primaries: {primaries}, "
                        f"rooms: {rooms}"
                    )
                    nodes = [node.pid for node in clusters[primaries].nodes]
                    run = _FlatOut(stores[primaries], rooms_on(primaries, rooms), call, fresh)
                    figures = await run.flat_out(nodes, effort.seconds)
                    found.setdefault((call, primaries, rooms), []).append(figures)
    for store in stores.values():
        await store.close()
    return {"rows": list(_rows(found))}


def _rows(found: dict[tuple[str, int, int], list[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    for (call, primaries, rooms), runs in sorted(found.items()):
        ones = found[call, PRIMARIES[0], rooms]
        times = [run["per_s"] / one["per_s"] for run, one in zip(runs, ones, strict=True)]
        yield {
            "call": call,
            "primaries": primaries,
            "rooms": rooms,
            **{name: median(run[name] for run in runs) for name in runs[0]},
            "times": median(times),
            "times_least": min(times),
            "times_most": max(times),
            "runs": runs,
        }


async def _fill(store: ValkeyClient, rooms: list[RoomId]) -> None:
    line = Line(store)
    for room in rooms:
        await Rooms(store).ensure(room, Rules(limits=Limits(waiting_max=10_000_000)))
        names = [VisitorId(f"v{number}") for number in range(WAITING)]
        for first in range(0, WAITING, 250):
            await line.join(room, names[first : first + 250])


class _FlatOut:
    """Calls at full load, closed loop: each call follows the answer to an earlier one."""

    def __init__(
        self, store: ValkeyClient, rooms: list[RoomId], call: str, fresh: "count[int]"
    ) -> None:
        self._line = Line(store)
        self._rooms = rooms
        self._joins = call == "join"
        self._fresh = fresh
        self._from_s = self._until_s = 0.0
        self._visitors = 0
        self._times = Histogram()

    async def flat_out(self, nodes: list[int], seconds: float) -> dict[str, float | None]:
        self._from_s = perf_counter() + WARM_UP_S
        self._until_s = self._from_s + seconds
        roles = {"primaries": nodes}
        async with asyncio.TaskGroup() as group:
            for number in range(UNDER_WAY):
                group.create_task(self._calls(self._rooms[number % len(self._rooms)]))
            await asyncio.sleep(WARM_UP_S)
            first = usage.take_reading(roles)
            await asyncio.sleep(seconds)
            cores = usage.cores_between(first, usage.take_reading(roles))
        return {
            "per_s": self._visitors / seconds,
            "p50_ms": self._times.quantile_ms(0.5),
            "p99_ms": self._times.quantile_ms(0.99),
            "primaries_cores": cores["primaries"],
            "others_cores": cores["others"],
            "stolen_cores": cores["stolen"],
        }

    async def _calls(self, room: RoomId) -> None:
        while (began_s := perf_counter()) < self._until_s:
            number = next(self._fresh) * BATCH
            if self._joins:
                names = [VisitorId(f"n{number + each}") for each in range(BATCH)]
                await self._line.join(room, names)
            else:
                names = [VisitorId(f"v{(number + each) % WAITING}") for each in range(BATCH)]
                await self._line.status(room, [(name, 0) for name in names])
            ended_s = perf_counter()
            if self._from_s <= ended_s < self._until_s:
                self._visitors += BATCH
                self._times.record(int((ended_s - began_s) * 1e6))
