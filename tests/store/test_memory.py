"""Memory of a line: bytes a waiting visitor takes, with and without a visitor key."""

from typing import NamedTuple

from tests.servers import Server
from tests.store.room import Room
from waitline.kernel.ids import VisitorId
from waitline.queue import keys
from waitline.queue.model import BATCH_MAX
from waitline.tokens.marks import key_mark

VISITORS = 100_000

BYTES_MAX = 150
"""Most bytes a visitor of a short name takes who has just joined, with a key."""

KEY_BYTES_MAX = 11
"""Most bytes that a key adds, to a visitor who polls too: 9 of the mark and its semicolon, and 2
for what the allocator cannot use. The value is written anew at a poll, longer than before, and of
what is freed glibc cannot split off the last 16 bytes: 0.3 to 1.1 a visitor were measured."""

SIZE_STEP = 16
"""Bytes between two sizes of the allocator. Names of one length would show a key as 0 bytes or as a
whole step, by chance; names of this many lengths show what it takes on average."""


class Taken(NamedTuple):
    """Bytes that a visitor takes: all, and those of the value that holds the mark."""

    everything: float
    heard: float


def bytes_each(room: Room, *, keyed: bool) -> tuple[Taken, Taken]:
    """Let visitors of short names join, and poll; return the bytes that each takes after both."""
    room.raw("FLUSHALL", "SYNC")
    room.open(waiting_max=VISITORS, idle_ms=16)
    before = used(room)
    names = [VisitorId(f"{number:0{6 + number % SIZE_STEP}}") for number in range(VISITORS)]
    batches = [names[start : start + BATCH_MAX] for start in range(0, VISITORS, BATCH_MAX)]
    for batch in batches:
        marks = [key_mark(room.id, name, name.encode() * 8) for name in batch] if keyed else []
        room.server.wait(room.line.join(room.id, batch, marks))
    joined = taken(room, before)
    for batch in batches:
        room.status(*batch)
    return joined, taken(room, before)


def used(room: Room) -> int:
    found: dict[str, int] = room.raw("INFO", "memory")
    # Without the buffers of clients and of the append-only file, which come and go.
    return found["used_memory_dataset"]


def taken(room: Room, before: int) -> Taken:
    heard: int = room.raw("MEMORY", "USAGE", keys.of(room.id).heard, "SAMPLES", 0)
    return Taken((used(room) - before) / VISITORS, heard / VISITORS)


def test_a_waiting_visitor_takes_little_memory(valkey: Server) -> None:
    room = Room(valkey)
    without, with_key = bytes_each(room, keyed=False), bytes_each(room, keyed=True)
    room.raw("FLUSHALL", "SYNC")
    room.close()
    assert with_key[0].everything < BYTES_MAX
    for plain, keyed in zip(without, with_key, strict=True):
        assert 0 < keyed.heard - plain.heard < KEY_BYTES_MAX
