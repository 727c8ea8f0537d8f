"""`status` and `validate`: the first records the contact, the second changes nothing."""

import pytest

from tests.store.room import Room
from waitline.queue.model import (
    BATCH_MAX,
    UNKNOWN,
    Passed,
    Slot,
    State,
    TokenRejected,
    VisitorUnknown,
    Waiting,
)


@pytest.fixture
def mixed(room: Room) -> Room:
    """A room with one visitor of each kind, by that name."""
    room.open(ready_ttl_ms=60_000, active_ttl_ms=60_000)
    room.let_in("ready", "active", "over", "swept", "passed")
    room.activate("active", "swept")
    room.raw("HSET", room.keys.slots, "over", f"R|3|1|2|0|{room.now_ms() - 1}")
    room.raw("ZADD", room.keys.admitted, room.now_ms() - 1, "over")
    room.leave("passed")
    room.join("passed")
    room.pass_over("passed")
    room.join("gone", "w1", "w2")
    room.leave("gone")
    return room


def test_status_tells_everybody_where_they_stand(mixed: Room) -> None:
    waiting, ready, active, over, passed, unknown = mixed.status(
        "w2", "ready", "active", "over", "passed", "gone"
    )
    assert isinstance(waiting, Waiting)
    assert (waiting.place, waiting.ahead) == (9, 1)
    slots = [one for one in (ready, active, over, passed) if isinstance(one, Slot)]
    assert [(one.state, one.place) for one in slots] == [
        (State.READY, 1),
        (State.ACTIVE, 2),
        (State.EXPIRED, 3),
    ]
    assert isinstance(passed, Passed)
    assert (passed.place, passed.left_ms > 0) == (6, True)
    assert unknown is UNKNOWN


def test_validate_tells_who_holds_a_slot(mixed: Room) -> None:
    before = mixed.stored()
    waiting, ready, active, over, passed, unknown = mixed.validate(
        "w2", "ready", "active", "over", "passed", "gone"
    )
    slots = [one for one in (ready, active, over, passed) if isinstance(one, Slot)]
    assert [one.state for one in slots] == ["READY", "ACTIVE", "EXPIRED", "EXPIRED"]
    assert isinstance(waiting, TokenRejected)
    assert isinstance(unknown, VisitorUnknown)
    assert mixed.stored() == before


def test_a_batch_of_256_and_repeats(room: Room) -> None:
    room.open()
    names = [f"v{number}" for number in range(BATCH_MAX // 2)]
    room.join(*names)
    standings = room.status(*names, *names)
    assert [one.ahead for one in standings if isinstance(one, Waiting)] == [
        *range(BATCH_MAX // 2)
    ] * 2


def test_in_no_room_nobody_is_known(room: Room) -> None:
    assert room.status("a") == [UNKNOWN]
    assert [type(one) for one in room.validate("a")] == [VisitorUnknown]
    assert room.stored() == {}


def test_the_last_millisecond_counts(room: Room) -> None:
    """A slot serves before its end, and no longer at it."""
    room.open(ready_ttl_ms=200)
    (slot,) = room.let_in("a")
    room.reach(slot.expires_ms)
    assert room.validate("a") == room.status("a") == [slot._replace(state=State.EXPIRED)]
