"""Door list: the tickets of a performance, each with the code that door staff compare.

A list is a snapshot of the paid and complimentary tickets, and shows its time: later sales and
cancellations are not on it.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple

from waitline.booking.catalogue_model import ScheduleUnknown
from waitline.booking.sale_state import ScheduleState
from waitline.kernel.instants import Instant
from waitline.postgres.pool import Database, Row
from waitline.tokens.door import ticket_code
from waitline.tokens.keyring import Keyring

READ_S = 20.0
"""Timeout of reading a list: a stadium's takes about a second."""


class DoorTicket(NamedTuple):
    """A ticket, as it is on the list.

    Attributes:
        seat_id: Its seat.
        section: Part of the hall.
        row: Name of the row.
        seat: Number of the seat in its row.
        label: What the buyer sees as the seat.
        grade: Price category.
        code: Its code, which the buyer sees too.
        name: The name on a complimentary ticket, else the user.
        complimentary: Whether it was given away.
        reservation_id: Booking number.
    """

    seat_id: int
    section: str
    row: str
    seat: str
    label: str
    grade: str
    code: str
    name: str
    complimentary: bool
    reservation_id: int


class DoorList(NamedTuple):
    """The tickets of a schedule.

    Attributes:
        schedule_id: The schedule.
        title: Title of the concert.
        venue: Where it is.
        starts_at: When it begins.
        state: ON_SALE, POSTPONED or CANCELLED.
        made_at: When the list was made.
        tickets: By section, row and position.
    """

    schedule_id: int
    title: str
    venue: str
    starts_at: Instant
    state: ScheduleState
    made_at: Instant
    tickets: Sequence[DoorTicket]


class DoorLists:
    """The store of tickets.

    Args:
        database: Holds them.
        ring: Returns the keys of the codes.
    """

    def __init__(self, database: Database, ring: Callable[[], Keyring]) -> None:
        self._database = database
        self.ring = ring

    async def fetch(self, schedule: int) -> DoorList:
        """Return the door list of a schedule.

        Raises:
            ScheduleUnknown: There is no such schedule.
        """
        head = await self._database.fetch_one("door_of", schedule_id=schedule)
        if head is None:
            raise ScheduleUnknown
        rows = await self._database.fetch_all("door_list", within_s=READ_S, schedule_id=schedule)
        starts_at = Instant.of(head["starts_at"])._replace(offset_min=head["starts_offset_min"])
        made_at = Instant.of(head["listed_at"])._replace(offset_min=starts_at.offset_min)
        return DoorList(
            schedule,
            head["title"],
            head["venue"],
            starts_at,
            ScheduleState(head["sale_state"]),
            made_at,
            # In a thread: a stadium's codes take half a second.
            await asyncio.to_thread(self._tickets, rows),
        )

    async def tickets(self, reservation: int) -> list[DoorTicket]:
        """Return the tickets of a reservation; none unless it is confirmed."""
        return self._tickets(await self._database.fetch_all("tickets", reservation_id=reservation))

    def _tickets(self, rows: Sequence[Row]) -> list[DoorTicket]:
        ring = self.ring()
        return [
            DoorTicket(
                row["seat_id"],
                row["section"],
                row["row_name"],
                row["seat_no"],
                row["seat_number"],
                row["grade"],
                ticket_code(
                    ring,
                    row["schedule_id"],
                    row["seat_id"],
                    row["reservation_id"],
                    Instant.of(row["created_at"]).at_ms,
                ),
                row["ticket_name"] or row["user_id"],
                row["ticket_name"] is not None,
                row["reservation_id"],
            )
            for row in rows
        ]
