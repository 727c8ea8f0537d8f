"""Bulkhead for look-ups that anybody can cause: a stranger's must not hold up a buyer's statements.

A token is for a room, and only the reservation names its room, so whose a reservation is takes a
statement before the token can be checked. Look-ups for tokens that this worker has found good go at
once. All others share a few connections and a short queue; further ones are rejected.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import TypeVar

from waitline.kernel.errors import Unavailable

RUNNING_MAX = 2
"""Look-ups of strangers that run at once: a sixth of a worker's connections. Each takes a fraction
of a millisecond, so two serve some thousand a second."""

WAITING_MAX = 64
"""Look-ups of strangers that wait: some 50 ms of work. More would only wait longer."""

KNOWN_MAX = 20_000
"""Good tokens that are remembered, of the visitors seen last: all who shop at a time, per worker.
Only their hashes: a collision makes a look-up go first, no more."""

T = TypeVar("T")


class Lookups:
    """The look-ups of a worker."""

    def __init__(self) -> None:
        self._known: OrderedDict[int, None] = OrderedDict()
        self._lane = asyncio.Semaphore(RUNNING_MAX)
        self._strangers = 0

    @property
    def running(self) -> int:
        """Look-ups of strangers that run or wait for a connection."""
        return min(self._strangers, RUNNING_MAX)

    def remember(self, token: str | None) -> None:
        """Remember a token that was found good."""
        if token is None:
            return
        self._known[hash(token)] = None
        self._known.move_to_end(hash(token))
        if len(self._known) > KNOWN_MAX:
            self._known.popitem(last=False)

    async def run(self, token: str | None, lookup: Callable[[], Awaitable[T]]) -> T:
        """Run a look-up.

        Args:
            token: The token of the request.
            lookup: Runs one statement.

        Raises:
            Unavailable: Too many strangers wait for theirs.
        """
        if hash(token) in self._known:
            return await lookup()
        if self._strangers >= RUNNING_MAX + WAITING_MAX:
            raise Unavailable("too many requests for reservations and payments of others")
        self._strangers += 1
        try:
            async with self._lane:
                return await lookup()
        finally:
            self._strangers -= 1
