"""Bodies and views of the booking service's calls, field by field."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import msgspec
from typing_extensions import override

from waitline.booking.model import (
    SCHEDULE_SETTINGS,
    SEATS_MAX,
    Concert,
    Payment,
    PaymentState,
    Reservation,
    Schedule,
)
from waitline.http.problems import InputInvalid
from waitline.http.requests import BLANK, NOT_TEXT, Request
from waitline.http.texts import Text
from waitline.services import setting_bodies
from waitline.services.identity import TokenMissing, UserMissing

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
"""What the database takes for a number."""

DIGITS_MAX = 19
"""Of a number of 64 bits. Reading longer ones would only cost time."""

TOKEN_CHARS_MAX = 4_096
"""Of a token header: more than the longest pass has. More is not worth passing on."""

WORD_CHARS_MAX = 50
"""Of a means of payment. Source: migrations/0001_box_office.sql."""

GRADE_CHARS_MAX = 20
"""Source: migrations/0001_box_office.sql."""

NOT_A_NUMBER = Text("64비트 정수여야 합니다.", "must be a whole number of 64 bits")
ONE_WAY = Text(
    "seatId, seatIds, 또는 grade와 count 중 하나만 있어야 합니다.",
    "must name seatId, or seatIds, or grade and count",
)
TWICE = Text("같은 좌석이 두 번 있습니다.", "must not name a seat twice")

Number = Annotated[int, msgspec.Meta(ge=INT64_MIN, le=INT64_MAX)]


class ReservationBody(msgspec.Struct, frozen=True):
    """Body of a reservation: one seat, several, or the best that are left.

    Attributes:
        scheduleId: Of which performance.
        seatId: One seat.
        seatIds: Several: all of them, or none.
        grade: The best seats of this grade.
        count: How many.
    """

    scheduleId: Number  # noqa: N815 - the contract's names
    seatId: Number | None = None  # noqa: N815
    seatIds: Annotated[list[Number], msgspec.Meta(min_length=1, max_length=SEATS_MAX)] | None = None  # noqa: N815
    grade: str | None = None
    count: Annotated[int, msgspec.Meta(ge=1, le=SEATS_MAX)] | None = None

    def seats(self) -> list[int] | None:
        """Return the seats that are named, or `None` where the best are wanted.

        Raises:
            InputInvalid: There is none of the three ways to say it, or more than one, or a seat is
                named twice.
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

    reservationId: Number  # noqa: N815
    userId: Number | str  # noqa: N815
    amount: Annotated[int, msgspec.Meta(gt=0, le=INT64_MAX)]
    paymentMethod: str  # noqa: N815
    concertId: Number | str  # noqa: N815


class ReservationView(msgspec.Struct, frozen=True):
    """A reservation. The first fields are the contract's; `seatId` is the first of `seatIds`."""

    reservationId: int  # noqa: N815
    userId: int  # noqa: N815
    seatId: int  # noqa: N815
    scheduleId: int  # noqa: N815
    status: str
    expiresAt: str  # noqa: N815
    createdAt: str  # noqa: N815
    seatIds: tuple[int, ...]  # noqa: N815
    amount: int

    @classmethod
    def of(cls, reservation: Reservation) -> "ReservationView":
        """Return a reservation as it is sent."""
        return cls(
            reservation.reservation_id,
            reservation.user_id,
            reservation.seat_ids[0],
            reservation.schedule_id,
            reservation.state,
            instant(reservation.expires_at),
            instant(reservation.created_at),
            reservation.seat_ids,
            reservation.amount,
        )


class FoundReservationView(ReservationView, frozen=True, kw_only=True):
    """A reservation that was asked for: in the envelope, and beside it."""

    result: str
    message: str
    data: ReservationView


class CancellationView(msgspec.Struct, frozen=True):
    """A reservation that was given up; `refund` says whether what was paid goes back."""

    reservationId: int  # noqa: N815
    userId: int  # noqa: N815
    status: str
    refund: bool


class PaymentView(msgspec.Struct, frozen=True):
    """A payment."""

    paymentId: int  # noqa: N815
    reservationId: int  # noqa: N815
    userId: int  # noqa: N815
    amount: int
    status: str
    paymentMethod: str  # noqa: N815
    paidAt: str | None  # noqa: N815
    createdAt: str  # noqa: N815

    @classmethod
    def of(cls, payment: Payment) -> "PaymentView":
        """Return a payment as it is sent."""
        # The contract has no word for money on its way back: it is taken until it is back.
        refunding = payment.state is PaymentState.REFUNDING
        return cls(
            payment.payment_id,
            payment.reservation_id,
            payment.user_id,
            payment.amount,
            PaymentState.COMPLETED if refunding else payment.state,
            payment.method,
            None if payment.paid_at is None else instant(payment.paid_at),
            instant(payment.created_at),
        )


class LoadedView(msgspec.Struct, frozen=True):
    """What the test data came to. Source: the wire contract."""

    success: bool
    message: str
    duration_ms: int
    data: dict[str, int]


class ConcertView(msgspec.Struct, frozen=True):
    """A concert; `queue` is the waiting room that its visitors come through."""

    concertId: int  # noqa: N815
    title: str
    venue: str
    queue: str

    @classmethod
    def of(cls, concert: Concert) -> "ConcertView":
        """Return a concert as it is sent."""
        return cls(concert.concert_id, concert.title, concert.venue, concert.room)


class OperatorConcertView(ConcertView, frozen=True):
    """A concert as operators see it; `queueDown` is what it does while the queue does not answer.

    refuse or admit; null for what the installation has chosen.
    """

    queueDown: str | None  # noqa: N815

    @override
    @classmethod
    def of(cls, concert: Concert) -> "OperatorConcertView":
        """Return a concert as it is sent to operators."""
        choice = concert.queue_down
        return cls(
            concert.concert_id,
            concert.title,
            concert.venue,
            concert.room,
            None if choice is None else str(choice),
        )


class OperatorConcertsView(msgspec.Struct, frozen=True):
    """Every concert as operators see it."""

    concerts: list[OperatorConcertView]


class ConcertsView(msgspec.Struct, frozen=True):
    """Every concert."""

    concerts: list[ConcertView]


class ScheduleView(
    msgspec.defstruct(  # type: ignore[misc]  # a base made of the settings
        "ScheduleSettingsView",
        [(setting.wire, setting.wire_kind) for setting in SCHEDULE_SETTINGS],
        frozen=True,
        kw_only=True,
    )
):
    """A performance, with its settings."""

    scheduleId: int  # noqa: N815
    concertId: int  # noqa: N815
    queue: str
    startsAt: str  # noqa: N815

    @classmethod
    def of(cls, schedule: Schedule) -> "ScheduleView":
        """Return a schedule as it is sent."""
        return cls(
            scheduleId=schedule.schedule_id,
            concertId=schedule.concert_id,
            queue=schedule.room,
            startsAt=instant(schedule.starts_at),
            **setting_bodies.shown(asdict(schedule.settings), SCHEDULE_SETTINGS),
        )


class SchedulesView(msgspec.Struct, frozen=True):
    """A concert's schedules."""

    schedules: list[ScheduleView]


class SeatView(msgspec.Struct, frozen=True):
    """A seat, in the bare array of a schedule's seats."""

    seatId: int  # noqa: N815
    scheduleId: int  # noqa: N815
    seatNumber: str  # noqa: N815
    grade: str
    price: int
    status: str


def number(name: str, text: str) -> int:
    """Read a number of 64 bits from a path, a header or a text.

    Raises:
        InputInvalid: It is none.
    """
    digits = text.removeprefix("-")
    # Other digits than these are numbers to Python, and a surprise to everybody else.
    if digits.isascii() and digits.isdigit() and len(digits) <= DIGITS_MAX:
        value = int(text)
        if INT64_MIN <= value <= INT64_MAX:
            return value
    raise InputInvalid(name, NOT_A_NUMBER)


def words(name: str, text: str, chars_max: int) -> str:
    """Check a short text.

    Raises:
        InputInvalid: It is blank or too long, or holds what cannot be printed: half a character, a
            NUL.
    """
    if not text or text.isspace():
        raise InputInvalid(name, BLANK)
    if len(text) > chars_max:
        raise InputInvalid(
            name,
            Text(
                f"최대 {chars_max}자까지 가능합니다.", f"must have at most {chars_max} characters"
            ),
        )
    if not text.isprintable():
        raise InputInvalid(name, NOT_TEXT)
    return text


def user_of(request: Request) -> int:
    """Return whose request it is.

    Raises:
        UserMissing: It does not say.
        InputInvalid: It says so in no number.
    """
    given = request.headers.get(b"x-user-id")
    if given is None:
        raise UserMissing
    return number("X-User-Id", given.decode("latin-1").strip())


def token_of(request: Request) -> str | None:
    """Return the token of the queue that the request brings, or `None`.

    Raises:
        InputInvalid: It is blank, or longer than any.
    """
    given = request.headers.get(b"x-queue-token")
    if given is None:
        return None
    return words("X-Queue-Token", given.decode("latin-1"), TOKEN_CHARS_MAX)


def needed_token(request: Request) -> str:
    """Return the token of the queue that the request brings.

    Raises:
        TokenMissing: It brings none.
        InputInvalid: It is blank, or longer than any.
    """
    token = token_of(request)
    if token is None:
        raise TokenMissing
    return token


def instant(at: datetime) -> str:
    """Write a time as ISO 8601 in UTC, to the millisecond."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
