"""Membership of the admitters: heartbeats in the store, by which they share the rooms; and leases.

An admitter that dies or hangs sends no heartbeat, and the others take over its rooms.
"""

from typing import Final

from waitline.kernel.ids import RoomId
from waitline.queue import keys
from waitline.valkey import scripts
from waitline.valkey.client import ValkeyClient

ENLIST: Final = scripts.load("waitline.queue", "enlist")
RELEASE: Final = scripts.load("waitline.queue", "release")

GONE_MS: Final = 1_500
"""How long an admitter counts after its last heartbeat, in ms: three of them. Together with the
time between two heartbeats, the others notice a death within two seconds, when its leases end."""


class Admitters:
    """The admitters of an installation.

    Args:
        store: The server that holds their heartbeats.
    """

    def __init__(self, store: ValkeyClient) -> None:
        self._store = store

    async def enlist(self, name: str) -> list[str]:
        """Send a heartbeat; return the names of all admitters that send theirs.

        The own name is among them, also where a full store has not kept it.
        """
        rows = await self._store.run(ENLIST, (keys.ADMITTERS,), (name, GONE_MS))
        return sorted({*rows[0][1:], name})

    async def leave(self, name: str) -> None:
        """End the membership of an admitter that stops."""
        await self._store.command("ZREM", keys.ADMITTERS, name)

    async def release(self, room: RoomId, name: str) -> None:
        """Give up the lease of a room, if the admitter holds it."""
        await self._store.run(RELEASE, (keys.of(room).room,), (name,))

    async def count(self) -> int:
        """Return how many admitters have sent a heartbeat lately."""
        now_ms = await self._store.time_ms(keys.ADMITTERS)
        return int(await self._store.command("ZCOUNT", keys.ADMITTERS, now_ms - GONE_MS, "+inf"))
