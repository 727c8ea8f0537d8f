"""What the box office sells and what it refuses. Pure."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from waitline.errors import Refused
from waitline.ids import RoomId

SEATS_MAX = 100
"""Most seats in one reservation, whatever a schedule allows: more is a group's order, taken by
people."""

VISITOR_SEATS = 4
"""Seats that one visitor may hold or own of a schedule, unless the schedule says otherwise."""

HOLD_S = 300.0
"""How long a reservation is held unpaid. Source: the wire contract."""


class SeatState(StrEnum):
    """Where a seat stands."""

    AVAILABLE = "AVAILABLE"
    RESERVED = "RESERVED"
    OCCUPIED = "OCCUPIED"


class ReservationState(StrEnum):
    """Where a reservation stands."""

    PENDING = "PENDING"
    CONFIRMED = "CONFIRMED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"


@dataclass(frozen=True, slots=True)
class Reservation:
    """Seats that a visitor holds or has bought.

    Attributes:
        reservation_id: Its number.
        schedule_id: Of which performance.
        user_id: Whose it is.
        seat_ids: The seats, in the order of their numbers.
        state: Where it stands.
        amount: What all of it costs, in minor units.
        created_at: When it was made.
        expires_at: Until when it must be paid.
        room: The waiting room that its visitor came through.
    """

    reservation_id: int
    schedule_id: int
    user_id: int
    seat_ids: tuple[int, ...]
    state: ReservationState
    amount: int
    created_at: datetime
    expires_at: datetime
    room: RoomId


class ConcertUnknown(Refused):
    """There is no such concert."""


class ScheduleUnknown(Refused):
    """There is no such schedule."""


class SeatUnknown(Refused):
    """There is no such seat in the schedule."""


class SeatTaken(Refused):
    """Somebody else holds the seat, or has bought it."""


class TooManySeats(Refused):
    """The visitor would hold more seats than the schedule allows.

    Attributes:
        seats_max: How many it allows.
    """

    def __init__(self, seats_max: int) -> None:
        super().__init__(seats_max)
        self.seats_max = seats_max


class ReservationUnknown(Refused):
    """There is no such reservation."""


class ReservationForeign(Refused):
    """The reservation is another visitor's."""


class ReservationOver(Refused):
    """The reservation was cancelled or has expired.

    Attributes:
        state: Which of the two.
    """

    def __init__(self, state: ReservationState) -> None:
        super().__init__(state)
        self.state = state


class PaymentRunning(Refused):
    """A payment of the reservation is under way."""
