"""Charges of the provider that no payment of ours has, and their refunds.

A failover to a standby that lacked the last bookings leaves such charges: the visitors have paid,
and we know nothing of it. A charge is looked up again immediately before its refund, and one
without a key of ours is never refunded.
"""

from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from waitline.booking.audit import READ_S
from waitline.booking.provider_audit import CHARGES_MAX
from waitline.kernel.errors import Unavailable
from waitline.payment_providers.model import ListedCharge, Money, RefundState
from waitline.payment_providers.port import Provider
from waitline.postgres.pool import Database

REFUNDS_MAX = 200
"""Most charges that one run lists and refunds. A refund takes a second, so a run ends within
minutes; with timeouts alone, within 35 minutes. The next run goes on."""


class UnknownCharge(NamedTuple):
    """A charge without a payment.

    Attributes:
        provider_ref: The provider's id of it.
        key: Its idempotency key, which an installation of Waitline has made.
        money: What was charged.
        refunded: How much of it is refunded already, in the same minor units.
    """

    provider_ref: str
    key: UUID
    money: Money
    refunded: int


class UnknownCharges(NamedTuple):
    """What a search has found.

    Attributes:
        charges: At most `REFUNDS_MAX` charges.
        without_key: How many charges have no key of ours; they are never refunded.
        more: Whether there may be more than `charges`.
    """

    charges: list[UnknownCharge]
    without_key: int
    more: bool


class RefundOutcome(StrEnum):
    """What became of the refund of a charge.

    HAS_PAYMENT: it has a payment meanwhile, and was left alone. UNANSWERED: the provider did not
    answer; a repeat refunds nothing twice.
    """

    DONE = "refunded"
    PENDING = "pending"
    FAILED = "failed"
    HAS_PAYMENT = "has_payment"
    UNANSWERED = "unanswered"


class RefundMade(NamedTuple):
    """What became of the refund of a charge, and why.

    Attributes:
        outcome: What became of it.
        reason: Why it failed, or was not answered.
    """

    outcome: RefundOutcome
    reason: str = ""


_OUTCOMES = {
    RefundState.DONE: RefundOutcome.DONE,
    RefundState.PENDING: RefundOutcome.PENDING,
    RefundState.FAILED: RefundOutcome.FAILED,
}


async def find(database: Database, provider: Provider, since_ms: int) -> UnknownCharges:
    """Find charges that were made since a time, in ms since the epoch, and have no payment.

    Raises:
        Unavailable: The provider or the database does not answer.
    """
    found: list[UnknownCharge] = []
    without_key, read, after, more = 0, 0, None, True
    while more and len(found) <= REFUNDS_MAX:
        page = await provider.list_charges(since_ms, after)
        kept = [one for one in page.charges if one.charged and one.refunded < one.money.amount]
        # The payment of a charge is stored before it: what the page has, the database must have.
        known = await _with_payment(database, [one.key for one in kept if one.key is not None])
        without_key += sum(one.key is None for one in kept)
        found += [_unknown(one, one.key) for one in kept if one.key and one.key not in known]
        read += len(page.charges)
        after = page.after
        more = after is not None and read < CHARGES_MAX
    left = after is not None or len(found) > REFUNDS_MAX
    return UnknownCharges(found[:REFUNDS_MAX], without_key, left)


async def refund(database: Database, provider: Provider, charge: UnknownCharge) -> RefundMade:
    """Refund what is left of a charge, unless it has a payment. Idempotent.

    Raises:
        Unavailable: The database does not answer; nothing was refunded.
    """
    if await _with_payment(database, [charge.key]):
        return RefundMade(RefundOutcome.HAS_PAYMENT)
    try:
        made = await provider.refund(charge.key, charge.provider_ref, charge.money)
    except Unavailable as error:
        return RefundMade(RefundOutcome.UNANSWERED, str(error))
    return RefundMade(_OUTCOMES[made.state], made.reason)


async def _with_payment(database: Database, keys: list[UUID]) -> set[UUID]:
    rows = await database.fetch_all("payments_by_key", within_s=READ_S, charge_keys=keys)
    return {row["charge_key"] for row in rows}


def _unknown(charge: ListedCharge, key: UUID) -> UnknownCharge:
    return UnknownCharge(charge.provider_ref, key, charge.money, charge.refunded)
