"""Expiry of lapsed reservations: puts their seats back on sale (B3).

Sweepers may run concurrently; each skips the rows that another has locked. The rule for what has
lapsed is in sql/reservations.sql. A reservation that cannot be expired does not block the others: a
chunk that fails is retried one reservation at a time.

Before each round the worker beats: reservations expire in listening time, from which the time
without a beat is missing (decision 0020).
"""

from collections.abc import Callable
from typing import Never

from waitline.booking.store import Chunk, Due, Expired, Reservations
from waitline.kernel.errors import Contended, Unavailable
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
        """Beat and sweep every `TICK_S` until cancelled."""
        await periodic("seat_expiry", self._round, TICK_S)

    async def _round(self) -> None:
        # Beat first: time without a beat must not expire a reservation.
        await self._reservations.beat()
        await self.sweep()

    async def sweep(self) -> int:
        """Expire all lapsed reservations, a chunk at a time; return how many.

        Raises:
            Exception: The last failure of a single reservation, once all others are expired.
        """
        failures: list[Exception] = []
        chunk = await self._chunk(None, failures)
        self._on_expired(len(chunk.expired))
        total = len(chunk.expired)
        while chunk.last is not None:
            chunk = await self._chunk(chunk.last, failures)
            self._on_expired(len(chunk.expired))
            total += len(chunk.expired)
        if failures:
            raise failures[-1]
        return total

    async def _chunk(self, after: Due | None, failures: list[Exception]) -> Chunk:
        try:
            return await self._reservations.expire_after(after, CHUNK_MAX)
        except Unavailable as error:
            if not isinstance(error, Contended):
                raise
        except Exception:  # noqa: BLE001, S110 - the single repeats show whose failure it is
            pass
        expired: list[Expired] = []
        ids, last = await self._reservations.lapsed_after(after, CHUNK_MAX)
        for one in ids:
            try:
                expired += (await self._reservations.expire_after(None, 1, only_id=one)).expired
            except Exception as error:
                if isinstance(error, Unavailable) and not isinstance(error, Contended):
                    raise
                failures[:] = [error]
        return Chunk(expired, last)
