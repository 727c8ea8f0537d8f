"""Clean-up after rehearsals: deletes their concerts and bookings from the database.

A rehearsal's concert is recognised by its origin, which the statements check: a concert that an
operator created is never touched, whatever its room is called.
"""

from collections.abc import Iterable
from typing import NamedTuple

from waitline.kernel.ids import RoomId
from waitline.postgres.pool import Database

ROOMS_MAX = 1_000
"""Most rehearsals listed: more than are ever left behind."""

CHUNK_MAX = 2_000
"""Rows deleted in one statement, with what belongs to them. It takes a fraction of a second, which
bounds how long others wait for the locks."""

CHUNK_S = 30.0
"""Timeout of one statement, on a machine that is busy with the rehearsal's last visitors."""


class Unsettled(NamedTuple):
    """Open work of a rehearsal.

    Attributes:
        payments: Payments that are not settled or refunded yet.
        events: Events that were not sent to the waiting room yet.
    """

    payments: int
    events: int


class Rehearsals:
    """The rehearsals in the database.

    Args:
        database: Holds them.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, title: str, room: RoomId) -> int:
        """Create the concert of a rehearsal; return its number."""
        row = await self._database.fetch_one("create_rehearsal", title=title, room=room)
        assert row is not None
        number: int = row["concert_id"]
        return number

    async def rooms(self) -> set[RoomId]:
        """Return at most `ROOMS_MAX` rooms of rehearsals, running ones included."""
        rows = await self._database.fetch_all("rehearsal_rooms", rooms_max=ROOMS_MAX)
        return {RoomId(row["room"]) for row in rows}

    async def sold_in_earnest(self, rooms: Iterable[RoomId]) -> set[RoomId]:
        """Return those rooms in which a concert sells that no rehearsal made."""
        rows = await self._database.fetch_all("rooms_of_others", rooms=list(rooms))
        return {RoomId(row["room"]) for row in rows}

    async def unsettled(self, room: RoomId) -> Unsettled:
        """Count a rehearsal's open work."""
        row = await self._database.fetch_one("rehearsal_unsettled", within_s=CHUNK_S, room=room)
        assert row is not None
        return Unsettled(row["payments"], row["events"])

    async def discard(self, room: RoomId) -> int:
        """Delete a rehearsal's concert with all its bookings. Idempotent.

        Returns:
            How many seats, reservations, events and concerts were deleted.

        Raises:
            Unavailable: The database does not answer, or rows are locked; try again.
        """
        gone = 0
        # Rows that refer to others are deleted before them.
        for statement in ("discard_reservations", "discard_events", "discard_seats"):
            while rows := await self._chunk(statement, room=room, chunk_max=CHUNK_MAX):
                gone += rows
        return gone + await self._chunk("discard_concert", room=room)

    async def _chunk(self, statement: str, **values: object) -> int:
        row = await self._database.fetch_one(statement, within_s=CHUNK_S, **values)
        assert row is not None
        rows: int = row["rows"]
        return rows
