"""Expiry of lapsed reservations: puts their seats back on sale (B3).

Sweepers may run concurrently; each skips the rows that another has locked. The rule for what has
lapsed is in sql/reservations.sql.
"""

from collections.abc import Callable
from typing import Never

from waitline.booking.store import Reservations
from waitline.kernel.periodic import periodic

TICK_S = 0.5
"""Between two rounds. B3 allows two seconds, which leaves room for a late and a long round."""

CHUNK_MAX = 100
"""Reservations expired in one statement. It locks their rows for 60 ms at four seats each
(measured). The next chunk follows at once; larger chunks are no faster."""


class Sweeper:
    """Expires lapsed reservations, the oldest first.

    Args:
        reservations: The store of reservations.
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
        """Sweep every `TICK_S` until cancelled."""
        await periodic("seat_expiry", self._round, TICK_S)

    async def _round(self) -> None:
        await self.sweep()

    async def sweep(self) -> int:
        """Expire all lapsed reservations, a chunk at a time; return how many."""
        total, count = 0, CHUNK_MAX
        while count == CHUNK_MAX:
            count = len(await self._reservations.expire(CHUNK_MAX))
            self._on_expired(count)
            total += count
        return total
