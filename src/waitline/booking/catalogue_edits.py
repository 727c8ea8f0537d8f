"""Optimistic concurrency for changes to concerts and schedules, and the change log.

A change names the version that it is based on, and is refused if that is no longer current.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

from waitline.booking.batches import until_unlocked
from waitline.booking.catalogue import Catalogue, checked, schedule_columns
from waitline.booking.catalogue_model import (
    SCHEDULE_SETTINGS,
    CancellationPromised,
    CatalogueStale,
    Concert,
    ConcertHasSchedules,
    ConcertHasSeats,
    ConcertUnknown,
    Schedule,
    ScheduleBooked,
    SchedulePaid,
    ScheduleUnknown,
    VisitorHasMore,
)
from waitline.booking.charging import ANYTHING, Charging
from waitline.kernel.errors import Contended, Refused
from waitline.kernel.instants import Instant
from waitline.postgres.pool import Database, Row

DELETE_S = 60.0
"""Timeout of a deletion: a stadium with as many reservations takes some seconds."""

FAILED_S = 24 * 3600.0
"""Age, in s, from which a failed payment counts as never charged. Providers settle within a day."""

TRIES = 3
"""Attempts of a change without a version, under concurrent changes."""

CHANGES_MAX = 200
"""Most entries of the log in one answer."""

KEPT_MAX = 100_000
"""Entries of the log that are kept, the latest: decades of a busy box office."""


class CatalogueChange(NamedTuple):
    """An entry of the log.

    Attributes:
        change_no: Its number, ascending.
        at: When.
        who: "command line" and the user of the machine, or "operator" and a digest of the key.
        what: What was done.
        concert_id: The concert.
        schedule_id: The schedule; `None` for changes of the concert itself.
        before: Old values of the fields that differ; `None` for a creation.
        after: New values of the fields that differ; `None` for a deletion.
    """

    change_no: int
    at: datetime
    who: str
    what: str
    concert_id: int
    schedule_id: int | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None


# Refusal for each outcome of a statement. A test compares them with the statements' headers.
CONCERT_REFUSED: dict[str, Callable[[Row], Refused]] = {
    "unknown": lambda _row: ConcertUnknown(),
    "stale": lambda _row: CatalogueStale(),
    "booked": lambda row: ScheduleBooked(row["booked"]),
    "has_seats": lambda row: ConcertHasSeats(row["seats"]),
    "limit": lambda row: VisitorHasMore(row["most"]),
    "has_schedules": lambda row: ConcertHasSchedules(row["schedules"]),
}
SCHEDULE_REFUSED: dict[str, Callable[[Row], Refused | Contended]] = {
    "unknown": lambda _row: ScheduleUnknown(),
    "stale": lambda _row: CatalogueStale(),
    "booked": lambda row: ScheduleBooked(row["booked"]),
    "cancel_until": lambda row: CancellationPromised(row["booked"]),
    "limit": lambda row: VisitorHasMore(row["most"]),
    "locked": lambda _row: Contended("seats are being reserved"),
    "paid": lambda row: SchedulePaid(row["payments"]),
}


class CatalogueEdits:
    """Changes concerts and schedules, and keeps the log.

    Args:
        database: Holds them.
        who: Who changes them, for the log.
        charging: What the payment provider charges.
    """

    def __init__(self, database: Database, who: str, charging: Charging = ANYTHING) -> None:
        self._database = database
        self._charging = charging
        self._catalogue = Catalogue(database)
        self._who = who

    async def created_concert(self, made: Concert) -> None:
        """Log that a concert was created."""
        await self._log_creation("concert created", made.concert_id, None, shown_concert(made))

    async def created_schedule(self, made: Schedule) -> None:
        """Log that a schedule was created."""
        await self._log_creation(
            "schedule created", made.concert_id, made.schedule_id, shown_schedule(made)
        )

    async def change_concert(
        self, concert: int, values: Mapping[str, Any], version: int | None = None
    ) -> Concert:
        """Change a concert. Takes effect within `catalogue_cache.FRESH_S`.

        Args:
            concert: The concert.
            values: New values by name of the field.
            version: The version that must be the current one; `None` for any.

        Raises:
            ConcertUnknown: There is no such concert.
            SettingError: A value is not allowed.
            CatalogueStale: It has another version.
            ScheduleBooked: Its room cannot be changed while seats are reserved or sold.
            ConcertHasSeats: Its currency cannot be changed while it has seats with prices.
            VisitorHasMore: A visitor has more seats than the new limit.
            CurrencyNotCharged: The payment provider does not charge its new currency.
        """
        for attempt in range(TRIES):
            found = await self._catalogue.concert(concert)
            after = checked(replace(found, **values))
            if after.currency != found.currency:
                self._charging.step(after.currency)
            before = shown_concert(found)
            differing = _differing(before, shown_concert(after))
            if not differing and version in {None, found.version}:
                return found
            row = await self._run(
                "change_concert",
                concert_id=concert,
                version=found.version if version is None else version,
                title=after.title,
                venue=after.venue,
                room=after.room,
                queue_down=after.queue_down,
                currency=after.currency,
                visitor_seats_max=after.visitor_seats_max,
                who=self._who,
                before=json.dumps({name: before[name] for name in differing}),
                after=json.dumps(differing),
            )
            if row["outcome"] == "changed":
                return replace(after, version=row["version"])
            _raise_unless_again(CONCERT_REFUSED[row["outcome"]](row), version, attempt)
        raise CatalogueStale

    async def delete_concert(self, concert: int, version: int | None = None) -> None:
        """Delete a concert that has no schedules.

        Raises:
            ConcertUnknown, CatalogueStale, ConcertHasSchedules: Nothing is deleted.
        """
        for attempt in range(TRIES):
            found = await self._catalogue.concert(concert)
            row = await self._run(
                "delete_concert",
                concert_id=concert,
                version=found.version if version is None else version,
                who=self._who,
                before=json.dumps(shown_concert(found)),
            )
            if row["outcome"] == "deleted":
                return
            _raise_unless_again(CONCERT_REFUSED[row["outcome"]](row), version, attempt)

    async def change_schedule(
        self, schedule: int, values: Mapping[str, Any], version: int | None = None
    ) -> Schedule:
        """Change a schedule. Takes effect within `catalogue_cache.FRESH_S`.

        Args:
            schedule: The schedule.
            values: New values by name of the field: `starts_at`, or a setting.
            version: The version that must be the current one; `None` for any.

        Raises:
            ScheduleUnknown: There is no such schedule.
            SettingError: A value is not allowed, or the times contradict one another.
            CatalogueStale: It has another version.
            ScheduleBooked: The start cannot be changed while seats are reserved or sold.
            CancellationPromised: The cancellation deadline cannot be brought forward either.
            VisitorHasMore: A visitor has more seats than the new limit.
        """
        for attempt in range(TRIES):
            found = await self._catalogue.schedule(schedule)
            settings = {name: value for name, value in values.items() if name != "starts_at"}
            after = replace(
                found,
                starts_at=values.get("starts_at", found.starts_at),
                settings=replace(found.settings, **settings),
            )
            after.settings.check_start(after.starts_at)
            before = shown_schedule(found)
            differing = _differing(before, shown_schedule(after))
            if not differing and version in {None, found.version}:
                return found
            row = await self._run(
                "change_schedule",
                schedule_id=schedule,
                version=found.version if version is None else version,
                **schedule_columns(after.starts_at, after.settings),
                who=self._who,
                before=json.dumps({name: before[name] for name in differing}),
                after=json.dumps(differing),
            )
            if row["outcome"] == "changed":
                return replace(after, version=row["version"])
            _raise_unless_again(SCHEDULE_REFUSED[row["outcome"]](row), version, attempt)
        raise CatalogueStale

    async def delete_schedule(self, schedule: int, version: int | None = None) -> int:
        """Delete a schedule with its seats, and return how many; it has no bookings.

        Reservations that are over go with it, if they were never charged.

        Raises:
            ScheduleUnknown, CatalogueStale, ScheduleBooked, SchedulePaid: Nothing is deleted.
            Contended: Its seats are being reserved; nothing is deleted.
        """
        for attempt in range(TRIES):
            found = await self._catalogue.schedule(schedule)
            before = json.dumps(shown_schedule(found))
            expected = found.version if version is None else version

            async def delete(expected: int = expected, before: str = before) -> Row:
                row = await self._run(
                    "delete_schedule",
                    schedule_id=schedule,
                    version=expected,
                    failed_s=FAILED_S,
                    who=self._who,
                    before=before,
                )
                if row["outcome"] == "locked":
                    raise SCHEDULE_REFUSED["locked"](row)
                return row

            row = await until_unlocked(delete)
            if row["outcome"] == "deleted":
                seats: int = row["seats"]
                return seats
            _raise_unless_again(SCHEDULE_REFUSED[row["outcome"]](row), version, attempt)
        raise CatalogueStale

    async def changes(
        self,
        *,
        concert: int | None = None,
        schedule: int | None = None,
        before_no: int | None = None,
        changes_max: int = CHANGES_MAX,
    ) -> list[CatalogueChange]:
        """Return changes of the catalogue, the latest first.

        Args:
            concert: Only those of this concert and its schedules.
            schedule: Only those of this schedule.
            before_no: Only those before this one.
            changes_max: Most of them, up to `CHANGES_MAX`.
        """
        rows = await self._database.fetch_all(
            "catalogue_changes",
            concert_id=concert,
            schedule_id=schedule,
            before_no=before_no,
            changes_max=min(changes_max, CHANGES_MAX),
        )
        return [
            CatalogueChange(
                row["change_no"],
                row["at"],
                row["who"],
                row["what"],
                row["concert_id"],
                row["schedule_id"],
                _loaded(row["before"]),
                _loaded(row["after"]),
            )
            for row in rows
        ]

    async def _log_creation(
        self, what: str, concert: int, schedule: int | None, after: dict[str, Any]
    ) -> None:
        await self._database.fetch_one(
            "log_creation",
            who=self._who,
            what=what,
            concert_id=concert,
            schedule_id=schedule,
            after=json.dumps(after),
        )
        await forget_changes(self._database)

    async def _run(self, statement: str, **values: object) -> Row:
        row = await self._database.fetch_one(statement, within_s=DELETE_S, **values)
        assert row is not None
        await forget_changes(self._database)
        return row


async def forget_changes(database: Database) -> None:
    """Keep the log at `KEPT_MAX` entries; called after each entry."""
    await database.fetch_all("forget_changes", kept_max=KEPT_MAX)


def shown_concert(concert: Concert) -> dict[str, Any]:
    """Return a concert as the log shows it, by wire name."""
    return {
        "title": concert.title,
        "venue": concert.venue,
        "queue": concert.room,
        "currency": concert.currency,
        "queueDown": concert.queue_down and str(concert.queue_down),
        "seatsPerUser": concert.visitor_seats_max,
    }


def shown_schedule(schedule: Schedule) -> dict[str, Any]:
    """Return a schedule as the log shows it, by wire name."""
    return {
        "startsAt": Instant.of(schedule.starts_at).iso,
        **{
            setting.wire: setting.to_wire(getattr(schedule.settings, setting.name))
            for setting in SCHEDULE_SETTINGS
        },
    }


def _differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in after.items() if before[name] != value}


def _raise_unless_again(refused: Exception, version: int | None, attempt: int) -> None:
    """Raise a refusal, unless another change came first and the caller named no version."""
    if not isinstance(refused, CatalogueStale) or version is not None or attempt == TRIES - 1:
        raise refused


def _loaded(text: str | None) -> dict[str, Any] | None:
    return None if text is None else json.loads(text)
