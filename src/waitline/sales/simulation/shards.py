"""Simulate a room spread over several shards: a design that is not built (decision 0043).

One counter gives the places, and one grant at a time says up to which place visitors are admitted;
each shard keeps its own visitors and admits those of them that a grant covers. It is compared with
one shard, as built, and with the two obvious designs: a share of rate and slots for each shard, and
an order by the shards' clocks.

Simpler than `sale.py`: visitors learn of their turn at once, so drain times differ from its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from waitline.admission.policy import TICK_MS
from waitline.queue.limits import DAY_MS, Limits
from waitline.queue.model import CHUNK_MAX
from waitline.sales.simulation.figures import Times
from waitline.sales.simulation.gate import Gate
from waitline.sales.simulation.model import Sale, Spread

LINK_MS = (1, 10)
"""Time of a call to a shard, in ms, uniformly distributed: a network within a region, and a store
that is busy."""

CLOCKS_MS = 20
"""Most by which a shard's clock is off, in ms, in either direction: hosts with NTP."""

DOWN_MS = 3_000
"""How long a shard is down, in ms: a failover with a node timeout of 2 s."""


@dataclass(frozen=True, slots=True)
class _Crowd:
    """Visitors in the order of their places: when each entered, its stay, and its shard."""

    entered_ms: NDArray[np.int64]
    stay_ms: NDArray[np.int64]
    shard: NDArray[np.int64]

    def select(self, those: NDArray[np.int64] | NDArray[np.bool_]) -> "_Crowd":
        return _Crowd(self.entered_ms[those], self.stay_ms[those], self.shard[those])


def simulate_shards(
    sale: Sale, joined_ms: Times, shards: int, rng: np.random.Generator
) -> list[Spread]:
    """Play one sale with each design.

    Args:
        sale: The sale.
        joined_ms: When each visitor enters, in order.
        shards: Number of shards.
        rng: Seeded random generator.
    """
    count = len(joined_ms)
    stay_ms = rng.integers(sale.use.least_ms, sale.use.most_ms, count, np.int64, endpoint=True)
    stay_ms[rng.random(count) < sale.no_shows] = sale.limits.ready_ttl_ms
    crowd = _Crowd(joined_ms.astype(np.int64), stay_ms, rng.integers(0, shards, count))
    single = _admit(crowd, sale.limits)
    return list(_designs(crowd, sale.limits, single, shards, rng))


def _designs(
    crowd: _Crowd, limits: Limits, single: NDArray[np.int64], shards: int, rng: np.random.Generator
) -> Iterator[Spread]:
    yield _spread("one shard, as built", crowd, single)
    links = _Links(shards, rng)
    yield _spread("one counter, one grant", crowd, _admit(crowd, limits, links))
    down_ms = int(single[len(single) // 2])
    # Those who want to enter meanwhile are refused, and take a place as soon as it is back.
    refused = (crowd.shard == 0) & (crowd.entered_ms >= down_ms)
    refused &= crowd.entered_ms < down_ms + DOWN_MS
    entered_ms = np.where(refused, down_ms + DOWN_MS, crowd.entered_ms)
    order = np.argsort(entered_ms, kind="stable")
    later = replace(crowd, entered_ms=entered_ms).select(order)
    links = _Links(shards, rng, down_ms)
    yield _spread(
        f"the same, a shard is down for {DOWN_MS / 1000:g} s", later, _admit(later, limits, links)
    )
    clocks_ms = rng.integers(-CLOCKS_MS, CLOCKS_MS, shards, endpoint=True)
    order = np.argsort(crowd.entered_ms + clocks_ms[crowd.shard], kind="stable")
    admitted_ms = np.empty(len(order), np.int64)
    admitted_ms[order] = _admit(crowd.select(order), limits, _Links(shards, rng))
    yield _spread(f"order by the shards' clocks, {CLOCKS_MS} ms off", crowd, admitted_ms)
    yield _spread("a share of rate and slots each", crowd, _divided(crowd, limits, shards))


def _divided(crowd: _Crowd, limits: Limits, shards: int) -> NDArray[np.int64]:
    share = replace(
        limits,
        active_max=max(1, limits.active_max // shards),
        admit_per_s=limits.admit_per_s / shards,
        admit_burst=max(1, int(limits.burst / shards)),
    )
    admitted_ms = np.empty(len(crowd.shard), np.int64)
    for shard in range(shards):
        those = crowd.shard == shard
        admitted_ms[those] = _admit(crowd.select(those), share)
    return admitted_ms


class _Links:
    """Time until a grant has reached each shard; one of them may be down for a while."""

    def __init__(self, shards: int, rng: np.random.Generator, down_ms: int = DAY_MS) -> None:
        self._shards = shards
        self._rng = rng
        self._down_ms = down_ms

    def reached_ms(self, now_ms: int) -> NDArray[np.int64]:
        reached_ms = now_ms + self._rng.integers(*LINK_MS, self._shards, endpoint=True)
        if self._down_ms <= now_ms < self._down_ms + DOWN_MS:
            reached_ms[0] = self._down_ms + DOWN_MS
        return reached_ms


def _admit(crowd: _Crowd, limits: Limits, links: _Links | None = None) -> NDArray[np.int64]:
    """Admit the visitors in the order of their places; return when each was admitted.

    Args:
        crowd: The visitors.
        limits: Limits of the room.
        links: To the shards; `None` for a single one, which decides and moves in one step.
    """
    count = len(crowd.entered_ms)
    admitted_ms = np.empty(count, np.int64)
    gate = Gate(tokens=limits.burst)
    # In the order of places, somebody with a slow clock may enter after the next one.
    known_ms = np.maximum.accumulate(crowd.entered_ms)
    granted = now_ms = 0
    while granted < count:
        gate.sweep(now_ms)
        first, confirmed_ms = granted, now_ms
        entered = int(np.searchsorted(known_ms, now_ms, side="right"))
        while moved := gate.admit(now_ms, entered - granted, limits).admitted:
            granted += moved
            if moved < CHUNK_MAX:
                break
        if granted > first:
            those = slice(first, granted)
            if links is None:
                admitted_ms[those] = now_ms
            else:
                reached_ms = links.reached_ms(now_ms)
                admitted_ms[those] = reached_ms[crowd.shard[those]]
                # The next grant waits for all shards, so visitors of one are never left behind.
                confirmed_ms = int(reached_ms.max())
            leaves_ms, leaving = np.unique(
                admitted_ms[those] + crowd.stay_ms[those], return_counts=True
            )
            # Shards report freed slots with the next confirmation.
            late_ms = 0 if links is None else TICK_MS
            for at_ms, visitors in zip(leaves_ms.tolist(), leaving.tolist(), strict=True):
                gate.lapse(at_ms + late_ms, visitors)
        now_ms = max(now_ms + TICK_MS, confirmed_ms)
    return admitted_ms


def _spread(design: str, crowd: _Crowd, admitted_ms: NDArray[np.int64]) -> Spread:
    # The earliest admission of those who entered later.
    earliest_ms = np.minimum.accumulate(admitted_ms[::-1])[::-1]
    by_ms = admitted_ms[:-1] - earliest_ms[1:]
    times_ms = np.sort(admitted_ms)
    left_ms = np.sort(admitted_ms + crowd.stay_ms)
    held = np.arange(1, len(times_ms) + 1) - np.searchsorted(left_ms, times_ms, side="right")
    within = np.searchsorted(times_ms, times_ms + 1000) - np.arange(len(times_ms))
    return Spread(
        design=design,
        overtaken=int((by_ms > TICK_MS).sum()),
        overtaken_most_ms=int(max(by_ms.max(initial=0), 0)),
        drained_ms=int(times_ms[-1] - crowd.entered_ms[0]),
        most_admitted=int(held.max()),
        most_per_s=int(within.max()),
    )
