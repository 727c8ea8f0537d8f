"""Do the store and the box office keep their promises?"""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from waitline import settings as chosen
from waitline.cli import options
from waitline.kernel.clock import SystemClock
from waitline.kernel.errors import Misconfigured
from waitline.kernel.findings import Finding
from waitline.kernel.ids import RoomId, VisitorId
from waitline.queue import audit as auditing
from waitline.queue.model import RoomUnknown
from waitline.tokens.keyring_file import KeyringFile
from waitline.tokens.tickets import mint_ticket
from waitline.tokens.verification import verify_token


def audit(
    room: Annotated[str | None, typer.Option(help="Which room")] = None,
    booking: Annotated[bool, typer.Option("--booking", help="The box office instead")] = False,
    mode: options.Mode = None,
    data_dir: options.DataDir = None,
    valkey_url: options.ValkeyUrl = None,
    database_url: options.DatabaseUrl = None,
    as_json: options.AsJson = False,
) -> None:
    """Check Q1 to Q9 of a room, or B1 to B7 of the box office. Exit status 1 if one does not hold.

    The store answers nobody else while a room is being read, about 30 ms for 100 000 visitors; the
    box office is read beside its sale. That a refused call changes nothing (Q10) cannot be seen in
    a store; tests show it. In trial mode payments may be of any amount (B6).
    """
    if (room is None) is not booking:
        raise Misconfigured("say what to audit: either --room NAME, or --booking")
    settings = chosen.load(
        data_dir=data_dir, valkey_url=valkey_url, database_url=database_url, mode=mode
    )
    found = _room(settings, room, as_json) if room is not None else _booking(settings, as_json)
    if found:
        raise typer.Exit(1)


def _room(settings: chosen.Settings, room: str, as_json: bool) -> Sequence[Finding]:  # noqa: FBT001
    name = RoomId(room)
    try:
        seen = options.with_store(settings, lambda store: auditing.take_snapshot(store, name))
    except RoomUnknown:
        raise Misconfigured(
            f"there is no room {room!r}; `waitline rooms list` names them"
        ) from None
    ring = KeyringFile(settings.keys_file).load_or_create(SystemClock().now_ms())

    def serves(owner: VisitorId, place: int, joined_ms: int, visitor: VisitorId) -> bool:
        ticket = mint_ticket(ring, name, owner, place, joined_ms)
        return verify_token(ring, name, visitor, ticket).genuine

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
        title = (
            f"{seen.room}: {len(seen.waiting):,} wait, {len(seen.admitted):,} hold a slot, "
            f"{len(seen.lapsed):,} lapsed lately"
        )
        _print(title, auditing.INVARIANTS, findings)
    return findings


def _booking(settings: chosen.Settings, as_json: bool) -> Sequence[Finding]:  # noqa: FBT001
    # Here, because what it needs takes longer to import than most commands take in all.
    from waitline.booking.audit import INVARIANTS  # noqa: PLC0415
    from waitline.sales import audit  # noqa: PLC0415

    counts, findings = audit.audited(settings)
    if as_json:
        typer.echo(json.dumps({**counts, "findings": [one._asdict() for one in findings]}))
    else:
        title = ", ".join(f"{count:,} {name}" for name, count in counts.items())
        _print(f"box office: {title}", INVARIANTS, findings)
    return findings


def _print(title: str, promises: Mapping[str, str], findings: Sequence[Finding]) -> None:
    console = Console(highlight=False)
    console.print(title)
    table = Table(box=None, show_header=False)
    for number, promise in promises.items():
        broken = [finding.text for finding in findings if finding.invariant == number]
        verdict = "[red]broken[/]" if broken else "[green]holds[/]"
        table.add_row(number, verdict, promise, "; ".join(broken))
    console.print(table)
