"""Visitors walk in from all sides, while others join, are admitted and leave."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import pytest

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


async def count_then_walk_in(caller: Caller, visitor: VisitorId) -> bool:
    """Admit with the counts looked up beforehand, as a client without the script would."""
    waiting = int(await caller.store.command("ZCARD", KEYS.waiting))
    inside = int(await caller.store.command("ZCARD", KEYS.admitted))
    if waiting or inside >= ACTIVE_MAX:
        return False
    await caller.store.command("ZADD", KEYS.admitted, 1, visitor)
    return True


async def rush(crowd: Sequence[Caller], step: Step) -> tuple[int, int]:
    """Walk in from all sides; return how many did, and how many hold a slot afterwards."""

    async def again_and_again(caller: Caller, number: int) -> int:
        names = [VisitorId(f"v{number}-{call}") for call in range(CALLS)]
        return sum([await step(caller, name) for name in names])

    counts = await at_once(
        [partial(again_and_again, caller, number) for number, caller in enumerate(crowd)]
    )
    return sum(counts), int(await crowd[0].store.command("ZCARD", KEYS.admitted))


@pytest.mark.parametrize(
    ("step", "holds"),
    [pytest.param(walk_in, True, id="script"), pytest.param(count_then_walk_in, False, id="none")],
)
def test_all_at_once_never_exceed_the_slots(server: Server, step: Step, *, holds: bool) -> None:
    async def race() -> tuple[int, int]:
        async with callers(server, CALLERS) as crowd:
            await opened(
                crowd[0], active_max=ACTIVE_MAX, admit_per_s=1_000_000, admit_burst=1_000,
                standby=Standby.ON,
            )  # fmt: skip
            await crowd[0].store.command("HSET", KEYS.rate, "tokens", 1_000)
            found = await rush(crowd, step)
            if holds:
                assert await findings(crowd[0]) == []
            return found

    walked_in, inside = asyncio.run(race())
    assert (walked_in == inside == ACTIVE_MAX) is holds


def test_nobody_passes_a_visitor_who_waits(server: Server) -> None:
    async def race() -> None:
        async with callers(server, CALLERS) as crowd:
            await opened(
                crowd[0], active_max=1_000, admit_per_s=1_000_000, admit_burst=1_000,
                standby=Standby.ON,
            )  # fmt: skip
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

    asyncio.run(race())
