"""A room that opens and closes by its times."""

import pytest

from tests.store.room import Room
from waitline.kernel.instants import Instant
from waitline.kernel.setting import SettingError
from waitline.queue.model import Again, Held, Joined, Moved, RoomClosed, RoomState, Waiting

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
