"""Expiry of lapsed reservations: puts their seats back on sale (B3).

Any number of them may run: each takes what no other has. Nothing here decides what has lapsed.
"""

from collections.abc import Callable
from typing import Never

from waitline.booking.store import Reservations
from waitline.kernel.periodic import periodic

TICK_S = 0.5
"""Between two rounds. B3 allows two seconds: a round that comes late, and one that is long, still
fit in."""

CHUNK_MAX = 100
"""Reservations put back in one statement: 60 ms for a hundred of four seats (measured), in which
their rows are locked. The next chunk follows at once; larger ones are no faster."""


class Sweeper:
    """Puts lapsed reservations back, oldest first.

    Args:
        reservations: Those that may lapse.
        on_expired: Called after each chunk with the number of reservations that expired.
    """

    def __init__(
        self,
        reservations: Reservations,
        *,
        on_expired: Callable[[int], None] = lambda _count: None,
    ) -> None:
        self._reservations = reservations
        self._on_expired = on_expired

    async def run(self) -> Never:
        """Go round until cancelled."""
        await periodic("seat_expiry", self._round, TICK_S)

    async def _round(self) -> None:
        await self.sweep()

    async def sweep(self) -> int:
        """Put back all that has lapsed, a chunk at a time; return how many reservations."""
        total, count = 0, CHUNK_MAX
        while count == CHUNK_MAX:
            count = len(await self._reservations.expire(CHUNK_MAX))
            self._on_expired(count)
            total += count
        return total
