"""The log of operators' changes of a room: written with the change, or not at all."""

import pytest

from tests.store.room import Room, no_memory
from waitline.kernel.errors import Unavailable
from waitline.kernel.instants import Instant
from waitline.queue.model import RoomExists, RoomOccupied, RoomUnknown
from waitline.queue.relations import RoomIdentity
from waitline.queue.room_log import THE_INSTALLATION, RoomChange
from waitline.queue.settings import Mode, Rules
from waitline.valkey import scripts

KEPT_DAYS = 90
KEPT_MAX = 1_000


def logged(room: Room, **which: int) -> list[RoomChange]:
    return room.server.wait(room.rooms.changes(room.id, **which))


def test_each_change_says_who_when_from_what_to_what(room: Room) -> None:
    from_ms = room.now_ms()
    room.open(active_max=7, title="가을 공연", opens_at=Instant(from_ms + 3_600_000, 540))
    room.rooms = room.rooms.changed_by("operator 1a2b3c4d")
    room.change(mode=Mode.PAUSED, ready_ttl_ms=2_500, active_max=7)
    room.change(title="", opens_at=None)
    room.join("a", "b")
    room.reset()
    room.delete()
    deleted, emptied, renamed, paused, created = logged(room)
    assert [one.change_no for one in (created, paused, renamed, emptied, deleted)] == [*range(1, 6)]
    assert from_ms <= created.at.at_ms <= paused.at.at_ms <= deleted.at.at_ms <= room.now_ms()

    assert (created.who, created.what, created.before) == (THE_INSTALLATION, "room created", None)
    assert created.after is not None
    assert (created.after["activeMax"], created.after["title"]) == (7, "가을 공연")
    assert "message" not in created.after, "nothing is no value"
    assert {one.who for one in (paused, renamed, emptied, deleted)} == {"operator 1a2b3c4d"}
    # Only what differs: active-max was 7 before.
    assert (paused.what, paused.before, paused.after) == (
        "room changed",
        {"mode": "open", "readySeconds": 300},
        {"mode": "paused", "readySeconds": 2.5},
    )
    assert renamed.before is not None
    assert renamed.before["title"] == "가을 공연"
    assert renamed.before["opensAt"].endswith("+09:00")
    assert renamed.after == {"title": "", "opensAt": None}
    assert (emptied.what, emptied.before, emptied.after) == (
        "room reset",
        {"waiting": 2, "admitted": 0},
        {"waiting": 0, "admitted": 0},
    )
    assert (deleted.what, deleted.after) == ("room deleted", None)
    assert deleted.before is not None
    assert (deleted.before["activeMax"], deleted.before["mode"]) == (7, "paused")
    assert (deleted.before["waiting"], deleted.before["admitted"]) == (0, 0)


def test_what_is_the_same_is_no_change(room: Room) -> None:
    room.open(admit_per_s=50)
    room.change()
    room.change(admit_per_s=50.0, mode=Mode.OPEN)
    assert [one.what for one in logged(room)] == ["room created"]


def test_what_is_refused_is_not_logged(room: Room) -> None:
    room.open()
    with pytest.raises(RoomExists):
        room.open()
    assert not room.server.wait(room.rooms.ensure(room.id, Rules()))
    with no_memory(room.server), pytest.raises(Unavailable):
        room.change(active_max=5)
    room.join("a")
    with pytest.raises(RoomOccupied):
        room.delete()
    with pytest.raises(RoomOccupied):
        room.change(
            identity=RoomIdentity.SIGNED, identity_keys_url="https://shop.example/keys.json"
        )
    assert [one.what for one in logged(room)] == ["room created"]


def test_a_full_store_loses_neither_a_removal_nor_its_entry(room: Room) -> None:
    room.open()
    room.join("a")
    with no_memory(room.server):
        room.reset()
        room.delete()
    assert [one.what for one in logged(room)] == ["room deleted", "room reset", "room created"]


def test_a_deleted_rooms_log_goes_on_in_the_next_room_of_its_name(room: Room) -> None:
    room.open()
    room.delete()
    left_s = int(room.raw("TTL", room.keys.changes))
    assert (KEPT_DAYS - 1) * 86_400 < left_s <= KEPT_DAYS * 86_400
    room.open()
    assert room.raw("TTL", room.keys.changes) == -1
    assert [(one.change_no, one.what) for one in logged(room)] == [
        (3, "room created"),
        (2, "room deleted"),
        (1, "room created"),
    ]


def test_a_room_without_a_log_is_unknown_unless_an_earlier_version_made_it(room: Room) -> None:
    with pytest.raises(RoomUnknown):
        logged(room)
    room.open()
    room.raw("DEL", room.keys.changes)
    assert logged(room) == []
    room.raw("HDEL", room.keys.room, "return_ms")
    room.change(return_ms=5_000)
    (change,) = logged(room)
    assert (change.before, change.after) == ({"returnSeconds": 600}, {"returnSeconds": 5})


def test_pages_of_the_log(room: Room) -> None:
    room.open(active_max=1)
    for most in range(2, 7):
        room.change(active_max=most)
    assert [one.change_no for one in logged(room, changes_max=2)] == [6, 5]
    assert [one.change_no for one in logged(room, changes_max=2, before_no=5)] == [4, 3]
    assert [one.change_no for one in logged(room, before_no=2)] == [1]
    assert logged(room, before_no=1) == []


def test_the_latest_changes_are_kept(room: Room) -> None:
    room.open()
    # As if there had been that many.
    of_before = ("at", 0, "who", "x", "what", "room reset", "before", "", "after", "")
    for number in range(2, KEPT_MAX + 2):
        room.raw("XADD", room.keys.changes, f"{number}-1", *of_before)
    room.change(active_max=3)
    assert room.raw("XLEN", room.keys.changes) == KEPT_MAX
    assert logged(room, changes_max=1)[0].change_no == KEPT_MAX + 2


@pytest.mark.parametrize("name", ["open", "change", "reset", "delete"])
def test_every_script_of_an_operator_writes_the_log(name: str) -> None:
    script = scripts.load("waitline.queue", name)
    assert ("who" in script.args, "changes" in script.keys) == (True, True)
