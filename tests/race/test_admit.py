"""Many admitters let visitors into one room at once, while others watch and leave."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from tests.race.crowd import KEYS, ROOM, Caller, at_once, callers, findings, opened
from tests.servers import Server
from waitline.kernel.ids import VisitorId
from waitline.queue.model import Leased, Moved

ADMITTERS = 8
ACTIVE_MAX = 30
CROWD = 200
CALLS = 25

Admit = Callable[[Caller, str], Awaitable[int]]


async def filled(caller: Caller) -> None:
    await opened(caller, active_max=ACTIVE_MAX, admit_per_s=1_000_000, admit_burst=1_000)
    await caller.line.join(ROOM, [VisitorId(f"v{number}") for number in range(CROWD)])


async def admit(caller: Caller, holder: str) -> int:
    outcome = await caller.line.admit(ROOM, holder=holder, lease_ms=5, chunk_max=7)
    if isinstance(outcome, Leased):
        return 0
    assert isinstance(outcome, Moved)
    assert 0 <= outcome.free <= ACTIVE_MAX - outcome.admitted
    return outcome.admitted


def count_then_admit(looked: asyncio.Barrier) -> Admit:
    """Admit with the count of slots taken beforehand, as a client without the script would."""

    async def step(caller: Caller, _: str) -> int:
        free = ACTIVE_MAX - int(await caller.store.command("ZCARD", KEYS.admitted))
        # All have looked before one writes, on every machine.
        await looked.wait()
        if free <= 0:
            return 0
        popped = await caller.store.command("ZPOPMIN", KEYS.waiting, min(free, 7))
        for visitor in popped[::2]:
            await caller.store.command("ZADD", KEYS.admitted, 1, visitor)
        return len(popped) // 2

    return step


def look_then_admit(looked: asyncio.Barrier) -> Admit:
    """Admit the first of the line, looked up beforehand, as a client without the script would."""

    async def step(caller: Caller, _: str) -> int:
        first = await caller.store.command("ZRANGE", KEYS.waiting, 0, 0)
        await looked.wait()
        for visitor in first:
            await caller.store.command("ZREM", KEYS.waiting, visitor)
            await caller.store.command("ZADD", KEYS.admitted, 1, visitor)
        return len(first)

    return step


async def rush(crowd: list[Caller], step: Admit, holders: list[str]) -> tuple[int, int]:
    """Admit from all sides; return how many were admitted and the most seen inside at once."""
    *admitters, watcher = crowd
    most, over = 0, asyncio.Event()

    async def watch() -> None:
        nonlocal most
        while not over.is_set():
            most = max(most, int(await watcher.store.command("ZCARD", KEYS.admitted)))

    async def again_and_again(caller: Caller, holder: str) -> int:
        return sum([await step(caller, holder) for _ in range(CALLS)])

    async with asyncio.TaskGroup() as group:
        group.create_task(watch())
        counts = await at_once(
            [
                partial(again_and_again, caller, holder)
                for caller, holder in zip(admitters, holders, strict=True)
            ]
        )
        over.set()
    return sum(counts), most


LEASES = [
    pytest.param([""] * ADMITTERS, id="no lease"),
    pytest.param([f"admitter-{number}" for number in range(ADMITTERS)], id="a lease"),
]


@pytest.mark.parametrize("holders", LEASES)
def test_eight_at_once_never_exceed_the_slots(server: Server, holders: list[str]) -> None:
    async def race() -> None:
        async with callers(server, ADMITTERS + 1) as crowd:
            await filled(crowd[0])
            admitted, most = await rush([*crowd], admit, holders)
            # Nobody left meanwhile, so each slot was given once.
            assert admitted == most == ACTIVE_MAX
            survey = await crowd[0].rooms.survey(ROOM)
            assert (survey.admitted, survey.waiting) == (ACTIVE_MAX, CROWD - ACTIVE_MAX)
            assert await findings(crowd[0]) == []

    server.wait(race())


def test_control_without_the_script_the_slots_are_exceeded(server: Server) -> None:
    """If this fails, the test above proves nothing."""

    async def race() -> None:
        async with callers(server, ADMITTERS + 1) as crowd:
            await filled(crowd[0])
            step = count_then_admit(asyncio.Barrier(ADMITTERS))
            _, most = await rush([*crowd], step, [""] * ADMITTERS)
            assert most > ACTIVE_MAX

    server.wait(race())


def test_control_without_the_script_visitors_are_admitted_twice(server: Server) -> None:
    """If this fails, the test above proves nothing."""

    async def race() -> None:
        async with callers(server, ADMITTERS + 1) as crowd:
            await filled(crowd[0])
            step = look_then_admit(asyncio.Barrier(ADMITTERS))
            admitted, _ = await rush([*crowd], step, [""] * ADMITTERS)
            assert admitted > int(await crowd[0].store.command("ZCARD", KEYS.admitted))

    server.wait(race())


@pytest.mark.parametrize("holders", LEASES)
def test_slots_that_are_given_back_are_given_once_each(server: Server, holders: list[str]) -> None:
    """Visitors leave as fast as they come in, until everybody has had a turn."""
    turns: Counter[str] = Counter()

    async def admit_and_leave(caller: Caller, holder: str) -> int:
        count = await admit(caller, holder)
        inside = await caller.store.command("ZRANGE", KEYS.admitted, 0, -1)
        assert len(inside) <= ACTIVE_MAX
        gone = inside[:5]
        if gone:
            outcomes = await caller.line.leave(ROOM, [(VisitorId(name), 0) for name in gone])
            # Several may try to send the same one home; only one of them does.
            turns.update(
                name
                for name, outcome in zip(gone, outcomes, strict=True)
                if type(outcome).__name__ == "Left"
            )
        return count

    async def race() -> None:
        async with callers(server, ADMITTERS + 1) as crowd:
            await filled(crowd[0])
            admitted = 0
            async with asyncio.timeout(20):
                while (await crowd[0].rooms.survey(ROOM)).waiting:
                    count, most = await rush([*crowd], admit_and_leave, holders)
                    admitted += count
                    assert most <= ACTIVE_MAX
            assert admitted == CROWD
            survey = await crowd[0].rooms.survey(ROOM)
            assert sum(turns.values()) + survey.admitted == CROWD
            assert max(turns.values()) == 1
            assert await findings(crowd[0]) == []

    server.wait(race())
