"""Clean-up after rehearsals in Valkey: delete their rooms and their entries in the event stream.

A rehearsal registers the room that it has created. Only registered rooms are deleted, and their
names must be those of rehearsals (`waitline.kernel.ids`): an operator's room is never deleted. A
room that an earlier version or a killed rehearsal left unregistered has a name with date and time.
"""

from typing import Any

from waitline.kernel import events
from waitline.kernel.ids import RoomId, is_made_by_rehearsal, is_rehearsal
from waitline.queue import keys
from waitline.valkey.client import ValkeyClient

ENTRIES_MAX = 1_000
"""Stream entries scanned in one call, which takes the server about 2 ms."""

_ROOM_SETS = (keys.AWAKE, keys.OCCUPIED, keys.ROOMS)


class RehearsalRooms:
    """The rooms of rehearsals.

    Args:
        store: The server that holds them.
    """

    def __init__(self, store: ValkeyClient) -> None:
        self._store = store

    async def register(self, room: RoomId) -> None:
        """Register a room that the caller has just created: it may be deleted from now on."""
        _require(room)
        await self._store.command("SADD", keys.REHEARSALS, room)

    async def unregister(self, room: RoomId) -> None:
        """End the registration of a room that is deleted with all its data."""
        await self._store.command("SREM", keys.REHEARSALS, room)

    async def rooms(self) -> set[RoomId]:
        """Return the registered rooms of all rehearsals, running ones included."""
        return {RoomId(name) for name in await self._store.command("SMEMBERS", keys.REHEARSALS)}

    async def unregistered(self) -> set[RoomId]:
        """Return rooms with a name that only rehearsals make, and without a registration."""
        listed = [name for key in _ROOM_SETS for name in await self._store.command("SMEMBERS", key)]
        named = {RoomId(name) for name in listed if is_made_by_rehearsal(RoomId(name))}
        return named - await self.rooms()

    async def delete_room(self, room: RoomId) -> None:
        """Delete a registered room with all its data; a repeat does nothing.

        An admitter that is visiting the room may list it once more, and removes it again within
        seconds. Poll `has_remains` until it is false.
        """
        if not await self._store.command("SISMEMBER", keys.REHEARSALS, room):
            raise ValueError(f"{room!r} is not registered as the room of a rehearsal")
        for key in _ROOM_SETS:
            await self._store.command("SREM", key, room)
        await self._store.command("UNLINK", *keys.of(room))

    async def has_remains(self, room: RoomId) -> bool:
        """Return whether any data of a room is left, stream entries not counted."""
        listed = [await self._store.command("SISMEMBER", key, room) for key in _ROOM_SETS]
        return any(listed) or bool(await self._store.command("EXISTS", *keys.of(room)))

    async def delete_events(self, room: RoomId) -> int:
        """Delete a room's entries in the event stream, processed or not; return how many."""
        _require(room)
        deleted, after, scanned = 0, "-", ENTRIES_MAX
        while scanned == ENTRIES_MAX:
            raw = await self._store.command(
                "XRANGE", events.STREAM, after, "+", "COUNT", ENTRIES_MAX
            )
            ours = [entry_id for entry_id, words in raw if _member(words, "concertId") == room]
            if ours:
                deleted += await self._store.command("XDEL", events.STREAM, *ours)
            scanned = len(raw)
            after = f"({raw[-1][0]}" if raw else after
        return deleted


def _member(words: list[Any], field: str) -> str:
    return str(dict(zip(words[::2], words[1::2], strict=True)).get(field, ""))


def _require(room: RoomId) -> None:
    if not is_rehearsal(room):
        raise ValueError(f"{room!r} is not the room of a rehearsal")
