"""Sliding: the end of an active visitor's stay moves forward, up to the room's longest stay."""

import pytest

from tests.store.room import Room, no_memory
from waitline.kernel.errors import Refused
from waitline.kernel.instants import Instant
from waitline.queue.model import Slot, TokenRejected
from waitline.queue.settings import Mode

TTL_MS = 60_000


def inside(room: Room, **limits: object) -> Slot:
    """Return the slot of a visitor who has just become active."""
    room.open(**{"active_ttl_ms": TTL_MS, "stay_ms": 3_600_000, "extensions_max": 2} | limits)
    room.let_in("a")
    return slid(room.activate("a"))


def slid(outcomes: list[Slot | Refused]) -> Slot:
    (slot,) = outcomes
    assert isinstance(slot, Slot)
    return slot


def until_the_end_may_move(room: Room, slot: Slot) -> None:
    room.reach(slot.expires_ms - TTL_MS + 2)


def test_the_end_moves_and_nothing_else(room: Room) -> None:
    active = inside(room)
    until_the_end_may_move(room, active)
    before = room.survey()
    from_ms = room.now_ms()
    moved = slid(room.slide("a"))
    assert from_ms <= moved.expires_ms - TTL_MS <= room.now_ms()
    # No extension is counted (Q8), and no slot is added (Q4).
    assert moved == active._replace(expires_ms=moved.expires_ms)
    assert room.survey().admitted == before.admitted == 1
    assert room.survey().counters == before.counters
    assert room.validate("a") == [moved]
    assert room.findings() == []
    # Extensions are left.
    assert slid(room.extend("a")).extensions == 1


def test_no_further_than_the_longest_stay(room: Room) -> None:
    active = inside(room, stay_ms=TTL_MS + 40)
    until_the_end_may_move(room, active)
    room.reach(active.admitted_ms + 80)
    moved = slid(room.slide("a"))
    assert moved.expires_ms == active.admitted_ms + TTL_MS + 40
    # There it stays, however often the visitor comes.
    assert room.slide("a", "a") == [moved, moved]
    assert room.findings() == []


def test_a_stay_that_is_longer_already_is_not_shortened(room: Room) -> None:
    active = inside(room, stay_ms=10)
    until_the_end_may_move(room, active)
    assert room.slide("a") == [active]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"stay_ms": 0}, id="stays do not slide"),
        pytest.param({"mode": Mode.CLOSED}, id="closed"),
        pytest.param({"closes_at": Instant(1_000, 0)}, id="closed by the clock"),
    ],
)
def test_a_room_in_which_nothing_slides(room: Room, changes: dict[str, object]) -> None:
    active = inside(room)
    room.change(**changes)
    until_the_end_may_move(room, active)
    before = room.stored()
    assert room.slide("a") == [active]
    assert room.stored() == before


@pytest.mark.parametrize("mode", [Mode.PAUSED, Mode.DRAINING])
def test_who_is_inside_stays_while_nobody_else_is_admitted(room: Room, mode: Mode) -> None:
    active = inside(room)
    room.change(mode=mode)
    until_the_end_may_move(room, active)
    assert slid(room.slide("a")).expires_ms > active.expires_ms


def test_a_ready_visitor_has_nothing_to_slide(room: Room) -> None:
    room.open(stay_ms=3_600_000)
    room.let_in("a")
    before = room.stored()
    assert [type(one) for one in room.slide("a")] == [TokenRejected]
    assert room.stored() == before


def test_only_the_visitors_own_stay(room: Room) -> None:
    active = inside(room)
    until_the_end_may_move(room, active)
    earlier = f"{active.place}-{active.joined_ms - 1}"
    assert [type(one) for one in room.slide("a", claim=earlier)] == [TokenRejected]
    assert room.validate("a") == [active]
    own = f"{active.place}-{active.joined_ms}"
    assert slid(room.slide("a", claim=own)).expires_ms > active.expires_ms


def test_a_full_store_refuses_it_and_loses_nobody(room: Room) -> None:
    active = inside(room)
    until_the_end_may_move(room, active)
    with no_memory(room.server):
        moved = slid(room.slide("a"))
    assert room.validate("a") == [moved]
    assert room.findings() == []
