"""Several admitters share the rooms: evenly, with few refused leases, and past a death."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from math import ceil

import pytest

from tests.servers import Server
from tests.store.room import TIMEOUT_S
from tests.until import until, until_async
from waitline.admission.admitter import ENLIST_S, LEASE_MS, Admitter
from waitline.admission.controller import AdmissionController
from waitline.admission.sharing import SPREAD
from waitline.admission.shop_reports import ShopReports
from waitline.kernel.ids import RoomId, VisitorId
from waitline.queue import keys
from waitline.queue.admitters import GONE_MS, Admitters
from waitline.queue.limits import Limits
from waitline.queue.rooms import Rooms
from waitline.queue.settings import Rules
from waitline.queue.store import Line
from waitline.valkey.client import ValkeyClient

# Seconds in which a room must admit again after the death of its admitter, and the heartbeats of
# another in that time: a machine that stands still holds both up. One may be under way already.
TAKEN_OVER_S = 3.0
HEARTBEATS_MAX = ceil(TAKEN_OVER_S / ENLIST_S) + 1

# Seconds until something that takes well under one.
SOON_S = 30.0

# Seconds of admission over which leases are counted, and the most of them that may be refused.
COUNTED_S = 2.5
REFUSED = 0.05

PER_S = 20
VISITORS = 250


class Crew:
    """Admitters in this process, each with a connection of its own."""

    def __init__(self, server: Server, count: int) -> None:
        self.server = server
        self.calls: Counter[str] = Counter()
        self.heartbeats: Counter[str] = Counter()
        # How often one was gone, to the others, because this process stood still.
        self.absences = 0
        self._enlisted_s: dict[str, float] = {}
        self.stores = [
            ValkeyClient(server.url, timeout_s=TIMEOUT_S, on_script=partial(self._count, f"a{n}"))
            for n in range(count)
        ]
        self.members = [self._member(store, f"a{n}") for n, store in enumerate(self.stores)]
        self.tasks: list[asyncio.Task[None]] = []
        self.rooms = Rooms(self.stores[0])

    def _count(self, name: str, script: str, _seconds: float) -> None:
        self.calls[script] += 1
        if script == "enlist":
            now_s = asyncio.get_running_loop().time()
            self.absences += now_s - self._enlisted_s.get(name, now_s) > GONE_MS / 1000
            self.heartbeats[name] += 1
            self._enlisted_s[name] = now_s

    def _member(self, store: ValkeyClient, name: str) -> Admitter:
        rooms = Rooms(store)
        controller = AdmissionController(rooms, ShopReports(store))
        return Admitter(rooms, Line(store), controller, name=name, admitters=rooms.admitters)

    async def open(self, count: int) -> list[RoomId]:
        """Create rooms in which visitors wait for longer than a test takes."""
        names = [RoomId(f"room {number}") for number in range(count)]
        line = Line(self.stores[0])
        for room in names:
            await self.rooms.ensure(room, Rules(limits=Limits(admit_per_s=PER_S)))
            await line.join(room, [VisitorId(f"v{number}") for number in range(VISITORS)])
        return names

    def start(self) -> None:
        self.tasks = [asyncio.create_task(member.run()) for member in self.members]

    def kill(self, name: str) -> None:
        """End an admitter without a word."""
        self.tasks[int(name[1:])].cancel()

    async def holders(self, names: Sequence[RoomId]) -> list[str]:
        store = self.stores[0]
        found = await asyncio.gather(
            *(store.command("HGET", keys.of(room).room, "lease_holder") for room in names)
        )
        return [holder or "" for holder in found]

    async def admitted(self, names: Sequence[RoomId]) -> list[int]:
        store = self.stores[0]
        found = await asyncio.gather(
            *(store.command("HGET", keys.of(room).room, "admitted") for room in names)
        )
        return [int(number or 0) for number in found]

    async def refused(self, names: Sequence[RoomId]) -> int:
        return sum([(await self.rooms.survey(room)).counters["lease_refused"] for room in names])

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for store in self.stores:
            await store.close()


CASES = [
    pytest.param(admitters, rooms, marks=[] if (admitters, rooms) == (4, 9) else pytest.mark.long)
    for admitters, rooms in itertools.product((2, 4, 8), (1, 9, 100))
]


@pytest.mark.parametrize(("admitters", "count"), CASES)
def test_leases_are_spread_rarely_refused_and_taken_over(
    valkey: Server, admitters: int, count: int
) -> None:
    async def run() -> None:
        crew = Crew(valkey, admitters)
        try:
            names = await crew.open(count)
            crew.start()
            most = ceil(SPREAD * count / admitters)

            async def spread() -> bool:
                held = Counter(await crew.holders(names))
                return not held[""] and max(held.values()) <= most

            await until_async(spread, SOON_S, "the rooms are spread")
            # From the start on, when all admitters begin at once, over some seconds.
            await until_async(
                lambda: min_progress(crew, names, int(PER_S * COUNTED_S)), SOON_S, "they admit"
            )
            refused, attempts = await crew.refused(names), crew.calls["admit"]
            print(f"{admitters} admitters, {count} rooms: {refused}/{attempts}")  # noqa: T201
            # Those who stood still for too long begin anew, with rooms that others hold.
            assert refused <= attempts * REFUSED + crew.absences * count
            await die(crew, names)
        finally:
            await crew.close()

    valkey.wait(run())


async def min_progress(crew: Crew, names: Sequence[RoomId], by: int) -> bool:
    return min(await crew.admitted(names)) >= by


async def die(crew: Crew, names: Sequence[RoomId]) -> None:
    """End the admitter of most rooms; its rooms must admit again soon, the others all along."""
    holders = await crew.holders(names)
    victim = Counter(holders).most_common(1)[0][0]
    crew.kill(victim)
    before, beats = await crew.admitted(names), crew.heartbeats.copy()

    async def goes_on() -> bool:
        now = await crew.admitted(names)
        return all(b > a for a, b in zip(before, now, strict=True)) and victim not in (
            await crew.holders(names)
        )

    await until_async(goes_on, SOON_S, "every room admits again")
    passed = crew.heartbeats - beats
    assert max(passed.values()) <= HEARTBEATS_MAX, passed


def test_an_admitter_that_stops_leaves_its_rooms_at_once(valkey: Server) -> None:
    async def run() -> None:
        crew = Crew(valkey, 2)
        try:
            names = await crew.open(6)
            crew.start()

            async def spread() -> bool:
                return set(await crew.holders(names)) == {"a0", "a1"}

            await until_async(spread, SOON_S, "both have rooms")
            crew.kill("a0")
            await crew.members[0].stop()
            assert set(await crew.holders(names)) <= {"", "a1"}
            assert await crew.rooms.admitters.count() == 1
        finally:
            await crew.close()

    valkey.wait(run())


@pytest.fixture
def store(server: Server) -> Iterator[ValkeyClient]:
    made = ValkeyClient(server.url, timeout_s=TIMEOUT_S)
    yield made
    server.wait(made.close())


def test_those_that_send_no_heartbeat_are_gone(server: Server, store: ValkeyClient) -> None:
    admitters = Admitters(store)

    def enlist(name: str) -> list[str]:
        return server.wait(admitters.enlist(name))

    assert enlist("a") == ["a"]
    assert enlist("b") == ["a", "b"]
    now_ms = server.wait(server.now_ms())
    # As if it had been a while; and as after a step of the server's clock.
    for name, at_ms in (("a", now_ms - GONE_MS - 1), ("c", now_ms + 3_600_000)):
        server.wait(store.command("ZADD", keys.ADMITTERS, at_ms, name))
    assert enlist("b") == ["b"]
    until(lambda: enlist("b") == ["b"] and server.wait(admitters.count()) == 1, SOON_S, "alone")
    server.wait(admitters.leave("b"))
    assert server.wait(admitters.count()) == 0


def test_only_the_holder_releases_a_lease(server: Server, store: ValkeyClient) -> None:
    room, admitters, line = RoomId("r"), Admitters(store), Line(store)
    field = keys.of(room).room

    async def holder() -> str | None:
        found: str | None = await store.command("HGET", field, "lease_holder")
        return found

    async def run() -> None:
        await Rooms(store).ensure(room, Rules())
        await line.join(room, [VisitorId("a"), VisitorId("b")])
        await line.admit(room, holder="a", lease_ms=LEASE_MS, chunk_max=1)
        assert await holder() == "a"
        await admitters.release(room, "b")
        assert await holder() == "a"
        await admitters.release(room, "a")
        assert await holder() is None

    server.wait(run())


def test_a_death_is_noticed_before_the_room_must_admit_again() -> None:
    assert GONE_MS + ENLIST_S * 1000 < TAKEN_OVER_S * 1000
    assert LEASE_MS < TAKEN_OVER_S * 1000
