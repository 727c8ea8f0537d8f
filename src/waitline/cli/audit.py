"""`waitline audit`: check the invariants of a room or of the box office."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from waitline import settings as chosen
from waitline.cli import options
from waitline.kernel import metric_files, telemetry
from waitline.kernel.clock import SystemClock
from waitline.kernel.errors import Misconfigured
from waitline.kernel.escapes import json_line
from waitline.kernel.findings import Finding
from waitline.kernel.ids import RoomId, VisitorId
from waitline.kernel.instruments import Instruments
from waitline.kernel.metric_files import MetricFile
from waitline.kernel.plurals import counted
from waitline.kernel.terminal import Terminal, styled
from waitline.queue import audit as auditing
from waitline.queue.model import RoomUnknown
from waitline.tokens.keyring_file import KeyringFile
from waitline.tokens.tickets import mint_ticket
from waitline.tokens.verification import verify_token

if TYPE_CHECKING:
    from waitline.booking.audit import LimitsEvidence

HOURS = 24.0
"""How far back payments are compared with the provider, in h: as long as a day without a look."""


AUDIT = (telemetry.AUDIT_FINDINGS, telemetry.AUDIT_TIME)


def audit(
    room: options.AuditedRoom = None,
    booking: Annotated[
        bool, typer.Option("--booking", help="Audit the box office instead of a room")
    ] = False,
    provider: Annotated[
        bool,
        typer.Option("--provider", help="Compare payments with the payment provider's charges"),
    ] = False,
    hours: Annotated[
        float | None,
        typer.Option(
            help=f"With --provider: how many hours back; default {HOURS:g}",
            min=0.01,
            max=2_160,
            show_default=False,
        ),
    ] = None,
    data_dir: options.DataDir = None,
    valkey_url: options.ValkeyUrl = None,
    database_url: options.DatabaseUrl = None,
    as_json: options.AsJson = False,
) -> None:
    """Check a room (Q1 to Q9), the box office (B1 to B10), or payments against the provider (B4).

    Exit status 1 if an invariant is broken; the metric audit_findings counts them. Safe to run
    during a sale: reading a room blocks Valkey for about 30 ms per 100,000 visitors; reading the
    box office blocks nothing. Q10 (a refused call
    changes nothing) cannot be checked in the data; tests cover it. In data of a trial a payment may
    have any amount, so B6 does not compare amounts.

    Example: waitline audit --room demo
    """
    if [room is not None, booking, provider].count(True) != 1:
        raise Misconfigured("choose what to audit: --room NAME, --booking or --provider")
    if hours is not None and not provider:
        raise Misconfigured(
            "--hours: only --provider looks back in time, the others read everything; leave it out"
        )
    settings = chosen.load(data_dir=data_dir, valkey_url=valkey_url, database_url=database_url)
    found: Sequence[Finding]
    if room is not None:
        found = _room(settings, room, as_json)
        _record(settings.metrics_dir, "room", found)
    else:
        found = (
            _provider(settings, hours or HOURS, as_json)
            if provider
            else _booking(settings, as_json)
        )
        _record(settings.booking_metrics_dir, "provider" if provider else "booking", found)
    if found:
        raise typer.Exit(1)


def _record(folder: Path, audited: str, found: Sequence[Finding]) -> None:
    """Write the result into the metrics of a service that runs on the same data folder."""
    telemetry.AUDIT_FINDINGS.set(len(found))
    telemetry.AUDIT_TIME.set(SystemClock().now_ms() / 1000)
    role = f"audit-{audited}"
    # An audit without metrics is still an audit: the folder may be missing, or another user's.
    with suppress(OSError):
        if folder.exists():
            metric_files.forget(folder, role)
            file = MetricFile(folder, role, Instruments(AUDIT))
            file.claim()
            file.write(file.encode())


def _room(settings: chosen.Settings, room: str, as_json: bool) -> Sequence[Finding]:  # noqa: FBT001
    name = RoomId(room)
    try:
        seen = options.with_store(settings, lambda store: auditing.take_snapshot(store, name))
    except RoomUnknown:
        raise Misconfigured(
            f"room {room!r} not found; `waitline rooms list` lists the rooms"
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
        typer.echo(json_line(report))
    else:
        title = (
            f"{seen.room}: {len(seen.waiting):,} waiting, {len(seen.admitted):,} holding a slot, "
            f"{len(seen.lapsed):,} lapsed recently"
        )
        _print(title, auditing.INVARIANTS, findings)
    return findings


def _booking(settings: chosen.Settings, as_json: bool) -> Sequence[Finding]:  # noqa: FBT001
    # A late import: the box office takes longer to import than most commands run.
    from waitline.booking.audit import INVARIANTS  # noqa: PLC0415
    from waitline.sales import audit  # noqa: PLC0415

    counts, findings, limits = audit.audited(settings)
    if as_json:
        shown = {
            "findings": [one._asdict() for one in findings],
            "limits": [one._asdict() for one in limits],
        }
        typer.echo(json_line({**counts, **shown}))
    else:
        title = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items())
        money = " (play money)" if audit.takes_play_money(settings) else ""
        _print(f"box office{money}: {title}", INVARIANTS, findings)
        _print_limits(limits)
    return findings


def _provider(settings: chosen.Settings, hours: float, as_json: bool) -> Sequence[Finding]:  # noqa: FBT001
    # A late import, as above.
    from waitline.booking.audit import INVARIANTS  # noqa: PLC0415
    from waitline.sales import audit  # noqa: PLC0415

    found = audit.reconciled(settings, hours * 3_600)
    if as_json:
        shown = {**found._asdict(), "findings": [one._asdict() for one in found.findings]}
        typer.echo(json_line(shown))
    else:
        title = (
            f"{settings.payment_provider}: {counted(found.charges, 'charge')} and "
            f"{counted(found.payments, 'payment')} in the last {hours:g} h"
        )
        _print(title, {"B4": INVARIANTS["B4"]}, found.findings)
    return found.findings


def _print_limits(limits: "Sequence[LimitsEvidence]") -> None:
    if not limits:
        return
    console = Terminal()
    console.print("Limits per buyer, and the most seats that one buyer has (B7):")
    table = Table(box=None)
    for column in ("schedule", "concert", "limit", "of the concert", "buyers", "most", "in all"):
        table.add_column(column, justify="right")
    for one in limits:
        table.add_row(*("none" if value is None else str(value) for value in one))
    console.print(table)


def _print(title: str, promises: Mapping[str, str], findings: Sequence[Finding]) -> None:
    console = Terminal()
    console.print(title)
    table = Table(box=None, show_header=False)
    for number, promise in promises.items():
        broken = [finding.text for finding in findings if finding.invariant == number]
        verdict = styled(("broken", "red") if broken else ("holds", "green"))
        table.add_row(number, verdict, promise, "; ".join(broken))
    console.print(table)
