"""Request and response bodies of the booking service, and the checks of their fields."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec

from waitline.booking.catalogue_model import SCHEDULE_SETTINGS, Concert, Schedule
from waitline.booking.door_list import DoorTicket
from waitline.booking.model import SEATS_MAX, Payment, PaymentState, Reservation
from waitline.booking.own_reservations import OwnReservation
from waitline.booking.sale_state import SaleState
from waitline.http.problems import InputInvalid
from waitline.http.requests import BLANK, FAULTS
from waitline.http.texts import Text
from waitline.kernel.ids import TextInvalid, is_blank, normal_text
from waitline.kernel.instants import Instant
from waitline.services import setting_bodies
from waitline.services.booking.users import INT64_MAX, INT64_MIN, int64_of, wire_user

WORD_CHARS_MAX = 200
"""Longest payment method. Source: migrations/0006_money.sql."""

GRADE_CHARS_MAX = 20
"""Longest grade. Source: migrations/0001_box_office.sql."""

UNKNOWN_ID = 0
"""An id that no reservation and no payment has."""

NOT_A_NUMBER = Text("64비트 정수여야 합니다.", "must be a 64-bit integer")
ONE_WAY = Text(
    "seatId, seatIds, grade와 count 중 한 가지만 입력해 주세요.",
    "exactly one of seatId, seatIds, or grade with count is required",
)
TWICE = Text("같은 좌석이 중복되었습니다.", "must not contain a seat twice")

Number = Annotated[int, msgspec.Meta(ge=INT64_MIN, le=INT64_MAX)]


class ReservationBody(msgspec.Struct, frozen=True):
    """Body of a reservation: one seat, several seats, or the best available ones.

    Attributes:
        scheduleId: The schedule.
        seatId: One seat.
        seatIds: Several seats: all of them are reserved, or none.
        grade: Grade of the best available seats.
        count: Number of these.
    """

    scheduleId: Number  # noqa: N815 - the contract's names
    seatId: Number | None = None  # noqa: N815
    seatIds: Annotated[list[Number], msgspec.Meta(min_length=1, max_length=SEATS_MAX)] | None = None  # noqa: N815
    grade: str | None = None
    count: Annotated[int, msgspec.Meta(ge=1, le=SEATS_MAX)] | None = None

    def seats(self) -> list[int] | None:
        """Return the seats of the request, or `None` if it is for the best free ones.

        Raises:
            InputInvalid: The body has none or several of seatId, seatIds and grade; or a seat
                appears twice.
        """
        ways = (self.seatId, self.seatIds, self.grade)
        if sum(way is not None for way in ways) != 1 or (self.grade is None) != (
            self.count is None
        ):
            raise InputInvalid("seatId", ONE_WAY)
        if self.grade is not None:
            words("grade", self.grade, GRADE_CHARS_MAX)
            return None
        seats = [self.seatId] if self.seatId is not None else self.seatIds or []
        if len(set(seats)) != len(seats):
            raise InputInvalid("seatIds", TWICE)
        return seats


class PaymentBody(msgspec.Struct, frozen=True):
    """Body of a payment."""

    reservationId: int  # noqa: N815
    userId: str | int | float  # noqa: N815
    amount: Annotated[int, msgspec.Meta(ge=0, le=INT64_MAX)]
    paymentMethod: str  # noqa: N815
    concertId: str | int | float  # noqa: N815


class ReservationView(msgspec.Struct, frozen=True):
    """A reservation. The first fields are the contract's; `seatId` is the first of `seatIds`."""

    reservationId: int  # noqa: N815
    userId: int | str  # noqa: N815
    seatId: int  # noqa: N815
    scheduleId: int  # noqa: N815
    status: str
    expiresAt: str  # noqa: N815
    createdAt: str  # noqa: N815
    seatIds: tuple[int, ...]  # noqa: N815
    amount: int

    @classmethod
    def of(cls, reservation: Reservation) -> "ReservationView":
        """Return the view of a reservation."""
        return cls(
            reservation.reservation_id,
            wire_user(reservation.buyer.user_id),
            reservation.seat_ids[0],
            reservation.schedule_id,
            reservation.state,
            instant(reservation.expires_at),
            instant(reservation.created_at),
            reservation.seat_ids,
            reservation.amount,
        )


class FoundReservationView(ReservationView, frozen=True, kw_only=True):
    """A reservation, in the contract's envelope and at the top level."""

    result: str
    message: str
    data: ReservationView


class OwnSeatView(msgspec.Struct, frozen=True):
    """A seat of a reservation: `seatNumber` is unique in the schedule, `seat` in its row."""

    seatId: int  # noqa: N815
    seatNumber: str  # noqa: N815
    section: str
    row: str
    seat: str
    grade: str
    price: int


class OwnReservationView(ReservationView, frozen=True, kw_only=True):
    """A reservation with its performance, its seats and its payment.

    `refund` is none, due or done. `paymentId` and `paidAt` are null until it is paid for.
    """

    concertId: int  # noqa: N815
    queue: str
    title: str
    venue: str
    startsAt: str  # noqa: N815
    startsAtLocal: str  # noqa: N815
    currency: str
    seats: list[OwnSeatView]
    paymentId: int | None  # noqa: N815
    paidAt: str | None  # noqa: N815
    refund: Literal["none", "due", "done"]

    @classmethod
    def listed(cls, own: OwnReservation) -> "OwnReservationView":
        """Return the view of a reservation in a list."""
        return cls(
            **msgspec.structs.asdict(ReservationView.of(own.reservation)),
            concertId=own.concert_id,
            queue=own.reservation.room,
            title=own.title,
            venue=own.venue,
            startsAt=instant(own.starts.time),
            startsAtLocal=own.starts.iso,
            currency=own.currency,
            seats=[OwnSeatView(*seat) for seat in own.seats],
            paymentId=own.payment_id,
            paidAt=None if own.paid_at is None else instant(own.paid_at),
            refund=_REFUNDS.get(own.payment_state, "none"),
        )


_REFUNDS: dict[PaymentState | None, Literal["none", "due", "done"]] = {
    PaymentState.REFUNDING: "due",
    PaymentState.REFUNDED: "done",
}


class OwnReservationsView(msgspec.Struct, frozen=True):
    """What a visitor holds and has bought, the newest first."""

    reservations: list[OwnReservationView]


class TicketView(msgspec.Struct, frozen=True):
    """A ticket; door staff compare `code` with their list."""

    seatId: int  # noqa: N815
    section: str
    row: str
    seat: str
    seatNumber: str  # noqa: N815
    grade: str
    code: str

    @classmethod
    def of(cls, ticket: DoorTicket) -> "TicketView":
        """Return the view of a ticket."""
        return cls(*ticket[:7])


class TicketsView(msgspec.Struct, frozen=True):
    """The tickets of a reservation: none before it is confirmed, or when it is over."""

    reservationId: int  # noqa: N815
    scheduleId: int  # noqa: N815
    tickets: list[TicketView]


class CancellationView(msgspec.Struct, frozen=True):
    """A cancelled reservation; `refund` is true if a payment is refunded."""

    reservationId: int  # noqa: N815
    userId: int | str  # noqa: N815
    status: str
    refund: bool


class PaymentView(msgspec.Struct, frozen=True):
    """A payment."""

    paymentId: int  # noqa: N815
    reservationId: int  # noqa: N815
    userId: int | str  # noqa: N815
    amount: int
    status: str
    paymentMethod: str  # noqa: N815
    paidAt: str | None  # noqa: N815
    createdAt: str  # noqa: N815

    @classmethod
    def of(cls, payment: Payment) -> "PaymentView":
        """Return the view of a payment."""
        # The contract has no state for a refund in progress: the payment is COMPLETED until then.
        refunding = payment.state is PaymentState.REFUNDING
        return cls(
            payment.payment_id,
            payment.reservation_id,
            wire_user(payment.user_id),
            payment.amount,
            PaymentState.COMPLETED if refunding else payment.state,
            payment.method,
            None if payment.paid_at is None else instant(payment.paid_at),
            instant(payment.created_at),
        )


class LoadedView(msgspec.Struct, frozen=True):
    """The loaded test data. Source: the wire contract."""

    success: bool
    message: str
    duration_ms: int
    data: dict[str, int]


class ConcertView(msgspec.Struct, frozen=True):
    """A concert; `queue` is its waiting room.

    `seatsPerUser` is the most seats that one visitor can have across all schedules; 0: no
    limit.
    """

    concertId: int  # noqa: N815
    title: str
    venue: str
    queue: str
    currency: str
    seatsPerUser: int  # noqa: N815

    @classmethod
    def of(cls, concert: Concert) -> "ConcertView":
        """Return the view of a concert."""
        return cls(
            concert.concert_id,
            concert.title,
            concert.venue,
            concert.room,
            concert.currency,
            concert.visitor_seats_max,
        )


class ConcertsView(msgspec.Struct, frozen=True):
    """The concerts."""

    concerts: list[ConcertView]


class ScheduleView(
    msgspec.defstruct(  # type: ignore[misc]  # a base made of the settings
        "ScheduleSettingsView",
        [
            (setting.wire, str | None if setting.is_time else setting.wire_kind)
            for setting in SCHEDULE_SETTINGS
        ],
        frozen=True,
        kw_only=True,
    )
):
    """A schedule, with its settings.

    `startsAt` is in UTC, `startsAtLocal` has the UTC offset in which the start was given, and so
    have `opensAt`, `salesEnd` and `cancelUntil`, which are null where they were left out.
    `saleState` is the current one, whatever seats are left.
    """

    scheduleId: int  # noqa: N815
    concertId: int  # noqa: N815
    queue: str
    startsAt: str  # noqa: N815
    startsAtLocal: str  # noqa: N815
    currency: str
    saleState: SaleState  # noqa: N815

    @classmethod
    def of(cls, schedule: Schedule, now_ms: int) -> "ScheduleView":
        """Return the view of a schedule."""
        return cls(
            scheduleId=schedule.schedule_id,
            concertId=schedule.concert_id,
            queue=schedule.room,
            startsAt=instant(schedule.starts_at),
            startsAtLocal=Instant.of(schedule.starts_at).iso,
            currency=schedule.currency,
            saleState=schedule.sale.state(now_ms),
            **setting_bodies.shown(asdict(schedule.settings), SCHEDULE_SETTINGS),
        )


class SchedulesView(msgspec.Struct, frozen=True):
    """A concert's schedules."""

    schedules: list[ScheduleView]


class SeatView(msgspec.Struct, frozen=True):
    """A seat in a schedule's array of seats, which has no envelope."""

    seatId: int  # noqa: N815
    scheduleId: int  # noqa: N815
    seatNumber: str  # noqa: N815
    grade: str
    price: int
    status: str


def number(name: str, text: str) -> int:
    """Parse a number of 64 bits from a path, a header or a text.

    Raises:
        InputInvalid: It is not such a number.
    """
    value = int64_of(text)
    if value is None:
        raise InputInvalid(name, NOT_A_NUMBER)
    return value


def unguessable(name: str, text: str) -> int:
    """Parse the id of a reservation or a payment from a path.

    Raises:
        InputInvalid: It is not a whole number. One of more than 64 bits is: an unknown one.
    """
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()):
        raise InputInvalid(name, NOT_A_NUMBER)
    value = int64_of(text)
    return UNKNOWN_ID if value is None else value


def words(name: str, text: str, chars_max: int) -> str:
    """Return a short text in its normal form.

    Raises:
        InputInvalid: It is blank or too long, or has control characters.
    """
    if is_blank(text):
        raise InputInvalid(name, BLANK)
    try:
        normal = normal_text(text)
    except TextInvalid as error:
        raise InputInvalid(name, FAULTS[error.fault]) from None
    if len(normal) > chars_max:
        raise InputInvalid(
            name,
            Text(
                f"최대 {chars_max}자까지 가능합니다.", f"must have at most {chars_max} characters"
            ),
        )
    return normal


def instant(at: datetime) -> str:
    """Format a time as ISO 8601 in UTC, to the millisecond."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
