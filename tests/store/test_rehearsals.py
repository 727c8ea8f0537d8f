"""Cleanup of a rehearsal: its room is deleted completely, and no other room is."""

import pytest

from tests.servers import Server
from tests.store.room import Room
from waitline.admission.payment_events import PaymentEvents
from waitline.kernel import events
from waitline.kernel.ids import REHEARSALS, RoomId, VisitorId
from waitline.queue import rehearsals
from waitline.queue.rehearsals import RehearsalRooms

NAME = f"{REHEARSALS}1"


READ = {
    "hash": ("HGETALL",),
    "zset": ("ZRANGE", 0, -1, "WITHSCORES"),
    "set": ("SMEMBERS",),
    "stream": ("XRANGE", "-", "+"),
}


def everything(room: Room) -> dict[str, object]:
    """Every key of the server, with what it holds."""
    found = {}
    for key in room.raw("KEYS", "*"):
        command, *words = READ[room.raw("TYPE", key)]
        found[key] = room.raw(command, key, *words)
    return found


def used(room: Room) -> None:
    """Let a room have something in each of its keys, and be on each list."""
    room.open(ready_ttl_ms=10, idle_ms=60_000)
    room.let_in("a")
    room.reach(room.now_ms() + 20)
    room.sweep()
    room.let_in("b", "d")
    room.leave("d")
    room.join("c")
    room.server.wait(room.line.subscribe(room.id, VisitorId("c")))
    room.server.wait(room.rooms.wake([room.id]))
    room.raw("HSET", room.keys.claims, "b", "2-0 browser")
    # Anew: what `leave` has written is forgotten with the short stay of this room.
    room.raw("DEL", room.keys.departed)
    room.raw("ZADD", room.keys.departed, 0, "2")
    room.raw("HSET", room.keys.addresses, "192.0.2.1", "1 1 0 1 0")
    room.raw("ZADD", room.keys.origins, 0, "192.0.2.0/24 192.0.2.1 c")


def test_nothing_of_a_rehearsal_is_left(server: Server) -> None:
    other, ours = Room(server, "other"), Room(server, NAME)
    used(other)
    before = everything(other)
    used(ours)
    stage = RehearsalRooms(ours.store)
    server.wait(stage.register(ours.id))
    assert server.wait(stage.rooms()) == {ours.id}
    assert set(ours.stored()) == set(ours.keys)
    assert server.wait(stage.has_remains(ours.id))
    server.wait(stage.delete_room(ours.id))
    assert not server.wait(stage.has_remains(ours.id))
    server.wait(stage.delete_room(ours.id))
    server.wait(stage.unregister(ours.id))
    assert server.wait(stage.rooms()) == set()
    assert everything(other) == before
    other.close()
    ours.close()


def test_a_rehearsal_that_is_only_listed_has_remains(room: Room) -> None:
    stage = RehearsalRooms(room.store)
    room.raw("SADD", "wl:occupied", NAME)
    assert room.server.wait(stage.has_remains(RoomId(NAME)))


def test_a_room_of_an_operator_is_not_deleted_whatever_its_name(server: Server) -> None:
    theirs = Room(server, NAME)
    used(theirs)
    before = everything(theirs)
    stage = RehearsalRooms(theirs.store)
    assert server.wait(stage.rooms()) == set()
    with pytest.raises(ValueError, match="not registered"):
        server.wait(stage.delete_room(theirs.id))
    assert everything(theirs) == before
    theirs.close()


@pytest.mark.parametrize("name", ["r", "", f"my-{REHEARSALS}1", REHEARSALS[:-1]])
def test_no_other_name_can_be_discarded(room: Room, name: str) -> None:
    stage = RehearsalRooms(room.store)
    with pytest.raises(ValueError, match="not the room of a rehearsal"):
        room.server.wait(stage.register(RoomId(name)))
    with pytest.raises(ValueError, match="not registered"):
        room.server.wait(stage.delete_room(RoomId(name)))
    with pytest.raises(ValueError, match="not the room of a rehearsal"):
        room.server.wait(stage.delete_events(RoomId(name)))


def test_entries_of_a_rehearsal_leave_the_stream(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rehearsals, "ENTRIES_MAX", 2)
    reader = PaymentEvents(room.store, room.line, name="reader")
    room.server.wait(reader.prepare())
    for number in range(7):
        name = NAME if number % 3 == 0 else "other"
        room.raw("XADD", events.STREAM, "*", "concertId", name, "userId", number)
    stage = RehearsalRooms(room.store)
    assert room.server.wait(stage.delete_events(RoomId(NAME))) == 3
    has_remains = room.raw("XRANGE", events.STREAM, "-", "+")
    assert [fields["userId"] for _, fields in has_remains] == ["1", "2", "4", "5"]
    assert room.server.wait(stage.delete_events(RoomId(NAME))) == 0
