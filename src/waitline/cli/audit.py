"""Does the store keep its promises?"""

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from waitline import settings as chosen
from waitline.cli import options
from waitline.clock import SystemClock
from waitline.errors import Misconfigured
from waitline.ids import RoomId, VisitorId
from waitline.keyring import KeyringFile
from waitline.passes import mint_ticket, read_token
from waitline.queue import audit as auditing
from waitline.queue.model import RoomUnknown


def audit(
    room: Annotated[str, typer.Option(help="Which room")],
    data_dir: options.DataDir = None,
    valkey_url: options.ValkeyUrl = None,
    as_json: options.AsJson = False,
) -> None:
    """Read a whole room and check Q1 to Q9. Exit status 1 if one does not hold.

    The store answers nobody else while it is being read, about 30 ms for 100 000 visitors. That a
    refused call changes nothing (Q10) cannot be seen in a store; tests show it.
    """
    settings = chosen.read(data_dir=data_dir, valkey_url=valkey_url)
    name = RoomId(room)
    try:
        seen = options.with_store(settings, lambda store: auditing.read(store, name))
    except RoomUnknown:
        raise Misconfigured(
            f"there is no room {room!r}; `waitline rooms list` names them"
        ) from None
    ring = KeyringFile(settings.keys_file).load_or_create(SystemClock().now_ms())

    def serves(owner: VisitorId, place: int, joined_ms: int, visitor: VisitorId) -> bool:
        ticket = mint_ticket(ring, name, owner, place, joined_ms)
        return read_token(ring, name, visitor, ticket).genuine

    findings = auditing.examine(seen, serves)
    if as_json:
        report = {
            "room": room,
            "waiting": len(seen.waiting),
            "admitted": len(seen.admitted),
            "lapsed": len(seen.lapsed),
            "findings": [finding._asdict() for finding in findings],
        }
        typer.echo(json.dumps(report))
    else:
        _print(seen, findings)
    if findings:
        raise typer.Exit(1)


def _print(seen: auditing.Snapshot, findings: list[auditing.Finding]) -> None:
    console = Console()
    console.print(
        f"{seen.room}: {len(seen.waiting):,} wait, {len(seen.admitted):,} hold a slot, "
        f"{len(seen.lapsed):,} lapsed lately"
    )
    table = Table(box=None, show_header=False)
    for number, promise in auditing.INVARIANTS.items():
        broken = [finding.text for finding in findings if finding.invariant == number]
        verdict = "[red]broken[/]" if broken else "[green]holds[/]"
        table.add_row(number, verdict, promise, "; ".join(broken))
    console.print(table)
