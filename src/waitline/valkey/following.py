"""Service discovery while a connection is open: whether it still leads to the primary."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from waitline.kernel.errors import Unavailable
from waitline.valkey.address import Address
from waitline.valkey.pipe import Pipe

FOLLOW_S = 2.0
"""Interval, in s, of looking the primary up: the longest time for which an old primary that comes
back, and that Sentinels have not demoted yet, gets commands over an open connection."""


class Follower:
    """Closes a connection once another server is the primary.

    Args:
        locate: Finds the primary; `None` if its address does not change.
    """

    def __init__(self, locate: Callable[[], Awaitable[Address]] | None) -> None:
        self._locate = locate
        self._task: asyncio.Task[None] | None = None

    def follow(self, pipe: Pipe, where: Address) -> None:
        """Watch a new connection instead of the one before."""
        self.stop()
        if self._locate is not None:
            task = self._follow(self._locate, pipe, where)
            self._task = asyncio.get_running_loop().create_task(task)

    def stop(self) -> None:
        """Watch no longer."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    @staticmethod
    async def _follow(locate: Callable[[], Awaitable[Address]], pipe: Pipe, where: Address) -> None:
        while pipe.open:
            await asyncio.sleep(FOLLOW_S)
            with suppress(Unavailable):
                if await locate() != where:
                    pipe.close("another server is the primary now")
