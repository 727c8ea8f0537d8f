"""When those who wait ask next, and what that adds up to.

The line is first come, first served, and nobody gives up: the n-th to join has position n less
those admitted by then. So a visitor's asking is known as soon as it is known who was admitted when.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from waitline.queue import hints
from waitline.sales.simulation.figures import Times, by_second
from waitline.sales.simulation.model import RequestLoad

NAIVE_MS = 1_000
"""How often clients ask that heed no hint: as a load script does, and a page made in a hurry."""

WINDOW_MS = 1_000
"""What is looked through at once for whose time has come. Nobody asks twice within it."""

COHORTS_MAX = 500_000
"""Neighbours in the line ask together once there are more visitors than this, so that ten million
take no more time and memory than half a million do. Twenty of them are let in within 10 ms."""

_EXACT = 1_024
_STEP = 1.01
_DICE = 64
"""The hints' table: positions up to the first have a row each, then each row is 1 % further on. As
many columns for the jitter."""

_SLICE = 1_000_000
"""Visitors whose requests are counted at once; it bounds the memory that takes."""

Counts = NDArray[np.int64]


class Hints:
    """The served hints, for many positions at once: a table made by calling what serves them.

    Args:
        positions_max: Furthest position that is asked for.
        serve: What gives the hint for a position and a random number in [0, 1).

    Attributes:
        most_ms: The longest of them.
    """

    def __init__(
        self, positions_max: int, serve: Callable[[int, float], int] = hints.poll_after_ms
    ) -> None:
        firsts = list(range(1, min(_EXACT, positions_max) + 1))
        while firsts[-1] < positions_max:
            firsts.append(int(firsts[-1] * _STEP))
        ends = [*firsts[1:], firsts[-1] + 1]
        self._firsts = np.array(firsts, np.int32)
        self._table = np.array(
            [
                [serve((first + end) // 2, (column + 0.5) / _DICE) for column in range(_DICE)]
                for first, end in zip(firsts, ends, strict=True)
            ],
            np.int32,
        )
        assert self._table.min() >= WINDOW_MS
        self.most_ms = int(self._table.max())

    def after_ms(self, positions: NDArray[np.int32], rng: np.random.Generator) -> Times:
        """Return the polling hint of each."""
        rows = np.searchsorted(self._firsts, positions, side="right") - 1
        hints: Times = self._table[rows, rng.integers(0, _DICE, len(positions))]
        return hints


def whole_seconds(times: Times) -> Times:
    """Return times in ms rounded up to whole seconds, as the hint that entering gives is."""
    rounded: Times = -(-times // 1000) * 1000
    return rounded


class Askers:
    """Everybody in the line, who asks for the exact position at the served hints.

    Visits must come in the order of time; windows are closed as time goes on.

    Args:
        joined_ms: When each visitor joins.
        hints: The hint at every position of this line.
        rng: Seeded.

    Attributes:
        told_most_ms: How long after being admitted somebody hears of it, at most.
    """

    def __init__(self, joined_ms: Times, hints: Hints, rng: np.random.Generator) -> None:
        visitors = len(joined_ms)
        self._size = -(-visitors // COHORTS_MAX)
        self._visitors = visitors
        self._starts = joined_ms[:: self._size]
        self._hints = hints
        self.told_most_ms = hints.most_ms + 1000
        self._rng = rng
        # Joining returns the position and a hint, as polling does.
        self._due = self._starts.copy()
        self._window_ms = 0
        self._admitted = 0
        # How many had been admitted by each ms of the window.
        self._by_ms = np.zeros(WINDOW_MS, np.int32)
        self._counts = np.zeros(1_024, np.int64)

    def admit(self, now_ms: int, visitors: int) -> Times:
        """Let the next of the line in, and return when each of them hears of it."""
        self._pass_time(now_ms)
        first, size = self._admitted, self._size
        low, high = first // size, (first + visitors - 1) // size + 1
        due_ms = self._due[low:high]
        # A visitor admitted as it joins got its hint before.
        late = np.flatnonzero((due_ms < now_ms) | (due_ms == self._starts[low:high]))
        if len(late):
            self._ask(late + low)
        told_ms: Times = np.repeat(due_ms, size)[first - low * size :][:visitors]
        self._count(told_ms, None)
        self._admitted += visitors
        self._by_ms[now_ms - self._window_ms :] = self._admitted
        return told_ms

    def per_s(self) -> Counts:
        """Return the requests of each second so far."""
        return self._counts

    def _pass_time(self, now_ms: int) -> None:
        """Let everybody ask whose time comes in windows that are over."""
        while now_ms >= self._window_ms + WINDOW_MS:
            end_ms = self._window_ms + WINDOW_MS
            low = self._admitted // self._size
            high = int(np.searchsorted(self._starts, np.int32(end_ms)))
            due = np.flatnonzero(self._due[low:high] < end_ms)
            if len(due):
                self._ask(due + low)
            self._window_ms = end_ms
            self._by_ms[:] = self._admitted

    def _ask(self, cohorts: NDArray[np.intp]) -> None:
        """Let cohorts that still wait ask, each at its time in this window."""
        due_ms = self._due[cohorts]
        passed = self._by_ms[due_ms - self._window_ms]
        ends = np.minimum((cohorts + 1) * self._size, self._visitors)
        starts = np.maximum(cohorts * self._size, passed)
        waiting = ends - starts
        positions = (starts - passed + (waiting + 1) // 2).astype(np.int32)
        hints_ms = self._hints.after_ms(positions, self._rng)
        join = due_ms == self._starts[cohorts]
        self._count(due_ms, np.where(join, 0, waiting))
        self._due[cohorts] = due_ms + np.where(join, whole_seconds(hints_ms), hints_ms)

    def _count(self, at_ms: Times, weights: NDArray[np.integer] | None) -> None:
        counted = np.bincount(at_ms // 1000, weights).astype(np.int64)
        if len(counted) > len(self._counts):
            longer = np.zeros(2 * len(counted), np.int64)
            longer[: len(self._counts)] = self._counts
            self._counts = longer
        self._counts[: len(counted)] += counted


def steady(joined_ms: Times, admitted_ms: Times, every_ms: int) -> tuple[Counts, Counts]:
    """Count the requests of visitors who ask at an even pace, in whole seconds, until admitted.

    Args:
        joined_ms: When each joined.
        admitted_ms: When each was admitted.
        every_ms: The pace; rounded up to whole seconds.

    Returns:
        The requests of each second, and those among them that hear of being admitted.
    """
    stride = -(-every_ms // 1000)
    seconds = int(admitted_ms[-1]) // 1000 + 2 * stride + 2
    seconds += -seconds % stride
    change, turns = np.zeros(seconds, np.int64), np.zeros(seconds, np.int64)
    for start in range(0, len(joined_ms), _SLICE):
        joined, admitted = joined_ms[start : start + _SLICE], admitted_ms[start : start + _SLICE]
        asks = np.maximum(-(-(admitted - joined) // (stride * 1000)), 1)
        last_ms = joined + asks * (stride * 1000)
        change += by_second(joined + stride * 1000, seconds)
        change -= by_second(last_ms + stride * 1000, seconds)
        turns += by_second(last_ms, seconds)
    # Who asks in one second asks again a stride later.
    return change.reshape(-1, stride).cumsum(axis=0).reshape(-1), turns


def through_edges(joined_ms: Times, admitted_ms: Times, *, edges: int, fresh_s: float) -> Counts:
    """Count what reaches the queue service if all watch now-serving through a CDN's edges.

    An edge asks for the document once in the time that it may keep it, if anybody asks the edge;
    and each visitor whose turn has come asks for the exact status, once.
    """
    asked, turns = steady(joined_ms, admitted_ms, hints.POLL_NEAR_MS)
    through: Counts = np.minimum(asked, int(edges / fresh_s)) + turns
    return through


def load(name: str, per_s: Counts, waited_ms: int) -> RequestLoad:
    """Sum up the requests of one way of asking.

    Args:
        name: Of the way.
        per_s: Requests by second.
        waited_ms: For how long anybody waited.
    """
    used = np.flatnonzero(per_s)
    per_s = per_s[: used[-1] + 1] if len(used) else per_s[:1]
    total = int(per_s.sum())
    return RequestLoad(
        name=name,
        total=total,
        mean_per_s=total / max(waited_ms / 1000, 1),
        most_per_s=int(per_s.max()),
        per_s=per_s.tolist(),
    )
