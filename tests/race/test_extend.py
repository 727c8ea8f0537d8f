"""One visitor extends from many devices at once."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from tests.race.crowd import KEYS, ROOM, Caller, at_once, callers, findings, opened
from tests.servers import Server
from waitline.kernel.ids import VisitorId
from waitline.queue.model import ExtensionsSpent, Slot

VISITORS = [VisitorId(f"v{number}") for number in range(20)]
DEVICES = 5
MOST = 2

Step = Callable[[Caller, VisitorId], Awaitable[bool]]


async def extend(caller: Caller, visitor: VisitorId) -> bool:
    (outcome,) = await caller.line.extend(ROOM, [(visitor, 0)])
    assert isinstance(outcome, Slot | ExtensionsSpent)
    return isinstance(outcome, Slot)


def read_then_extend(looked: asyncio.Barrier) -> Step:
    """Extend as a client would without the script: look, then write."""

    async def step(caller: Caller, visitor: VisitorId) -> bool:
        slot = str(await caller.store.command("HGET", KEYS.slots, visitor)).split("|")
        # All have looked before one writes, on every machine.
        await looked.wait()
        if int(slot[4]) >= MOST:
            return False
        slot[4] = str(int(slot[4]) + 1)
        await caller.store.command("HSET", KEYS.slots, visitor, "|".join(slot))
        return True

    return step


async def admitted(caller: Caller) -> None:
    """Open a room with everybody active in it."""
    await opened(caller, extensions_max=MOST)
    await caller.line.join(ROOM, VISITORS)
    await caller.store.command("HSET", KEYS.rate, "tokens", len(VISITORS))
    await caller.line.admit(ROOM, holder="", lease_ms=1, chunk_max=len(VISITORS))
    await caller.line.activate(ROOM, [(visitor, 0) for visitor in VISITORS])


def test_five_at_once_extend_twice(server: Server) -> None:
    async def race() -> None:
        async with callers(server, DEVICES) as devices:
            await admitted(devices[0])
            for visitor in VISITORS:
                granted = await at_once([partial(extend, device, visitor) for device in devices])
                assert granted.count(True) == MOST
            assert await findings(devices[0]) == []

    server.wait(race())


def test_control_without_the_script_more_succeed(server: Server) -> None:
    """If this fails, the test above proves nothing."""

    async def race() -> None:
        async with callers(server, DEVICES) as devices:
            await admitted(devices[0])
            step = read_then_extend(asyncio.Barrier(DEVICES))
            for visitor in VISITORS:
                granted = await at_once([partial(step, device, visitor) for device in devices])
                assert granted.count(True) == DEVICES > MOST

    server.wait(race())
