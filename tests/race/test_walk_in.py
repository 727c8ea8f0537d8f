"""Visitors walk in from all sides, while others join, are admitted and leave."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial

from tests.race.crowd import KEYS, ROOM, Caller, at_once, callers, findings, opened
from tests.servers import Server
from waitline.kernel.ids import VisitorId
from waitline.queue.relations import Standby
from waitline.queue.walk_ins import WalkedIn, WalkIns

CALLERS = 8
CALLS = 40
ACTIVE_MAX = 30

Step = Callable[[Caller, VisitorId], Awaitable[bool]]


async def walk_in(caller: Caller, visitor: VisitorId) -> bool:
    (outcome,) = await WalkIns(caller.store).walk_in(ROOM, [visitor])
    return isinstance(outcome, WalkedIn)


def count_then_walk_in(looked: asyncio.Barrier) -> Step:
    """Admit with the counts looked up beforehand, as a client without the script would."""

    async def step(caller: Caller, visitor: VisitorId) -> bool:
        waiting = int(await caller.store.command("ZCARD", KEYS.waiting))
        inside = int(await caller.store.command("ZCARD", KEYS.admitted))
        # All have looked before one writes, on every machine.
        await looked.wait()
        if waiting or inside >= ACTIVE_MAX:
            return False
        await caller.store.command("ZADD", KEYS.admitted, 1, visitor)
        return True

    return step


async def rush(crowd: Sequence[Caller], step: Step) -> tuple[int, int]:
    """Walk in from all sides; return how many did, and how many hold a slot afterwards."""

    async def again_and_again(caller: Caller, number: int) -> int:
        names = [VisitorId(f"v{number}-{call}") for call in range(CALLS)]
        return sum([await step(caller, name) for name in names])

    counts = await at_once(
        [partial(again_and_again, caller, number) for number, caller in enumerate(crowd)]
    )
    return sum(counts), int(await crowd[0].store.command("ZCARD", KEYS.admitted))


@asynccontextmanager
async def stood_by(server: Server, active_max: int) -> AsyncIterator[Sequence[Caller]]:
    """Open a room that lets visitors in at once, with its bucket full."""
    async with callers(server, CALLERS) as crowd:
        rates = {"admit_per_s": 1_000_000, "admit_burst": 1_000}
        await opened(crowd[0], active_max=active_max, standby=Standby.ON, **rates)
        await crowd[0].store.command("HSET", KEYS.rate, "tokens", 1_000)
        yield crowd


def test_all_at_once_never_exceed_the_slots(server: Server) -> None:
    async def race() -> None:
        async with stood_by(server, ACTIVE_MAX) as crowd:
            walked_in, inside = await rush(crowd, walk_in)
            assert walked_in == inside == ACTIVE_MAX
            assert await findings(crowd[0]) == []

    server.wait(race())


def test_control_without_the_script_the_slots_are_exceeded(server: Server) -> None:
    """If this fails, the test above proves nothing."""

    async def race() -> None:
        async with stood_by(server, ACTIVE_MAX) as crowd:
            walked_in, inside = await rush(crowd, count_then_walk_in(asyncio.Barrier(CALLERS)))
            assert walked_in == inside > ACTIVE_MAX

    server.wait(race())


def test_nobody_passes_a_visitor_who_waits(server: Server) -> None:
    async def race() -> None:
        async with stood_by(server, 1_000) as crowd:
            over = asyncio.Event()

            async def admit() -> None:
                while not over.is_set():
                    await crowd[0].line.admit(ROOM, holder="", lease_ms=5, chunk_max=3)

            async def visit(caller: Caller, number: int) -> None:
                for call in range(CALLS):
                    name = VisitorId(f"v{number}-{call}")
                    if call % 3 == 0:
                        await caller.line.join(ROOM, [name])
                    else:
                        await walk_in(caller, name)

            async with asyncio.TaskGroup() as group:
                group.create_task(admit())
                await at_once([partial(visit, one, number) for number, one in enumerate(crowd[1:])])
                over.set()
            # The audit finds admissions of higher places while a lower one waited (Q3).
            assert await findings(crowd[0]) == []

    server.wait(race())
