"""Arrival times, and what each visitor does. Pure: the random generator is an argument."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from waitline.kernel.errors import Misconfigured
from waitline.sales.simulation.model import Arrivals

VISITORS_MAX = 300_000
"""Visitors of one rehearsal. They share one process, at about 10 kB each while they wait."""

MINUTES_MAX = 120.0
"""Longest arrival period, in min. A longer sale would show nothing more."""

CURVE = ((0.5, 0.1), (0.3, 0.3), (0.2, 0.6))
"""Arrival curve: share of the visitors, within share of the arrival period. Half of them come in
the first tenth, as is usual for an announced sale."""

NO_SHOWS = 0.03
DECLINED = 0.05
ABANDONED = 0.05
"""Shares of visitors who do not begin to shop, whose first payment is declined, and who hold a seat
and never pay. Every sale has them; the shares are estimates."""

THINK_S = (1.0, 6.0)
"""Think time before choosing a seat, and again before paying: shortest and longest, in s."""


class Conduct(StrEnum):
    """What a visitor does after being admitted."""

    BUYS = "buys"
    NO_SHOW = "does not begin"
    DECLINED = "is declined once, then pays"
    ABANDONS = "holds a seat and never pays"


@dataclass(frozen=True, slots=True)
class RehearsalPlan:
    """The parameters of a rehearsal.

    Attributes:
        visitors: Number of visitors, 1 to `VISITORS_MAX`.
        seats: Number of seats on sale.
        minutes: Arrival period in min, above 0 and at most `MINUTES_MAX`.

    Raises:
        Misconfigured: A parameter is out of range.
    """

    visitors: int
    seats: int
    minutes: float

    def __post_init__(self) -> None:
        if not 1 <= self.visitors <= VISITORS_MAX:
            raise Misconfigured(f"--visitors: must be from 1 to {VISITORS_MAX:,}")
        if not 0 < self.minutes <= MINUTES_MAX:
            raise Misconfigured(f"--minutes: must be above 0 and at most {MINUTES_MAX:g}")

    @property
    def over_s(self) -> float:
        """Arrival period, in s."""
        return self.minutes * 60

    def arrivals(self) -> tuple[Arrivals, ...]:
        """Return the arrivals in the form that the simulation takes."""
        counts = [round(self.visitors * share) for share, _ in CURVE[:-1]]
        counts.append(self.visitors - sum(counts))
        return tuple(
            Arrivals(count, round(self.over_s * 1000 * part))
            for count, (_, part) in zip(counts, CURVE, strict=True)
        )

    def due_s(self, rng: Random) -> Iterator[float]:
        """Yield the arrival time of each visitor, in order, in s since the start.

        Times within a group are uniformly distributed, so arrivals are irregular.
        """
        start_s = 0.0
        for group in self.arrivals():
            over_s = group.over_ms / 1000
            yield from sorted(start_s + rng.random() * over_s for _ in range(group.visitors))
            start_s += over_s


def conduct(rng: Random) -> Conduct:
    """Draw what a visitor will do."""
    drawn = rng.random()
    for kind, share in (
        (Conduct.NO_SHOW, NO_SHOWS),
        (Conduct.DECLINED, DECLINED),
        (Conduct.ABANDONS, ABANDONED),
    ):
        drawn -= share
        if drawn < 0:
            return kind
    return Conduct.BUYS
