"""Database connection and error messages of `waitline concerts`, `schedules` and `seats`.

They use the database directly, so they also work while no service runs.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from waitline import settings as chosen
from waitline.booking.catalogue import Catalogue
from waitline.booking.catalogue_cache import FRESH_S
from waitline.booking.catalogue_edits import CatalogueEdits, shown_concert, shown_schedule
from waitline.booking.catalogue_model import (
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
    SeatPlanDiffers,
    SeatPlanStale,
    SeatsBooked,
    SeatsHeldBack,
    VisitorHasMore,
)
from waitline.booking.charging import Charging, CurrencyNotCharged
from waitline.booking.model import SeatUnknown
from waitline.booking.seat_imports import SeatImports
from waitline.cli.change_log import who
from waitline.kernel.clock import SystemClock
from waitline.kernel.errors import Misconfigured, Refused, Unavailable
from waitline.kernel.escapes import json_line, visible
from waitline.kernel.folders import reason_of
from waitline.kernel.ids import RoomId
from waitline.kernel.plurals import counted
from waitline.kernel.setting import kebab
from waitline.postgres.pool import Database
from waitline.queue.rooms import Rooms
from waitline.settings import Settings
from waitline.valkey.client import ValkeyClient

NUMBER_MAX = 2**63 - 1
"""Largest concert or schedule number: the range of PostgreSQL's bigint."""

ROOM_S = 1.0
"""Timeout of the check that a room exists, in s: only a warning depends on it."""

ConcertNumber = Annotated[
    int, typer.Argument(min=1, max=NUMBER_MAX, help="Concert number, as in `concerts list`")
]
ScheduleNumber = Annotated[
    int, typer.Argument(min=1, max=NUMBER_MAX, help="Schedule number, as in `concerts list`")
]
Version = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=2**31 - 1,
        help="Change it only if this is still the current version (from `--json`), so that another "
        "operator's change is not overwritten",
    ),
]

T = TypeVar("T")


class CatalogueStore:
    """Database access of the commands.

    Args:
        database: Holds the catalogue.
        charging: What the payment provider charges.
    """

    def __init__(self, database: Database, charging: Charging) -> None:
        self.catalogue = Catalogue(database, charging)
        self.edits = CatalogueEdits(database, who(), charging)
        self.seats = SeatImports(database, charging)


def with_store(settings: Settings, use: Callable[[CatalogueStore], Awaitable[T]]) -> T:
    """Connect to the database, run `use`, and close the connection.

    Raises:
        Misconfigured: A rule refuses it; the message says why, and what to do.
        Unavailable: The database does not answer.
    """

    async def run() -> T:
        database = Database(settings.database_address(), "waitline.booking", connections_max=1)
        try:
            return await use(CatalogueStore(database, settings.charging))
        finally:
            await database.close()

    try:
        return asyncio.run(run())
    except Refused as error:
        explain = _EXPLAINED.get(type(error))
        if explain is None:
            raise
        raise Misconfigured(explain(error)) from None


_EXPLAINED: dict[type[Refused], Callable[[Any], str]] = {
    ConcertUnknown: lambda _: "concert not found; `waitline concerts list` lists them",
    ScheduleUnknown: lambda _: "schedule not found; `waitline concerts list` lists them",
    SeatUnknown: lambda _: "seat not found; `waitline seats export` lists them",
    CatalogueStale: lambda _: (
        "another operator has changed it in the meantime; nothing was changed. "
        "`waitline concerts list --json` shows the current version"
    ),
    ConcertHasSchedules: lambda it: (
        f"the concert has {counted(it.schedules, 'schedule')}; "
        "delete them first: `waitline schedules delete NUMBER`"
    ),
    ConcertHasSeats: lambda it: (
        f"{counted(it.seats, 'seat is', 'seats are')} priced in the current currency; nothing was "
        "changed. Export the seats, delete them, change the currency, and import the seats with "
        "new prices: `waitline seats export`, `waitline seats delete`"
    ),
    ScheduleBooked: lambda it: (
        f"reserved or sold: {counted(it.seats, 'seat')}; nothing was "
        "changed. Unpaid reservations expire within minutes; paid ones can be cancelled"
    ),
    CurrencyNotCharged: lambda it: f"--currency {it.currency}: {it.reason}",
    SchedulePaid: lambda it: (
        f"{counted(it.payments, 'payment')} must stay on record; the schedule was not deleted"
    ),
    CancellationPromised: lambda it: (
        f"buyers of {counted(it.seats, 'seat')} rely on the current cancellation deadline: it can "
        "be extended, not shortened"
    ),
    VisitorHasMore: lambda it: (
        f"a buyer already has {counted(it.seats, 'seat')}; nothing was changed"
    ),
    SeatPlanStale: lambda _: (
        "another operator is changing the same seats; nothing was changed. Try again"
    ),
    SeatPlanDiffers: lambda it: (
        f"the schedule already has seats. The plan would add "
        f"{it.added:,} and change {it.changed:,}; {it.missing:,} are not in it. `--dry-run` shows "
        "them, `--update` applies the plan, `--remove-missing` also removes seats not in it"
    ),
    SeatsBooked: lambda it: f"reserved or sold: {', '.join(it.labels)}; nothing was changed",
    SeatsHeldBack: lambda it: (
        f"held back from sale: {', '.join(it.labels)}; nothing was changed. Release them first"
    ),
}


def load(**options: Any) -> Settings:  # noqa: ANN401 - of the settings' types
    """Load the settings that the commands need."""
    return chosen.load(**options)


def warn(text: str) -> None:
    """Print a warning to standard error."""
    typer.secho(f"waitline: warning: {visible(text)}", err=True, fg="yellow")


def warn_of_room(settings: Settings, room: RoomId) -> None:
    """Warn if a concert's waiting room does not exist; silent if Valkey cannot be reached."""

    async def known() -> bool:
        store = ValkeyClient(settings.store_url(), timeout_s=ROOM_S)
        try:
            async with asyncio.timeout(ROOM_S):
                return room in await Rooms(store).names()
        finally:
            await store.close()

    try:
        if not asyncio.run(known()):
            warn(
                f"room {room!r} does not exist yet; create it with `waitline rooms create` before "
                "the sale"
            )
    except (Misconfigured, Unavailable, TimeoutError):
        return


def warn_of_times(schedule: Schedule) -> None:
    """Warn of a schedule whose sale has ended."""
    if schedule.sale.ends_ms <= SystemClock().now_ms():
        warn("the sale of this schedule has ended: nothing can be reserved")


def concert_values(concert: Concert) -> dict[str, Any]:
    """Return a concert as `--json` shows it."""
    shown = shown_concert(concert)
    return {
        "concertId": concert.concert_id,
        "title": concert.title,
        "venue": concert.venue,
        "room": shown["queue"],
        "currency": concert.currency,
        "queueDown": shown["queueDown"],
        "visitorSeatsMax": shown["seatsPerUser"],
        "version": concert.version,
    }


def schedule_values(schedule: Schedule) -> dict[str, Any]:
    """Return a schedule as `--json` shows it."""
    shown = shown_schedule(schedule)
    seats = shown.pop("seatsPerUser")
    return {
        "scheduleId": schedule.schedule_id,
        "concertId": schedule.concert_id,
        **shown,
        "visitorSeatsMax": seats,
        "version": schedule.version,
    }


def show_change(what: str, before: dict[str, Any], after: dict[str, Any], *, as_json: bool) -> None:
    """Print a concert or a schedule after a change, or what has changed."""
    text = f"{what} changed: {_differing(before, after)}. Takes effect within {FRESH_S:g} s."
    show(after, text, as_json=as_json)


def _differing(before: dict[str, Any], after: dict[str, Any]) -> str:
    """Describe a change: `title: Gala -> Gala 2`."""
    parts = [
        f"{kebab(name)}: {_or_none(before[name])} -> {_or_none(value)}"
        for name, value in after.items()
        if name != "version" and before[name] != value
    ]
    return ", ".join(parts) or "nothing"


def _or_none(value: Any) -> str:  # noqa: ANN401 - of JSON
    return "none" if value in {None, ""} else str(value)


def write_file(out: Path | None, content: bytes, what: str) -> None:
    """Write a file, or standard output without `--out`.

    Args:
        out: The file.
        content: What it is to hold.
        what: Of what, for the message: `3 seats`.

    Raises:
        Misconfigured: The file cannot be written.
    """
    if out is None:
        typer.echo(content, nl=False)
        return
    try:
        out.write_bytes(content)
    except OSError as error:
        raise Misconfigured(f"--out: {out} cannot be written: {reason_of(error)}") from None
    typer.echo(f"Wrote {what} to {visible(str(out))}.")


def show(values: Any, text: str, *, as_json: bool) -> None:  # noqa: ANN401 - JSON
    """Print values as JSON, or a text."""
    typer.echo(json_line(values) if as_json else visible(text, multiline=True))
