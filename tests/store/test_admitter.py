"""The admitter's rounds, made by hand: which rooms it visits, finds, and leaves alone."""

import asyncio
from collections.abc import Callable, Collection, Iterator
from math import ceil
from typing import Any

import pytest
from typing_extensions import override

from tests.servers import Server
from tests.store.room import TIMEOUT_S, Room, no_memory
from tests.until import until
from waitline.admission.admitter import Admitter
from waitline.admission.controller import AdmissionController
from waitline.admission.policy import LINGER_VISITS, PATROL_PER_S, TICK_MS
from waitline.admission.shop_reports import ShopReports
from waitline.kernel.errors import Unavailable
from waitline.kernel.ids import RoomId, VisitorId
from waitline.queue import keys
from waitline.queue.model import LAPSED_KEPT_MS, UNKNOWN, Slot, State, Waiting
from waitline.queue.rooms import Rooms
from waitline.queue.settings import Mode, Rules
from waitline.queue.store import Line
from waitline.valkey.client import ValkeyClient

# A little longer than the admitter's own, and a sum of them is exact.
TICK_S = 1 / 8

# Rounds in which the registry is read once.
LOOK = 8

# What the admitter sends. Scripts use the last two of these nowhere, and EXISTS where no admitter
# calls.
SENT = ("smembers", "exists", "evalsha", "sadd", "srem")

DEADLINE_S = 20


class Store(ValkeyClient):
    """A server that stops answering on demand."""

    silent = False
    silent_after = ""

    @override
    async def command(self, *words: str | float, expects: Collection[str] = ()) -> Any:
        if self.silent:
            raise Unavailable("silent on purpose")
        self.silent = words[0] == self.silent_after
        return await super().command(*words, expects=expects)


class Rounds:
    """An admitter, and a clock that goes on by one tick a round."""

    def __init__(self, server: Server, patch: pytest.MonkeyPatch) -> None:
        self.server = server
        self.store = Store(server.url, timeout_s=TIMEOUT_S)
        self.rooms = Rooms(self.store)
        self.line = Line(self.store)
        self._patch = patch
        self._now_s = 0.0
        self.start()

    def start(self) -> None:
        """Begin with an admitter that knows nothing yet."""
        controller = AdmissionController(self.rooms, ShopReports(self.store))
        self._admitter = Admitter(self.rooms, self.line, controller, name="by hand")

    def go(self, count: int = 1) -> None:
        """Make so many rounds."""
        self.server.wait(self._go(count))

    async def _go(self, count: int, tick_s: float = TICK_S, look_s: float = 0.0) -> None:
        """Make rounds of `tick_s`, in which each look at the clock takes `look_s`."""
        loop = asyncio.get_running_loop()
        self._now_s = self._now_s or ceil(loop.time())
        looks = 0

        def now_s() -> float:
            nonlocal looks
            looks += 1
            return self._now_s + looks * look_s

        with self._patch.context() as patch:
            patch.setattr(loop, "time", now_s)
            for _ in range(count):
                self._now_s += tick_s
                looks = 0
                await self._admitter.visit_due()

    def go_exactly(self, count: int) -> None:
        """Make rounds a tick apart to the letter, each of which takes its time."""
        self.server.wait(self._go(count, TICK_MS / 1000, look_s=1e-5))

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Make rounds until a condition holds."""

        def goes_on() -> bool:
            self.go()
            return condition()

        until(goes_on, DEADLINE_S, what)

    def sent(self, count: int, *, exactly: bool = False) -> dict[str, int]:
        """Make so many rounds and return what was sent, by command."""
        command, wait = self.server.command, self.server.wait
        wait(command("CONFIG", "RESETSTAT"))
        (self.go_exactly if exactly else self.go)(count)
        received = wait(self.server.calls())
        return {name: received.get(name, 0) for name in SENT}

    def create(self, count: int) -> list[RoomId]:
        """Create rooms in which nobody has ever been."""
        names = [RoomId(f"idle {number:03}") for number in range(count)]

        async def each() -> None:
            for name in names:
                await self.rooms.ensure(name, Rules())

        self.server.wait(each())
        return names

    def join(self, room: RoomId) -> None:
        """Let a visitor join who can be admitted at once, wherever it is known that one waits."""

        async def joined() -> None:
            await self.line.join(room, [VisitorId("a")])
            await self.store.command("HSET", keys.of(room).rate, "tokens", 1)

        self.server.wait(joined())

    def admitted(self, room: RoomId) -> bool:
        return self.server.wait(self.rooms.survey(room)).admitted == 1


@pytest.fixture
def rounds(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rounds]:
    made = Rounds(server, monkeypatch)
    yield made
    server.wait(made.store.close())


def test_idle_rooms_cost_no_calls(rounds: Rounds) -> None:
    """Commands counted over ten seconds, those of the patrol separately."""
    counts: dict[int, dict[str, int]] = {}
    for rooms in (1, PATROL_PER_S, 200, 400):
        rounds.create(rooms)
        rounds.start()
        rounds.go(LOOK)
        counts[rooms] = rounds.sent(10 * LOOK)
    patrols = {number: min(number, PATROL_PER_S) * 10 for number in counts}
    # Who is awake at each round, who is occupied and the registry once a second.
    known = {"smembers": 10 * LOOK + 2 * 10, "sadd": 0, "srem": 0}
    for number, sent in counts.items():
        assert sent == known | {"exists": patrols[number], "evalsha": patrols[number]}
    assert counts[PATROL_PER_S] == counts[200] == counts[400]


def test_the_first_visitor_of_a_quiet_room_is_admitted_at_the_next_round(rounds: Rounds) -> None:
    rooms = rounds.create(2 * PATROL_PER_S)
    rounds.go()
    for room in (rooms[-1], rooms[0]):
        rounds.join(room)
        rounds.go()
        assert rounds.admitted(room)


def test_a_room_in_which_somebody_waits_is_visited_at_every_tick(
    rounds: Rounds, room: Room
) -> None:
    # Full, so that nothing but the tick says when it is visited again.
    room.open(active_max=1)
    room.join("a", "b")
    rounds.go(LOOK)
    # Beside the sweeps and the patrol, of which there are two a second.
    assert rounds.sent(40, exactly=True)["evalsha"] >= 40


def test_a_room_sleeps_when_nobody_has_waited_for_a_while(rounds: Rounds) -> None:
    (room,) = rounds.create(1)
    rounds.go()
    rounds.join(room)
    for _ in range(LINGER_VISITS):
        assert rounds.server.wait(rounds.rooms.awake()) == {room}
        rounds.go()
    assert rounds.server.wait(rounds.rooms.awake()) == set()
    assert rounds.server.wait(rounds.rooms.occupied()) == {room}
    # Only its slots are looked after.
    sent = rounds.sent(2 * LOOK)
    assert (sent["evalsha"], sent["sadd"], sent["srem"]) == (2, 0, 0)


def test_slots_of_a_sleeping_room_are_collected(rounds: Rounds, room: Room) -> None:
    room.open(ready_ttl_ms=10)
    room.let_in("a")
    rounds.go(1 + LINGER_VISITS)
    rounds.until(lambda: room.survey().admitted == 0, "the slot is collected")
    (slot,) = room.status("a")
    assert isinstance(slot, Slot)
    assert slot.state is State.EXPIRED
    rounds.go(LOOK)
    assert rounds.server.wait(rounds.rooms.occupied()) == set()
    assert rounds.server.wait(rounds.rooms.awake()) == set()


def test_the_lapsed_of_a_sleeping_room_are_forgotten(rounds: Rounds, room: Room) -> None:
    room.open()
    room.join("a")
    room.pass_over("a")
    rounds.go(LOOK * 4)
    assert rounds.server.wait(rounds.rooms.occupied()) == set()
    room.raw("ZADD", room.keys.lapsed, room.now_ms() - LAPSED_KEPT_MS - 1, "a")
    rounds.go(LOOK)
    assert room.status("a") == [UNKNOWN]
    assert room.findings() == []


@pytest.mark.parametrize("occupied", [False, True])
def test_a_visitor_whose_worker_died_is_found(rounds: Rounds, *, occupied: bool) -> None:
    """The worker gave a place, and did not live to wake the room; or the list was lost."""
    rooms = rounds.create(3 * PATROL_PER_S)
    rounds.go(LOOK)
    for room in (rooms[0], rooms[PATROL_PER_S], rooms[-1]):
        if occupied:
            rounds.server.wait(rounds.store.command("SADD", keys.OCCUPIED, room))
        rounds.join(room)
        rounds.server.wait(rounds.store.command("SREM", keys.AWAKE, room))
        # One patrol reaches a third of the rooms; the round after it admits.
        rounds.go(3 * LOOK + 1)
        assert rounds.admitted(room)
        assert room in rounds.server.wait(rounds.rooms.occupied())


def test_an_admitter_begins_with_a_look_into_every_room(rounds: Rounds) -> None:
    """As with the folder of a version that had no such lists."""
    rooms = rounds.create(3 * PATROL_PER_S)
    for room in rooms:
        rounds.join(room)
    for listed in (keys.AWAKE, keys.OCCUPIED):
        rounds.server.wait(rounds.store.command("DEL", listed))
    rounds.go(2)
    assert all(rounds.admitted(room) for room in rooms)


def test_after_a_silence_every_room_is_looked_into(rounds: Rounds) -> None:
    rooms = rounds.create(3 * PATROL_PER_S)
    rounds.go(LOOK)
    for room in rooms:
        rounds.join(room)
    rounds.server.wait(rounds.store.command("DEL", keys.AWAKE))
    rounds.store.silent = True
    with pytest.raises(ExceptionGroup):
        rounds.go()
    rounds.store.silent = False
    rounds.go(LOOK + 1)
    assert all(rounds.admitted(room) for room in rooms)


def test_an_admitter_that_is_cut_off_from_a_room_comes_back_to_it(
    rounds: Rounds, room: Room
) -> None:
    """It took the room off the list, and could not look whether somebody had come."""
    room.open()
    room.join("a")
    room.leave("a")
    rounds.go(LINGER_VISITS - 1)
    rounds.store.silent_after = "SREM"
    rounds.go()
    assert rounds.store.silent
    rounds.store.silent, rounds.store.silent_after = False, ""
    room.join("b")
    room.raw("DEL", keys.AWAKE)
    room.give_tokens(1)
    rounds.go(2)
    assert room.survey().admitted == 1


@pytest.mark.parametrize("mode", [Mode.PAUSED, Mode.CLOSED])
def test_a_room_that_admits_nobody_stays_awake_while_somebody_waits(
    rounds: Rounds, room: Room, mode: Mode
) -> None:
    room.open(admit_per_s=0.01)
    room.join("a", "b")
    room.change(mode=mode)
    rounds.go(4 * LOOK)
    assert rounds.server.wait(rounds.rooms.awake()) == {room.id}
    room.change(mode=Mode.OPEN)
    room.give_tokens(1)
    # As late as a room is visited that admits nobody.
    rounds.go(LOOK // 2)
    assert room.survey().admitted == 1
    assert isinstance(room.status("b")[0], Waiting)

    room.change(mode=mode)
    room.leave("a", "b")
    rounds.go(LINGER_VISITS * LOOK)
    assert rounds.server.wait(rounds.rooms.awake()) == set()
    assert rounds.server.wait(rounds.rooms.occupied()) == set()


def test_a_full_store_leaves_nobody_in_a_room_that_sleeps(rounds: Rounds, room: Room) -> None:
    """It refuses to note a room, and admits still."""
    other = Room(room.server, "other")
    for each in (room, other):
        each.open()
        each.join("a")
        each.give_tokens(1)
    for listed in (keys.AWAKE, keys.OCCUPIED):
        rounds.server.wait(rounds.store.command("DEL", listed))
    with no_memory(room.server):
        rounds.go(2)
        assert [each.survey().admitted for each in (room, other)] == [1, 1]
        rounds.go(2 * LOOK)
        assert rounds.server.wait(rounds.rooms.awake()) == set()
    # What could not be noted then is noted now, and nobody waits any more.
    rounds.go(LOOK + LINGER_VISITS + 1)
    assert rounds.server.wait(rounds.rooms.awake()) == set()
    assert rounds.server.wait(rounds.rooms.occupied()) == {room.id, other.id}
    other.close()


def test_a_room_on_a_list_for_nothing_comes_off(rounds: Rounds) -> None:
    """As one that was never made."""
    rounds.server.wait(rounds.rooms.wake([RoomId("nothing")]))
    rounds.go(LINGER_VISITS * LOOK)
    assert rounds.server.wait(rounds.rooms.awake()) == set()
    assert rounds.server.wait(rounds.rooms.occupied()) == set()
