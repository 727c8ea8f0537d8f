"""Departed places: visitors who left before their passes ended, so that sites can refuse these."""

from waitline.kernel.ids import RoomId
from waitline.queue import keys
from waitline.queue.model import DEPARTED_MAX
from waitline.valkey.client import ValkeyClient


class Departed:
    """The departed places of all rooms; leave.lua writes them.

    Args:
        store: The server that holds them.
    """

    def __init__(self, store: ValkeyClient) -> None:
        self._store = store

    async def places(self, room: RoomId) -> list[int]:
        """Return the places, the latest departure first, at most `DEPARTED_MAX`."""
        found = await self._store.command(
            "ZRANGE", keys.of(room).departed, 0, DEPARTED_MAX - 1, "REV"
        )
        return [int(place) for place in found]
