"""Store of reservations: a typed method for each statement of sql/reservations.sql."""

from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

from waitline.booking.batches import statement_batcher
from waitline.booking.catalogue import queue_down
from waitline.booking.model import (
    SEATS_MAX,
    PaymentRunning,
    QueueDown,
    Reservation,
    ReservationForeign,
    ReservationOver,
    ReservationState,
    ReservationUnknown,
    ScheduleUnknown,
    SeatTaken,
    SeatUnknown,
    TooManySeats,
)
from waitline.kernel.errors import Refused, Unavailable
from waitline.kernel.ids import RoomId
from waitline.postgres.pool import Database, Row

CANCEL_TRIES = 3
"""Attempts to cancel. The second one succeeds if a payment was confirmed during the first."""


class SeatRequest(NamedTuple):
    """Seats that a visitor requests.

    Attributes:
        schedule: The schedule.
        seats: 1 to `SEATS_MAX` different seats of it.
        user: The visitor.
    """

    schedule: int
    seats: Sequence[int]
    user: int


class RoomAccess(NamedTuple):
    """How the visitors of a concert are admitted.

    Attributes:
        room: Their waiting room.
        queue_down: What happens to them while the queue is down; `None` for the installation's
            setting.
    """

    room: RoomId
    queue_down: QueueDown | None


class Expired(NamedTuple):
    """A reservation whose seats are back on sale."""

    reservation_id: int
    schedule_id: int
    user_id: int


# Refusal for each outcome of a statement. A test compares them with the statements' headers.
RESERVE_REFUSED: dict[str, Callable[[Row], Refused]] = {
    "no_schedule": lambda _row: ScheduleUnknown(),
    "no_seat": lambda _row: SeatUnknown(),
    "taken": lambda _row: SeatTaken(),
    "limit": lambda row: TooManySeats(row["visitor_seats_max"]),
}
CANCEL_REFUSED: dict[str, Callable[[Row], Refused]] = {
    "unknown": lambda _row: ReservationUnknown(),
    "foreign": lambda _row: ReservationForeign(),
    "paying": lambda _row: PaymentRunning(),
    "over": lambda row: ReservationOver(ReservationState(row["state"])),
}


class Reservations:
    """The store of reservations.

    Args:
        database: Holds them.
        hold_s: How long an unpaid reservation is held.
    """

    def __init__(self, database: Database, hold_s: float) -> None:
        self._database = database
        self._hold_s = hold_s
        self._batcher = statement_batcher(self._reserve_all, _touched)

    async def reserve(self, schedule: int, seats: Sequence[int], user: int) -> Reservation:
        """Reserve seats for a visitor: all of them, or none.

        Args:
            schedule: The schedule.
            seats: 1 to `SEATS_MAX` different seats of it.
            user: The visitor.

        Raises:
            ScheduleUnknown, SeatUnknown, SeatTaken, TooManySeats: Nothing is held.

        Invariant:
            B1.
        """
        seat_ids = tuple(sorted(set(seats)))
        assert 0 < len(seat_ids) == len(seats) <= SEATS_MAX
        return await self._batcher.enqueue(None, SeatRequest(schedule, seat_ids, user))

    async def _reserve_all(
        self, _: None, wanted: Sequence[SeatRequest]
    ) -> list[Reservation | Refused]:
        """Reserve seats for several requests without conflicts, each as `reserve` does."""
        rows = await self._database.fetch_all(
            "reserve",
            schedule_ids=[one.schedule for one in wanted],
            user_ids=[one.user for one in wanted],
            wanted_nos=[no for no, one in enumerate(wanted, 1) for _ in one.seats],
            wanted_seats=[seat for one in wanted for seat in one.seats],
            hold_s=self._hold_s,
        )
        return [_reserved(one, row) for one, row in zip(wanted, rows, strict=True)]

    async def room_access(self, reservation: int) -> RoomAccess:
        """Return how the visitor of a reservation was admitted.

        Raises:
            ReservationUnknown: There is no such reservation.
        """
        row = await self._database.fetch_one("find_reservation", reservation_id=reservation)
        if row is None:
            raise ReservationUnknown
        return RoomAccess(RoomId(row["room"]), queue_down(row))

    async def find(self, reservation: int, user: int) -> Reservation:
        """Return a visitor's reservation.

        A lapsed reservation is returned as expired, even before the sweeper puts its seats back on
        sale. While a payment is under way, it has not lapsed.

        Raises:
            ReservationUnknown: There is no such reservation.
            ReservationForeign: It is another visitor's.
        """
        row = await self._database.fetch_one("find_reservation", reservation_id=reservation)
        if row is None:
            raise ReservationUnknown
        if row["user_id"] != user:
            raise ReservationForeign
        return Reservation(
            reservation_id=reservation,
            schedule_id=row["schedule_id"],
            user_id=user,
            seat_ids=tuple(row["seat_ids"]),
            state=ReservationState.EXPIRED if row["lapsed"] else ReservationState(row["state"]),
            amount=row["amount"],
            created_at=row["created_at"],
            expires_at=row["expires_at"],
            room=RoomId(row["room"]),
        )

    async def cancel(self, reservation: int, user: int) -> ReservationState:
        """Cancel a reservation; its payment is refunded.

        Returns:
            Its state before: PENDING, or CONFIRMED and to be refunded.

        Raises:
            ReservationUnknown, ReservationForeign, ReservationOver, PaymentRunning: Nothing is
                cancelled.
        """
        for _ in range(CANCEL_TRIES):
            row = await self._database.fetch_one("cancel", reservation_id=reservation, user_id=user)
            assert row is not None
            if row["outcome"] in CANCEL_REFUSED:
                raise CANCEL_REFUSED[row["outcome"]](row)
            if row["outcome"] != "again":
                return ReservationState(row["state"])
        raise Unavailable("the reservation is confirmed, but its payment is not visible yet")

    async def expire(self, chunk_max: int) -> list[Expired]:
        """Expire at most `chunk_max` lapsed reservations; their seats are back on sale.

        Invariant:
            B3.
        """
        rows = await self._database.fetch_all("expire", chunk_max=chunk_max)
        return [Expired(**dict(row)) for row in rows]


def _touched(wanted: SeatRequest) -> list[Hashable]:
    """Return the rows that a request changes: its seats, and its visitor's seat count."""
    return [*wanted.seats, (wanted.schedule, wanted.user)]


def _reserved(wanted: SeatRequest, row: Row) -> Reservation | Refused:
    if row["outcome"] != "reserved":
        return RESERVE_REFUSED[row["outcome"]](row)
    return Reservation(
        reservation_id=row["reservation_id"],
        schedule_id=wanted.schedule,
        user_id=wanted.user,
        seat_ids=tuple(wanted.seats),
        state=ReservationState.PENDING,
        amount=row["amount"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        room=RoomId(row["room"]),
    )
