"""`waitline mode`: show and change the mode of an installation's data."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from waitline import settings as chosen
from waitline.booking.migrations import migrate
from waitline.booking.mode import Chosen, OfficeContents, OfficeMode
from waitline.cli import options
from waitline.kernel.errors import Misconfigured, WaitlineError
from waitline.kernel.escapes import json_line
from waitline.kernel.mode import DataMode
from waitline.kernel.plurals import counted, counted_unless_none
from waitline.kernel.terminal import Terminal, styled
from waitline.postgres.pool import Database
from waitline.queue.mode import LineContents, LineMode
from waitline.settings import Settings
from waitline.trial import stopped
from waitline.valkey.client import OPERATOR_TIMEOUT_S, ValkeyClient

if TYPE_CHECKING:
    from collections.abc import Iterator

app = typer.Typer()

NAMES_MAX = 20
"""Most rooms that are listed by name before a change."""

Yes = Annotated[
    bool, typer.Option("--yes", help="Do not ask for confirmation; required without a terminal")
]


class NotChanged(WaitlineError):  # noqa: N818 - reads as the outcome it is
    """The mode is unchanged; the message says why."""


class StoredData(NamedTuple):
    """Contents of both stores.

    Attributes:
        line: Mode of the data in Valkey.
        rooms: Counts of its rooms.
        office: Mode and money of the data in the database; `None` without a database.
        sold: Counts of its data.
    """

    line: DataMode | None
    rooms: LineContents
    office: Chosen | None
    sold: OfficeContents | None

    @property
    def play_money(self) -> bool:
        """Whether there is a box office whose buyers have paid with play money."""
        return self.office is not None and bool(self.office.play_money)

    def is_in(self, mode: DataMode) -> bool:
        """Return whether both stores have a mode."""
        return self.line is mode and (self.office is None or self.office.mode is mode)


@app.callback(invoke_without_command=True)
def show(
    context: typer.Context,
    data_dir: options.DataDir = None,
    valkey_url: options.ValkeyUrl = None,
    database_url: options.DatabaseUrl = None,
    as_json: options.AsJson = False,
) -> None:
    """Show or change the mode of the data: trial or production.

    The first start writes the mode into Valkey and PostgreSQL. Starting in the other mode is
    refused, so that a forgotten option cannot erase bookings.
    """
    if context.invoked_subcommand is not None:
        return
    settings = chosen.load(data_dir=data_dir, valkey_url=valkey_url, database_url=database_url)
    with _reached(settings) as there:
        found = _run(there, _found)
    if as_json:
        office = found.office
        document = {
            "valkey": found.line,
            "database": office and office.mode,
            "playMoney": office and office.play_money,
        }
        typer.echo(json_line(document))
        return
    console = Terminal()
    console.print(f"Valkey    {found.line or 'no mode yet'}: {_held_by(found.rooms)}")
    if found.office is not None and found.sold is not None:
        money = {True: ", play money", False: ", real money", None: ""}[found.office.play_money]
        mode = found.office.mode or "no mode yet"
        console.print(f"database  {mode}{money}: {_sold_by(found.sold)}")


@app.command("set")
def change(
    mode: Annotated[DataMode, typer.Argument(help="trial or production")],
    data_dir: options.DataDir = None,
    valkey_url: options.ValkeyUrl = None,
    database_url: options.DatabaseUrl = None,
    yes: Yes = False,
) -> None:
    """Change the mode of the data. Lists what this deletes, and asks. Stop the services first.

    Trial to production deletes all trial data: the demo, rehearsals, visitors and their bookings.
    Rooms, concerts and seats that you created stay, and so do seats that you hold back and
    complimentary tickets. Production to trial deletes nothing, and is refused
    while there are payments of real money.

    Example: waitline mode set production
    """
    settings = chosen.load(data_dir=data_dir, valkey_url=valkey_url, database_url=database_url)
    with stopped.opened(settings) as there:
        if there.database_url is not None:
            asyncio.run(migrate(there.database_address()))
        found = _run(there, _found_stopped)
        _change(there, found, mode, yes=yes)


def _change(settings: Settings, found: StoredData, mode: DataMode, *, yes: bool) -> None:
    console = Terminal()
    bookings = found.sold.bookings if found.sold else 0
    # Bookings paid with play money in production are deleted like those of a trial.
    rehearsed = found.is_in(DataMode.PRODUCTION) and found.play_money and bookings > 0
    if found.is_in(mode) and not (mode is DataMode.PRODUCTION and rehearsed):
        console.print(f"The data is in {mode} mode already; nothing was changed.")
        return
    was_trial = DataMode.TRIAL in (found.line, found.office and found.office.mode)
    lines = _leaving_trial(found, was_trial) if mode is DataMode.PRODUCTION else _to_trial(found)
    for line in lines:
        console.print(line)
    if not yes:
        if not sys.stdin.isatty():
            raise NotChanged("nothing was changed: repeat the command with --yes")
        if not typer.confirm("Change the mode?"):
            raise NotChanged("nothing was changed")
    ends = mode is DataMode.PRODUCTION and (was_trial or rehearsed)
    _run(settings, _ended(was_trial) if ends else _changed(mode))
    console.print(styled("The data is in ", (mode, "bold"), " mode now."))


def _leaving_trial(found: StoredData, was_trial: bool) -> list[str]:  # noqa: FBT001
    """Describe a change to production, line by line."""
    if not was_trial and not found.play_money:
        return ["The data has no mode yet. Nothing is deleted."]
    lines = []
    if was_trial:
        rooms = found.rooms
        names = ", ".join(rooms.trial[:NAMES_MAX])
        if names:
            lines.append(f"Deletes the trial's rooms: {names}.")
        if rooms.visitors:
            lines.append(f"Removes {counted(rooms.visitors, 'visitor')} from all rooms.")
    if found.sold is not None:
        sold = found.sold
        parts = [
            *counted_unless_none(sold.bookings, "booking"),
            *([f"{counted(sold.past, 'booking')} of the past"] if sold.past else []),
            *(["the demo concert"] if sold.demos else []),
            *counted_unless_none(sold.rehearsals, "rehearsal"),
        ]
        if sold.bookings or sold.past:
            parts.append("all payments and cool-downs of visitors")
        if parts:
            lines.append(f"Deletes from the database: {', '.join(parts)}.")
        lines += _kept(sold)
    others = counted_unless_none(len(found.rooms.others), "room")
    lines.append(f"Keeps {', '.join([*others, 'all keys'])}.")
    return lines if len(lines) > 1 else ["There is nothing to delete."]


def _kept(sold: OfficeContents) -> list[str]:
    """Describe which operators' data stays, line by line."""
    if not sold.concerts:
        return []
    kept = [
        *counted_unless_none(sold.given, "complimentary ticket"),
        *([f"{counted(sold.held, 'seat')} held back"] if sold.held else []),
        *([f"{counted(sold.stopped, 'schedule')} cancelled or postponed"] if sold.stopped else []),
    ]
    concerts = counted(sold.concerts, "concert")
    besides = f", with {', '.join(kept)}" if kept else ""
    return [f"Keeps your {concerts}{besides}. All other seats are on sale again."]


def _to_trial(found: StoredData) -> list[str]:
    """Describe a change to trial mode, line by line.

    Raises:
        NotChanged: There are bookings of real money.
    """
    if found.sold is not None and found.sold.payments and not found.play_money:
        paid = counted(found.sold.payments, "payment")
        raise NotChanged(
            f"the database holds {paid} of real money, which anybody could cancel in trial mode. "
            "Use a separate data folder and database for a trial"
        )
    lines = [
        "In trial mode, anybody who knows a visitor's ID can see and change the bookings.",
        f"Valkey keeps {_held_by(found.rooms)}.",
    ]
    if found.sold is not None:
        lines.append(f"The database keeps {_sold_by(found.sold)}.")
    return lines


def _held_by(rooms: LineContents) -> str:
    count = len(rooms.trial) + len(rooms.others)
    parts = [*counted_unless_none(count, "room"), *counted_unless_none(rooms.visitors, "visitor")]
    return ", ".join(parts) or "nothing"


def _sold_by(sold: OfficeContents) -> str:
    parts = [
        *counted_unless_none(sold.concerts, "concert"),
        *(["the demo concert"] if sold.demos else []),
        *counted_unless_none(sold.rehearsals, "rehearsal"),
        *counted_unless_none(sold.bookings, "booking"),
        *counted_unless_none(sold.payments, "payment"),
    ]
    return ", ".join(parts) or "nothing"


@contextmanager
def _reached(settings: Settings) -> "Iterator[Settings]":
    """Return the settings with the addresses of both stores, which run or are started for this."""
    try:
        settings.store_url()
    except Misconfigured:
        with stopped.opened(settings) as there:
            yield there
        return
    yield settings


Call = Callable[[LineMode, OfficeMode | None], Coroutine[Any, Any, Any]]


def _run(settings: Settings, use: Call) -> Any:  # noqa: ANN401 - what `use` returns
    async def run() -> Any:  # noqa: ANN401
        store = ValkeyClient(settings.store_url(), timeout_s=OPERATOR_TIMEOUT_S)
        database = _database(settings)
        try:
            return await use(LineMode(store), None if database is None else OfficeMode(database))
        finally:
            await store.close()
            if database is not None:
                await database.close()

    return asyncio.run(run())


def _database(settings: Settings) -> Database | None:
    try:
        address = settings.database_address()
    except Misconfigured:
        # An installation without a box office.
        return None
    return Database(address, "waitline.booking", connections_max=1)


async def _found(line: LineMode, office: OfficeMode | None) -> StoredData:
    return StoredData(
        await line.load(),
        await line.contents(),
        None if office is None else await office.load(),
        None if office is None else await office.contents(),
    )


async def _found_stopped(line: LineMode, office: OfficeMode | None) -> StoredData:
    if await line.is_served() or (office is not None and await office.is_served()):
        raise NotChanged("a service is using this data; stop the queue and booking services first")
    return await _found(line, office)


def _changed(mode: DataMode) -> Call:
    async def change(line: LineMode, office: OfficeMode | None) -> None:
        if office is not None:
            await office.change(mode)
        await line.change(mode)

    return change


def _ended(was_trial: bool) -> Call:  # noqa: FBT001
    """Return the call that ends a trial; a repeat after a failure in between completes it."""

    async def end(line: LineMode, office: OfficeMode | None) -> None:
        if office is not None:
            await office.end_trial()
        if was_trial:
            await line.end_trial()
        await line.change(DataMode.PRODUCTION)

    return end
