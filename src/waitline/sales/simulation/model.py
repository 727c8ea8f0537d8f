"""A sale and its prediction. Pure."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from waitline.kernel.errors import Misconfigured
from waitline.queue.limits import DAY_MS, WAITING_MOST, Limits

VISITORS_MAX = WAITING_MOST
"""Most visitors of one sale: as many as may wait in a room."""


class SaleImpossible(Misconfigured):
    """The parameters do not make a valid sale; the message names one and its range."""


@dataclass(frozen=True, slots=True)
class Arrivals:
    """A group of arrivals.

    Attributes:
        visitors: Number of visitors; 0 makes a pause.
        over_ms: Length of the arrival period; 0: all at once.
        growing: Whether the rate rises linearly from 0; otherwise it is constant.
    """

    visitors: int
    over_ms: int
    growing: bool = False


@dataclass(frozen=True, slots=True)
class Use:
    """Time in the shop, uniformly distributed.

    Attributes:
        least_ms: Shortest.
        most_ms: Longest; equal to `least_ms` for a constant time.
    """

    least_ms: int
    most_ms: int

    @property
    def mean_ms(self) -> float:
        """Mean time in the shop."""
        return (self.least_ms + self.most_ms) / 2


@dataclass(frozen=True, slots=True)
class Sale:
    """Arrivals, limits of the room, and behaviour of the visitors.

    The room has been open before, so its token bucket is full. The admitter visits it at time 0.

    Attributes:
        arrivals: Groups of arrivals, one after the other.
        limits: Limits of the room.
        use: How long visitors keep their slot after learning of it. They extend it if needed.
        no_shows: Share of admitted visitors who never activate, 0 to 1.
    """

    arrivals: tuple[Arrivals, ...]
    limits: Limits = field(default_factory=Limits)
    use: Use = field(default_factory=lambda: Use(5_000, 30_000))
    no_shows: float = 0.0

    def __post_init__(self) -> None:
        for reason in self._wrong():
            raise SaleImpossible(reason)

    @property
    def visitors(self) -> int:
        """Number of visitors."""
        return sum(group.visitors for group in self.arrivals)

    @property
    def over_ms(self) -> int:
        """Length of the arrival period."""
        return sum(group.over_ms for group in self.arrivals)

    def _wrong(self) -> list[str]:
        """Return the reasons why this is not a valid sale."""
        limits, use = self.limits, self.use
        life_ms = limits.active_ttl_ms * (1 + limits.extensions_max)
        checks = {
            f"visitors: must be from 1 to {VISITORS_MAX:,}": 1 <= self.visitors <= VISITORS_MAX,
            "waiting_max: must be at least the number of visitors": limits.waiting_max
            >= self.visitors,
            "use: the shorter time must come first, for example 5s..30s": 0
            <= use.least_ms
            <= use.most_ms,
            f"use: must be at most {life_ms / 1000:,.0f} s, the longest time of a slot with all "
            "extensions": use.most_ms <= life_ms,
            "no-shows: must be a share from 0 to 1": 0 <= self.no_shows <= 1,
        }
        wrong = [reason for reason, holds in checks.items() if not holds]
        if not wrong and (least_ms := self._least_ms()) > DAY_MS:
            wrong.append(
                f"this sale takes at least {least_ms / DAY_MS:,.1f} days; at most one is allowed. "
                "Use fewer visitors, a higher rate, or more slots"
            )
        return wrong

    def _least_ms(self) -> float:
        """Return a lower bound of the sale's length: arrivals, rate and slots."""
        used_ms = (1 - self.no_shows) * self.use.mean_ms
        held_ms = used_ms + self.no_shows * self.limits.ready_ttl_ms
        return max(
            self.over_ms,
            self.visitors / self.limits.admit_per_s * 1000,
            (self.visitors - self.limits.active_max) * held_ms / self.limits.active_max,
        )


class VisitState(NamedTuple):
    """State of the room at a visit of the admitter.

    Attributes:
        now_ms: Time since the start of the sale.
        waiting: Visitors waiting.
        admitted: Visitors holding a slot.
    """

    now_ms: int
    waiting: int
    admitted: int


Decide = Callable[[VisitState], Limits]
"""Returns the limits of the room from now on, for example from the load of the shop."""


class Figures(NamedTuple):
    """The main figures of a sale. A wait is from joining to being admitted.

    Attributes:
        drained_ms: Time from the first join to the last admission.
        mean_ms: Mean wait.
        p50_ms: Median wait.
        p90_ms: 90th percentile of the wait.
        p99_ms: 99th percentile of the wait.
        longest_ms: Longest wait.
        peak_line: Most visitors waiting at once.
    """

    drained_ms: int
    mean_ms: float
    p50_ms: int
    p90_ms: int
    p99_ms: int
    longest_ms: int
    peak_line: int


class Difference(NamedTuple):
    """One figure, predicted and measured.

    Attributes:
        name: Name of the figure.
        predicted: Predicted value.
        measured: Measured value.
        share: Error of the prediction, as a share of the measured value.
    """

    name: str
    predicted: float
    measured: float
    share: float


class RequestLoad(NamedTuple):
    """Requests of waiting visitors that reach the queue service, for one polling method.

    Attributes:
        name: Name of the polling method.
        total: Requests in total.
        mean_per_s: Mean rate while there was a line.
        most_per_s: Requests of the busiest second.
        per_s: Requests of each second.
    """

    name: str
    total: int
    mean_per_s: float
    most_per_s: int
    per_s: list[int]


class Spread(NamedTuple):
    """What a design of a room on several shards makes of a sale.

    Attributes:
        design: Its name.
        overtaken: Visitors admitted more than a tick later than somebody who entered after them.
        overtaken_most_ms: By how much a visitor was overtaken at most.
        drained_ms: Time until everybody is admitted.
        most_admitted: Most slots held at once (Q4).
        most_per_s: Most admissions within a second (Q5).
    """

    design: str
    overtaken: int
    overtaken_most_ms: int
    drained_ms: int
    most_admitted: int
    most_per_s: int


@dataclass(frozen=True, slots=True)
class Prediction:
    """The prediction of a sale.

    Attributes:
        figures: Drain time, waits, length of the line.
        noticed_mean_ms: Mean time from admission until the visitor learns of it.
        no_shows: Visitors who never activated.
        late: Visitors who learned of it after their time to activate.
        most_admitted: Most slots held at once.
        joined: Visitors who joined, by second.
        admitted: Visitors who were admitted, by second.
        line: Visitors waiting, at the end of each second.
        slots: Slots held, at the end of each second.
        loads: Requests of waiting visitors, for each polling method.
    """

    figures: Figures
    noticed_mean_ms: float
    no_shows: int
    late: int
    most_admitted: int
    joined: list[int]
    admitted: list[int]
    line: list[int]
    slots: list[int]
    loads: tuple[RequestLoad, ...]
