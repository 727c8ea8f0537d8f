"""Cost of confirmation: batches of joins and of departures, by durability, with one replica."""

import asyncio
import tempfile
from itertools import count
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter
from typing import Any

from waitline.kernel.ids import VisitorId
from waitline.queue.limits import Limits
from waitline.queue.rooms import Rooms
from waitline.queue.settings import Rules
from waitline.queue.store import Line
from waitline.trial.valkey_cluster import Size, ValkeyCluster
from waitline.valkey.client import ValkeyClient
from waitline.valkey.durability import Durability
from waitline_bench.failover import CALL_S, ROOM, SOON_S, OnProgress

DURABILITIES: tuple[Durability, ...] = ("memory", "disk", "replicated")

BATCH = 16
UNDER_WAY = 2
"""Visitors in a batch, and batches at once, as a busy worker sends them."""


def run_confirmations(on_progress: OnProgress, seconds: float, rounds: int) -> dict[str, Any]:
    """Return changes/s and the time of a batch by durability, on a primary with one replica.

    The durabilities take turns. `disk` has `appendfsync always`, the others `no`.
    """
    with tempfile.TemporaryDirectory(prefix="wl-") as folder:
        cluster = ValkeyCluster(Path(folder) / "cluster", Size(3, 3))
        try:
            cluster.start(SOON_S)
            return asyncio.run(_confirmed(on_progress, cluster, seconds, rounds))
        finally:
            cluster.stop()


async def _confirmed(
    on_progress: OnProgress, cluster: ValkeyCluster, seconds: float, rounds: int
) -> dict[str, Any]:
    taken_s: dict[Durability, list[float]] = {name: [] for name in DURABILITIES}
    per_s: dict[Durability, list[float]] = {name: [] for name in DURABILITIES}
    fresh = count()
    for number in range(rounds):
        for name in DURABILITIES if number % 2 else reversed(DURABILITIES):
            on_progress(f"round {number + 1} of {rounds}: {name}")
            for index in range(len(cluster.nodes)):
                fsync = "always" if name == "disk" else "no"
                await cluster.send(index, "CONFIG", "SET", "appendfsync", fsync)
            store = ValkeyClient(cluster.url, timeout_s=CALL_S)
            joins = ValkeyClient(cluster.url, timeout_s=CALL_S, durability=name)
            await Rooms(store).ensure(ROOM, Rules(limits=Limits(waiting_max=10_000_000)))
            line, until_s = Line(store, joins), perf_counter() + seconds
            before = len(taken_s[name])

            async def again(line: Line, until_s: float, taken: list[float]) -> None:
                while perf_counter() < until_s:
                    names = [VisitorId(f"n{next(fresh)}") for _ in range(BATCH)]
                    for change in (
                        line.join(ROOM, names),
                        line.leave(ROOM, [(n, 0) for n in names]),
                    ):
                        started_s = perf_counter()
                        await change
                        taken.append(perf_counter() - started_s)

            await asyncio.gather(*(again(line, until_s, taken_s[name]) for _ in range(UNDER_WAY)))
            per_s[name].append((len(taken_s[name]) - before) * BATCH / seconds)
            await joins.close()
            await store.close()
    return {
        name: {
            "changes_per_s": median(per_s[name]),
            "median_ms": 1000 * median(taken_s[name]),
            "p99_ms": 1000 * quantiles(taken_s[name], n=100)[98],
        }
        for name in DURABILITIES
    }
