"""Catalogue: concerts and their schedules."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

from waitline.booking import currency as money
from waitline.booking.catalogue_model import (
    CONCERT_SETTINGS,
    SCHEDULE_SETTINGS,
    Concert,
    ConcertUnknown,
    QueueDown,
    Schedule,
    ScheduleSettings,
    ScheduleUnknown,
)
from waitline.booking.charging import ANYTHING, Charging
from waitline.booking.sale_state import ScheduleState
from waitline.kernel.ids import RoomId, is_reachable
from waitline.kernel.instants import Instant
from waitline.kernel.setting import SettingError, check
from waitline.postgres.pool import Database, Row

LISTED_MAX = 1_000
"""Most concerts in a list, and most schedules of a concert: more than are on sale at once."""

EXAMPLES_MAX = 10
"""Most concerts named in an error."""

COUNT_S = 20.0
"""Timeout of counting a concert's seats: half a million take a second."""


_NO_CHOICE = ScheduleSettings()

_SETTINGS = {setting.name: setting for setting in CONCERT_SETTINGS}

_SCHEDULE_FIELDS = tuple(setting.name for setting in SCHEDULE_SETTINGS)

_OFFSETS = {
    "starts_at": "starts_offset_min",
    "opens_at": "opens_offset_min",
    "sales_end": "sales_end_offset_min",
    "cancel_until": "cancel_offset_min",
}
"""Column of the UTC offset in which a time was given, by the time's column."""


class SeatCount(NamedTuple):
    """Number of seats, and of those on sale now."""

    seats: int
    available: int


class Catalogue:
    """The store of concerts and schedules.

    Args:
        database: Holds them.
        charging: What the payment provider charges.
    """

    def __init__(self, database: Database, charging: Charging = ANYTHING) -> None:
        self._database = database
        self._charging = charging

    async def concerts(self) -> list[Concert]:
        """Return at most `LISTED_MAX` concerts, the newest first."""
        return [
            _concert(row)
            for row in await self._database.fetch_all("concerts", concerts_max=LISTED_MAX)
        ]

    async def concert(self, concert: int) -> Concert:
        """Return a concert.

        Raises:
            ConcertUnknown: There is no such concert.
        """
        row = await self._database.fetch_one("concert", concert_id=concert)
        if row is None:
            raise ConcertUnknown
        return _concert(row)

    async def schedules(self, concert: int) -> list[Schedule]:
        """Return at most `LISTED_MAX` schedules of a concert, by starting time.

        Raises:
            ConcertUnknown: There is no such concert.
        """
        rows = await self._database.fetch_all(
            "schedules", concert_id=concert, schedules_max=LISTED_MAX
        )
        if not rows:
            raise ConcertUnknown
        return [_schedule(row) for row in rows if row["schedule_id"] is not None]

    async def schedule(self, schedule: int) -> Schedule:
        """Return a schedule.

        Raises:
            ScheduleUnknown: There is no such schedule.
        """
        row = await self._database.fetch_one("schedule", schedule_id=schedule)
        if row is None:
            raise ScheduleUnknown
        return _schedule(row)

    async def version(self, schedules_max: int) -> str:
        """Return the version of the concerts and schedules; it differs after every change.

        Args:
            schedules_max: Number of schedules covered, the newest.
        """
        row = await self._database.fetch_one(
            "catalogue_version", concerts_max=LISTED_MAX, schedules_max=schedules_max
        )
        assert row is not None
        return f"{row['concerts']} {row['schedules']}"

    async def newest_schedules(self, schedules_max: int) -> dict[int, Schedule]:
        """Return the newest schedules of all concerts, by id.

        Args:
            schedules_max: How many.
        """
        rows = await self._database.fetch_all("newest_schedules", schedules_max=schedules_max)
        return {row["schedule_id"]: _schedule(row) for row in rows}

    async def count_seats(self, concert: int) -> dict[int, SeatCount]:
        """Count the seats of a concert's schedules; schedules without seats are left out."""
        rows = await self._database.fetch_all("stock", within_s=COUNT_S, concert_id=concert)
        return {row["schedule_id"]: SeatCount(row["seats"], row["available"]) for row in rows}

    async def not_in_currencies(self, codes: Iterable[str]) -> list[Concert]:
        """Return a few concerts that may still sell in a currency other than these."""
        rows = await self._database.fetch_all(
            "concerts_in_other_currencies", currencies=[*codes], concerts_max=EXAMPLES_MAX
        )
        return [_concert(row) for row in rows]

    async def create_concert(
        self,
        title: str,
        venue: str,
        room: str,
        currency: str = money.DEFAULT_CURRENCY,
        visitor_seats_max: int = 0,
    ) -> Concert:
        """Create a concert; its texts are stored in their normal form.

        Args:
            title: Its title.
            venue: Where it is; may be empty.
            room: Waiting room of its visitors; it need not exist yet.
            currency: Currency of its prices, ISO 4217.
            visitor_seats_max: Most seats of a visitor in all schedules; 0 for no such limit.

        Raises:
            SettingError: A value is outside of what `CONCERT_SETTINGS` allow.
            CurrencyNotCharged: The payment provider does not charge the currency.
        """
        made = checked(
            Concert(
                0,
                title,
                RoomId(room),
                venue,
                currency=currency,
                visitor_seats_max=visitor_seats_max,
            )
        )
        self._charging.step(made.currency)
        row = await self._database.fetch_one(
            "create_concert",
            title=made.title,
            venue=made.venue,
            room=made.room,
            currency=made.currency,
            visitor_seats_max=made.visitor_seats_max,
        )
        assert row is not None
        return replace(made, concert_id=row["concert_id"])

    async def create_schedule(
        self, concert: int, starts_at: datetime, settings: ScheduleSettings = _NO_CHOICE
    ) -> Schedule:
        """Create a schedule of a concert, without seats.

        Args:
            concert: The concert.
            starts_at: When it begins; with a time zone.
            settings: Its settings.

        Raises:
            ConcertUnknown: There is no such concert.
            SettingError: The times contradict one another.
        """
        assert starts_at.tzinfo is not None
        settings.check_start(starts_at)
        row = await self._database.fetch_one(
            "create_schedule",
            concert_id=concert,
            **schedule_columns(starts_at, settings),
        )
        if row is None:
            raise ConcertUnknown
        return Schedule(
            row["schedule_id"],
            concert,
            RoomId(row["room"]),
            starts_at,
            settings,
            queue_down(row),
            row["currency"],
        )


def checked(concert: Concert) -> Concert:
    """Return a concert with its texts in their normal form.

    Raises:
        SettingError: A value is outside of what `CONCERT_SETTINGS` allow.
    """
    code = concert.currency.upper()
    if not money.known(code):
        raise SettingError(_SETTINGS["currency"], f"{code[:10]!r} is not an ISO 4217 currency")
    title, venue, room = (
        _SETTINGS[name].normal(getattr(concert, name)) for name in ("title", "venue", "room")
    )
    normal = replace(concert, title=title, venue=venue, room=RoomId(room), currency=code)
    check(normal, CONCERT_SETTINGS)
    if not is_reachable(normal.room):
        raise SettingError(
            _SETTINGS["room"],
            "must not be . or .. or have them between slashes, nor end with /addresses, /changes "
            "or /now-serving: no address would lead to the room",
        )
    return normal


def _concert(row: Row) -> Concert:
    return Concert(
        row["concert_id"],
        row["title"],
        RoomId(row["room"]),
        row["venue"],
        queue_down(row),
        row["currency"],
        row["visitor_seats_max"],
        row["version"],
    )


def _schedule(row: Row) -> Schedule:
    return Schedule(
        row["schedule_id"],
        row["concert_id"],
        RoomId(row["room"]),
        Instant.of(row["starts_at"])._replace(offset_min=row["starts_offset_min"]).time,
        ScheduleSettings(**{name: _value(row, name) for name in _SCHEDULE_FIELDS}),
        queue_down(row),
        row["currency"],
        row["version"],
        ScheduleState(row["sale_state"]),
    )


def _value(row: Row, name: str) -> Any:  # noqa: ANN401 - of the setting's type
    """Return a schedule's setting; a time has the UTC offset in which it was given."""
    offset, value = _OFFSETS.get(name), row[name]
    if offset is None or value is None:
        return value
    return Instant.of(value)._replace(offset_min=row[offset])


def schedule_columns(starts_at: datetime, settings: ScheduleSettings) -> dict[str, Any]:
    """Return the columns of a schedule, each time with its UTC offset."""
    values = {name: getattr(settings, name) for name in _SCHEDULE_FIELDS}
    for name, offset in _OFFSETS.items():
        at = Instant.of(starts_at) if name == "starts_at" else values[name]
        values[name] = None if at is None else at.time
        values[offset] = 0 if at is None else at.offset_min
    return values


def queue_down(row: Row) -> QueueDown | None:
    """Return the `queue_down` setting of a concert from a row."""
    choice = row["queue_down"]
    return None if choice is None else QueueDown(choice)
