"""The bulkhead: strangers' look-ups share two connections, buyers' go at once."""

import asyncio

import pytest

from waitline.kernel.errors import Unavailable
from waitline.services.booking.lookups import KNOWN_MAX, RUNNING_MAX, WAITING_MAX, Lookups


class Statements:
    """Statements that last until they are let go."""

    def __init__(self) -> None:
        self.running = 0
        self.go = asyncio.Event()

    async def run(self) -> str:
        self.running += 1
        await self.go.wait()
        return "found"


def test_strangers_wait_in_a_short_queue_and_buyers_do_not() -> None:
    async def play() -> None:
        lookups, statements = Lookups(), Statements()
        lookups.remember("buyer")
        async with asyncio.TaskGroup() as group:
            tokens = [None, "", *map(str, range(RUNNING_MAX + WAITING_MAX - 2))]
            strangers = [group.create_task(lookups.run(token, statements.run)) for token in tokens]
            await settled()
            assert statements.running == lookups.running == RUNNING_MAX
            with pytest.raises(Unavailable):
                await lookups.run("one more", statements.run)
            buyers = [group.create_task(lookups.run("buyer", statements.run)) for _ in range(9)]
            await settled()
            assert statements.running == RUNNING_MAX + len(buyers)
            statements.go.set()
        assert {task.result() for task in (*strangers, *buyers)} == {"found"}
        assert lookups.running == 0

    asyncio.run(play())


def test_lists_of_reservations_have_connections_of_their_own() -> None:
    async def play() -> None:
        lookups, statements = Lookups(), Statements()
        lookups.remember("buyer")
        async with asyncio.TaskGroup() as group:
            lists = RUNNING_MAX + WAITING_MAX
            tasks = [
                group.create_task(lookups.run_list("buyer", statements.run)) for _ in range(lists)
            ]
            await settled()
            # However many lists a good token asks for, they are no demand of those who shop.
            assert statements.running == lookups.running == RUNNING_MAX
            with pytest.raises(Unavailable):
                await lookups.run_list("buyer", statements.run)
            # They hold up neither strangers nor buyers; a stranger's list is a stranger's look-up.
            tasks.append(group.create_task(lookups.run_list("stranger", statements.run)))
            tasks.append(group.create_task(lookups.run("buyer", statements.run)))
            await settled()
            assert statements.running == RUNNING_MAX + 2
            assert lookups.running == RUNNING_MAX + 1
            statements.go.set()
        assert {task.result() for task in tasks} == {"found"}
        assert lookups.running == 0

    asyncio.run(play())


def test_a_look_up_that_fails_or_is_cancelled_leaves_its_place() -> None:
    async def play() -> None:
        lookups, statements = Lookups(), Statements()

        async def fails() -> None:
            raise Unavailable("down")

        for _ in range(3 * WAITING_MAX):
            with pytest.raises(Unavailable, match="down"):
                await lookups.run("x", fails)
        tasks = [asyncio.create_task(lookups.run("x", statements.run)) for _ in range(WAITING_MAX)]
        await settled()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        statements.go.set()
        assert await lookups.run("x", statements.run) == "found"

    asyncio.run(play())


def test_the_tokens_that_are_remembered_are_bounded() -> None:
    lookups = Lookups()
    for number in range(KNOWN_MAX + 10):
        lookups.remember(str(number))
    lookups.remember(None)
    assert len(lookups._known) == KNOWN_MAX  # noqa: SLF001


async def settled() -> None:
    """Let all tasks run up to what they wait for."""
    for _ in range(5):
        ready = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(ready.set_result, None)
        await ready
