"""Simulate when waiting visitors poll, and the load that results.

The line is first come, first served, and no visitor gives up. The position of the n-th to join is n
less the number admitted so far, so the polls of a visitor follow from the admission times.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from waitline.queue import hints
from waitline.sales.simulation.figures import Times, by_second
from waitline.sales.simulation.model import RequestLoad

NAIVE_MS = 1_000
"""Polling interval of clients that ignore the hints, such as a naive page, in ms."""

WINDOW_MS = 1_000
"""Length of the window in which due polls are processed together, in ms. No visitor polls twice in
one."""

COHORTS_MAX = 500_000
"""Most cohorts. Above this number of visitors, neighbours in the line poll together, so ten million
visitors take the time and memory of half a million. A cohort of 20 is admitted within 10 ms."""

_EXACT = 1_024
_STEP = 1.01
_JITTERS = 64
"""Shape of the table of hints: a row per position up to `_EXACT`, then a row per 1 %; `_JITTERS`
columns for the jitter."""

_SLICE = 1_000_000
"""Visitors whose requests are counted at once. It bounds the memory."""

Counts = NDArray[np.int64]


class Hints:
    """Lookup table of polling hints, filled by calling the function that serves them.

    Args:
        positions_max: Largest position.
        serve: Returns the hint for a position and a random number in [0, 1).

    Attributes:
        most_ms: Longest hint.
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
                [serve((first + end) // 2, (column + 0.5) / _JITTERS) for column in range(_JITTERS)]
                for first, end in zip(firsts, ends, strict=True)
            ],
            np.int32,
        )
        assert self._table.min() >= WINDOW_MS
        self.most_ms = int(self._table.max())

    def after_ms(self, positions: NDArray[np.int32], rng: np.random.Generator) -> Times:
        """Return the polling hint of each position."""
        rows = np.searchsorted(self._firsts, positions, side="right") - 1
        hints: Times = self._table[rows, rng.integers(0, _JITTERS, len(positions))]
        return hints


def whole_seconds(times: Times) -> Times:
    """Return times in ms rounded up to whole seconds, as the first hint is."""
    rounded: Times = -(-times // 1000) * 1000
    return rounded


class PollingVisitors:
    """The waiting visitors, who poll their status at the recommended intervals.

    Visits of the admitter must come in order of time.

    Args:
        joined_ms: Join time of each visitor.
        hints: Hints for the positions of this line.
        rng: Seeded random generator.

    Attributes:
        notice_most_ms: Longest time from admission until the visitor learns of it.
    """

    def __init__(self, joined_ms: Times, hints: Hints, rng: np.random.Generator) -> None:
        visitors = len(joined_ms)
        self._size = -(-visitors // COHORTS_MAX)
        self._visitors = visitors
        self._starts = joined_ms[:: self._size]
        self._hints = hints
        self.notice_most_ms = hints.most_ms + 1000
        self._rng = rng
        # Joining returns a position and a hint, as a poll does.
        self._due = self._starts.copy()
        self._window_ms = 0
        self._admitted = 0
        # Visitors admitted by each ms of the window.
        self._by_ms = np.zeros(WINDOW_MS, np.int32)
        self._counts = np.zeros(1_024, np.int64)

    def admit(self, now_ms: int, visitors: int) -> Times:
        """Admit the next visitors; return when each of them learns of it."""
        self._pass_time(now_ms)
        first, size = self._admitted, self._size
        low, high = first // size, (first + visitors - 1) // size + 1
        due_ms = self._due[low:high]
        # A visitor admitted as it joins got its hint before.
        late = np.flatnonzero((due_ms < now_ms) | (due_ms == self._starts[low:high]))
        if len(late):
            self._poll(late + low)
        noticed_ms: Times = np.repeat(due_ms, size)[first - low * size :][:visitors]
        self._count(noticed_ms, None)
        self._admitted += visitors
        self._by_ms[now_ms - self._window_ms :] = self._admitted
        return noticed_ms

    def per_s(self) -> Counts:
        """Return the requests of each second so far."""
        return self._counts

    def _pass_time(self, now_ms: int) -> None:
        """Process the polls of all windows that are over."""
        while now_ms >= self._window_ms + WINDOW_MS:
            end_ms = self._window_ms + WINDOW_MS
            low = self._admitted // self._size
            high = int(np.searchsorted(self._starts, np.int32(end_ms)))
            due = np.flatnonzero(self._due[low:high] < end_ms)
            if len(due):
                self._poll(due + low)
            self._window_ms = end_ms
            self._by_ms[:] = self._admitted

    def _poll(self, cohorts: NDArray[np.intp]) -> None:
        """Process the polls of waiting cohorts, each at its time in this window."""
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
    """Count the requests of visitors who poll at a fixed interval until admitted.

    Args:
        joined_ms: Join time of each visitor.
        admitted_ms: Admission time of each visitor.
        every_ms: Polling interval; rounded up to whole seconds.

    Returns:
        The requests of each second, and how many of them find that the visitor is admitted.
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
    # A visitor that polls in one second polls again a stride later.
    return change.reshape(-1, stride).cumsum(axis=0).reshape(-1), turns


def through_edges(joined_ms: Times, admitted_ms: Times, *, edges: int, fresh_s: float) -> Counts:
    """Count the requests that reach the queue service if all visitors poll through a CDN.

    An edge fetches now-serving at most once per `fresh_s`. Each visitor fetches its exact status
    once, when its turn comes.
    """
    asked, turns = steady(joined_ms, admitted_ms, hints.POLL_NEAR_MS)
    through: Counts = np.minimum(asked, int(edges / fresh_s)) + turns
    return through


def load(name: str, per_s: Counts, waited_ms: int) -> RequestLoad:
    """Summarise the requests of one polling method.

    Args:
        name: Name of the polling method.
        per_s: Requests of each second.
        waited_ms: How long there was a line.
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
