"""Data model of the box office: its entities, their states and its refusals. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from waitline.booking.buyer import Buyer
from waitline.kernel.errors import Refused
from waitline.kernel.ids import RoomId, VisitorId
from waitline.kernel.setting import Setting, check, declared

SEATS_MAX = 100
"""Most seats in one reservation, whatever a schedule allows. Larger orders are for staff."""

HOLD_S = 300.0
"""How long an unpaid reservation is held. Source: the wire contract."""

SCHEDULE_SEATS_MAX = 100_000
"""Most seats in a schedule: a stadium. Bounds the memory and the answers of a seat map."""

TITLE_CHARS_MAX = 200
"""Longest title of a concert, and longest venue."""

ROOM_BYTES_MAX = 128
"""Longest name of a waiting room. Source: the wire contract."""


class QueueDown(StrEnum):
    """What the box office does with visitors while the queue does not answer."""

    REFUSE = "refuse"  # reject visitors with 503: the queue cannot vouch for them
    ADMIT = "admit"  # admit visitors with a pass that has not expired


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
        buyer: Whose it is.
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


@dataclass(frozen=True, slots=True)
class Concert:
    """A concert.

    Attributes:
        concert_id: Its number.
        queue_down: `None` for the installation's setting.
    """

    concert_id: int
    title: Annotated[
        str,
        Setting(
            wire="title",
            option="TITLE",
            help="Title",
            unit="characters",
            least=1,
            most=TITLE_CHARS_MAX,
        ),
    ]
    room: Annotated[
        RoomId,
        Setting(
            wire="queue",
            option="--room",
            help="Waiting room of its visitors; it need not exist yet",
            unit="bytes",
            least=1,
            most=ROOM_BYTES_MAX,
        ),
    ]
    venue: Annotated[
        str,
        Setting(
            wire="venue",
            help="Venue",
            unit="characters",
            most=TITLE_CHARS_MAX,
        ),
    ] = ""
    queue_down: Annotated[
        QueueDown | None,
        Setting(
            wire="queueDown",
            help="While the queue does not answer: refuse visitors, or admit those whose pass has "
            "not expired; without a choice, as WAITLINE_QUEUE_DOWN says",
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class ScheduleSettings:
    """Settings of a schedule, with their defaults.

    To add one, declare it here and in `sql/catalogue.sql`, with a migration.
    """

    visitor_seats_max: Annotated[
        int,
        Setting(
            wire="seatsPerUser",
            option="--visitor-seats",
            help="Most seats that one visitor may hold or own",
            unit="seats",
            least=1,
            most=SEATS_MAX,
        ),
    ] = 4

    def __post_init__(self) -> None:
        check(self, SCHEDULE_SETTINGS)


CONCERT_SETTINGS = declared(Concert)
SCHEDULE_SETTINGS = declared(ScheduleSettings)


@dataclass(frozen=True, slots=True)
class Schedule:
    """One performance of a concert.

    Attributes:
        schedule_id: Its number.
        concert_id: Its concert.
        room: The concert's waiting room.
        starts_at: When it begins.
        settings: Its settings.
        queue_down: The concert's choice.
    """

    schedule_id: int
    concert_id: int
    room: RoomId
    starts_at: datetime
    settings: ScheduleSettings
    queue_down: QueueDown | None = None


@dataclass(frozen=True, slots=True)
class NewSeat:
    """A seat to be imported.

    Attributes:
        section: Part of the hall, 1 to 50 characters.
        row: Name of its row in the section, 1 to 20 characters.
        position: From 1, counted along the row: seats whose positions differ by one are neighbours.
        number: Name that visitors see, unique in a schedule, 1 to 50 characters.
        grade: Price category, 1 to 20 characters.
        price: In minor units.
    """

    section: str
    row: str
    position: int
    number: str
    grade: str
    price: int


@dataclass(frozen=True, slots=True)
class Section:
    """Number of seats of one grade and price in one section.

    Attributes:
        section: Part of the hall.
        grade: The seats' grade.
        price: Price of each seat, in minor units.
        total: All of them.
        available: Those on sale now.
    """

    section: str
    grade: str
    price: int
    total: int
    available: int


class ConcertUnknown(Refused):
    """There is no such concert."""


class ScheduleUnknown(Refused):
    """There is no such schedule."""


class SeatPlanInvalid(Refused):
    """A seat plan cannot be parsed or imported; nothing was imported.

    Attributes:
        errors: One line each: the line of the file, if there is one, the error and what to do.
    """

    def __init__(self, errors: Sequence[str]) -> None:
        super().__init__(*errors)
        self.errors = tuple(errors)


class GradeUnknown(Refused):
    """The schedule has no seats of this grade."""


class SoldOut(Refused):
    """Fewer seats of this grade are left than were requested."""


class SeatUnknown(Refused):
    """There is no such seat in the schedule."""


class SeatTaken(Refused):
    """The seat is held or sold."""


class TooManySeats(Refused):
    """The visitor would hold more seats than the schedule allows.

    Attributes:
        seats_max: The schedule's limit.
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
        state: CANCELLED or EXPIRED.
    """

    def __init__(self, state: ReservationState) -> None:
        super().__init__(state)
        self.state = state


class PaymentRunning(Refused):
    """A payment of the reservation is under way."""


NOT_SENT = "the provider was not reached"
NEVER_ARRIVED = "it never reached the provider"
NEVER_KNOWN = "unknown to the provider"
NEVER_CHARGED = (NOT_SENT, NEVER_ARRIVED, NEVER_KNOWN)
"""Reasons of failed attempts that charged nothing, and that are no answer to the visitor."""


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
        reservation_id: What is paid for.
        user_id: The visitor who pays; whose it is, the reservation says.
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
        client_secret: With it the provider's script in the visitor's page goes on, or `None`.
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
