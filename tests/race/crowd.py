"""Concurrent callers, each with its own connection."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

from tests.servers import Server
from waitline.kernel.findings import Finding
from waitline.kernel.ids import RoomId
from waitline.queue import audit, keys
from waitline.queue.rooms import Rooms
from waitline.queue.settings import Rules
from waitline.queue.store import Line
from waitline.valkey.client import ValkeyClient

T = TypeVar("T")

ROOM = RoomId("race")
KEYS = keys.of(ROOM)

# A busy machine is no failure here.
TIMEOUT_S = 20.0


class Caller:
    """One process, as the store sees it."""

    def __init__(self, url: str) -> None:
        self.store = ValkeyClient(url, timeout_s=TIMEOUT_S)
        self.line = Line(self.store)
        self.rooms = Rooms(self.store)

    async def connect(self) -> None:
        """Connect before the race begins."""
        await self.store.command("GET", "x")


@asynccontextmanager
async def callers(server: Server, count: int) -> AsyncIterator[Sequence[Caller]]:
    """Open that many callers, all connected."""
    crowd = [Caller(server.url) for _ in range(count)]
    try:
        await asyncio.gather(*(caller.connect() for caller in crowd))
        yield crowd
    finally:
        await asyncio.gather(*(caller.store.close() for caller in crowd))


async def at_once(calls: Sequence[Callable[[], Awaitable[T]]]) -> list[T]:
    """Start all of them at the same moment."""
    start = asyncio.Event()

    async def one(call: Callable[[], Awaitable[T]]) -> T:
        await start.wait()
        return await call()

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(call)) for call in calls]
        start.set()
    return [task.result() for task in tasks]


async def opened(caller: Caller, **changes: object) -> None:
    await caller.rooms.create(ROOM, Rules().changed(changes))


async def findings(caller: Caller) -> list[Finding]:
    return audit.examine(await audit.take_snapshot(caller.store, ROOM))
