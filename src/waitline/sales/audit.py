"""Audit the box office, and its agreement with the waiting room (B5).

B5 is checked here because neither side reads the other's data.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from waitline.booking import audit, provider_audit
from waitline.booking.audit import EXAMPLES_MAX, LimitsEvidence, PaidVisitor
from waitline.booking.mode import OfficeMode
from waitline.booking.provider_audit import Comparison
from waitline.kernel.clock import SystemClock
from waitline.kernel.findings import Finding
from waitline.kernel.ids import RoomId
from waitline.kernel.plurals import counted
from waitline.payment_providers.registry import open_provider
from waitline.postgres.pool import Database
from waitline.queue import audit as queue_audit
from waitline.queue.audit import RoomSnapshot
from waitline.queue.model import RoomUnknown
from waitline.settings import Settings
from waitline.valkey.client import OPERATOR_TIMEOUT_S, ValkeyClient


class BookingAudit(NamedTuple):
    """Result of an audit of the box office.

    Attributes:
        counts: Number of rows read, by table.
        findings: The findings, sorted by invariant.
        limits: Most seats per buyer, next to the limits, by schedule.
    """

    counts: Mapping[str, int]
    findings: Sequence[Finding]
    limits: Sequence[LimitsEvidence]


def audited(settings: Settings) -> BookingAudit:
    """Audit the box office, and the rooms whose visitors have paid.

    Raises:
        Misconfigured: No address of the database or of Valkey is configured.
        Unavailable: One of them does not answer.
    """

    async def run() -> BookingAudit:
        database = Database(settings.database_address(), "waitline.booking")
        store = ValkeyClient(settings.store_url(), timeout_s=OPERATOR_TIMEOUT_S)
        try:
            # A database that no service has used yet has no mode.
            mode = (await OfficeMode(database).load()).mode or settings.mode
            findings = await audit.examine(database, at_price=mode == "production")
            paid = await audit.paid_visitors(database)
            for room in sorted({one.room for one in paid}):
                seen = await _seen(store, RoomId(room))
                if seen is not None:
                    findings += kept_slots(seen, paid)
            return BookingAudit(
                await audit.count_rows(database),
                sorted(findings),
                await audit.limits_evidence(database),
            )
        finally:
            await store.close()
            await database.close()

    return asyncio.run(run())


def takes_play_money(settings: Settings) -> bool:
    """Return whether the buyers of the box office pay with play money, as its data says.

    Raises:
        Unavailable: The database does not answer.
    """

    async def run() -> bool:
        database = Database(settings.database_address(), "waitline.booking", connections_max=1)
        try:
            return bool((await OfficeMode(database).load()).play_money)
        finally:
            await database.close()

    return asyncio.run(run())


def reconciled(settings: Settings, since_s: float) -> Comparison:
    """Compare the payments of the last `since_s` seconds with the provider's list of charges.

    Raises:
        Misconfigured: No database is configured, or a setting of the payment provider is missing.
        Unavailable: One of them does not answer.
    """
    settings.require_payments()

    async def run() -> Comparison:
        database = Database(settings.database_address(), "waitline.booking")
        provider = open_provider(
            settings.payment_provider, *settings.payment_secrets(), settings.payment_url
        )
        try:
            now_ms = SystemClock().now_ms()
            return await provider_audit.compare(database, provider, since_s=since_s, now_ms=now_ms)
        finally:
            await provider.close()
            await database.close()

    return asyncio.run(run())


async def _seen(store: ValkeyClient, room: RoomId) -> RoomSnapshot | None:
    """Return a snapshot of a room; `None` if it was deleted after the sale."""
    try:
        return await queue_audit.take_snapshot(store, room)
    except RoomUnknown:
        return None


def kept_slots(seen: RoomSnapshot, paid: Sequence[PaidVisitor]) -> Iterator[Finding]:
    """Yield a finding if visitors who have paid still hold the slot that they used.

    A visitor who joined again after paying holds another slot, and is not a finding.
    """
    held = {
        visitor: slot.joined_ms for visitor, slot in seen.slots.items() if visitor in seen.admitted
    }
    kept = sorted(
        one.user_id
        for one in paid
        if one.room == seen.room and held.get(one.user_id, one.paid_ms) < one.paid_ms
    )
    if kept:
        some = ", ".join(map(str, kept[:EXAMPLES_MAX])) + (" …" if len(kept) > EXAMPLES_MAX else "")
        who = counted(
            len(kept), "visitor has paid but still holds", "visitors have paid but still hold"
        )
        text = f"{who} a slot in room {seen.room!r}: {some}"
        yield Finding("B5", text, len(kept))
