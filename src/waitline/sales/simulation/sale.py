"""The event loop of the simulation.

Time advances from one visit of the admitter to the next. Joins and departures since the last visit
are counted then; nothing reads the line in between.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from waitline.admission.policy import SWEEP_MS, next_visit_ms
from waitline.kernel.plurals import counted
from waitline.queue.limits import DAY_MS, Limits
from waitline.sales.simulation import figures, polling
from waitline.sales.simulation.figures import Times
from waitline.sales.simulation.gate import Gate
from waitline.sales.simulation.model import (
    Arrivals,
    Decide,
    Prediction,
    Sale,
    SaleImpossible,
    VisitState,
)

Progress = Callable[[float], None]


class SimulatedSale(NamedTuple):
    """A sale, simulated up to its last admission.

    Attributes:
        joined_ms: Join time of each visitor, in the order of the line.
        admitted_ms: Admission time of each visitor.
        noticed_mean_ms: Mean time from admission until the visitor learns of it.
        no_shows: Visitors who never activated.
        late: Visitors who learned of it too late to activate.
        most_admitted: Most slots held at once.
        slots: Slots held at the end of each second.
        requests: Requests of waiting visitors at the recommended intervals, by second.
    """

    joined_ms: Times
    admitted_ms: Times
    noticed_mean_ms: float
    no_shows: int
    late: int
    most_admitted: int
    slots: list[int]
    requests: NDArray[np.int64]


def outcome(
    sale: Sale,
    rng: np.random.Generator,
    *,
    edges: int,
    fresh_s: float,
    decide: Decide | None = None,
    on_progress: Progress = lambda _share: None,
) -> Prediction:
    """Simulate a sale and return its prediction.

    Args:
        sale: The sale.
        rng: Seeded random generator; the same seed gives the same sale.
        edges: Number of CDN edges that serve now-serving.
        fresh_s: How long an edge may cache the document.
        decide: Returns the room's limits at each visit; `None` keeps those of the sale.
        on_progress: Receives the share of visitors admitted so far.

    Raises:
        SaleImpossible: The sale would take more than a day.
    """
    played = simulate_sale(sale, rng, decide=decide, on_progress=on_progress)
    joined_ms, admitted_ms = played.joined_ms, played.admitted_ms
    line = figures.line(joined_ms, admitted_ms)
    naive, _ = polling.steady(joined_ms, admitted_ms, polling.NAIVE_MS)
    behind = polling.through_edges(joined_ms, admitted_ms, edges=edges, fresh_s=fresh_s)
    summed = figures.figures(joined_ms, admitted_ms)
    loads = (
        ("status, as hinted", played.requests),
        (f"status, each {polling.NAIVE_MS / 1000:g} s", naive),
        (f"now-serving, {edges} edges", behind),
    )
    return Prediction(
        figures=summed,
        noticed_mean_ms=played.noticed_mean_ms,
        no_shows=played.no_shows,
        late=played.late,
        most_admitted=played.most_admitted,
        joined=figures.by_second(joined_ms, len(line)).tolist(),
        admitted=figures.by_second(admitted_ms, len(line)).tolist(),
        line=line.tolist(),
        slots=played.slots,
        loads=tuple(polling.load(name, per_s, summed.drained_ms) for name, per_s in loads),
    )


def simulate_sale(
    sale: Sale,
    rng: np.random.Generator,
    *,
    decide: Decide | None = None,
    on_progress: Progress = lambda _share: None,
) -> SimulatedSale:
    """Simulate a sale until every visitor is admitted; arguments as for `outcome`."""
    joined_ms = joining(sale.arrivals)
    gate = Gate(tokens=sale.limits.burst)
    crowd = _SimulatedVisitors(sale, joined_ms, gate, rng)
    slots: list[int] = []
    now_ms = sweep_due_ms = visit_due_ms = most = 0
    while crowd.admitted < len(joined_ms):
        while len(slots) < now_ms // 1000:
            slots.append(gate.admitted)
            on_progress(crowd.admitted / len(joined_ms))
        crowd.leave(now_ms)
        # Sweep first, so that the same visit can reuse the freed slots.
        if now_ms >= sweep_due_ms:
            gate.sweep(now_ms)
            sweep_due_ms = now_ms + SWEEP_MS
        while now_ms >= visit_due_ms and crowd.admitted < len(joined_ms):
            seen = VisitState(now_ms, crowd.waiting(now_ms), gate.admitted)
            limits = sale.limits if decide is None else decide(seen)
            moved = gate.admit(now_ms, seen.waiting, limits)
            if moved.admitted:
                crowd.admit(now_ms, moved.admitted, limits)
                most = max(most, gate.admitted)
            visit_due_ms = now_ms + next_visit_ms(moved)
        now_ms = min(visit_due_ms, sweep_due_ms)
        if now_ms > DAY_MS:
            left = len(joined_ms) - crowd.admitted
            raise SaleImpossible(
                f"{left:,} of {counted(len(joined_ms), 'visitor')} still waiting after a day. Use "
                "fewer visitors, a higher rate, or more slots"
            )
    slots.append(gate.admitted)
    on_progress(1.0)
    return crowd.played(most, slots)


def joining(groups: tuple[Arrivals, ...]) -> Times:
    """Return the join time of each visitor, in order, in ms since the start."""
    parts, start_ms = [], 0
    for group in groups:
        share = np.arange(group.visitors) / group.visitors
        if group.growing:
            # Arrivals grow with the square of the time: the rate rises linearly.
            np.sqrt(share, out=share)
        parts.append((start_ms + share * group.over_ms).astype(np.int32))
        start_ms += group.over_ms
    return np.concatenate(parts)


class _SimulatedVisitors:
    """Joins, admissions, and when each visitor frees its slot."""

    def __init__(self, sale: Sale, joined_ms: Times, gate: Gate, rng: np.random.Generator) -> None:
        self.admitted = 0
        self._joined_ms = joined_ms
        self._gate = gate
        # Behaviour is drawn first, so that it does not depend on the limits.
        self._comes = rng.random(sale.visitors, np.float32) >= sale.no_shows
        self._use_ms = rng.integers(
            sale.use.least_ms, sale.use.most_ms, sale.visitors, np.int32, endpoint=True
        )
        self._pollers = polling.PollingVisitors(joined_ms, polling.Hints(sale.visitors), rng)
        self._moves: list[tuple[int, int]] = []
        self._no_shows = self._late = self._noticed_sum_ms = 0
        # Ring buffer of departures by ms, longer than the longest stay.
        ring = self._pollers.notice_most_ms + sale.use.most_ms + 2
        self._leaving = np.zeros(ring, np.int32)
        self._left_ms = -1

    def waiting(self, now_ms: int) -> int:
        """Return the number of waiting visitors."""
        # A key of another type would make numpy copy the whole array.
        come = np.searchsorted(self._joined_ms, np.int32(now_ms), side="right")
        return int(come) - self.admitted

    def leave(self, now_ms: int) -> None:
        """Free the slots of the visitors who left since the last call."""
        ring = len(self._leaving)
        gone = 0
        while self._left_ms < now_ms:
            start = (self._left_ms + 1) % ring
            steps = min(now_ms - self._left_ms, ring - start)
            those = self._leaving[start : start + steps]
            gone += int(those.sum())
            those[:] = 0
            self._left_ms += steps
        self._gate.leave(gone)

    def admit(self, now_ms: int, visitors: int, limits: Limits) -> None:
        """Admit the next visitors, and schedule what each of them does."""
        those = slice(self.admitted, self.admitted + visitors)
        self.admitted += visitors
        self._moves.append((now_ms, visitors))
        noticed_ms = self._pollers.admit(now_ms, visitors)
        self._noticed_sum_ms += int(noticed_ms.sum()) - visitors * now_ms
        expires_ms = now_ms + limits.ready_ttl_ms
        comes = self._comes[those]
        activates = comes & (noticed_ms < expires_ms)
        leaves_ms = (noticed_ms + self._use_ms[those])[activates]
        np.add.at(self._leaving, leaves_ms % len(self._leaving), 1)
        self._no_shows += visitors - int(comes.sum())
        self._late += int(comes.sum()) - len(leaves_ms)
        self._gate.lapse(expires_ms, visitors - len(leaves_ms))

    def played(self, most_admitted: int, slots: list[int]) -> SimulatedSale:
        """Return the simulated sale."""
        at_ms, counts = np.array(self._moves, np.int32).T
        return SimulatedSale(
            joined_ms=self._joined_ms,
            admitted_ms=np.repeat(at_ms, counts),
            noticed_mean_ms=self._noticed_sum_ms / self.admitted,
            no_shows=self._no_shows,
            late=self._late,
            most_admitted=most_admitted,
            slots=slots,
            requests=self._pollers.per_s(),
        )
