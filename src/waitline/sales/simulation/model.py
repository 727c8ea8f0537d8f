"""What a sale is, and what became of it. Pure."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from waitline.kernel.errors import Misconfigured
from waitline.queue.settings import DAY_MS, WAITING_MOST, Limits

VISITORS_MAX = WAITING_MOST
"""Visitors of one sale: as many as a room may hold."""


class SaleImpossible(Misconfigured):
    """The parameters make no sale that could be played; the message says which, and what may be."""


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Visitors who come one after the other.

    Attributes:
        visitors: How many; 0 makes a pause.
        over_ms: Within what time; 0: all at once.
        growing: Whether they come ever faster, beginning with nobody; else evenly.
    """

    visitors: int
    over_ms: int
    growing: bool = False


@dataclass(frozen=True, slots=True)
class Use:
    """How long visitors shop: any time between two is as likely as another.

    Attributes:
        least_ms: Shortest.
        most_ms: Longest; the same for everybody to take as long.
    """

    least_ms: int
    most_ms: int

    @property
    def mean_ms(self) -> float:
        """The time taken on average."""
        return (self.least_ms + self.most_ms) / 2


@dataclass(frozen=True, slots=True)
class Sale:
    """Who comes, what lets them in, and what they do then.

    The room opened before, so its admission bucket is full; the admitter pays a visit at the
    first moment.

    Attributes:
        arrivals: Who comes, one group after the other.
        limits: Of the room.
        use: How long visitors keep their slot from the moment they hear of it. They extend as far
            as they may.
        no_shows: Share of visitors, 0 to 1, who are admitted and never activate.
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
        """How many come in all."""
        return sum(group.visitors for group in self.arrivals)

    @property
    def over_ms(self) -> int:
        """How long they keep coming."""
        return sum(group.over_ms for group in self.arrivals)

    def _wrong(self) -> list[str]:
        """Say what makes this no sale."""
        limits, use = self.limits, self.use
        life_ms = limits.active_ttl_ms * (1 + limits.extensions_max)
        checks = {
            f"visitors: from 1 to {VISITORS_MAX:,}": 1 <= self.visitors <= VISITORS_MAX,
            "waiting_max: the room must hold them all": limits.waiting_max >= self.visitors,
            "use: the shorter time first, as 5s..30s": 0 <= use.least_ms <= use.most_ms,
            f"use: nobody may shop for longer than {life_ms / 1000:,.0f} s, all extensions "
            "included": use.most_ms <= life_ms,
            "no-shows: a share from 0 to 1": 0 <= self.no_shows <= 1,
        }
        wrong = [reason for reason, holds in checks.items() if not holds]
        if not wrong and (least_ms := self._least_ms()) > DAY_MS:
            wrong.append(
                f"this sale takes {least_ms / DAY_MS:,.1f} days at least, and one day is the most: "
                "fewer visitors, a higher rate, or more slots"
            )
        return wrong

    def _least_ms(self) -> float:
        """Return how long everybody takes to come, and to be let in by rate and by slots."""
        used_ms = (1 - self.no_shows) * self.use.mean_ms
        held_ms = used_ms + self.no_shows * self.limits.ready_ttl_ms
        return max(
            self.over_ms,
            self.visitors / self.limits.admit_per_s * 1000,
            (self.visitors - self.limits.active_max) * held_ms / self.limits.active_max,
        )


class VisitState(NamedTuple):
    """What the limits may be decided by, at one visit of the admitter.

    Attributes:
        now_ms: Time since the sale began.
        waiting: Visitors who wait.
        admitted: Visitors who hold a slot.
    """

    now_ms: int
    waiting: int
    admitted: int


Decide = Callable[[VisitState], Limits]
"""The limits of the room from now on. A policy that watches the shop goes here."""


class Figures(NamedTuple):
    """The main figures of a sale. A wait is from joining to being admitted.

    Attributes:
        drained_ms: When the last was admitted, since the first joined.
        mean_ms: Mean wait.
        p50_ms: What half of them waited at most.
        p90_ms: What nine tenths waited at most.
        p99_ms: What 99 of 100 waited at most.
        longest_ms: Longest wait.
        peak_line: Most who waited at once.
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
        name: Of the figure.
        predicted: What the simulation says.
        measured: What a real sale came to.
        share: What the prediction is off by, as a share of the measured.
    """

    name: str
    predicted: float
    measured: float
    share: float


class RequestLoad(NamedTuple):
    """Requests for news of the line that reach the queue service, in one way of asking.

    Attributes:
        name: The way.
        total: Requests in all.
        mean_per_s: Over the time in which anybody waited.
        most_per_s: In the busiest second.
        per_s: By second.
    """

    name: str
    total: int
    mean_per_s: float
    most_per_s: int
    per_s: list[int]


@dataclass(frozen=True, slots=True)
class Prediction:
    """What became of a sale.

    Attributes:
        figures: Drain time, waits, line.
        told_mean_ms: How long after being admitted visitors heard of it, on average.
        no_shows: Visitors who never activated.
        late: Visitors who heard of it when their time to activate was over.
        most_admitted: Most slots held at once.
        joined: Visitors who joined, by second.
        admitted: Visitors who were admitted, by second.
        line: Visitors who wait, at the end of each second.
        slots: Slots held, at the end of each second.
        loads: Requests of those who wait, in each way of asking.
    """

    figures: Figures
    told_mean_ms: float
    no_shows: int
    late: int
    most_admitted: int
    joined: list[int]
    admitted: list[int]
    line: list[int]
    slots: list[int]
    loads: tuple[RequestLoad, ...]
