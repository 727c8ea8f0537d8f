"""Sale state of a schedule at a moment, and when it changes by itself. Pure.

The same rules as `reserve` in sql/reservations.sql, in the same order.
"""

from enum import StrEnum
from typing import NamedTuple


class ScheduleState(StrEnum):
    """State of a schedule's sale, as operators set it."""

    ON_SALE = "ON_SALE"
    POSTPONED = "POSTPONED"
    CANCELLED = "CANCELLED"


class SaleState(StrEnum):
    """State of a schedule's sale at a moment, whatever seats are left."""

    NOT_OPEN = "NOT_OPEN"
    ON_SALE = "ON_SALE"
    ENDED = "ENDED"
    POSTPONED = "POSTPONED"
    CANCELLED = "CANCELLED"


class SalePeriod(NamedTuple):
    """When a schedule sells.

    Attributes:
        stopped: Whether operators have stopped it; `ON_SALE` if not.
        opens_ms: When its sale opens; `None`: it has been open since its creation.
        ends_ms: When its sale ends.
    """

    stopped: ScheduleState
    opens_ms: int | None
    ends_ms: int

    def state(self, now_ms: int) -> SaleState:
        """Return the sale state at a moment."""
        if self.stopped is not ScheduleState.ON_SALE:
            return SaleState(self.stopped)
        if self.opens_ms is not None and now_ms < self.opens_ms:
            return SaleState.NOT_OPEN
        return SaleState.ENDED if self.ends_ms <= now_ms else SaleState.ON_SALE

    def next_change_ms(self, now_ms: int) -> int | None:
        """Return when the state changes if nobody changes the schedule; `None`: never."""
        state = self.state(now_ms)
        if state is SaleState.NOT_OPEN:
            return self.opens_ms
        return self.ends_ms if state is SaleState.ON_SALE else None
