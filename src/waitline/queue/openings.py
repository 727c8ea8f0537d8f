"""Timer queue of rooms that open or close by the clock, so that each is logged once.

The list is a hint: a script decides, and admission does not depend on either. An admitter that dies
between taking a room off the list and logging loses the line.
"""

from typing import NamedTuple

from waitline.kernel.ids import RoomId
from waitline.queue import keys
from waitline.queue.settings import Rules
from waitline.valkey import scripts
from waitline.valkey.client import ValkeyClient

ANNOUNCE = scripts.load("waitline.queue", "announce")

DUE_MAX = 100
"""Most rooms of one check, which runs every second: some 20 ms of calls."""


class Announced(NamedTuple):
    """Opening and closing of a room by the clock, claimed by this caller for the log.

    Attributes:
        opened: Whether it opened.
        closed: Whether it closed.
    """

    opened: bool
    closed: bool


class Openings:
    """The rooms with a pending opening or closing.

    Args:
        store: The server that holds them.
    """

    def __init__(self, store: ValkeyClient) -> None:
        self._store = store

    async def schedule(self, room: RoomId, rules: Rules) -> None:
        """List a room whose times were set, after they are stored."""
        times = [time.at_ms for time in (rules.opens_at, rules.closes_at) if time is not None]
        if times:
            # A time that has passed costs one check; LT: another operator's earlier time stays.
            await self._store.command("ZADD", keys.OPENINGS, "LT", min(times), room)

    async def forget(self, room: RoomId) -> None:
        """Take a deleted room off the list."""
        await self._store.command("ZREM", keys.OPENINGS, room)

    async def due(self) -> list[RoomId]:
        """Return rooms with a time that has passed, at most `DUE_MAX`."""
        now_ms = await self._store.time_ms(keys.OPENINGS)
        found = await self._store.command(
            "ZRANGEBYSCORE", keys.OPENINGS, "-inf", now_ms, "LIMIT", 0, DUE_MAX
        )
        return [RoomId(name) for name in found]

    async def announce(self, room: RoomId) -> Announced:
        """Claim the opening or closing of a room; of any number of callers, one gets each."""
        # The removal comes first, so that a time that an operator lists afterwards stays listed.
        await self._store.command("ZREM", keys.OPENINGS, room)
        row = (await self._store.run(ANNOUNCE, (keys.of(room).room,), ()))[0]
        if row[0] == "no_room":
            return Announced(opened=False, closed=False)
        _, opened, closed, next_ms = row
        if next_ms:
            await self._store.command("ZADD", keys.OPENINGS, "LT", next_ms, room)
        return Announced(opened=bool(opened), closed=bool(closed))
