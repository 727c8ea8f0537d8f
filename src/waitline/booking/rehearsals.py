"""Deletes what rehearsals leave in the database: their concerts, and all that was booked.

A rehearsal's concert is known by its room's name (`waitline.kernel.ids`); the statements themselves
look at nothing else.
"""

from typing import NamedTuple

from waitline.kernel.ids import RoomId
from waitline.postgres.pool import Database

ROOMS_MAX = 1_000
"""Rehearsals found at once: more than anybody leaves behind."""

CHUNK_MAX = 2_000
"""Rows of a kind that are deleted in one statement, with what belongs to them: a fraction of a
second, which bounds how long others wait for their locks."""

CHUNK_S = 30.0
"""How long one statement may take, on a machine that is busy with the rehearsal's last visitors."""


class Unsettled(NamedTuple):
    """What of a rehearsal is still under way.

    Attributes:
        payments: That the provider has not settled, or not given back.
        events: That were not sent to the waiting room.
    """

    payments: int
    events: int


class Rehearsals:
    """Every rehearsal that is in the database.

    Args:
        database: Holds them.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def rooms(self) -> set[RoomId]:
        """Return the rooms of rehearsals, of one that is going on too; at most `ROOMS_MAX`."""
        rows = await self._database.fetch_all("rehearsal_rooms", rooms_max=ROOMS_MAX)
        return {RoomId(row["room"]) for row in rows}

    async def unsettled(self, room: RoomId) -> Unsettled:
        """Count what is still under way."""
        row = await self._database.fetch_one("rehearsal_unsettled", within_s=CHUNK_S, room=room)
        assert row is not None
        return Unsettled(row["payments"], row["events"])

    async def discard(self, room: RoomId) -> int:
        """Delete a rehearsal's concert with all that was booked; a repeat finds nothing.

        Returns:
            How many rows of seats, reservations, events and concerts are gone.

        Raises:
            Unavailable: The database does not answer, or somebody holds a lock; to be repeated.
        """
        gone = 0
        # What refers to something goes before it.
        for statement in ("discard_reservations", "discard_events", "discard_seats"):
            while rows := await self._chunk(statement, room=room, chunk_max=CHUNK_MAX):
                gone += rows
        return gone + await self._chunk("discard_concert", room=room)

    async def _chunk(self, statement: str, **values: object) -> int:
        row = await self._database.fetch_one(statement, within_s=CHUNK_S, **values)
        assert row is not None
        rows: int = row["rows"]
        return rows
