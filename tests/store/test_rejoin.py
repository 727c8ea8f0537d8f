"""Visitors who were passed over, and come back to their places."""

import pytest

from tests.store.room import Room, no_memory
from waitline.kernel.ids import VisitorId
from waitline.queue.model import (
    Again,
    Joined,
    Moved,
    Passed,
    RoomFull,
    Slot,
    State,
    TimeRanOut,
    TokenRejected,
    Unknown,
    VisitorUnknown,
    Waiting,
)


def passed(room: Room, name: str = "a") -> Passed:
    """Pass the first of the line over, and return how it stands."""
    room.pass_over(name)
    (standing,) = room.status(name)
    assert isinstance(standing, Passed)
    return standing


def end_return(room: Room, name: str = "a") -> None:
    """Let the time in which a visitor can return be over."""
    room.raw("ZADD", room.keys.lapsed, room.now_ms() - 1, name)


def test_a_visitor_who_was_passed_over_can_return_to_the_old_place(room: Room) -> None:
    room.open(admit_per_s=0.01, return_ms=60_000)
    room.join(*"abc")
    standing = passed(room)
    assert (standing.place, standing.until_ms - standing.passed_ms) == (1, 60_000)
    assert 50_000 < standing.left_ms <= 60_000
    # Others have had their turn meanwhile.
    room.call("b")
    before = room.survey()
    assert (before.serving, before.returned, before.waiting) == (2, 0, 1)
    (back,) = room.rejoin("a", claim=f"1-{standing.joined_ms}")
    assert isinstance(back, Waiting)
    assert (back.place, back.joined_ms, back.ahead) == (1, standing.joined_ms, 0)
    assert abs(back.returned_ms - room.now_ms()) < 5_000
    assert room.status("a") == [back]
    # A repeat changes nothing.
    assert room.rejoin("a", "a") == [back, back]
    survey = room.survey()
    assert (survey.serving, survey.returned, survey.waiting) == (2, 1, 2)
    assert (survey.counters["passed"], survey.counters["returned"]) == (1, 1)
    assert room.findings() == []
    # The visitor is next, and nobody has been overtaken.
    (slot,) = room.call("a")
    assert (slot.place, slot.state) == (1, State.READY)
    assert room.survey().counters["overtaken"] == 0
    assert room.survey().serving == 2
    assert room.findings() == []


def test_a_visitor_who_returned_is_next_before_all_others(room: Room) -> None:
    room.open(admit_per_s=0.01)
    room.join(*"abcd")
    passed(room)
    room.call("b", "c")
    room.rejoin("a")
    room.give_tokens(1)
    assert isinstance(room.admit(1), Moved)
    assert [type(one) for one in room.status("a", "d")] == [Slot, Waiting]
    assert room.findings() == []


def test_a_join_does_not_take_a_new_place_while_the_old_one_can_be_had(room: Room) -> None:
    room.open(admit_per_s=0.01)
    room.server.wait(room.line.join(room.id, [VisitorId("a")], ["key"]))
    standing = passed(room)
    (again,) = room.join("a")
    assert isinstance(again, Passed)
    # The mark says to the caller who may return.
    assert again == standing._replace(left_ms=again.left_ms, mark="key")
    assert room.survey().last_place == 1
    room.rejoin("a")
    (back,) = room.join("a")
    assert isinstance(back, Again)
    assert (back.place, back.mark) == (1, "key")
    (slot,) = room.call("a")
    assert room.join("a") == [slot._replace(mark="key")]


@pytest.mark.parametrize("return_ms", [0, 60_000])
def test_too_late(room: Room, return_ms: int) -> None:
    room.open(admit_per_s=0.01, return_ms=return_ms)
    room.join(*"ab")
    room.pass_over("a")
    if return_ms:
        end_return(room)
    assert isinstance(room.rejoin("a")[0], TimeRanOut)
    (standing,) = room.status("a")
    assert isinstance(standing, Passed)
    assert standing.left_ms == 0
    (joined,) = room.join("a")
    assert isinstance(joined, Joined)
    assert joined.place == 3
    assert room.findings() == []


def test_strangers_and_others_do_not_return(room: Room) -> None:
    room.open(admit_per_s=0.01)
    room.join(*"abcd")
    passed(room)
    (slot,) = room.call("b")
    before = room.stored()
    assert isinstance(room.rejoin("a", claim="1-1")[0], TokenRejected)
    assert isinstance(room.rejoin("b")[0], TimeRanOut)
    assert isinstance(room.rejoin("b", claim="9-9")[0], TokenRejected)
    assert isinstance(room.rejoin("c", claim="9-9")[0], TokenRejected)
    assert isinstance(room.rejoin("nobody")[0], VisitorUnknown)
    assert room.rejoin("c") == room.status("c")
    assert room.stored() == before
    assert room.validate("b") == [slot]


def test_who_returned_may_leave_or_be_passed_over_again(room: Room) -> None:
    room.open(admit_per_s=0.01)
    room.join(*"ab")
    passed(room)
    room.rejoin("a")
    assert passed(room).place == 1
    room.rejoin("a")
    room.leave("a")
    assert room.status("a") == [Unknown()]
    counters = room.survey().counters
    assert (counters["passed"], counters["returned"], counters["abandoned"]) == (2, 2, 1)
    assert room.findings() == []


def test_contact_keeps_the_time_of_return(room: Room) -> None:
    room.open(admit_per_s=0.01)
    room.join("a")
    passed(room)
    (back,) = room.rejoin("a")
    joined_ms, heard_ms, returned_ms = room.raw("HGET", room.keys.heard, "a").split(":")
    old_ms = int(heard_ms) - 300_000
    room.raw("HSET", room.keys.heard, "a", f"{joined_ms}:{old_ms}:{returned_ms}")
    assert room.status("a") == [back]
    assert int(room.raw("HGET", room.keys.heard, "a").split(":")[1]) > old_ms
    assert room.status("a") == [back]


def test_a_return_needs_no_room_in_the_line(room: Room) -> None:
    room.open(admit_per_s=0.01, waiting_max=1)
    room.join("a")
    passed(room)
    room.join("b")
    assert isinstance(room.join("c")[0], RoomFull)
    assert isinstance(room.rejoin("a")[0], Waiting)
    assert room.survey().waiting == 2


def test_a_full_store_loses_nobody_who_returns(room: Room) -> None:
    room.open(admit_per_s=0.01)
    room.join(*"ab")
    passed(room)
    with no_memory(room.server):
        (back,) = room.rejoin("a")
    assert isinstance(back, Waiting)
    assert room.findings() == []


def test_a_return_wakes_a_sleeping_room(room: Room) -> None:
    room.open(admit_per_s=0.01)
    room.join("a")
    passed(room)
    assert room.server.wait(room.rooms.let_sleep(room.id))
    room.rejoin("a")
    assert room.server.wait(room.rooms.awake()) == {room.id}


def test_those_who_can_return_are_forgotten_last(room: Room) -> None:
    room.open(admit_per_s=0.01, ready_ttl_ms=10)
    room.join("a", "b")
    passed(room)
    (slot,) = room.call("b")
    room.reach(slot.expires_ms + 1)
    room.sweep()
    assert room.forget(kept_ms=3_600_000, lapsed_max=1)[2] == 1
    assert isinstance(room.rejoin("a")[0], Waiting)
