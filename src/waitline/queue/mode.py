"""Mode of the line's data, in Valkey: claimed at the first start, changed only by an operator."""

from contextlib import suppress
from typing import NamedTuple

from waitline.kernel import events
from waitline.kernel.ids import DEMO_ROOM, RoomId, is_rehearsal
from waitline.kernel.mode import DataMode, StoredMode
from waitline.kernel.plurals import counted_unless_none
from waitline.queue import keys
from waitline.queue.model import RoomUnknown
from waitline.queue.rehearsals import RehearsalRooms
from waitline.queue.rooms import Rooms
from waitline.valkey.client import ValkeyClient

STORE = "Valkey"
"""Name of the store, for display."""

SERVED_MS = 5_000
"""A service without a heartbeat for this long, in ms, has ended: it beats every second."""

TRIAL_ROOMS = frozenset((DEMO_ROOM, RoomId("demo")))
"""Rooms of the trial: that of the demo, and that of earlier versions' start page."""


class LineContents(NamedTuple):
    """Contents of the line.

    Attributes:
        trial: Rooms of the trial and of rehearsals.
        others: All other rooms.
        visitors: Visitors who wait or hold a slot in any room.
    """

    trial: list[RoomId]
    others: list[RoomId]
    visitors: int


class LineMode:
    """The mode of the data in Valkey.

    Args:
        store: The server that holds it.
    """

    def __init__(self, store: ValkeyClient) -> None:
        self._store = store
        self._rooms = Rooms(store)

    async def load(self) -> DataMode | None:
        """Return the mode; `None` if none was written."""
        found = await self._store.command("GET", keys.MODE)
        return DataMode(found) if found in tuple(DataMode) else None

    async def claim(self, mode: DataMode) -> None:
        """Check that a process of a mode may use the data; write the mode if there is none.

        Raises:
            OtherMode: It may not.
        """
        found = await self.load()
        if found is None:
            others = [
                room
                for room in await self._rooms.names()
                if room not in TRIAL_ROOMS and not is_rehearsal(room)
            ]
            StoredMode(STORE, None, counted_unless_none(len(others), "room")).require(mode)
            # Only if there is still none: two processes may start at once.
            await self._store.command("SET", keys.MODE, mode, "NX")
            found = await self.load()
        StoredMode(STORE, found).require(mode)

    async def contents(self) -> LineContents:
        """Count what the line holds."""
        names, of_trial = await self._rooms.names(), await self._of_trial()
        visitors = 0
        for room in names:
            # A name may be registered without a room.
            with suppress(RoomUnknown):
                survey = await self._rooms.survey(room)
                visitors += survey.waiting + survey.admitted
        trial = [room for room in names if room in of_trial]
        return LineContents(trial, [room for room in names if room not in of_trial], visitors)

    async def _of_trial(self) -> set[RoomId]:
        return await RehearsalRooms(self._store).rooms() | TRIAL_ROOMS

    async def is_served(self) -> bool:
        """Return whether a queue service is running on the data, or ended just now."""
        beat_ms = await self._store.command("GET", keys.LISTENING)
        now_ms = await self._store.time_ms(keys.LISTENING)
        return beat_ms is not None and abs(now_ms - int(float(beat_ms))) < SERVED_MS

    async def change(self, mode: DataMode) -> None:
        """Set the mode; nothing else changes."""
        await self._store.command("SET", keys.MODE, mode)

    async def end_trial(self) -> None:
        """Delete the rooms of the trial and of rehearsals, and the events of all bookings.

        All visitors are removed from the other rooms: they took their places without proof of
        identity, so in production these would have no owner.
        """
        of_trial = await self._of_trial()
        for room in await self._rooms.names():
            # It may have been deleted in the meantime.
            with suppress(RoomUnknown):
                if room in of_trial:
                    await self._rooms.delete(room, force=True)
                else:
                    await self._rooms.reset(room)
        await self._store.command("DEL", keys.REHEARSALS)
        await self._store.command("DEL", events.STREAM, events.DEAD)
