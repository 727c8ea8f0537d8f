"""The loop that puts the seats of lapsed reservations back on sale (B3).

Any number of them may run: each takes what no other has. Nothing here decides what has lapsed.
"""

import asyncio
from collections.abc import Callable
from typing import Never

import structlog

from waitline.booking.store import Reservations
from waitline.kernel.errors import Unavailable

TICK_S = 0.5
"""Between two rounds. B3 allows two seconds: a round that comes late, and one that is long, still
fit in."""

CHUNK_MAX = 100
"""Reservations put back in one statement: 60 ms for a hundred of four seats (measured), in which
their rows are locked. The next chunk follows at once; larger ones are no faster."""

BROKEN_S = 5.0
"""Pause after a failure that is none of the database's silence: a bug stays until it is mended."""

log = structlog.get_logger()


class Sweeper:
    """Puts lapsed reservations back, oldest first.

    Args:
        reservations: Those that may lapse.
        on_expired: Told how many were put back, after each chunk.
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
        """Go round until cancelled. A database that does not answer is waited for."""
        loop = asyncio.get_running_loop()
        answered = True
        while True:
            started = loop.time()
            pause_s = TICK_S
            try:
                await self.sweep()
            except Unavailable as error:
                if answered:
                    log.warning("seat_expiry_failed", reason=str(error))
                answered = False
            except Exception as error:
                log.exception("seat_expiry_failed", reason=repr(error))
                pause_s = BROKEN_S
            else:
                if not answered:
                    log.info("seat_expiry_recovered")
                answered = True
            await asyncio.sleep(max(0.0, started + pause_s - loop.time()))

    async def sweep(self) -> int:
        """Put back all that has lapsed, a chunk at a time; return how many reservations."""
        total = 0
        while True:
            count = len(await self._reservations.expire(CHUNK_MAX))
            self._on_expired(count)
            total += count
            if count < CHUNK_MAX:
                return total
