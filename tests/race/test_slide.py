"""Visitors slide from many pages at once, while they extend and leave."""

from collections.abc import Awaitable, Callable
from functools import partial

from tests.race.crowd import KEYS, ROOM, Caller, at_once, callers, findings, opened
from tests.servers import Server
from waitline.kernel.ids import VisitorId
from waitline.queue.model import ExtensionsSpent, Slot, VisitorUnknown
from waitline.queue.slides import Slides

VISITORS = [VisitorId(f"v{number}") for number in range(20)]
PAGES = 6
MOST = 3

Step = Callable[[], Awaitable[bool]]


async def slide(caller: Caller, visitor: VisitorId) -> bool:
    (outcome,) = await Slides(caller.store).slide(ROOM, [(visitor, 0)])
    assert isinstance(outcome, Slot | VisitorUnknown)
    return False


async def extend(caller: Caller, visitor: VisitorId) -> bool:
    (outcome,) = await caller.line.extend(ROOM, [(visitor, 0)])
    assert isinstance(outcome, Slot | ExtensionsSpent | VisitorUnknown)
    return isinstance(outcome, Slot)


async def leave(caller: Caller, visitor: VisitorId) -> bool:
    await caller.line.leave(ROOM, [(visitor, 0)])
    return False


async def slid_around(caller: Caller, call: Step) -> None:
    """Slide as a client would without the script: look, then write; the call comes in between."""
    await inside(caller)
    slot = str(await caller.store.command("HGET", KEYS.slots, VISITORS[0])).split("|")
    await call()
    slot[5] = str(int(slot[5]) + 1_000)
    await caller.store.command("HSET", KEYS.slots, VISITORS[0], "|".join(slot))


async def inside(caller: Caller) -> None:
    """Open a room with everybody active in it, and time for slides to add."""
    await opened(caller, extensions_max=MOST, stay_ms=86_400_000)
    await caller.line.join(ROOM, VISITORS)
    await caller.store.command("HSET", KEYS.rate, "tokens", len(VISITORS))
    await caller.line.admit(ROOM, holder="", lease_ms=1, chunk_max=len(VISITORS))
    await caller.line.activate(ROOM, [(visitor, 0) for visitor in VISITORS])


async def extensions(caller: Caller, visitor: VisitorId) -> int:
    return int(str(await caller.store.command("HGET", KEYS.slots, visitor)).split("|")[4])


def test_no_extension_is_lost_or_added(server: Server) -> None:
    async def race() -> None:
        async with callers(server, PAGES) as pages:
            await inside(pages[0])
            for visitor in VISITORS:
                steps: list[Step] = [
                    partial(step, page, visitor) for page in pages for step in (slide, extend)
                ]
                assert (await at_once(steps)).count(True) == MOST
                assert await extensions(pages[0], visitor) == MOST
            assert await findings(pages[0]) == []

    server.wait(race())


def test_nobody_who_leaves_comes_back(server: Server) -> None:
    async def race() -> None:
        async with callers(server, PAGES) as pages:
            await inside(pages[0])
            for visitor in VISITORS:
                await at_once(
                    [partial(slide if n else leave, page, visitor) for n, page in enumerate(pages)]
                )
            assert await pages[0].store.command("HLEN", KEYS.slots) == 0
            assert await pages[0].store.command("ZCARD", KEYS.admitted) == 0
            assert await findings(pages[0]) == []

    server.wait(race())


def test_control_without_the_script_an_extension_is_lost(server: Server) -> None:
    """If this fails, the first test proves nothing."""

    async def race() -> None:
        async with callers(server, 2) as (one, other):
            await slid_around(one, partial(extend, other, VISITORS[0]))
            assert await extensions(one, VISITORS[0]) == 0

    server.wait(race())


def test_control_without_the_script_who_left_is_back(server: Server) -> None:
    """If this fails, the second test proves nothing."""

    async def race() -> None:
        async with callers(server, 2) as (one, other):
            await slid_around(one, partial(leave, other, VISITORS[0]))
            assert await one.store.command("HEXISTS", KEYS.slots, VISITORS[0])
            assert await findings(one) != []

    server.wait(race())
