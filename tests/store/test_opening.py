"""A room that opens and closes by its times."""

import asyncio

import pytest

from tests.store.room import Room
from waitline.kernel.instants import Instant
from waitline.kernel.setting import SettingError
from waitline.queue import keys
from waitline.queue.model import Again, Held, Joined, Moved, RoomClosed, RoomState, Waiting
from waitline.queue.openings import Announced

HOUR_MS = 3_600_000


def from_now(room: Room, ms: int, offset_min: int = 540) -> Instant:
    return Instant(room.now_ms() + ms, offset_min)


def test_before_its_opening_a_room_takes_visitors_and_admits_nobody(room: Room) -> None:
    room.open(opens_at=from_now(room, HOUR_MS))
    (joined,) = room.join("a")
    assert isinstance(joined, Joined)
    room.give_tokens(5)
    outcome = room.admit()
    assert isinstance(outcome, Held)
    assert HOUR_MS - 10_000 < outcome.opens_in_ms <= HOUR_MS
    survey = room.survey()
    assert (survey.state, survey.mode_now) == (RoomState.BEFORE_OPENING, "paused")


def test_it_opens_by_the_clock_of_the_server(room: Room) -> None:
    opens_at = from_now(room, 300)
    room.open(opens_at=opens_at, admit_per_s=0.01)
    room.join("a", "b")
    while isinstance(room.admit(), Held):
        assert room.now_ms() < opens_at.at_ms + 5_000, "it never opens"
    assert room.now_ms() >= opens_at.at_ms
    assert room.survey().state is RoomState.OPEN
    room.call("a", "b")
    assert room.survey().rules.opens_at == opens_at


def test_at_its_closing_time_a_room_closes(room: Room) -> None:
    room.open(closes_at=from_now(room, HOUR_MS), ready_ttl_ms=60_000)
    room.let_in("inside")
    room.join("waits")
    room.change(closes_at=from_now(room, -1))
    assert room.survey().state is RoomState.CLOSED
    (closed,) = room.join("late")
    assert isinstance(closed, RoomClosed)
    room.give_tokens(5)
    assert room.admit() == Held()
    # Places and slots stay.
    (waits,) = room.join("waits")
    assert isinstance(waits, Again)
    assert isinstance(room.status("waits")[0], Waiting)
    assert len(room.activate("inside")) == 1
    room.change(closes_at=None)
    assert isinstance(room.admit(), Moved)
    assert isinstance(room.join("late")[0], Joined)


@pytest.mark.parametrize(
    ("mode", "state"),
    [("paused", "before-opening"), ("draining", "before-opening"), ("closed", "closed")],
)
def test_the_state_of_other_modes_before_the_opening(room: Room, mode: str, state: str) -> None:
    room.open(mode=mode, opens_at=from_now(room, HOUR_MS))
    assert room.survey().state == state


def test_it_closes_after_it_opens(room: Room) -> None:
    opens_at = from_now(room, HOUR_MS)
    with pytest.raises(SettingError, match=r"must be after the opening, .*\+09:00"):
        room.open(opens_at=opens_at, closes_at=opens_at)


def announced(room: Room) -> list[Announced]:
    """What each of some admitters finds, one after the other."""
    openings = room.rooms.openings
    return [
        room.server.wait(openings.announce(name))
        for _ in range(2)
        for name in room.server.wait(openings.due())
    ]


OPENED, CLOSED = Announced(opened=True, closed=False), Announced(opened=False, closed=True)
NOTHING = Announced(opened=False, closed=False)


def test_an_opening_and_a_closing_are_claimed_once(room: Room) -> None:
    room.open(opens_at=from_now(room, HOUR_MS), closes_at=from_now(room, 2 * HOUR_MS))
    assert announced(room) == []
    opens_at = from_now(room, 200)
    room.change(opens_at=opens_at)
    room.reach(opens_at.at_ms)
    assert announced(room) == [OPENED]
    closes_at = from_now(room, 200)
    room.change(closes_at=closes_at)
    room.reach(closes_at.at_ms)
    assert announced(room) == [CLOSED]
    # An admitter that found it in the list earlier comes too late.
    assert room.server.wait(room.rooms.openings.announce(room.id)) == NOTHING
    assert room.raw("EXISTS", keys.OPENINGS) == 0


def test_of_many_admitters_at_once_one_claims(room: Room) -> None:
    opens_at = from_now(room, 200)
    room.open(opens_at=opens_at)
    room.reach(opens_at.at_ms)

    async def race() -> list[Announced]:
        claims = [room.rooms.openings.announce(room.id) for _ in range(20)]
        return await asyncio.gather(*claims)

    assert sorted(room.server.wait(race())) == [NOTHING] * 19 + [OPENED]


@pytest.mark.parametrize("mode", ["paused", "closed"])
def test_a_room_that_an_operator_keeps_shut_does_not_open_by_the_clock(
    room: Room, mode: str
) -> None:
    opens_at = from_now(room, 200)
    room.open(mode=mode, opens_at=opens_at, closes_at=Instant(opens_at.at_ms + 100, 0))
    room.reach(opens_at.at_ms + 100)
    assert announced(room) == [CLOSED if mode == "paused" else NOTHING]


def test_a_time_that_has_passed_when_it_is_set_is_the_operators(room: Room) -> None:
    room.open(opens_at=from_now(room, -HOUR_MS))
    assert announced(room) == [NOTHING]
    room.change(opens_at=from_now(room, -1), closes_at=from_now(room, HOUR_MS))
    assert announced(room) == [NOTHING]
    room.change(closes_at=from_now(room, -1))
    assert announced(room) == [NOTHING]


def test_a_time_that_is_moved_is_announced_when_it_comes(room: Room) -> None:
    room.open(opens_at=from_now(room, HOUR_MS))
    opens_at = from_now(room, 300)
    room.change(opens_at=opens_at)
    room.reach(opens_at.at_ms)
    # A change of something else takes nothing away.
    room.change(title="now")
    assert announced(room) == [OPENED]
    # Put off before it comes, it does not come.
    closes_at = from_now(room, 200)
    room.change(closes_at=closes_at)
    room.change(closes_at=from_now(room, HOUR_MS))
    room.reach(closes_at.at_ms)
    assert announced(room) == [NOTHING]
    assert room.raw("ZCARD", keys.OPENINGS) == 1


def test_a_deleted_room_is_not_listed(room: Room) -> None:
    room.open(opens_at=from_now(room, HOUR_MS))
    room.delete()
    assert room.raw("EXISTS", keys.OPENINGS) == 0
    room.raw("ZADD", keys.OPENINGS, 1, room.id)
    assert announced(room) == [NOTHING]
