"""Many browsers claim one stay at once."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from tests.race.crowd import KEYS, ROOM, Caller, at_once, callers, opened
from tests.servers import Server
from waitline.kernel.ids import VisitorId
from waitline.queue.claims import BrowserClaim, Claims, PassUsed

VISITORS = [VisitorId(f"v{number}") for number in range(20)]
BROWSERS = 6

Step = Callable[[Caller, VisitorId, str], Awaitable[bool]]


async def claim(caller: Caller, visitor: VisitorId, browser: str) -> bool:
    (outcome,) = await Claims(caller.store).claim(ROOM, [BrowserClaim(visitor, 0, browser)])
    assert outcome is None or isinstance(outcome, PassUsed)
    return outcome is None


def look_then_claim(looked: asyncio.Barrier) -> Step:
    """Claim as a client would without the script: look whose it is, then write."""

    async def step(caller: Caller, visitor: VisitorId, browser: str) -> bool:
        known = await caller.store.command("HGET", KEYS.claims, visitor)
        # All have looked before one writes, on every machine.
        await looked.wait()
        if known is not None:
            return False
        await caller.store.command("HSET", KEYS.claims, visitor, browser)
        return True

    return step


async def claimants(browsers: list[Caller], step: Step) -> list[int]:
    """Return how many browsers got each visitor's stay."""
    await opened(browsers[0])
    await browsers[0].line.join(ROOM, VISITORS)
    await browsers[0].store.command("HSET", KEYS.rate, "tokens", len(VISITORS))
    await browsers[0].line.admit(ROOM, holder="", lease_ms=1, chunk_max=len(VISITORS))
    counts = []
    for visitor in VISITORS:
        steps = [partial(step, one, visitor, f"{n}" * 22) for n, one in enumerate(browsers)]
        counts.append((await at_once(steps)).count(True))
    return counts


def test_one_browser_gets_it(server: Server) -> None:
    async def race() -> None:
        async with callers(server, BROWSERS) as browsers:
            assert await claimants([*browsers], claim) == [1] * len(VISITORS)

    server.wait(race())


def test_control_without_the_script_all_get_it(server: Server) -> None:
    """If this fails, the test above proves nothing."""

    async def race() -> None:
        async with callers(server, BROWSERS) as browsers:
            step = look_then_claim(asyncio.Barrier(BROWSERS))
            assert await claimants([*browsers], step) == [BROWSERS] * len(VISITORS)

    server.wait(race())
