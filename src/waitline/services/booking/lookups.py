"""Bulkhead for look-ups by unauthenticated requests, which must not delay buyers' statements.

A token is for a room, and only the reservation names its room, so a statement runs before the token
can be checked. Look-ups with a token that this worker has verified before run at once. All others
share a few connections and a short queue; further ones are rejected. Lists of reservations have a
bulkhead of their own: they serve any valid token, also long after the stay.
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
"""Verified tokens remembered per worker (LRU): as many as visitors shop at a time. Only hashes are
kept; a collision merely gives a look-up priority."""

T = TypeVar("T")


class _Lane:
    """Look-ups that share `RUNNING_MAX` connections, and a queue of `WAITING_MAX`."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(RUNNING_MAX)
        self._inside = 0

    @property
    def running(self) -> int:
        return min(self._inside, RUNNING_MAX)

    async def run(self, lookup: Callable[[], Awaitable[T]]) -> T:
        if self._inside >= RUNNING_MAX + WAITING_MAX:
            raise Unavailable("too many requests for reservations and payments of others")
        self._inside += 1
        try:
            async with self._turns:
                return await lookup()
        finally:
            self._inside -= 1


class Lookups:
    """The look-ups of a worker."""

    def __init__(self) -> None:
        self._known: OrderedDict[int, None] = OrderedDict()
        self._strangers = _Lane()
        self._lists = _Lane()

    @property
    def running(self) -> int:
        """Look-ups, running or waiting, that do not count as demand of admitted visitors."""
        return self._strangers.running + self._lists.running

    def remember(self, token: str | None) -> None:
        """Remember a verified token."""
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
            Unavailable: The queue is full.
        """
        if hash(token) in self._known:
            return await lookup()
        return await self._strangers.run(lookup)

    async def run_list(self, token: str | None, lookup: Callable[[], Awaitable[T]]) -> T:
        """Run a look-up of a list of reservations; arguments and refusals as of `run`."""
        lane = self._lists if hash(token) in self._known else self._strangers
        return await lane.run(lookup)
