"""`waitline outbox`: events that wait, and dead letters."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar
from uuid import UUID

import typer
from rich.console import Console
from rich.table import Table

from waitline import settings as chosen
from waitline.admission.payment_events import DeadLetters
from waitline.booking.outbox import Outbox
from waitline.cli import options
from waitline.kernel.errors import Misconfigured, Unavailable
from waitline.postgres.pool import Database
from waitline.valkey.client import OPERATOR_TIMEOUT_S, ValkeyClient

app = typer.Typer(help="List events that wait or are dead, and send them again.")

Ids = Annotated[
    list[str] | None, typer.Argument(help="Ids of dead events, as listed", show_default=False)
]

T = TypeVar("T")


@app.callback(invoke_without_command=True)
def listed(
    context: typer.Context,
    data_dir: options.DataDir = None,
    valkey_url: options.ValkeyUrl = None,
    database_url: options.DatabaseUrl = None,
    as_json: options.AsJson = False,
) -> None:
    """List the events that are not sent yet, and those that the waiting room could not handle."""
    if context.invoked_subcommand is not None:
        return
    settings = chosen.load(data_dir=data_dir, valkey_url=valkey_url, database_url=database_url)

    async def look(outbox: Outbox, letters: DeadLetters) -> dict[str, Any]:
        # If one side does not answer, the other is still shown.
        return {
            "unsent": await _answer(_unsent(outbox)),
            "stream": await _answer(_stream(letters)),
        }

    found = _with_both(settings, look)
    if as_json:
        typer.echo(json.dumps(found))
    else:
        _print(found)


@app.command("retry")
def retry(
    ids: Ids = None,
    every: Annotated[bool, typer.Option("--all", help="All dead events")] = False,
    data_dir: options.DataDir = None,
    valkey_url: options.ValkeyUrl = None,
    database_url: options.DatabaseUrl = None,
) -> None:
    """Send dead events again, after their cause was removed."""
    if bool(ids) == every:
        raise Misconfigured("name the events to send again, or use --all")
    settings = chosen.load(data_dir=data_dir, valkey_url=valkey_url, database_url=database_url)
    events = None if every else [one for one in map(_uuid, ids or ()) if one]
    entries = None if every else [one for one in ids or () if not _uuid(one)]

    async def use(outbox: Outbox, letters: DeadLetters) -> int:
        retried = 0
        if events != []:
            retried += await outbox.retry(events)
        if entries != []:
            retried += await letters.retry(entries)
        return retried

    retried = _with_both(settings, use)
    if ids and not retried:
        raise Misconfigured("none of these is a dead event; `waitline outbox` lists them")
    typer.echo(f"{retried} events are sent again")


def _with_both(settings: chosen.Settings, use: Callable[[Outbox, DeadLetters], Awaitable[T]]) -> T:
    """Open database and store, use them and close them."""

    async def run() -> T:
        database = Database(settings.database_address(), "waitline.booking")
        store = ValkeyClient(settings.store_url(), timeout_s=OPERATOR_TIMEOUT_S)
        try:
            return await use(Outbox(database), DeadLetters(store))
        finally:
            await store.close()
            await database.close()

    return asyncio.run(run())


async def _answer(found: Awaitable[dict[str, Any]]) -> dict[str, Any]:
    try:
        return await found
    except Unavailable as error:
        return {"unavailable": str(error)}


async def _unsent(outbox: Outbox) -> dict[str, Any]:
    count, events = await outbox.unsent()
    shown = [
        {
            "id": str(event.event_id),
            "state": "dead" if event.dead else "waits",
            "topic": event.topic,
            "told": event.payload,
            "createdAt": event.created_at.isoformat(),
            "attempts": event.attempts,
            "reason": event.last_error,
        }
        for event in events
    ]
    return {"count": count, "events": shown}


async def _stream(letters: DeadLetters) -> dict[str, Any]:
    backlog = await letters.backlog()
    shown = [
        {"id": letter.letter_id, "told": letter.fields, "reason": letter.reason}
        for letter in await letters.letters()
    ]
    return {**backlog._asdict(), "letters": shown}


def _print(found: dict[str, Any]) -> None:
    console = Console()
    table = Table("id", "state", "event", "attempts", "reason", box=None)
    unsent, stream = found["unsent"], found["stream"]
    if "unavailable" in unsent:
        console.print(f"[red]unsent events:[/] {unsent['unavailable']}")
    else:
        console.print(f"{unsent['count']:,} events are not sent")
        for event in unsent["events"]:
            told = json.dumps(event["told"], ensure_ascii=False)
            attempts = str(event["attempts"])
            table.add_row(event["id"], event["state"], told, attempts, event["reason"] or "")
    if "unavailable" in stream:
        console.print(f"[red]sent events:[/] {stream['unavailable']}")
    else:
        unread = "an unknown number" if stream["unread"] is None else f"{stream['unread']:,}"
        console.print(
            f"{unread} are sent and not read, {stream['unhandled']:,} read and not handled, "
            f"{stream['dead']:,} could not be handled"
        )
        for letter in stream["letters"]:
            told = json.dumps(letter["told"], ensure_ascii=False)
            table.add_row(letter["id"], "dead", told, "", letter["reason"])
    if table.row_count:
        console.print(table)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
