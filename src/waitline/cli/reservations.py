"""`waitline reservations show`: the evidence log of one booking."""

import asyncio
from typing import Annotated

import typer
from rich.table import Table

from waitline import settings as chosen
from waitline.booking import currency
from waitline.booking.evidence import Booking, EvidenceEntry, EvidenceLog
from waitline.booking.model import ReservationUnknown
from waitline.cli import options
from waitline.kernel.errors import Misconfigured
from waitline.kernel.escapes import json_line
from waitline.kernel.terminal import Terminal
from waitline.postgres.pool import Database
from waitline.services.booking.evidence_bodies import EvidenceView

NUMBER_MAX = 2**63 - 1
"""Largest number of a reservation: the range of PostgreSQL's bigint."""

_AMOUNTS = frozenset(("payment_begun", "paid", "refunded", "refunded_in_part"))
"""Entries whose detail is an amount."""

app = typer.Typer(help="Show what is recorded of a booking.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """See the application's help: this only makes a group of one command."""


@app.command("show")
def show(
    reservation: Annotated[
        int, typer.Argument(min=1, max=NUMBER_MAX, help="Booking number, as the buyer has it")
    ],
    data_dir: options.DataDir = None,
    database_url: options.DatabaseUrl = None,
    as_json: options.AsJson = False,
) -> None:
    """Show whose a booking is, and what became of it: when, what, and by whom.

    It explains a cancellation: by the buyer, by an operator, with a cancelled performance, because
    nobody paid in time, or because the provider reports that the money is gone. Entries are kept
    for 400 days.

    Example: waitline reservations show 5290134567
    """
    settings = chosen.load(data_dir=data_dir, database_url=database_url)

    async def run() -> Booking:
        database = Database(settings.database_address(), "waitline.booking", connections_max=1)
        try:
            return await EvidenceLog(database).booking(reservation)
        finally:
            await database.close()

    try:
        found = asyncio.run(run())
    except ReservationUnknown:
        raise Misconfigured(
            f"there is no booking {reservation}: compare the number with the buyer's confirmation; "
            "`waitline payments` lists those of payments that need attention"
        ) from None
    if as_json:
        typer.echo(json_line(EvidenceView.of(found)))
        return
    terminal = Terminal()
    terminal.print(_head(found))
    terminal.print(_payments(found) if found.payments else "No attempt to pay.")
    terminal.print(_entries(found))


def _head(booking: Booking) -> Table:
    table = Table(box=None, show_header=False)
    name = "" if booking.ticket_name is None else f", ticket of {booking.ticket_name}"
    rows = {
        "booking": f"{booking.reservation_id}, {booking.state.lower()}",
        "concert": f"{booking.title} ({booking.concert_id})",
        "schedule": f"{booking.schedule_id}, {booking.starts.iso}",
        "seats": ", ".join(booking.seats),
        "amount": currency.shown(booking.amount, booking.currency),
        "user": f"{booking.user_id}{name}",
        "room": booking.room,
        "holder": booking.holder or "the user's name (trial mode)",
        "place": _place(booking),
    }
    for term, text in rows.items():
        table.add_row(term, text)
    return table


def _place(booking: Booking) -> str:
    place = booking.place
    if place is None:
        return "not recorded"
    return f"{place.place:,}, joined {place.joined_at:%Y-%m-%d %H:%M:%S} UTC, by {place.proof}"


def _payments(booking: Booking) -> Table:
    table = _table(
        "payment", "state", "method", "amount", "refunded", "provider's id", "key", "note"
    )
    for one in booking.payments:
        table.add_row(
            str(one.payment_id),
            one.state.lower(),
            one.method,
            currency.shown(one.amount, one.currency),
            currency.shown(one.refunded, one.currency) if one.refunded else "",
            one.provider_ref or "",
            str(one.charge_key),
            one.flag or one.reason or "",
        )
    return table


def _table(*columns: str) -> Table:
    """Return a table that never cuts a number short: other columns continue on the next line."""
    table = Table(box=None)
    for column in columns:
        table.add_column(column, no_wrap=column == "payment", overflow="fold")
    return table


def _entries(booking: Booking) -> Table:
    table = _table("when (UTC)", "what", "by", "payment", "detail")
    for entry in booking.entries:
        table.add_row(
            f"{entry.at:%Y-%m-%d %H:%M:%S}",
            entry.what.replace("_", " "),
            entry.who,
            str(entry.payment_id or ""),
            _detail(entry, booking.currency),
        )
    return table


def _detail(entry: EvidenceEntry, code: str) -> str:
    if entry.detail is not None and entry.what in _AMOUNTS:
        return currency.shown(int(entry.detail), code)
    return entry.detail or ""
