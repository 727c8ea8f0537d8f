"""Arrival times, and what each visitor does. Pure: the random generator is an argument."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from waitline.kernel.errors import Misconfigured
from waitline.sales.simulation.model import Arrivals

VISITORS_MAX = 300_000
"""Of one rehearsal: they live in one process, at about 10 kB each while they wait."""

MINUTES_MAX = 120.0
"""For which visitors come. A longer sale shows nothing that this does not."""

CURVE = ((0.5, 0.1), (0.3, 0.3), (0.2, 0.6))
"""When visitors come: which share of them, within which share of the time. Half come in the first
tenth, as at every sale that has been announced."""

NO_SHOWS = 0.03
DECLINED = 0.05
ABANDONED = 0.05
"""Shares of visitors who do not begin when their turn comes, whose first payment is declined, and
who hold a seat and never pay. No sale is without them; how many there are is a guess."""

THINK_S = (1.0, 6.0)
"""Time that a visitor takes over the seats, and again over the payment: least and most, in s."""


class Conduct(StrEnum):
    """What a visitor does once its turn has come."""

    BUYS = "buys"
    NO_SHOW = "does not begin"
    DECLINED = "is declined once, and pays then"
    ABANDONS = "holds a seat, and never pays"


@dataclass(frozen=True, slots=True)
class RehearsalPlan:
    """A rehearsal.

    Attributes:
        visitors: How many come, 1 to `VISITORS_MAX`.
        seats: How many seats are for sale.
        minutes: For how long they come, more than 0 and at most `MINUTES_MAX`.

    Raises:
        Misconfigured: It is too large to be played.
    """

    visitors: int
    seats: int
    minutes: float

    def __post_init__(self) -> None:
        if not 1 <= self.visitors <= VISITORS_MAX:
            raise Misconfigured(f"--visitors: from 1 to {VISITORS_MAX:,}")
        if not 0 < self.minutes <= MINUTES_MAX:
            raise Misconfigured(f"--minutes: more than 0, at most {MINUTES_MAX:g}")

    @property
    def over_s(self) -> float:
        """For how long visitors come."""
        return self.minutes * 60

    def arrivals(self) -> tuple[Arrivals, ...]:
        """Return the visitors in groups, as a simulation of the same sale takes them."""
        counts = [round(self.visitors * share) for share, _ in CURVE[:-1]]
        counts.append(self.visitors - sum(counts))
        return tuple(
            Arrivals(count, round(self.over_s * 1000 * part))
            for count, (_, part) in zip(counts, CURVE, strict=True)
        )

    def due_s(self, rng: Random) -> Iterator[float]:
        """Yield when each visitor comes, in order, in s since the beginning.

        Within a group any moment is as likely as another, so they come as strangers do, not like
        clockwork.
        """
        start_s = 0.0
        for group in self.arrivals():
            over_s = group.over_ms / 1000
            yield from sorted(start_s + rng.random() * over_s for _ in range(group.visitors))
            start_s += over_s


def conduct(rng: Random) -> Conduct:
    """Say what a visitor will do."""
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
