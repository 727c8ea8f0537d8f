"""Memory of a line: bytes a waiting visitor takes, with and without a visitor key."""

import itertools

from tests.servers import Server
from tests.store.room import Room
from waitline.kernel.ids import VisitorId
from waitline.queue.model import BATCH_MAX
from waitline.tokens.marks import key_mark

VISITORS = 100_000

BYTES_MAX = 150
"""Most bytes a visitor of a short name takes who has just joined, with a key."""

KEY_BYTES_MAX = 20
"""Most bytes that a key adds, to a visitor who polls too: the next size of the allocator, 16 bytes
more, and 1.0 to 2.0 that were measured beyond it; the aim is 16."""


def bytes_each(room: Room, *, keyed: bool) -> tuple[float, float]:
    """Let visitors of short names join, and poll; return the bytes that each takes after both."""
    room.raw("FLUSHALL", "SYNC")
    room.open(waiting_max=VISITORS, idle_ms=16)
    before = used(room)
    names = (VisitorId(f"v{number}") for number in range(VISITORS))
    while batch := [*itertools.islice(names, BATCH_MAX)]:
        marks = [key_mark(room.id, name, name.encode() * 8) for name in batch] if keyed else []
        room.server.wait(room.line.join(room.id, batch, marks))
    joined = used(room)
    for start in range(0, VISITORS, BATCH_MAX):
        end = min(start + BATCH_MAX, VISITORS)
        room.status(*(f"v{number}" for number in range(start, end)))
    return (joined - before) / VISITORS, (used(room) - before) / VISITORS


def used(room: Room) -> int:
    found: dict[str, int] = room.raw("INFO", "memory")
    # Without the buffers of clients and of the append-only file, which come and go.
    return found["used_memory_dataset"]


def test_a_waiting_visitor_takes_little_memory(valkey: Server) -> None:
    room = Room(valkey)
    without, with_key = bytes_each(room, keyed=False), bytes_each(room, keyed=True)
    room.raw("FLUSHALL", "SYNC")
    room.close()
    assert with_key[0] < BYTES_MAX
    for plain, keyed in zip(without, with_key, strict=True):
        assert keyed - plain < KEY_BYTES_MAX
