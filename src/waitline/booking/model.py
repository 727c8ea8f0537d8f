"""What the box office sells and what it refuses. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from waitline.kernel.errors import Refused
from waitline.kernel.ids import RoomId
from waitline.kernel.setting import Setting, check, declared

SEATS_MAX = 100
"""Most seats in one reservation, whatever a schedule allows: more is a group's order, taken by
people."""

HOLD_S = 300.0
"""How long a reservation is held unpaid. Source: the wire contract."""


SCHEDULE_SEATS_MAX = 100_000
"""Most seats in a schedule: a stadium. What is kept and sent of each seat is bounded by this."""

TITLE_CHARS_MAX = 200
"""Of a concert's title, and of its venue."""

ROOM_BYTES_MAX = 128
"""Of a waiting room's name. Source: the wire contract."""


class QueueDown(StrEnum):
    """What the box office does with visitors while the queue does not answer."""

    REFUSE = "refuse"  # reject visitors with 503: the queue cannot vouch for them
    ADMIT = "admit"  # admit visitors with a pass that has not expired


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


@dataclass(frozen=True, slots=True)
class Concert:
    """What is on.

    Attributes:
        concert_id: Its number.
        queue_down: `None` for what the installation has chosen.
    """

    concert_id: int
    title: Annotated[
        str,
        Setting(
            wire="title",
            option="TITLE",
            help="What it is called",
            unit="characters",
            least=1,
            most=TITLE_CHARS_MAX,
            printable=True,
        ),
    ]
    room: Annotated[
        RoomId,
        Setting(
            wire="queue",
            option="--room",
            help="Waiting room of its visitors, whether it exists yet or not",
            unit="bytes",
            least=1,
            most=ROOM_BYTES_MAX,
            printable=True,
        ),
    ]
    venue: Annotated[
        str,
        Setting(
            wire="venue",
            help="Where it is",
            unit="characters",
            most=TITLE_CHARS_MAX,
            printable=True,
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
    """What operators decide about a schedule; the first values are for those who do not.

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
        concert_id: Of which concert.
        room: The concert's waiting room.
        starts_at: When it begins.
        settings: What operators decide about it.
        queue_down: As the concert's.
    """

    schedule_id: int
    concert_id: int
    room: RoomId
    starts_at: datetime
    settings: ScheduleSettings
    queue_down: QueueDown | None = None


@dataclass(frozen=True, slots=True)
class NewSeat:
    """A seat that is to be sold.

    Attributes:
        section: Part of the house, 1 to 50 characters.
        row: Name of its row there, 1 to 20 characters.
        position: From 1, counted along the row: seats whose positions differ by one are neighbours.
        number: What the visitor knows it by, once in a schedule, 1 to 50 characters.
        grade: What its price depends on, 1 to 20 characters.
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
    """Seats of one grade and price in one part of the house, counted.

    Attributes:
        section: Part of the house.
        grade: The seats' grade.
        price: Of each, in minor units.
        total: How many there are.
        available: How many may be taken now.
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
    """A seat map cannot be read, or not be imported; nothing of it was.

    Attributes:
        errors: Each one line that names the line of the map, where there is one, and what to do.
    """

    def __init__(self, errors: Sequence[str]) -> None:
        super().__init__(*errors)
        self.errors = tuple(errors)


class GradeUnknown(Refused):
    """The schedule has no seats of this grade."""


class SoldOut(Refused):
    """Fewer seats of this grade are left than were asked for."""


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


class PaymentState(StrEnum):
    """Where a payment stands."""

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
        reservation_id: For what.
        user_id: Who pays.
        amount: In minor units.
        method: How, in the provider's words.
        state: Where it stands; REFUNDING is on the way to REFUNDED.
        created_at: When it was begun.
        paid_at: When the money was taken, if it was.
    """

    payment_id: int
    reservation_id: int
    user_id: int
    amount: int
    method: str
    state: PaymentState
    created_at: datetime
    paid_at: datetime | None


class AlreadyPaid(Refused):
    """The reservation is confirmed."""


class ReservationLapsed(Refused):
    """The time of the reservation is over, though its seats are not yet back on sale."""


class AmountWrong(Refused):
    """The amount is not the price, or not above zero.

    Attributes:
        price: What the reservation costs, in minor units.
    """

    def __init__(self, price: int) -> None:
        super().__init__(price)
        self.price = price


class Declined(Refused):
    """No money was taken, or it goes back; the reservation can be paid until it expires.

    Attributes:
        reason: What the provider says.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class PaymentUnknown(Refused):
    """There is no such payment."""


class PaymentForeign(Refused):
    """The payment is another visitor's."""


class IdempotencyKeyReused(Refused):
    """The request's idempotency key was given to another request before."""


class IdempotencyKeyRunning(Refused):
    """A request with the same idempotency key is being answered."""


class SeatsContested(Refused):
    """Concurrent requests took the best seats at every attempt."""
