"""Rooms fall asleep while visitors join and are admitted: nobody may be left in a room that sleeps.

The calls of all who take part are put into every order, one order after the other.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from itertools import islice
from typing import Any

import pytest
from typing_extensions import override

from tests.race.crowd import KEYS, ROOM, TIMEOUT_S, Caller, callers, opened
from tests.servers import Server
from waitline.kernel.ids import VisitorId
from waitline.queue import keys
from waitline.queue.rooms import Rooms
from waitline.queue.store import Line
from waitline.valkey import scripts
from waitline.valkey.client import ValkeyClient

Process = Callable[[ValkeyClient], Awaitable[object]]

# Calls that each makes at most, and so its share of an order.
CALLS = {"join": 2, "rest": 5, "vacate": 4, "admit": 6, "naive_rest": 2, "naive_vacate": 2}


class Turns(ValkeyClient):
    """A server whose every call waits for its turn."""

    def __init__(self, url: str) -> None:
        super().__init__(url, timeout_s=TIMEOUT_S)
        self._may = asyncio.Semaphore(0)
        self._did = asyncio.Semaphore(0)

    @override
    async def run(self, *call: Any) -> Sequence[scripts.Row]:
        await self._may.acquire()
        try:
            return await super().run(*call)
        finally:
            self._did.release()

    @override
    async def command(self, *words: str | float, expects: Collection[str] = ()) -> Any:
        await self._may.acquire()
        try:
            return await super().command(*words, expects=expects)
        finally:
            self._did.release()

    async def step(self, task: "asyncio.Task[object]") -> None:
        """Let one call through, unless there are no more."""
        self._may.release()
        did = asyncio.ensure_future(self._did.acquire())
        await asyncio.wait((task, did), return_when=asyncio.FIRST_COMPLETED)
        did.cancel()


async def join(store: ValkeyClient) -> None:
    await Line(store).join(ROOM, [VisitorId("a")])


async def rest(store: ValkeyClient) -> None:
    await Rooms(store).let_sleep(ROOM)


async def vacate(store: ValkeyClient) -> None:
    await Rooms(store).mark_vacant(ROOM)


async def admit(store: ValkeyClient) -> None:
    """Admit, and put the room to sleep, as another admitter does."""
    await Line(store).admit(ROOM, holder="", lease_ms=1, chunk_max=9)
    await Rooms(store).let_sleep(ROOM)


async def naive_rest(store: ValkeyClient) -> None:
    """Look before the removal, and not after it."""
    if not await Rooms(store).has_waiting(ROOM):
        await store.command("SREM", keys.AWAKE, ROOM)


async def naive_vacate(store: ValkeyClient) -> None:
    """Look before the removal, and not after it."""
    if not await store.command("EXISTS", KEYS.admitted):
        await store.command("SREM", keys.OCCUPIED, ROOM)


def orders(counts: Sequence[int]) -> Iterator[list[int]]:
    """Give every order of so many calls of each."""
    if not any(counts):
        yield []
    for number, count in enumerate(counts):
        if count:
            fewer = [each - (other == number) for other, each in enumerate(counts)]
            yield from ([number, *more] for more in orders(fewer))


async def play(crowd: Sequence[Turns], processes: Sequence[Process], order: list[int]) -> None:
    tasks = [
        asyncio.ensure_future(process(store))
        for process, store in zip(processes, crowd, strict=True)
    ]
    for number in order:
        if not tasks[number].done():
            await crowd[number].step(tasks[number])
    async with asyncio.timeout(TIMEOUT_S):
        await asyncio.gather(*tasks)


async def lost(watcher: Caller) -> bool:
    """Say whether somebody is in the room and no admitter will look there."""
    awake, occupied = await watcher.rooms.awake(), await watcher.rooms.occupied()
    waits = await watcher.rooms.has_waiting(ROOM)
    holds = await watcher.store.command("EXISTS", KEYS.admitted)
    return bool(waits and ROOM not in awake) or bool(holds and ROOM not in awake | occupied)


async def losses(
    server: Server, prepare: Process, processes: Sequence[Process], *, every: int = 1
) -> int:
    """Return in how many orders, of all or of one in `every`, somebody is lost."""
    found = 0
    async with callers(server, 1) as (watcher,):
        crowd = [Turns(server.url) for _ in processes]
        counts = [CALLS[process.__name__] for process in processes]
        for order in islice(orders(counts), 0, None, every):
            await server.clear()
            await opened(watcher)
            await prepare(watcher.store)
            await play(crowd, processes, order)
            found += await lost(watcher)
        for store in crowd:
            await store.close()
    return found


async def awake(store: ValkeyClient) -> None:
    """Be awake, with nobody there."""
    await Rooms(store).wake([ROOM])


async def waiting(store: ValkeyClient) -> None:
    """Be awake with one visitor who may be admitted now, and occupied by somebody who has gone."""
    await Rooms(store).wake([ROOM])
    await join(store)
    await store.command("HSET", KEYS.rate, "tokens", 9)


RACES = [
    pytest.param(awake, [join, rest], id="a visitor joins"),
    pytest.param(waiting, [admit, vacate], id="a visitor is admitted"),
]


@pytest.mark.parametrize(("prepare", "processes"), RACES)
def test_nobody_is_left_in_a_room_that_falls_asleep(
    server: Server, prepare: Process, processes: list[Process]
) -> None:
    assert server.wait(losses(server, prepare, processes)) == 0


def test_two_admitters_that_put_a_room_to_sleep_leave_nobody_in_it(valkey: Server) -> None:
    # There are 16 632 orders: these are as many as take a second or two.
    assert valkey.wait(losses(valkey, awake, [join, rest, rest], every=31)) == 0


@pytest.mark.parametrize(
    ("prepare", "processes"),
    [
        pytest.param(awake, [join, naive_rest], id="a visitor joins"),
        pytest.param(waiting, [admit, naive_vacate], id="a visitor is admitted"),
    ],
)
def test_control_a_look_before_the_removal_leaves_somebody(
    server: Server, prepare: Process, processes: list[Process]
) -> None:
    """If this fails, the tests above prove nothing."""
    assert server.wait(losses(server, prepare, processes)) > 0
