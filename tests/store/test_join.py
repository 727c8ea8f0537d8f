"""Taking a place."""

import pytest

from tests.store.room import Room, no_memory
from waitline.kernel.ids import VisitorId
from waitline.queue.model import (
    BATCH_MAX,
    Again,
    Joined,
    Passed,
    RoomClosed,
    RoomFull,
    RoomUnknown,
    Slot,
    State,
    StoreFull,
)


def kinds(outcomes: list[object]) -> list[type]:
    return [type(outcome) for outcome in outcomes]


def test_joined_takes_the_next_place(room: Room) -> None:
    room.open()
    before_ms = room.now_ms()
    (first, second), (third,) = room.join("a", "b"), room.join("c")
    assert isinstance(first, Joined)
    assert before_ms <= first.joined_ms <= room.now_ms()
    assert [first, second] == [Joined(1, first.joined_ms, 0, 1), Joined(2, first.joined_ms, 1, 2)]
    assert isinstance(third, Joined)
    assert (third.place, third.ahead, third.total) == (3, 2, 3)
    assert room.survey().counters["entered"] == 3


def test_again_keeps_the_place_and_counts_who_is_before_it_now(room: Room) -> None:
    room.open()
    _, taken, _ = room.join("a", "b", "c")
    room.leave("a")
    assert isinstance(taken, Joined)
    assert room.join("b") == [Again(2, taken.joined_ms, 0, 2)]
    assert room.survey().counters["entered"] == 3


def test_twice_in_one_batch_is_one_place(room: Room) -> None:
    room.open()
    outcomes = room.join("a", "b", "a", "b", "c")
    assert kinds([*outcomes]) == [Joined, Joined, Again, Again, Joined]
    places = [one.place for one in outcomes if isinstance(one, Joined | Again)]
    assert places == [1, 2, 1, 2, 3]


def test_a_batch_of_256(room: Room) -> None:
    room.open()
    outcomes = room.join(*(f"v{number}" for number in range(BATCH_MAX)))
    assert [one.place for one in outcomes if isinstance(one, Joined)] == [*range(1, BATCH_MAX + 1)]
    assert room.survey().last_place == BATCH_MAX


def test_an_admitted_visitor_keeps_the_slot(room: Room) -> None:
    room.open()
    ready, active = room.let_in("ready", "active")
    (activated,) = room.activate("active")
    assert room.join("ready", "active") == [ready, activated]
    assert ready.state is State.READY
    assert isinstance(activated, Slot)
    assert (activated.state, activated.place) == (State.ACTIVE, active.place)
    assert room.survey().last_place == 2


def test_full_uses_up_no_place(room: Room) -> None:
    room.open(waiting_max=2)
    room.join("a")
    before = room.stored()
    outcomes = room.join("b", "c", "a", "b", "d")
    assert kinds([*outcomes]) == [Joined, RoomFull, Again, Again, RoomFull]
    assert isinstance(outcomes[1], RoomFull)
    assert outcomes[1].waiting_max == 2
    full = room.stored()
    assert full != before
    assert kinds([*room.join("c", "d")]) == [RoomFull, RoomFull]
    assert room.stored() == full
    room.leave("a")
    assert [one.place for one in room.join("c") if isinstance(one, Joined)] == [3]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        pytest.param("open", Joined, id="open takes"),
        pytest.param("paused", Joined, id="paused takes"),
        pytest.param("draining", RoomClosed, id="draining takes nobody new"),
        pytest.param("closed", RoomClosed, id="closed takes nobody new"),
    ],
)
def test_the_mode_decides_about_newcomers_only(room: Room, mode: str, expected: type) -> None:
    room.open()
    (slot,) = room.let_in("admitted")
    room.join("waiting")
    room.change(mode=mode)
    assert kinds([*room.join("new", "waiting", "admitted")]) == [expected, Again, type(slot)]


def test_no_room(room: Room) -> None:
    assert kinds([*room.join("a", "b")]) == [RoomUnknown, RoomUnknown]
    assert room.stored() == {}


def test_no_memory_refuses_newcomers_and_keeps_everybody_else(room: Room) -> None:
    room.open()
    room.let_in("slot")
    room.join("a")
    room.silence("a", 500_000)
    before = room.stored()
    with no_memory(room.server):
        outcomes = room.join("b", "a", "slot", "b")
        assert kinds([*outcomes]) == [StoreFull, Again, Slot, StoreFull]
        assert room.stored() == before
        # A contact is recorded all the same.
        room.status("a")
    assert room.heard("a")[1] > room.now_ms() - 60_000
    assert kinds([*room.join("b")]) == [Joined]
    assert room.findings() == []


@pytest.mark.parametrize(
    "swept", [pytest.param(False, id="not swept"), pytest.param(True, id="swept")]
)
def test_a_visitor_whose_time_ran_out_joins_anew(room: Room, *, swept: bool) -> None:
    room.open(ready_ttl_ms=10)
    (slot,) = room.let_in("a")
    room.reach(slot.expires_ms)
    if swept:
        assert room.sweep().lapsed == 1
    (anew,) = room.join("a")
    assert isinstance(anew, Joined)
    assert anew.place == 2
    survey = room.survey()
    assert (survey.waiting, survey.admitted, survey.counters["lapsed"]) == (1, 0, 1)
    assert room.findings() == []


def test_a_visitor_who_was_passed_over_joins_anew(room: Room) -> None:
    room.open(return_ms=0)
    room.join("a")
    room.pass_over("a")
    (anew,) = room.join("a")
    assert isinstance(anew, Joined)
    assert anew.place == 2
    assert room.findings() == []


def test_a_refused_newcomer_still_sees_that_the_time_ran_out(room: Room) -> None:
    room.open(ready_ttl_ms=10)
    (slot,) = room.let_in("a")
    room.reach(slot.expires_ms)
    room.change(mode="closed")
    before = room.stored()
    assert kinds([*room.join("a")]) == [RoomClosed]
    assert room.stored() == before
    assert room.status("a") == [slot._replace(state=State.EXPIRED)]


@pytest.mark.parametrize(
    ("silent_ms", "renewed"),
    [
        pytest.param(0, False, id="just heard of"),
        pytest.param(900_000, False, id="within a sixteenth of idle_ms"),
        pytest.param(1_100_000, True, id="longer ago"),
    ],
)
def test_asking_counts_as_being_heard_of(room: Room, silent_ms: int, *, renewed: bool) -> None:
    room.open(idle_ms=16_000_000)
    room.join("a")
    room.silence("a", silent_ms)
    joined_ms, before_ms = room.heard("a")
    asked_ms = room.now_ms()
    room.status("a", "a")
    after_ms = room.heard("a")[1]
    assert room.heard("a")[0] == joined_ms
    assert after_ms >= asked_ms if renewed else after_ms == before_ms


def test_naming_a_visitor_again_changes_nothing(room: Room) -> None:
    """Anybody can: it must not keep a silent visitor's place alive, nor anything else of it."""
    room.open(admit_per_s=0.01)
    names = [VisitorId(name) for name in ("holds", "returned", "passed", "waits")]
    room.join(*names)
    room.call("holds")
    room.pass_over("returned")
    room.pass_over("passed")
    room.rejoin("returned")
    for name in ("returned", "waits"):
        room.silence(name, 500_000)
    before = room.stored()
    for marks in ([], ["another-key"] * 8):
        again = room.server.wait(room.line.join(room.id, names * 2, marks))
        assert kinds([*again]) == [Slot, Again, Passed, Again] * 2
    assert room.stored() == before


def test_without_idle_time_no_mark_is_written(room: Room) -> None:
    room.open(idle_ms=0)
    room.join("a")
    room.silence("a", 1_000_000)
    before = room.stored()
    room.join("a")
    room.status("a")
    assert room.stored() == before
