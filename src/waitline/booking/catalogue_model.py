"""Data model of the catalogue: concerts, schedules, seats to import, and its refusals. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from waitline.booking.currency import DEFAULT_CURRENCY
from waitline.booking.sale_state import SalePeriod, ScheduleState
from waitline.kernel.errors import Refused
from waitline.kernel.ids import RoomId
from waitline.kernel.instants import Instant
from waitline.kernel.setting import Setting, SettingError, check, declared

VISITOR_SEATS_MAX = 100
"""Most seats per visitor, and in one reservation. Larger orders are for staff."""

SCHEDULE_SEATS_MAX = 100_000
"""Most seats in a schedule: a stadium. Bounds the memory and the answers of a seat map."""

TITLE_CHARS_MAX = 200
"""Longest title of a concert, and longest venue."""

CONCERT_VISITOR_SEATS_MAX = 1_000
"""Highest limit of seats per visitor in a concert. Source: migrations/0010_rules_of_sale.sql."""

ROOM_BYTES_MAX = 128
"""Longest name of a waiting room. Source: the wire contract."""


class QueueDown(StrEnum):
    """Access policy of the box office while the queue does not answer."""

    REFUSE = "refuse"  # reject visitors with 503: admission cannot be checked
    ADMIT = "admit"  # admit visitors with a pass that has not expired


@dataclass(frozen=True, slots=True)
class Concert:
    """A concert.

    Attributes:
        concert_id: Its number.
        queue_down: `None` for the installation's setting.
        version: Number of its changes, from 1.
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
            help="Waiting room for its visitors; can be created later",
            unit="bytes",
            least=1,
            most=ROOM_BYTES_MAX,
        ),
    ]
    venue: Annotated[
        str,
        Setting(wire="venue", help="Venue", unit="characters", most=TITLE_CHARS_MAX),
    ] = ""
    queue_down: Annotated[
        QueueDown | None,
        Setting(
            wire="queueDown",
            help="When the queue is unreachable: refuse visitors, or admit those with an unexpired "
            "pass; default: WAITLINE_QUEUE_DOWN",
        ),
    ] = None
    currency: Annotated[
        str,
        Setting(
            wire="currency",
            help="Currency of the prices, ISO 4217",
            unit="characters",
            least=3,
            most=3,
        ),
    ] = DEFAULT_CURRENCY
    visitor_seats_max: Annotated[
        int,
        Setting(
            wire="seatsPerUser",
            option="--visitor-seats",
            help="Maximum seats per visitor, reserved or bought, across all schedules of the "
            "concert; 0: unlimited",
            unit="seats",
            most=CONCERT_VISITOR_SEATS_MAX,
        ),
    ] = 0
    version: int = 1


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
            help="Maximum seats per visitor, reserved or bought",
            unit="seats",
            least=1,
            most=VISITOR_SEATS_MAX,
        ),
    ] = 4
    opens_at: Annotated[
        Instant | None,
        Setting(
            wire="opensAt",
            help="Start of the sale; before it, seats cannot be reserved",
            unit="time",
        ),
    ] = None
    sales_end: Annotated[
        Instant | None,
        Setting(
            wire="salesEnd",
            help="End of the sale; default: the start of the performance",
            unit="time",
        ),
    ] = None
    cancel_until: Annotated[
        Instant | None,
        Setting(
            wire="cancelUntil",
            help="Deadline for cancelling paid reservations; default: the start of the performance",
            unit="time",
        ),
    ] = None

    def __post_init__(self) -> None:
        check(self, SCHEDULE_SETTINGS)

    def check_start(self, starts_at: datetime) -> None:
        """Check the times against the start of the performance, and one another.

        Raises:
            SettingError: The sale ends after the start, or opens when it has ended.
        """
        named = {setting.name: setting for setting in SCHEDULE_SETTINGS}
        start_ms = Instant.of(starts_at).at_ms
        end_ms = self.sales_end.at_ms if self.sales_end else start_ms
        if end_ms > start_ms:
            raise SettingError(named["sales_end"], "must not be after the start")
        if self.opens_at is not None and self.opens_at.at_ms >= end_ms:
            raise SettingError(named["opens_at"], "must be before the sale ends")
        if self.cancel_until is not None and self.cancel_until.at_ms > start_ms:
            raise SettingError(named["cancel_until"], "must not be after the start")


CONCERT_SETTINGS = declared(Concert)
SCHEDULE_SETTINGS = declared(ScheduleSettings)


@dataclass(frozen=True, slots=True)
class Schedule:
    """One performance of a concert.

    Attributes:
        schedule_id: Its number.
        room: The concert's waiting room.
        starts_at: When it begins.
        queue_down: The concert's choice.
        currency: The concert's currency.
        version: Number of its changes, from 1.
        stopped: Whether operators have stopped it.
    """

    schedule_id: int
    concert_id: int
    room: RoomId
    starts_at: datetime
    settings: ScheduleSettings
    queue_down: QueueDown | None = None
    currency: str = DEFAULT_CURRENCY
    version: int = 1
    stopped: ScheduleState = ScheduleState.ON_SALE

    @property
    def sale(self) -> SalePeriod:
        """When it sells."""
        opens, ends = self.settings.opens_at, self.settings.sales_end or Instant.of(self.starts_at)
        return SalePeriod(self.stopped, None if opens is None else opens.at_ms, ends.at_ms)


@dataclass(frozen=True, slots=True)
class NewSeat:
    """A seat to be imported.

    Attributes:
        section: Part of the hall, 1 to 50 characters.
        row: Name of its row in the section, 1 to 20 characters.
        position: From 1, counted along the row: seats whose positions differ by one are neighbours.
        number: Its number or name, unique in its row, 1 to 50 characters.
        grade: Price category, 1 to 20 characters.
        price: In minor units.
        label: What visitors see, unique in a schedule; empty to derive it from the others.
    """

    section: str
    row: str
    position: int
    number: str
    grade: str
    price: int
    label: str = ""


@dataclass(frozen=True, slots=True)
class PlannedSeat(NewSeat):
    """A seat of a schedule, as operators see it.

    Attributes:
        seat_id: Its id; 0 before it has one.
        row_no: Number of its row, counted through the section.
        state: Its state; empty before it has one.
    """

    seat_id: int = 0
    row_no: int = 0
    state: str = ""


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


class CatalogueStale(Refused):
    """It has changed since the given version; nothing was changed."""


class ConcertHasSchedules(Refused):
    """The concert has schedules.

    Attributes:
        schedules: How many.
    """

    def __init__(self, schedules: int) -> None:
        super().__init__(schedules)
        self.schedules = schedules


class ConcertHasSeats(Refused):
    """The concert has seats, whose prices are in its currency.

    Attributes:
        seats: How many.
    """

    def __init__(self, seats: int) -> None:
        super().__init__(seats)
        self.seats = seats


class ScheduleBooked(Refused):
    """Seats are reserved or sold.

    Attributes:
        seats: How many.
    """

    def __init__(self, seats: int) -> None:
        super().__init__(seats)
        self.seats = seats


class SchedulePaid(Refused):
    """Payments were made, and their records are kept.

    Attributes:
        payments: How many.
    """

    def __init__(self, payments: int) -> None:
        super().__init__(payments)
        self.payments = payments


class CancellationPromised(Refused):
    """The new cancellation deadline is earlier than the one promised to buyers.

    Attributes:
        seats: How many seats are reserved or sold.
    """

    def __init__(self, seats: int) -> None:
        super().__init__(seats)
        self.seats = seats


class VisitorHasMore(Refused):
    """A visitor has more seats than the new limit.

    Attributes:
        seats: Most seats of one visitor.
    """

    def __init__(self, seats: int) -> None:
        super().__init__(seats)
        self.seats = seats


class SeatPlanInvalid(Refused):
    """A seat plan cannot be parsed or imported; nothing was imported.

    Attributes:
        errors: One line each: the line of the file, if there is one, the error and what to do.
    """

    def __init__(self, errors: Sequence[str]) -> None:
        super().__init__(*errors)
        self.errors = tuple(errors)


class SeatPlanStale(Refused):
    """The seats have changed since they were read; nothing was changed."""


class SeatPlanDiffers(Refused):
    """The schedule has seats, and the plan differs from them; nothing was changed.

    Attributes:
        added: How many seats it would add.
        changed: How many it would change.
        missing: How many seats of the schedule are not in it.
    """

    def __init__(self, added: int, changed: int, missing: int) -> None:
        super().__init__(added, changed, missing)
        self.added = added
        self.changed = changed
        self.missing = missing


class SeatsBooked(Refused):
    """Seats that would be changed or removed are reserved or sold; nothing was changed.

    Attributes:
        labels: The first of them.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        super().__init__(*labels)
        self.labels = tuple(labels)


class SeatsHeldBack(Refused):
    """Seats that would be removed are held back from sale; nothing was changed.

    Attributes:
        labels: The first of them.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        super().__init__(*labels)
        self.labels = tuple(labels)
