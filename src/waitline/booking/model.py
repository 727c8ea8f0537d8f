"""Data model of the box office: its entities, their states and its refusals. Pure."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from waitline.booking.buyer import Buyer
from waitline.booking.catalogue_model import VISITOR_SEATS_MAX
from waitline.booking.sale_state import ScheduleState
from waitline.kernel.errors import Refused
from waitline.kernel.ids import RoomId, VisitorId

SEATS_MAX = VISITOR_SEATS_MAX
"""Most seats in one reservation, whatever a schedule allows."""

HOLD_S = 300.0
"""How long an unpaid reservation is held. Source: the wire contract."""


class SeatState(StrEnum):
    """State of a seat."""

    AVAILABLE = "AVAILABLE"
    RESERVED = "RESERVED"
    OCCUPIED = "OCCUPIED"


class ReservationState(StrEnum):
    """State of a reservation."""

    PENDING = "PENDING"
    CONFIRMED = "CONFIRMED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"


@dataclass(frozen=True, slots=True)
class Reservation:
    """Seats that a visitor holds or has bought.

    Attributes:
        reservation_id: Its number.
        schedule_id: The schedule of the seats.
        buyer: The owner.
        seat_ids: The seats, ascending.
        state: Its state.
        amount: Total price, in minor units.
        created_at: When it was made.
        expires_at: Until when it must be paid.
        room: Waiting room of the concert.
    """

    reservation_id: int
    schedule_id: int
    buyer: Buyer
    seat_ids: tuple[int, ...]
    state: ReservationState
    amount: int
    created_at: datetime
    expires_at: datetime
    room: RoomId


class GradeUnknown(Refused):
    """The schedule has no seats of this grade."""


class SoldOut(Refused):
    """Fewer seats of this grade are left than were requested."""


class SeatUnknown(Refused):
    """There is no such seat in the schedule."""


class SeatTaken(Refused):
    """The seat is held or sold."""


class SalesNotOpen(Refused):
    """The sale of the schedule has not opened yet.

    Attributes:
        opens_at: When it opens.
    """

    def __init__(self, opens_at: datetime) -> None:
        super().__init__(opens_at)
        self.opens_at = opens_at


class SalesOver(Refused):
    """The sale of the schedule has ended; a past performance sells nothing."""


class OwnHold(Refused):
    """The seats are in a reservation of the buyer's own.

    Attributes:
        reservation_id: The reservation.
    """

    def __init__(self, reservation_id: int) -> None:
        super().__init__(reservation_id)
        self.reservation_id = reservation_id


class ScheduleStopped(Refused):
    """The schedule is cancelled or postponed, and sells nothing.

    Attributes:
        state: Which of the two.
    """

    def __init__(self, state: ScheduleState) -> None:
        super().__init__(state)
        self.state = state


class TooManySeats(Refused):
    """The visitor would hold more seats than the schedule or the concert allows.

    Attributes:
        seats_max: The limit.
        of_concert: Whether it is the concert's, for all of its schedules.
    """

    def __init__(self, seats_max: int, *, of_concert: bool = False) -> None:
        super().__init__(seats_max, of_concert)
        self.seats_max = seats_max
        self.of_concert = of_concert

    def __copy__(self) -> "TooManySeats":
        return TooManySeats(self.seats_max, of_concert=self.of_concert)


class ReservationUnknown(Refused):
    """There is no such reservation."""


class ReservationForeign(Refused):
    """The reservation is another visitor's."""


class ReservationOver(Refused):
    """The reservation was cancelled or has expired.

    Attributes:
        state: CANCELLED or EXPIRED.
    """

    def __init__(self, state: ReservationState) -> None:
        super().__init__(state)
        self.state = state


class CancellationClosed(Refused):
    """The reservation is paid for, and the deadline for cancelling it has passed.

    Attributes:
        cancel_until: The deadline.
    """

    def __init__(self, cancel_until: datetime) -> None:
        super().__init__(cancel_until)
        self.cancel_until = cancel_until


class PaymentRunning(Refused):
    """A payment of the reservation is in progress."""


NOT_SENT = "the provider was not reached"
NEVER_ARRIVED = "it never reached the provider"
NEVER_KNOWN = "unknown to the provider"
NEVER_CHARGED = (NOT_SENT, NEVER_ARRIVED, NEVER_KNOWN)
"""Reasons of failed attempts that charged nothing and were not answered to the visitor."""


class PaymentState(StrEnum):
    """State of a payment."""

    PENDING = "PENDING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    REFUNDING = "REFUNDING"
    REFUNDED = "REFUNDED"


@dataclass(frozen=True, slots=True)
class Payment:
    """An attempt to pay for a reservation.

    Attributes:
        payment_id: Its number.
        reservation_id: The reservation.
        user_id: The visitor who pays; the reservation has the owner.
        amount: In minor units.
        method: Payment method, as the provider names it.
        state: Its state; REFUNDING becomes REFUNDED.
        created_at: When it was begun.
        paid_at: When it was charged; `None` if it was not.
    """

    payment_id: int
    reservation_id: int
    user_id: VisitorId
    amount: int
    method: str
    state: PaymentState
    created_at: datetime
    paid_at: datetime | None


class AlreadyPaid(Refused):
    """The reservation is confirmed."""


class ReservationLapsed(Refused):
    """The reservation's time is over; the sweeper has not expired it yet."""


class AmountWrong(Refused):
    """The amount differs from the price; in trial mode, it is not above zero and not the price.

    Attributes:
        price: Price of the reservation, in minor units.
    """

    def __init__(self, price: int) -> None:
        super().__init__(price)
        self.price = price


class Declined(Refused):
    """Nothing was charged, or it is refunded; the reservation can be paid until it expires.

    Attributes:
        reason: The provider's reason.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class AuthenticationNeeded(Refused):
    """The visitor's bank wants a confirmation (3-D Secure) before the charge is made.

    The payment is PENDING, and is completed by the provider's webhook. Meanwhile the reservation
    can be paid in another way.

    Attributes:
        payment_id: The payment.
        client_secret: Secret that the provider's script in the visitor's page needs, or `None`.
        url: Page to which the visitor is sent, or `None`.
    """

    def __init__(self, payment_id: int, client_secret: str | None, url: str | None) -> None:
        super().__init__(payment_id, client_secret, url)
        self.payment_id = payment_id
        self.client_secret = client_secret
        self.url = url


class PaymentUnknown(Refused):
    """There is no such payment."""


class PaymentForeign(Refused):
    """The payment is another visitor's."""


class SeatsContested(Refused):
    """Concurrent requests took the best seats at every attempt, or keep the seat locked."""
