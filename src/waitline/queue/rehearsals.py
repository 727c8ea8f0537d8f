"""Delete what rehearsals leave in Valkey: their rooms, and their entries of the event stream.

A rehearsal's room is known by its name (`waitline.kernel.ids`); nothing else can be deleted here.
"""

from typing import Any

from waitline.kernel import events
from waitline.kernel.ids import RoomId, is_rehearsal
from waitline.queue import keys
from waitline.valkey.client import ValkeyClient

ENTRIES_MAX = 1_000
"""Entries of the stream that are looked at in one call: about 2 ms of the store."""

_NOTED = (keys.AWAKE, keys.OCCUPIED, keys.ROOMS)


class RehearsalRooms:
    """Every rehearsal that is in the store.

    Args:
        store: The server that holds them.
    """

    def __init__(self, store: ValkeyClient) -> None:
        self._store = store

    async def rooms(self) -> set[RoomId]:
        """Return the rooms of rehearsals, of one that is going on too."""
        names = [await self._store.command("SMEMBERS", noted) for noted in _NOTED]
        return {RoomId(name) for some in names for name in some if is_rehearsal(RoomId(name))}

    async def delete_room(self, room: RoomId) -> None:
        """Delete a room with all that it holds; a repeat does nothing.

        An admitter that is just looking at it may note it once more, and strikes it out again
        within seconds; `has_remains` is false when that is over.
        """
        _require(room)
        for noted in _NOTED:
            await self._store.command("SREM", noted, room)
        await self._store.command("UNLINK", *keys.of(room))

    async def has_remains(self, room: RoomId) -> bool:
        """Say whether anything is left of a room, entries of the stream apart."""
        noted = [await self._store.command("SISMEMBER", name, room) for name in _NOTED]
        return any(noted) or bool(await self._store.command("EXISTS", *keys.of(room)))

    async def delete_events(self, room: RoomId) -> int:
        """Delete a room's entries of the event stream, handled or not.

        Returns:
            How many there were.
        """
        _require(room)
        found, after, looked_at = 0, "-", ENTRIES_MAX
        while looked_at == ENTRIES_MAX:
            raw = await self._store.command(
                "XRANGE", events.STREAM, after, "+", "COUNT", ENTRIES_MAX
            )
            ours = [entry_id for entry_id, words in raw if _said(words, "concertId") == room]
            if ours:
                found += await self._store.command("XDEL", events.STREAM, *ours)
            looked_at = len(raw)
            after = f"({raw[-1][0]}" if raw else after
        return found


def _said(words: list[Any], field: str) -> str:
    return str(dict(zip(words[::2], words[1::2], strict=True)).get(field, ""))


def _require(room: RoomId) -> None:
    if not is_rehearsal(room):
        raise ValueError(f"{room!r} is no rehearsal's room")
