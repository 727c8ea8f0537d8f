"""`status` and `validate`: the first records the contact, the second changes nothing."""

import pytest

from tests.store.room import Room
from waitline.kernel.ids import RoomId, VisitorId
from waitline.queue.feed import Feed
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
from waitline.queue.store import NO_STAY


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


@pytest.mark.parametrize(
    ("claim", "counts"),
    [
        pytest.param("{place}-{joined_ms}", True, id="own stay"),
        pytest.param(0, True, id="no token required"),
        pytest.param("{place}-{earlier_ms}", False, id="stay of the room before"),
        pytest.param("1-{joined_ms}", False, id="earlier stay"),
        pytest.param(NO_STAY, False, id="only looks"),
    ],
)
def test_contact_is_recorded_for_the_visitor_of_the_stay(
    room: Room, claim: str | int, *, counts: bool
) -> None:
    room.open()
    room.join("somebody", "a")
    (before,) = room.status("a")
    assert isinstance(before, Waiting)
    stay = before._asdict() | {"earlier_ms": before.joined_ms - 1}
    for name in ("somebody", "a"):
        room.silence(name, 500_000)
    long_ago = room.heard("a")
    assert room.status("a", "a", claim=str(claim).format(**stay)) == [before, before]
    assert (room.heard("a") != long_ago) == counts


def test_a_stream_of_an_earlier_stay_is_no_contact(room: Room) -> None:
    async def mode_of(_room: RoomId) -> str:
        return "paused"

    room.open(mode="paused")
    room.join("a")
    (first,) = room.status("a")
    assert isinstance(first, Waiting)
    feed = Feed(room.line, mode_of, 2)
    streams = {}
    room.leave("a")
    room.join("a")
    (second,) = room.status("a")
    assert isinstance(second, Waiting)
    for stay, counts in ((first, False), (second, True)):
        claim = (VisitorId("a"), f"{stay.place}-{stay.joined_ms}")
        streams[stay] = feed.subscribe(room.id, claim, stay)
        room.silence("a", 500_000)
        long_ago = room.heard("a")
        room.server.wait(feed.poll_once(0.0))
        assert (room.heard("a") != long_ago) == counts
        assert streams[stay].standing == second


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
