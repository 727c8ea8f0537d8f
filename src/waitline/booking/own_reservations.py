"""A visitor's own reservations, held and paid, as listed on a page."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from waitline.booking.buyer import Buyer
from waitline.booking.model import PaymentState, Reservation, ReservationState
from waitline.booking.seat_rows import short_name
from waitline.kernel.ids import RoomId, VisitorId
from waitline.kernel.instants import Instant
from waitline.postgres.pool import Database, Row

LISTED_MAX = 50
"""Reservations in a list, the newest: more than a visitor may hold or buy in most sales, and an
answer of some 30 KB."""

ROOMS_MAX = 100
"""Rooms that a token is compared with, the last used: each takes a few microseconds."""


class OwnSeat(NamedTuple):
    """A seat of a reservation, also one that has been removed since.

    Attributes:
        seat_id: Its number.
        label: What visitors see.
        section: Part of the hall.
        row: Name of the row.
        name: Its name within the row.
        grade: Its price category.
        price: What it cost, in minor units.
    """

    seat_id: int
    label: str
    section: str
    row: str
    name: str
    grade: str
    price: int


@dataclass(frozen=True, slots=True)
class OwnReservation:
    """A reservation, what it is for, and what was paid.

    Attributes:
        reservation: The reservation.
        concert_id: The concert.
        title: Its title.
        venue: Where it takes place.
        currency: Of the amounts.
        starts: When the performance begins.
        seats: The seats, ascending.
        payment_id: The payment that was made, or `None`.
        payment_state: Its state, or `None`.
        paid_at: When it was made, or `None`.
    """

    reservation: Reservation
    concert_id: int
    title: str
    venue: str
    currency: str
    starts: Instant
    seats: tuple[OwnSeat, ...]
    payment_id: int | None
    payment_state: PaymentState | None
    paid_at: datetime | None


class OwnReservations:
    """Reservations of visitors, shown to their holders only.

    Args:
        database: Holds them.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def rooms(self, user: VisitorId) -> list[RoomId]:
        """Return the rooms in which a user of this name has reservations, at most `ROOMS_MAX`.

        Only for comparison with a token: anybody may claim the name.
        """
        rows = await self._database.fetch_all(
            "reservation_rooms", user_id=user, rooms_max=ROOMS_MAX
        )
        return [RoomId(row["room"]) for row in rows]

    async def listed(self, user: VisitorId, holders: Mapping[RoomId, str]) -> list[OwnReservation]:
        """Return what a user holds and has bought, at most `LISTED_MAX`, the newest first.

        Args:
            user: The user.
            holders: The holder that the user's token proves, by room.

        Invariant:
            B8.
        """
        rows = await self._database.fetch_all(
            "own_reservations",
            user_id=user,
            rooms=list(holders),
            holders=list(holders.values()),
            rows_max=LISTED_MAX,
        )
        return [_own(row) for row in rows]


def _own(row: Row) -> OwnReservation:
    columns = ("ids", "numbers", "sections", "rows", "grades", "prices")
    seats = tuple(
        OwnSeat(seat, number, section, name, short_name(section, name, number), grade, price)
        for seat, number, section, name, grade, price in zip(
            *(row[column] for column in columns), strict=True
        )
    )
    reservation = Reservation(
        reservation_id=row["reservation_id"],
        schedule_id=row["schedule_id"],
        buyer=Buyer(VisitorId(row["user_id"]), row["holder"]),
        seat_ids=tuple(seat.seat_id for seat in seats),
        state=ReservationState(row["state"]),
        amount=row["amount"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        room=RoomId(row["room"]),
    )
    return OwnReservation(
        reservation=reservation,
        concert_id=row["concert_id"],
        title=row["title"],
        venue=row["venue"],
        currency=row["currency"],
        starts=Instant.of(row["starts_at"])._replace(offset_min=row["starts_offset_min"]),
        seats=seats,
        payment_id=row["payment_id"],
        payment_state=None if row["payment_id"] is None else PaymentState(row["payment_state"]),
        paid_at=row["paid_at"],
    )
