"""`waitline outbox`: list and retry unsent events and dead letters."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar
from uuid import UUID

import typer
from rich.table import Table

from waitline import settings as chosen
from waitline.admission.payment_events import DeadLetters
from waitline.booking.outbox import Outbox
from waitline.booking.restored import make_agree
from waitline.cli import options
from waitline.kernel.errors import Misconfigured, Unavailable
from waitline.kernel.escapes import json_line
from waitline.kernel.instants import EXAMPLE, parse_instant
from waitline.kernel.plurals import counted
from waitline.kernel.terminal import Terminal, styled
from waitline.postgres.pool import Database
from waitline.valkey.client import OPERATOR_TIMEOUT_S, ValkeyClient

app = typer.Typer()

Ids = Annotated[
    list[str] | None,
    typer.Argument(help="Ids of dead events, as in `waitline outbox`", show_default=False),
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
    """List unsent events and dead letters: events that could not be sent or processed.

    The booking service writes an event for each payment; the admitter processes it and frees the
    buyer's slot. An event that keeps failing becomes a dead letter: fix the cause, then run
    `outbox retry`. Exit status 1 if a store does not answer.
    """
    if context.invoked_subcommand is not None:
        return
    settings = chosen.load(data_dir=data_dir, valkey_url=valkey_url, database_url=database_url)

    async def load(outbox: Outbox, letters: DeadLetters) -> dict[str, Any]:
        # If one side does not answer, the other is still shown.
        return {
            "unsent": await _answer(_unsent(outbox)),
            "stream": await _answer(_stream(letters)),
        }

    found = _with_both(settings, load)
    if as_json:
        typer.echo(json_line(found))
    else:
        _print(found)
    if any("unavailable" in side for side in found.values()):
        raise typer.Exit(1)


@app.command("retry")
def retry(
    ids: Ids = None,
    every: Annotated[bool, typer.Option("--all", help="Retry all dead events")] = False,
    data_dir: options.DataDir = None,
    valkey_url: options.ValkeyUrl = None,
    database_url: options.DatabaseUrl = None,
) -> None:
    """Retry dead events. Fix the cause first.

    Example: waitline outbox retry --all
    """
    if bool(ids) == every:
        raise Misconfigured("give either the ids of the events to retry, or --all")
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
        raise Misconfigured("none of these ids is a dead event; `waitline outbox` lists them")
    typer.echo(f"{counted(retried, 'event')} will be sent again")


@app.command("resend")
def resend(
    since: Annotated[
        str, typer.Option(help=f"Send those that were sent since: ISO 8601, such as {EXAMPLE}")
    ],
    data_dir: options.DataDir = None,
    database_url: options.DatabaseUrl = None,
) -> None:
    """Send payment events again after a store was restored from a back-up. Safe to repeat.

    Visitors who have paid then leave the line, as they had before, and browsers fetch all seats.
    Sent events are kept for a day; slots of earlier visitors expire by themselves. `waitline
    restore` does this, too.

    Example: waitline outbox resend --since 2027-03-15T20:05:00+09:00
    """
    try:
        since_ms = parse_instant(since).at_ms
    except ValueError as error:
        raise Misconfigured(f"--since: {since[:40]!r} {error}") from None
    settings = chosen.load(data_dir=data_dir, database_url=database_url)

    async def run() -> int:
        database = Database(settings.database_address(), "waitline.booking", connections_max=1)
        try:
            return await make_agree(database, since_ms)
        finally:
            await database.close()

    typer.echo(f"{counted(asyncio.run(run()), 'event')} will be sent again")


def _with_both(settings: chosen.Settings, use: Callable[[Outbox, DeadLetters], Awaitable[T]]) -> T:
    """Connect to PostgreSQL and Valkey, run `use`, and close the connections."""

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
            "state": "dead" if event.dead else "pending",
            "topic": event.topic,
            "event": event.payload,
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
        {"id": letter.letter_id, "event": letter.fields, "reason": letter.reason}
        for letter in await letters.letters()
    ]
    return {**backlog._asdict(), "letters": shown}


def _print(found: dict[str, Any]) -> None:
    console = Terminal()
    table = Table("id", "state", "event", "attempts", "reason", box=None)
    unsent, stream = found["unsent"], found["stream"]
    if "unavailable" in unsent:
        console.print(styled(("unsent events:", "red"), f" {unsent['unavailable']}"))
    else:
        console.print(f"Unsent events: {unsent['count']:,}")
        for event in unsent["events"]:
            text = json.dumps(event["event"], ensure_ascii=False)
            attempts = str(event["attempts"])
            table.add_row(event["id"], event["state"], text, attempts, event["reason"] or "")
    if "unavailable" in stream:
        console.print(styled(("sent events:", "red"), f" {stream['unavailable']}"))
    else:
        unread = "unknown" if stream["unread"] is None else f"{stream['unread']:,}"
        console.print(
            f"Sent events: {unread} unread, {stream['unhandled']:,} in progress, "
            f"{stream['dead']:,} dead"
        )
        for letter in stream["letters"]:
            text = json.dumps(letter["event"], ensure_ascii=False)
            table.add_row(letter["id"], "dead", text, "", letter["reason"])
    if table.row_count:
        console.print(table)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
