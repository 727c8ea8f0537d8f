"""`waitline concerts`: commands on concerts, and the log of the catalogue's changes."""

from dataclasses import replace
from typing import Annotated, Any, Literal

import typer
from rich.table import Table

from waitline.booking.catalogue import SeatCount
from waitline.booking.catalogue_edits import CHANGES_MAX, CatalogueChange
from waitline.booking.catalogue_model import CONCERT_SETTINGS, Concert, QueueDown
from waitline.cli import options, schedules, seats
from waitline.cli.catalogue_store import (
    NUMBER_MAX,
    CatalogueStore,
    ConcertNumber,
    Version,
    concert_values,
    load,
    schedule_values,
    show,
    show_change,
    warn_of_room,
    with_store,
)
from waitline.cli.change_log import short
from waitline.kernel.escapes import json_line
from waitline.kernel.instants import Instant
from waitline.kernel.terminal import Terminal

CONCERT = {setting.name: setting for setting in CONCERT_SETTINGS}

CHANGED = [
    replace(CONCERT["title"], option="--title"),
    CONCERT["room"],
    CONCERT["venue"],
    CONCERT["currency"],
    CONCERT["visitor_seats_max"],
]

app = typer.Typer(
    help="Create, list, change and delete concerts; show the log of changes.", no_args_is_help=True
)


@app.command("list")
def list_concerts(
    data_dir: options.DataDir = None,
    database_url: options.DatabaseUrl = None,
    as_json: options.AsJson = False,
) -> None:
    """List every concert with its schedules and the number of available seats."""
    settings = load(data_dir=data_dir, database_url=database_url)

    async def use(store: CatalogueStore) -> list[dict[str, Any]]:
        return [await _described(store, concert) for concert in await store.catalogue.concerts()]

    concerts = with_store(settings, use)
    if as_json:
        typer.echo(json_line(concerts))
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
@options.one_for_each(CHANGED[1:], defaults=True)
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
    settings = load(data_dir=data_dir, database_url=database_url)

    async def use(store: CatalogueStore) -> Concert:
        made = await store.catalogue.create_concert(title, **asked)
        await store.edits.created_concert(made)
        return made

    concert = with_store(settings, use)
    show(
        concert_values(concert),
        f"Created concert {concert.concert_id}. Next: "
        f"waitline schedules create {concert.concert_id} --starts-at 2030-05-01T19:00+09:00",
        as_json=as_json,
    )
    warn_of_room(settings, concert.room)


@app.command("set")
@options.one_for_each(CHANGED)
def change(
    concert: ConcertNumber,
    asked: options.Asked,
    queue_down: Annotated[
        Literal["refuse", "admit", "default"] | None,
        typer.Option(help=f"{CONCERT['queue_down'].help} (default)"),
    ] = None,
    version: Version = None,
    data_dir: options.DataDir = None,
    database_url: options.DatabaseUrl = None,
    as_json: options.AsJson = False,
) -> None:
    """Change a concert. Omitted options keep their values.

    The room cannot change while seats are booked, nor the currency while there are seats.

    Example: waitline concerts set 1 --title "Spring Tour 2027" --queue-down admit
    """
    settings = load(data_dir=data_dir, database_url=database_url)
    values = dict(asked)
    if queue_down is not None:
        values["queue_down"] = None if queue_down == "default" else QueueDown(queue_down)

    async def use(store: CatalogueStore) -> tuple[Concert, Concert]:
        before = await store.catalogue.concert(concert)
        return before, await store.edits.change_concert(concert, values, version)

    before, after = with_store(settings, use)
    values_before, values_after = concert_values(before), concert_values(after)
    show_change(f"Concert {concert}", values_before, values_after, as_json=as_json)
    if "room" in values:
        warn_of_room(settings, after.room)


@app.command("delete")
def delete(
    concert: ConcertNumber,
    version: Version = None,
    data_dir: options.DataDir = None,
    database_url: options.DatabaseUrl = None,
) -> None:
    """Delete a concert that has no schedules.

    Example: waitline concerts delete 1
    """
    settings = load(data_dir=data_dir, database_url=database_url)
    with_store(settings, lambda store: store.edits.delete_concert(concert, version))
    typer.echo(f"Deleted concert {concert}.")


@app.command("log")
def log(
    concert: Annotated[
        int | None,
        typer.Argument(min=1, max=NUMBER_MAX, help="Concert number; all concerts if omitted"),
    ] = None,
    schedule: Annotated[
        int | None,
        typer.Option("--schedule", min=1, max=NUMBER_MAX, help="Only changes of this schedule"),
    ] = None,
    last: Annotated[
        int, typer.Option("--last", min=1, max=CHANGES_MAX, help="Number of changes to show")
    ] = 50,
    data_dir: options.DataDir = None,
    database_url: options.DatabaseUrl = None,
    as_json: options.AsJson = False,
) -> None:
    """Show who changed concerts, schedules and seats, and when; latest changes first.

    Example: waitline concerts log 1
    """
    settings = load(data_dir=data_dir, database_url=database_url)

    async def use(store: CatalogueStore) -> list[CatalogueChange]:
        found = await store.edits.changes(concert=concert, schedule=schedule, changes_max=last)
        # A deleted concert has changes; without any, its number may be a typing error.
        if concert is not None and not found:
            await store.catalogue.concert(concert)
        return found

    changes = with_store(settings, use)
    if as_json:
        values = [_logged(one) for one in changes]
        typer.echo(json_line(values))
        return
    table = Table("at", "who", "what", "concert", "schedule", "before", "after", box=None)
    for one in changes:
        table.add_row(
            Instant.of(one.at).iso,
            one.who,
            one.what,
            str(one.concert_id),
            str(one.schedule_id or ""),
            short(one.before),
            short(one.after),
        )
    Terminal().print(table if changes else "No changes yet.")


def _logged(change: CatalogueChange) -> dict[str, Any]:
    return {
        "changeNo": change.change_no,
        "at": Instant.of(change.at).iso,
        "who": change.who,
        "what": change.what,
        "concertId": change.concert_id,
        "scheduleId": change.schedule_id,
        "before": change.before,
        "after": change.after,
    }


async def _described(store: CatalogueStore, concert: Concert) -> dict[str, Any]:
    stock = await store.catalogue.count_seats(concert.concert_id)
    return {
        **concert_values(concert),
        "schedules": [
            {
                **schedule_values(one),
                **stock.get(one.schedule_id, SeatCount(0, 0))._asdict(),
            }
            for one in await store.catalogue.schedules(concert.concert_id)
        ],
    }


# The names of earlier versions.
app.command("schedule")(schedules.create)
app.command("import")(seats.import_seats)
