"""Bodies and views of operators' calls on the catalogue."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, create_model
from pydantic_core import PydanticCustomError
from typing_extensions import override

from waitline.booking.catalogue_edits import CatalogueChange
from waitline.booking.catalogue_model import CONCERT_SETTINGS, SCHEDULE_SETTINGS, Concert, Schedule
from waitline.booking.seat_changes import SeatChanges, booked, describe
from waitline.booking.seat_plan import PRICE_MAX, TEXT_CHARS_MAX
from waitline.kernel.instants import Instant
from waitline.services import setting_bodies
from waitline.services.booking.bodies import ConcertView, ScheduleView, instant, words

FIRST_YEAR, LAST_YEAR = 2000, 2999
"""Range of a schedule's start: near the ends of the calendar, converting time zones fails."""

DESCRIBED = [setting for setting in CONCERT_SETTINGS if setting.name != "queue_down"]
"""A concert's settings that are given when it is created."""

_QUEUE_DOWN = next(setting for setting in CONCERT_SETTINGS if setting.name == "queue_down")

_STRICT = ConfigDict(extra="forbid")


def _in_our_time(at: datetime) -> datetime:
    if not FIRST_YEAR <= at.year <= LAST_YEAR:
        raise PydanticCustomError("year", f"must be from {FIRST_YEAR} to {LAST_YEAR}")
    return Instant.of(at).time


Start = Annotated[AwareDatetime, AfterValidator(_in_our_time)]


class NewConcertBody(
    create_model(  # type: ignore[misc]  # a base made of the settings
        "ConcertSettingsBody",
        __config__=_STRICT,
        **setting_bodies.creation_members(DESCRIBED),
    )
):
    """Body of a new concert."""


class ConcertChangeBody(
    create_model(  # type: ignore[misc]  # a base made of the settings
        "ConcertSettingsChangeBody",
        __config__=_STRICT,
        **setting_bodies.change_members(DESCRIBED),
    )
):
    """Body of a change to a concert; what is left out stays as it is."""

    queueDown: Literal["refuse", "admit", "default"] | None = Field(  # noqa: N815 - wire names
        None, description=_QUEUE_DOWN.help
    )


class NewScheduleBody(
    create_model(  # type: ignore[misc]  # a base made of the settings
        "ScheduleSettingsBody",
        __config__=_STRICT,
        **setting_bodies.creation_members(SCHEDULE_SETTINGS),
    )
):
    """Body of a new schedule."""

    startsAt: Start  # noqa: N815 - wire names


class ScheduleChangeBody(
    create_model(  # type: ignore[misc]  # a base made of the settings
        "ScheduleSettingsChangeBody",
        __config__=_STRICT,
        **setting_bodies.change_members(SCHEDULE_SETTINGS),
    )
):
    """Body of a change to a schedule; what is left out stays as it is, null removes a time."""

    startsAt: Start | None = None  # noqa: N815 - wire names

    def values(self) -> dict[str, Any]:
        """Return the new values by name of the field."""
        values = setting_bodies.chosen(self, SCHEDULE_SETTINGS)
        for setting in SCHEDULE_SETTINGS:
            if setting.is_time and setting.wire in self.model_fields_set:
                values.setdefault(setting.name, None)
        if self.startsAt is not None:
            values["starts_at"] = self.startsAt
        return values


class SeatChangeBody(BaseModel):
    """Body of a change to seats; what is left out stays as it is."""

    model_config = _STRICT

    section: str | None = Field(None, description="Part of the hall")
    row: str | None = Field(None, description="Name of the row in its section")
    seat: str | None = Field(None, description="Number of the seat in its row")
    grade: str | None = Field(None, description="Price category")
    label: str | None = Field(None, description="What visitors see, unique in the schedule")
    price: Annotated[int, Field(strict=True, ge=0, le=PRICE_MAX)] | None = Field(
        None, description="In minor units of the concert's currency"
    )

    def values(self) -> dict[str, Any]:
        """Return the new values by name of the field.

        Raises:
            InputInvalid: A text is blank or too long.
        """
        values: dict[str, Any] = {
            "number" if name == "seat" else name: words(name, text, chars_max)
            for name, chars_max in TEXT_CHARS_MAX.items()
            if (text := getattr(self, name)) is not None
        }
        return values if self.price is None else {**values, "price": self.price}


class OperatorConcertView(ConcertView, frozen=True):
    """A concert as operators see it.

    `queueDown` is refuse or admit: what happens to visitors while the queue is down; null for the
    installation's setting. `version` counts its changes.
    """

    queueDown: str | None  # noqa: N815
    version: int

    @override
    @classmethod
    def of(cls, concert: Concert) -> "OperatorConcertView":
        """Return the operators' view of a concert."""
        choice = concert.queue_down
        return cls(
            concert.concert_id,
            concert.title,
            concert.venue,
            concert.room,
            concert.currency,
            concert.visitor_seats_max,
            None if choice is None else str(choice),
            concert.version,
        )


class OperatorConcertsView(msgspec.Struct, frozen=True):
    """The concerts as operators see them."""

    concerts: list[OperatorConcertView]


class OperatorScheduleView(ScheduleView, frozen=True, kw_only=True):  # type: ignore[call-arg]
    """A schedule as operators see it; `version` counts its changes."""

    version: int

    @override
    @classmethod
    def of(cls, schedule: Schedule, now_ms: int) -> "OperatorScheduleView":
        """Return the operators' view of a schedule."""
        shown = msgspec.structs.asdict(ScheduleView.of(schedule, now_ms))
        return cls(**shown, version=schedule.version)


class OperatorSchedulesView(msgspec.Struct, frozen=True):
    """A concert's schedules as operators see them."""

    schedules: list[OperatorScheduleView]


class ImportView(msgspec.Struct, frozen=True):
    """What a change did to the seats of a schedule; with `dryRun`, what it would do.

    Attributes:
        scheduleId: The schedule.
        seats: How many seats were put on sale.
        added: The same.
        changed: How many were changed.
        removed: How many were removed.
        missing: How many are not in the plan.
        unchanged: How many stay as they are.
        booked: How many of those changed or removed are reserved or sold, so it is refused.
        dryRun: Whether nothing was changed.
        differences: One line for each seat, at most 20 of each kind.
    """

    scheduleId: int  # noqa: N815
    seats: int
    added: int
    changed: int
    removed: int
    missing: int
    unchanged: int
    booked: int
    dryRun: bool  # noqa: N815
    differences: list[str]

    @classmethod
    def of(
        cls, schedule: int, changes: SeatChanges, currency: str, *, dry_run: bool = False
    ) -> "ImportView":
        """Return the view of changes."""
        return cls(
            schedule,
            0 if dry_run else len(changes.added),
            len(changes.added),
            len(changes.changed),
            len(changes.removed),
            len(changes.missing),
            changes.unchanged,
            len(booked(changes)),
            dry_run,
            describe(changes, currency),
        )


class ChangeView(msgspec.Struct, frozen=True):
    """A change of the catalogue: who changed what, when, and what differs."""

    changeNo: int  # noqa: N815
    at: str
    who: str
    what: str
    concertId: int  # noqa: N815
    scheduleId: int | None  # noqa: N815
    before: dict[str, Any] | None
    after: dict[str, Any] | None

    @classmethod
    def of(cls, change: CatalogueChange) -> "ChangeView":
        """Return the view of a change."""
        return cls(*change._replace(at=instant(change.at)))  # type: ignore[arg-type]


class ChangesView(msgspec.Struct, frozen=True):
    """Changes of the catalogue, the latest first."""

    changes: list[ChangeView]
