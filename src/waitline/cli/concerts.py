"""`waitline concerts`: commands on concerts, schedules and seats.

They use the database directly, so they also work while no service runs.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, TypeVar

import typer
from rich import progress
from rich.table import Table

from waitline import settings as chosen
from waitline.booking import seat_plan
from waitline.booking.catalogue import Catalogue, SeatCount
from waitline.booking.catalogue_cache import FRESH_S
from waitline.booking.catalogue_model import (
    CONCERT_SETTINGS,
    SCHEDULE_SETTINGS,
    Concert,
    ConcertUnknown,
    NewSeat,
    QueueDown,
    Schedule,
    ScheduleSettings,
    ScheduleUnknown,
    SeatPlanInvalid,
)
from waitline.cli import options
from waitline.kernel.errors import Misconfigured
from waitline.kernel.escapes import visible
from waitline.kernel.instants import Instant, parse_instant
from waitline.kernel.setting import camel
from waitline.kernel.terminal import Terminal
from waitline.postgres.pool import Database
from waitline.settings import Settings

FILE_BYTES_MAX = 32 * 1024 * 1024
"""Largest seat plan that is read, in bytes: four times the largest that the parser allows."""

NUMBER_MAX = 2**63 - 1
"""Largest concert or schedule number: the range of PostgreSQL's bigint."""

CONCERT = {setting.name: setting for setting in CONCERT_SETTINGS}

app = typer.Typer(
    help="Put concerts, schedules and seats on sale, and list them.", no_args_is_help=True
)

T = TypeVar("T")


@app.command("list")
def list_concerts(
    data_dir: options.DataDir = None,
    database_url: options.DatabaseUrl = None,
    as_json: options.AsJson = False,
) -> None:
    """List every concert with its schedules and the number of available seats."""
    settings = chosen.load(data_dir=data_dir, database_url=database_url)

    async def use(catalogue: Catalogue) -> list[dict[str, Any]]:
        return [await _described(catalogue, concert) for concert in await catalogue.concerts()]

    concerts = _with_catalogue(settings, use)
    if as_json:
        typer.echo(json.dumps(concerts))
        return
    table = Table("concert", "title", "room", "queue down", "schedule", "starts at", box=None)
    for heading in ("seats", "available"):
        table.add_column(heading, justify="right")
    for concert in concerts:
        choice = concert["queueDown"] or "default"
        names = (str(concert["concertId"]), concert["title"], concert["room"], choice)
        for schedule in concert["schedules"] or [{}]:
            numbers = (f"{schedule.get(name, 0):,}" for name in ("seats", "available"))
            number = str(schedule.get("scheduleId", "none"))
            table.add_row(*names, number, schedule.get("startsAt", ""), *numbers)
    Terminal().print(
        table if concerts else "No concerts yet: waitline concerts create TITLE --room NAME"
    )


@app.command("create")
@options.one_for_each([CONCERT["room"], CONCERT["venue"], CONCERT["currency"]], defaults=True)
def create(
    title: Annotated[str, typer.Argument(help=CONCERT["title"].help)],
    asked: options.Asked,
    data_dir: options.DataDir = None,
    database_url: options.DatabaseUrl = None,
    as_json: options.AsJson = False,
) -> None:
    """Create a concert, then add schedules.

    Example: waitline concerts create "Spring Tour" --room spring-tour --venue "Olympic Hall"
    """
    settings = chosen.load(data_dir=data_dir, database_url=database_url)
    concert = _with_catalogue(settings, lambda catalogue: catalogue.create_concert(title, **asked))
    _print(
        _flat(concert),
        f"Created concert {concert.concert_id}. Next: "
        f"waitline concerts schedule {concert.concert_id} --starts-at 2030-05-01T19:00+09:00",
        as_json=as_json,
    )


@app.command("set")
def change(
    concert: Annotated[
        int, typer.Argument(min=1, max=NUMBER_MAX, help="Concert number, as in `concerts list`")
    ],
    queue_down: Annotated[
        Literal["refuse", "admit", "default"],
        typer.Option(help=f"{CONCERT['queue_down'].help} (default)"),
    ],
    data_dir: options.DataDir = None,
    database_url: options.DatabaseUrl = None,
    as_json: options.AsJson = False,
) -> None:
    """Choose what happens to a concert's buyers while the queue service is unreachable.

    Example: waitline concerts set 1 --queue-down admit
    """
    settings = chosen.load(data_dir=data_dir, database_url=database_url)
    choice = None if queue_down == "default" else QueueDown(queue_down)
    changed = _with_catalogue(settings, lambda catalogue: catalogue.set_queue_down(concert, choice))
    _print(
        _flat(changed),
        f"Concert {concert}, while the queue is unreachable: {queue_down}. Takes effect "
        f"within {FRESH_S:g} s.",
        as_json=as_json,
    )


@app.command("schedule")
@options.one_for_each(SCHEDULE_SETTINGS, defaults=True)
def schedule(
    concert: Annotated[
        int, typer.Argument(min=1, max=NUMBER_MAX, help="Concert number, as in `concerts list`")
    ],
    starts_at: Annotated[
        str, typer.Option(help="Start, ISO 8601 with a UTC offset: 2030-05-01T19:00+09:00")
    ],
    asked: options.Asked,
    data_dir: options.DataDir = None,
    database_url: options.DatabaseUrl = None,
    as_json: options.AsJson = False,
) -> None:
    """Add a schedule to a concert, then import its seats.

    Example: waitline concerts schedule 1 --starts-at 2030-05-01T19:00+09:00
    """
    settings = chosen.load(data_dir=data_dir, database_url=database_url)
    at, decided = _time("--starts-at", starts_at), ScheduleSettings(**asked)
    made = _with_catalogue(
        settings, lambda catalogue: catalogue.create_schedule(concert, at, decided)
    )
    _print(
        {"concertId": made.concert_id, **_settings(made)},
        f"Created schedule {made.schedule_id}. Next: "
        f"waitline concerts import {made.schedule_id} SEATS.csv",
        as_json=as_json,
    )


@app.command("import")
def import_seats(
    schedule: Annotated[
        int, typer.Argument(min=1, max=NUMBER_MAX, help="Schedule number, as in `concerts list`")
    ],
    file: Annotated[Path, typer.Argument(help="Seat plan: a CSV file")],
    data_dir: options.DataDir = None,
    database_url: options.DatabaseUrl = None,
    as_json: options.AsJson = False,
) -> None:
    """Import the seats of a schedule from a CSV file and put them on sale: all or none.

    The first line of the file names the columns: section, row, seat, grade, price and, optionally,
    position. The best rows come first. Errors are listed with their line numbers.

    Example: waitline concerts import 1 seats.csv
    """
    settings = chosen.load(data_dir=data_dir, database_url=database_url)
    with progress.Progress(
        *progress.Progress.get_default_columns(),
        console=Terminal(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    ) as shown:
        try:
            seats = _read(file, shown)
            shown.add_task(f"Importing {len(seats):,} seats", total=None)
            imported = _with_catalogue(
                settings, lambda catalogue: catalogue.import_seats(schedule, seats)
            )
        except SeatPlanInvalid as error:
            shown.stop()
            _refuse(file, error)
    _print(
        {"scheduleId": schedule, "seats": imported},
        f"{imported:,} {'seat is' if imported == 1 else 'seats are'} on sale in schedule "
        f"{schedule}.",
        as_json=as_json,
    )


def _read(file: Path, shown: progress.Progress) -> list[NewSeat]:
    try:
        size = file.stat().st_size
        if size > FILE_BYTES_MAX:
            raise Misconfigured(
                f"{file} has {size:,} bytes; at most {FILE_BYTES_MAX:,} are allowed"
            )
        with shown.open(file, "r", encoding="utf-8", newline="", description="Reading") as stream:
            return seat_plan.parse(stream)
    except OSError as error:
        raise Misconfigured(f"{file} cannot be read: {error.strerror}") from None


def _refuse(file: Path, error: SeatPlanInvalid) -> NoReturn:
    for line in error.errors:
        typer.secho(visible(f"{file}: {line}"), err=True, fg="red")
    raise Misconfigured(f"{file} has errors; no seat was imported") from None


def _time(option: str, text: str) -> datetime:
    try:
        return parse_instant(text).time
    except ValueError as error:
        raise Misconfigured(f"{option}: {text[:40]!r} {error}") from None


def _with_catalogue(settings: Settings, use: Callable[[Catalogue], Awaitable[T]]) -> T:
    async def run() -> T:
        database = Database(settings.database_address(), "waitline.booking", connections_max=1)
        try:
            return await use(Catalogue(database))
        finally:
            await database.close()

    try:
        return asyncio.run(run())
    except ConcertUnknown:
        raise Misconfigured("concert not found; `waitline concerts list` lists them") from None
    except ScheduleUnknown:
        raise Misconfigured("schedule not found; `waitline concerts list` lists them") from None


async def _described(catalogue: Catalogue, concert: Concert) -> dict[str, Any]:
    stock = await catalogue.count_seats(concert.concert_id)
    return {
        **_flat(concert),
        "schedules": [
            {
                **_settings(one),
                **stock.get(one.schedule_id, SeatCount(0, 0))._asdict(),
            }
            for one in await catalogue.schedules(concert.concert_id)
        ],
    }


def _settings(schedule: Schedule) -> dict[str, Any]:
    return {
        "scheduleId": schedule.schedule_id,
        "startsAt": schedule.starts_at.isoformat(),
        **{camel(name): _plain(value) for name, value in asdict(schedule.settings).items()},
    }


def _plain(value: Any) -> Any:  # noqa: ANN401 - of a setting's type
    return value.iso if isinstance(value, Instant) else value


def _flat(concert: Concert) -> dict[str, Any]:
    return {
        "concertId": concert.concert_id,
        "title": concert.title,
        "venue": concert.venue,
        "room": concert.room,
        "currency": concert.currency,
        "queueDown": concert.queue_down and str(concert.queue_down),
    }


def _print(values: dict[str, Any], text: str, *, as_json: bool) -> None:
    typer.echo(json.dumps(values) if as_json else text)
