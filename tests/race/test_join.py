"""Many enter at once, and one visitor enters from many devices at once."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from tests.race.crowd import KEYS, ROOM, Caller, at_once, callers, findings, opened
from tests.servers import Server
from waitline.kernel.ids import VisitorId
from waitline.queue.model import Again, Joined

VISITORS = [VisitorId(f"v{number}") for number in range(100)]
CONNECTIONS = 20
DEVICES = 5
ROUNDS = 20

Step = Callable[[Caller, VisitorId], Awaitable[Joined | Again]]


async def join(caller: Caller, visitor: VisitorId) -> Joined | Again:
    (outcome,) = await caller.line.join(ROOM, [visitor])
    assert isinstance(outcome, Joined | Again)
    return outcome


def read_then_join(looked: asyncio.Barrier) -> Step:
    """Take a place as a client would without the script: look, then write."""

    async def step(caller: Caller, visitor: VisitorId) -> Joined | Again:
        held = await caller.store.command("ZSCORE", KEYS.waiting, visitor)
        place = int(await caller.store.command("HGET", KEYS.room, "seq")) + 1
        # All have looked before one writes, on every machine.
        await looked.wait()
        if held is not None:
            return Again(int(float(held)), 0, 0, 0)
        await caller.store.command("HSET", KEYS.room, "seq", place)
        await caller.store.command("ZADD", KEYS.waiting, place, visitor)
        return Joined(place, 0, 0, 0)

    return step


def test_a_hundred_at_once_get_a_hundred_places(server: Server) -> None:
    async def race() -> None:
        async with callers(server, CONNECTIONS) as crowd:
            await opened(crowd[0])
            outcomes = await at_once(
                [
                    partial(join, crowd[number % CONNECTIONS], visitor)
                    for number, visitor in enumerate(VISITORS)
                ]
            )
            assert {type(one) for one in outcomes} == {Joined}
            assert sorted(one.place for one in outcomes) == [*range(1, 101)]
            assert sorted(one.ahead for one in outcomes) == [*range(100)]
            assert await findings(crowd[0]) == []

    server.wait(race())


def test_control_without_the_script_places_are_given_twice(server: Server) -> None:
    """If this fails, the test above proves nothing."""

    async def race() -> None:
        async with callers(server, CONNECTIONS) as crowd:
            await opened(crowd[0])
            step = read_then_join(asyncio.Barrier(len(VISITORS)))
            outcomes = await at_once(
                [
                    partial(step, crowd[number % CONNECTIONS], visitor)
                    for number, visitor in enumerate(VISITORS)
                ]
            )
            assert {one.place for one in outcomes} == {1}
            assert {one.invariant for one in await findings(crowd[0])} >= {"Q1"}

    server.wait(race())


def test_one_visitor_from_five_devices_has_one_place(server: Server) -> None:
    async def race() -> None:
        async with callers(server, DEVICES) as devices:
            await opened(devices[0])
            for number, visitor in enumerate(VISITORS[:ROUNDS], start=1):
                outcomes = await at_once([partial(join, device, visitor) for device in devices])
                assert sorted(type(one).__name__ for one in outcomes) == ["Again"] * 4 + ["Joined"]
                assert {one.place for one in outcomes} == {number}
            assert await findings(devices[0]) == []

    server.wait(race())


def test_control_without_the_script_one_visitor_joins_twice(server: Server) -> None:
    """If this fails, the test above proves nothing."""

    async def race() -> None:
        async with callers(server, DEVICES) as devices:
            await opened(devices[0])
            step = read_then_join(asyncio.Barrier(DEVICES))
            for visitor in VISITORS[:ROUNDS]:
                outcomes = await at_once([partial(step, device, visitor) for device in devices])
                assert {type(one) for one in outcomes} == {Joined}

    server.wait(race())
