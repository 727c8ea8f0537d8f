"""`waitline schedules`: commands on the schedules of concerts."""

from typing import Annotated, Any

import typer

from waitline.booking.catalogue_model import SCHEDULE_SETTINGS, Schedule, ScheduleSettings
from waitline.cli import options, stops
from waitline.cli.catalogue_store import (
    CatalogueStore,
    ConcertNumber,
    ScheduleNumber,
    Version,
    load,
    schedule_values,
    show,
    show_change,
    warn_of_times,
    with_store,
)
from waitline.kernel.errors import Misconfigured
from waitline.kernel.instants import EXAMPLE, parse_instant
from waitline.kernel.plurals import counted

app = typer.Typer(help="Create, change and delete schedules of concerts.", no_args_is_help=True)


@app.command("create")
@options.one_for_each(SCHEDULE_SETTINGS, defaults=True)
def create(
    concert: ConcertNumber,
    starts_at: Annotated[str, typer.Option(help=f"Start, ISO 8601 with a UTC offset: {EXAMPLE}")],
    asked: options.Asked,
    data_dir: options.DataDir = None,
    database_url: options.DatabaseUrl = None,
    as_json: options.AsJson = False,
) -> None:
    """Add a schedule to a concert, then import its seats.

    Example: waitline schedules create 1 --starts-at 2030-05-01T19:00+09:00
    """
    settings = load(data_dir=data_dir, database_url=database_url)
    at, decided = _start(starts_at), ScheduleSettings(**asked)

    async def use(store: CatalogueStore) -> Schedule:
        made = await store.catalogue.create_schedule(concert, at, decided)
        await store.edits.created_schedule(made)
        return made

    made = with_store(settings, use)
    show(
        schedule_values(made),
        f"Created schedule {made.schedule_id}. Next: "
        f"waitline seats import {made.schedule_id} SEATS.csv",
        as_json=as_json,
    )
    warn_of_times(made)


@app.command("set")
@options.one_for_each(SCHEDULE_SETTINGS)
def change(
    schedule: ScheduleNumber,
    asked: options.Asked,
    starts_at: Annotated[
        str | None, typer.Option(help=f"Start, ISO 8601 with a UTC offset: {EXAMPLE}")
    ] = None,
    version: Version = None,
    data_dir: options.DataDir = None,
    database_url: options.DatabaseUrl = None,
    as_json: options.AsJson = False,
) -> None:
    """Change a schedule. Omitted options keep their values; '' removes a time.

    The start cannot change while seats are booked.

    Example: waitline schedules set 1 --sales-end 2030-05-01T18:30+09:00
    """
    settings = load(data_dir=data_dir, database_url=database_url)
    values = dict(asked)
    if starts_at is not None:
        values["starts_at"] = _start(starts_at)

    async def use(store: CatalogueStore) -> tuple[Schedule, Schedule]:
        before = await store.catalogue.schedule(schedule)
        return before, await store.edits.change_schedule(schedule, values, version)

    before, after = with_store(settings, use)
    values_before, values_after = schedule_values(before), schedule_values(after)
    show_change(f"Schedule {schedule}", values_before, values_after, as_json=as_json)
    warn_of_times(after)


@app.command("delete")
def delete(
    schedule: ScheduleNumber,
    version: Version = None,
    data_dir: options.DataDir = None,
    database_url: options.DatabaseUrl = None,
) -> None:
    """Delete a schedule and its seats, if no seat is booked and there are no payments.

    Example: waitline schedules delete 1
    """
    settings = load(data_dir=data_dir, database_url=database_url)
    seats = with_store(settings, lambda store: store.edits.delete_schedule(schedule, version))
    typer.echo(f"Deleted schedule {schedule} and {counted(seats, 'seat')}.")


def _start(text: str) -> Any:  # noqa: ANN401 - a time with its zone
    try:
        return parse_instant(text).time
    except ValueError as error:
        raise Misconfigured(f"--starts-at: {text[:40]!r} {error}") from None


app.registered_commands += stops.app.registered_commands
