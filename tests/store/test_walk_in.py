"""Standby: visitors admitted without a line, while nobody waits and slots and rate are free."""

from typing import Any

import pytest

from tests.store.room import Room
from waitline.kernel.ids import VisitorId
from waitline.queue.model import Joined, RoomUnknown, Slot, State
from waitline.queue.relations import Standby
from waitline.queue.settings import Mode
from waitline.queue.walk_ins import LineFormed, WalkedIn, WalkIns


def walk_in(room: Room, *names: str) -> list[Any]:
    return room.server.wait(
        WalkIns(room.store).walk_in(room.id, [VisitorId(name) for name in names])
    )


def words(outcomes: list[Any]) -> list[bool]:
    """Return who was admitted; everybody else was sent to the line."""
    assert all(isinstance(one, WalkedIn | LineFormed) for one in outcomes)
    return [isinstance(one, WalkedIn) for one in outcomes]


def opened(room: Room, **changes: object) -> None:
    room.open(standby=Standby.ON, admit_per_s=0.01, **changes)
    room.give_tokens(5)


def test_each_gets_a_place_and_a_slot_in_one_step(room: Room) -> None:
    opened(room)
    first, second = walk_in(room, "a", "b")
    assert (first.slot.state, first.slot.place, second.slot.place) == (State.ACTIVE, 1, 2)
    assert (first.first, second.first) == (True, True)
    assert first.slot.joined_ms == first.slot.admitted_ms
    assert room.validate("a") == [first.slot]
    (third,) = walk_in(room, "c")
    assert (third.first, third.slot.place) == (False, 3)
    survey = room.survey()
    assert (survey.waiting, survey.admitted, survey.last_place, survey.serving) == (0, 3, 3, 3)
    assert room.findings() == []
    # A place of the line comes after them.
    (joined,) = room.join("d")
    assert isinstance(joined, Joined)
    assert joined.place == 4


def test_nobody_walks_in_while_somebody_waits(room: Room) -> None:
    opened(room)
    room.join("waits")
    assert words(walk_in(room, "a")) == [False]
    # The line dissolves by itself.
    room.admit()
    assert words(walk_in(room, "a")) == [True]
    assert room.findings() == []


def test_no_more_than_the_slots(room: Room) -> None:
    opened(room, active_max=2)
    assert words(walk_in(room, "a", "b", "c")) == [True, True, False]
    assert words(walk_in(room, "c")) == [False]
    room.leave("a")
    assert words(walk_in(room, "c")) == [True]
    assert room.survey().admitted == 2


def test_no_more_than_the_rate(room: Room) -> None:
    opened(room)
    names = [f"v{number}" for number in range(8)]
    assert words(walk_in(room, *names)) == [True] * 5 + [False] * 3
    assert words(walk_in(room, "w")) == [False]
    # The line has the same bucket.
    room.join("x")
    outcome = room.admit()
    assert getattr(outcome, "admitted", 0) == 0


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"standby": Standby.OFF}, id="off"),
        pytest.param({"mode": Mode.PAUSED}, id="paused"),
        pytest.param({"mode": Mode.CLOSED}, id="closed"),
        pytest.param({"mode": Mode.DRAINING}, id="draining"),
    ],
)
def test_a_room_that_does_not_stand_by(room: Room, changes: dict[str, object]) -> None:
    opened(room)
    room.change(**changes)
    room.give_tokens(5)
    assert words(walk_in(room, "a")) == [False]
    assert room.survey().last_place == 0


def test_a_new_room_begins_at_its_rate(room: Room) -> None:
    room.open(standby=Standby.ON, admit_per_s=0.01, admit_burst=10)
    assert words(walk_in(room, "a")) == [False]


def test_an_unknown_room(room: Room) -> None:
    assert isinstance(walk_in(room, "a")[0], RoomUnknown)


def test_who_walked_in_leaves_as_others_do(room: Room) -> None:
    opened(room)
    (one,) = walk_in(room, "a")
    slot: Slot = one.slot
    room.leave("a", claim=f"{slot.place}-{slot.joined_ms}")
    assert room.survey().admitted == 0
    assert room.findings() == []
