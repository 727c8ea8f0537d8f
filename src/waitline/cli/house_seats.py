"""`waitline seats hold`, `release`, `give`, `list`: seats held back, and complimentary tickets."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer
from rich.table import Table

from waitline import settings as chosen
from waitline.booking.house import (
    REASON_CHARS_MAX,
    TICKET_NAME_CHARS_MAX,
    HouseSeat,
    HouseSeats,
    SeatNamesAmbiguous,
    SeatNamesUnknown,
    SeatsNotFree,
    SeatsNotHeld,
)
from waitline.booking.model import ScheduleStopped, SeatsContested
from waitline.cli import options
from waitline.cli.change_log import who
from waitline.kernel.errors import Misconfigured, Refused
from waitline.kernel.escapes import json_line
from waitline.kernel.plurals import counted
from waitline.kernel.terminal import Terminal
from waitline.postgres.pool import Database

NUMBER_MAX = 2**63 - 1
"""Largest number of a schedule: the range of PostgreSQL's bigint."""

app = typer.Typer(
    help="Hold seats back (house, press, wheelchair), release them, issue complimentary tickets.",
    no_args_is_help=True,
)

Schedule = Annotated[
    int, typer.Argument(min=1, max=NUMBER_MAX, help="Schedule number, as in `concerts list`")
]
Seats = Annotated[
    list[str], typer.Argument(help="Seat names: A-1, or SECTION/ROW/SEAT where names repeat")
]

T = TypeVar("T")

_SEATS_ARE = ("seat is", "seats are")


@app.command("hold")
def hold(
    schedule: Schedule,
    seats: Seats,
    reason: Annotated[str, typer.Option(help="For whom or why: press, house, wheelchair")],
    data_dir: options.DataDir = None,
    database_url: options.DatabaseUrl = None,
) -> None:
    """Hold available seats back from sale: all of them, or none. Visitors see them as sold.

    Example: waitline seats hold 5 A-1 A-2 --reason press
    """
    text = options.short_text("--reason", reason, REASON_CHARS_MAX)

    async def use(house: HouseSeats) -> int:
        found = await house.named(schedule, seats)
        await house.hold(schedule, found, text, who=who())
        return len(found)

    count = _with_house(data_dir, database_url, use)
    typer.echo(f"{counted(count, *_SEATS_ARE)} held back: {text}.")


@app.command("release")
def release(
    schedule: Schedule,
    seats: Seats,
    data_dir: options.DataDir = None,
    database_url: options.DatabaseUrl = None,
) -> None:
    """Put held seats back on sale: all of them, or none.

    Example: waitline seats release 5 A-1 A-2
    """

    async def use(house: HouseSeats) -> int:
        found = await house.named(schedule, seats)
        await house.release(schedule, found, who=who())
        return len(found)

    typer.echo(f"{counted(_with_house(data_dir, database_url, use), *_SEATS_ARE)} on sale.")


@app.command("give")
def give(
    schedule: Schedule,
    seats: Seats,
    name: Annotated[str, typer.Option(help="Name on the tickets")],
    data_dir: options.DataDir = None,
    database_url: options.DatabaseUrl = None,
    as_json: options.AsJson = False,
) -> None:
    """Issue complimentary tickets for available or held seats: all of them, or none.

    Example: waitline seats give 5 A-1 A-2 --name "Kim Minji"
    """
    text = options.short_text("--name", name, TICKET_NAME_CHARS_MAX)

    async def use(house: HouseSeats) -> tuple[int, int]:
        found = await house.named(schedule, seats)
        return await house.give(schedule, found, text, who=who()), len(found)

    reservation, count = _with_house(data_dir, database_url, use)
    typer.echo(
        json_line({"reservationId": reservation, "seats": count, "name": text})
        if as_json
        else f"{counted(count, *_SEATS_ARE)} issued to {text}, reservation {reservation}."
    )


@app.command("list")
def listed(
    schedule: Schedule,
    data_dir: options.DataDir = None,
    database_url: options.DatabaseUrl = None,
    as_json: options.AsJson = False,
) -> None:
    """List held seats and complimentary tickets.

    Example: waitline seats list 5
    """

    async def use(house: HouseSeats) -> list[HouseSeat]:
        return await house.listed(schedule)

    found = _with_house(data_dir, database_url, use)
    if as_json:
        rows = [
            {**one._asdict(), "held_at": one.held_at and one.held_at.isoformat()} for one in found
        ]
        typer.echo(json_line(rows))
        return
    table = Table("seat", "state", "held for", "name on the ticket", "reservation", box=None)
    for one in found:
        table.add_row(
            one.name,
            one.state.lower(),
            one.reason or "",
            one.ticket_name or "",
            str(one.reservation_id or ""),
        )
    Terminal().print(table if found else "No seats are held back.")


def _with_house(
    data_dir: options.DataDir,
    database_url: options.DatabaseUrl,
    use: Callable[[HouseSeats], Awaitable[T]],
) -> T:
    settings = chosen.load(data_dir=data_dir, database_url=database_url)

    async def run() -> T:
        database = Database(settings.database_address(), "waitline.booking", connections_max=1)
        try:
            return await use(HouseSeats(database))
        finally:
            await database.close()

    try:
        return asyncio.run(run())
    except Refused as error:
        raise Misconfigured(_said(error)) from None


def _said(error: Refused) -> str:
    """Return the error message of a refusal: one line, with the next step."""
    match error:
        case SeatNamesUnknown(names=names):
            text = f"the schedule has no seat {_shown(names)}; `waitline seats export` lists them"
        case SeatNamesAmbiguous(names=names):
            text = f"several seats are named {_shown(names)}: write SECTION/ROW/SEAT"
        case SeatsNotFree(names=names):
            text = f"reserved or sold: {_shown(names)}; nothing was changed"
        case SeatsNotHeld(names=names):
            text = f"not held back: {_shown(names)}; nothing was changed"
        case ScheduleStopped():
            text = "the schedule is cancelled"
        case SeatsContested():
            text = "visitors are reserving these seats right now; try again"
        case _:
            text = "schedule not found; `waitline concerts list` lists them"
    return text


def _shown(names: tuple[str, ...]) -> str:
    return ", ".join(names[:20]) + (" …" if len(names) > 20 else "")  # noqa: PLR2004 - a line
