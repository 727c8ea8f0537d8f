"""Sale record: a histogram of waits, and totals by time. Pure.

`lua/admit.lua` writes it; visitors who have left since are included. The histogram has four buckets
per doubling: percentiles are off by a tenth at most, and its size does not grow with the sale
(decision 0014).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

BUCKETS = 66
"""Buckets of the histogram: one below 1 s, 64 for the doublings from 1 s to 18 h, one above.
Source: lua/admit.lua."""

STEP_S = 10
"""Interval of the totals, in s."""

STEPS = 1_440
"""Totals in the ring buffer: four hours. Later ones overwrite the oldest."""

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
    """The record of a room's sale.

    Attributes:
        waits: Admissions by bucket of the wait, from joining to being admitted.
        waited_ms: Sum of all waits.
        longest_ms: The longest wait.
        steps: Totals by time, for the last four hours in which anybody was admitted.
    """

    waits: tuple[int, ...]
    waited_ms: int
    longest_ms: int
    steps: tuple[RoomTotals, ...]

    @property
    def admitted(self) -> int:
        """Number of admissions."""
        return sum(self.waits)

    @property
    def mean_ms(self) -> float | None:
        """The mean wait; `None` if nobody was admitted."""
        return self.waited_ms / self.admitted if self.admitted else None

    def wait_ms(self, share: float) -> float | None:
        """Return a quantile of the waits; `None` if nobody was admitted.

        Interpolates linearly within a bucket, up to the longest wait.

        Args:
            share: 0.95 for p95.
        """
        wanted = share * self.admitted
        below = 0.0
        for bucket, count in enumerate(self.waits):
            if count and below + count >= wanted:
                low, high = bounds_ms(bucket)
                within = low + (min(high, self.longest_ms) - low) * (wanted - below) / count
                return min(max(within, low), self.longest_ms)
            below += count
        return None


def bounds_ms(bucket: int) -> tuple[float, float]:
    """Return the bounds of a bucket in ms: inclusive, exclusive."""
    if bucket == 0:
        return 0.0, 1_000.0
    low = 1_000 * 2 ** ((bucket - 1) / _PER_DOUBLING)
    beyond = bucket == BUCKETS - 1
    return low, float("inf") if beyond else 1_000 * 2 ** (bucket / _PER_DOUBLING)


def parse(stored: Mapping[str, str]) -> SaleRecord:
    """Parse a stored record; nothing stored is an empty record."""
    steps = sorted(_step(text) for name, text in stored.items() if name[0] == "s")
    first_ms = steps[-1].at_ms - STEPS * STEP_S * 1000 if steps else 0
    return SaleRecord(
        waits=tuple(int(stored.get(f"w{bucket}", 0)) for bucket in range(BUCKETS)),
        waited_ms=int(stored.get("waited_ms", 0)),
        longest_ms=int(stored.get("longest_ms", 0)),
        # Older ones are of an earlier sale and not overwritten yet.
        steps=tuple(step for step in steps if step.at_ms > first_ms),
    )


def _step(text: str) -> RoomTotals:
    number, *totals = map(int, text.split(":"))
    return RoomTotals(number * STEP_S * 1000, *totals)
