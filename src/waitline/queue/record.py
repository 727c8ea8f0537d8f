"""Sale record: a histogram of waits, and totals by time. Pure.

`lua/admit.lua` writes it; visitors who left are in it too. Percentiles of waits come from buckets,
four for each doubling, so the error is a tenth at most, at a cost that does not grow with the sale
(decision 0014).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

BUCKETS = 66
"""Of waits: one below a second, 64 for the doublings from there to 18 h, one beyond. Source:
lua/admit.lua."""

STEP_S = 10
"""Between two totals that are kept."""

STEPS = 1_440
"""Totals that are kept: of four hours. Later ones take the places of the first."""

_PER_DOUBLING = 4


class RoomTotals(NamedTuple):
    """A room's totals after the last admission of ten seconds.

    Attributes:
        at_ms: When the ten seconds began, on the server's clock.
        entered: Visitors who had joined by then.
        admitted: Visitors who had been admitted by then.
        waiting: Visitors who waited.
        inside: Visitors who held a slot.
    """

    at_ms: int
    entered: int
    admitted: int
    waiting: int
    inside: int


@dataclass(frozen=True, slots=True)
class SaleRecord:
    """What is kept of a room's sale.

    Attributes:
        waits: Admissions by bucket of their wait, from joining to being admitted.
        waited_ms: All waits together.
        longest_ms: The longest of them.
        steps: Totals by time, for the last four hours in which anybody was admitted.
    """

    waits: tuple[int, ...]
    waited_ms: int
    longest_ms: int
    steps: tuple[RoomTotals, ...]

    @property
    def admitted(self) -> int:
        """Admissions that are in it."""
        return sum(self.waits)

    @property
    def mean_ms(self) -> float | None:
        """The wait on average; `None` if nobody was admitted."""
        return self.waited_ms / self.admitted if self.admitted else None

    def wait_ms(self, share: float) -> float | None:
        """Return what this share of the waits did not exceed; `None` if nobody was admitted.

        Within a bucket waits are taken to lie evenly, and none is longer than the longest.
        """
        wanted = share * self.admitted
        seen = 0.0
        for bucket, count in enumerate(self.waits):
            if count and seen + count >= wanted:
                low, high = bounds_ms(bucket)
                within = low + (min(high, self.longest_ms) - low) * (wanted - seen) / count
                return min(max(within, low), self.longest_ms)
            seen += count
        return None


def bounds_ms(bucket: int) -> tuple[float, float]:
    """Return which waits are in a bucket: from the first time on, and below the second."""
    if bucket == 0:
        return 0.0, 1_000.0
    low = 1_000 * 2 ** ((bucket - 1) / _PER_DOUBLING)
    beyond = bucket == BUCKETS - 1
    return low, float("inf") if beyond else 1_000 * 2 ** (bucket / _PER_DOUBLING)


def parse(stored: Mapping[str, str]) -> SaleRecord:
    """Parse what is stored; an empty record if nothing is."""
    steps = sorted(_step(text) for name, text in stored.items() if name[0] == "s")
    first_ms = steps[-1].at_ms - STEPS * STEP_S * 1000 if steps else 0
    return SaleRecord(
        waits=tuple(int(stored.get(f"w{bucket}", 0)) for bucket in range(BUCKETS)),
        waited_ms=int(stored.get("waited_ms", 0)),
        longest_ms=int(stored.get("longest_ms", 0)),
        # Older ones are of another sale: nobody has taken their places yet.
        steps=tuple(step for step in steps if step.at_ms > first_ms),
    )


def _step(text: str) -> RoomTotals:
    number, *totals = map(int, text.split(":"))
    return RoomTotals(number * STEP_S * 1000, *totals)
