"""A batcher with a fake store, one event loop per test."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from waitline.kernel.batching import Batcher, Window
from waitline.kernel.errors import Refused, Unavailable
from waitline.kernel.ids import RoomId
from waitline.queue.batches import LIMITS

A, B, C = RoomId("a"), RoomId("b"), RoomId("c")

# More turns of the loop than any chain of wake-ups here needs.
TURNS = 10


class Store:
    """Answers each item with its double once released; refuses or fails on demand."""

    def __init__(self) -> None:
        self.calls: list[tuple[RoomId, list[int]]] = []
        self.refused: dict[int, Refused | Unavailable] = {}
        self.broken: dict[RoomId, Exception] = {}
        self.open = asyncio.Event()
        self.open.set()

    async def call(self, room: RoomId, items: Sequence[int]) -> list[int | Refused | Unavailable]:
        self.calls.append((room, list(items)))
        await self.open.wait()
        if room in self.broken:
            raise self.broken[room]
        return [self.refused.get(item, 2 * item) for item in items]

    @property
    def rooms(self) -> list[RoomId]:
        return [room for room, _ in self.calls]


# How long a process may stand still on a machine that runs other tests as well, in s.
BUSY_S = 4.0


async def settle() -> None:
    """Run the event loop until nothing is ready."""
    loop = asyncio.get_running_loop()
    for _ in range(TURNS):
        turned = asyncio.Event()
        loop.call_soon(turned.set)
        await turned.wait()


class Clock:
    """A clock that stands still until a test advances it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loop = asyncio.get_running_loop()
        self.now_s = loop.time()
        monkeypatch.setattr(loop, "time", lambda: self.now_s)


@asynccontextmanager
async def running(
    store: Store, *, window: Window | None = None, patience_s: float = BUSY_S, **limits: int
) -> AsyncIterator[Batcher[RoomId, int, int]]:
    """A batcher with the limits of the line, except those given, and the patience."""
    limited = replace(LIMITS, patience_s=patience_s, **limits)
    batcher = Batcher(store.call, limited, window=window, name="test")
    async with asyncio.TaskGroup() as group:
        task = group.create_task(batcher.run())
        await settle()
        yield batcher
        task.cancel()


Scenario = Callable[[Store], Coroutine[Any, Any, None]]


def play(scenario: Scenario) -> None:
    async def with_a_store() -> None:
        async with asyncio.timeout(20):
            await scenario(Store())

    asyncio.run(with_a_store())


async def gathered(asked: Sequence[asyncio.Future[int]]) -> list[int | BaseException]:
    return list(await asyncio.gather(*asked, return_exceptions=True))
