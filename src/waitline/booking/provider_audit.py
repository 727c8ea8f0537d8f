"""Reconciliation with the provider's list of charges, in both directions (B4).

Reads the list page by page, and compares each charge with its payment; then looks for payments that
the list does not have. Changes nothing.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple
from uuid import UUID

from waitline.booking.audit import EXAMPLES_MAX, READ_S
from waitline.booking.model import PaymentState
from waitline.kernel.findings import Finding
from waitline.payment_providers.model import ListedCharge, Money
from waitline.payment_providers.port import Provider
from waitline.postgres.pool import Database, Row

CHARGES_MAX = 200_000
"""Most charges of the list that are compared: two thousand pages, about ten minutes at Stripe. For
more, the finding `unread` says that the window has to be shorter."""

PAYMENTS_PAGE = 1_000
"""Payments read in one statement, about 10 ms."""

LATE_S = 120.0
"""Age from which a payment must be in the provider's list, in s, and a charge with us."""

_TAKEN = {PaymentState.COMPLETED, PaymentState.REFUNDING, PaymentState.REFUNDED}

DAMAGE = {
    "unknown": "charges of the provider are not ours",
    "unrecorded": "charges were made, and their payments do not say so",
    "uncharged": "payments were not charged at the provider",
    "amount": "charges have another amount or currency than their payments",
    "unreturned": "payments are REFUNDED, and the provider has not refunded them",
    "returned": "charges were refunded, and their payments do not say so",
    "unlisted": "payments are not in the provider's list",
    "unread": "charges at least were left unread: choose a shorter time",
}
"""Text of each kind of finding."""


class Comparison(NamedTuple):
    """What was compared.

    Attributes:
        charges: How many charges of the provider were read.
        payments: How many payments were looked for in its list.
        findings: What differs.
    """

    charges: int
    payments: int
    findings: list[Finding]


async def compare(
    database: Database, provider: Provider, *, since_s: float, now_ms: int
) -> Comparison:
    """Compare the provider's charges of the last `since_s` seconds with the payments.

    Raises:
        Unavailable: The provider or the database does not answer.
    """
    seen: set[UUID] = set()
    damage: dict[str, list[str]] = {kind: [] for kind in DAMAGE}
    after: str | None = None
    charges = 0
    since_ms = now_ms - int(since_s * 1_000)
    more = True
    while more:
        page = await provider.list_charges(since_ms, after)
        charges += len(page.charges)
        await _compare_page(database, page.charges, seen, damage)
        after = page.after
        more = after is not None and charges < CHARGES_MAX
    if after is not None:
        damage["unread"].append(after)
    payments = 0 if after is not None else await _look_up(database, since_s, seen, damage)
    return Comparison(charges, payments, list(_findings(damage)))


async def _compare_page(
    database: Database,
    charges: Sequence[ListedCharge],
    seen: set[UUID],
    damage: dict[str, list[str]],
) -> None:
    keys = [one.key for one in charges if one.key is not None]
    seen.update(keys)
    rows = await database.fetch_all("payments_by_key", within_s=READ_S, charge_keys=keys)
    payments = {row["charge_key"]: row for row in rows}
    for charge in charges:
        row = None if charge.key is None else payments.get(charge.key)
        kind = _difference(charge, row)
        if kind is not None:
            name = charge.provider_ref if row is None else str(row["payment_id"])
            damage[kind].append(name)


def _difference(charge: ListedCharge, row: Row | None) -> str | None:
    """Return the kind of finding that a charge and its payment make; `None` if they agree."""
    if row is None:
        return "unknown" if charge.charged and charge.refunded < charge.money.amount else None
    state = PaymentState(row["state"])
    # An open charge is still being settled, and so is an open attempt.
    if charge.charged is None or state is PaymentState.PENDING:
        return None
    if charge.charged is not (state in _TAKEN):
        return "unrecorded" if charge.charged else "uncharged"
    return _other_money(charge, row, state) if charge.charged else None


def _other_money(charge: ListedCharge, row: Row, state: PaymentState) -> str | None:
    whole = row["amount"] if row["charged"] is None else row["charged"]
    if charge.money != Money(whole, row["charged_currency"] or row["currency"]):
        return "amount"
    if charge.refunded > row["refunded"] and state is not PaymentState.REFUNDING:
        return "returned"
    if state is PaymentState.REFUNDED and charge.refunded < whole and row["flag"] != "dispute_lost":
        return "unreturned"
    return None


async def _look_up(
    database: Database, since_s: float, seen: set[UUID], damage: dict[str, list[str]]
) -> int:
    """Find payments that the provider's list does not have; return how many were looked for."""
    count, after_id, more = 0, 0, True
    while more:
        rows = await database.fetch_all(
            "charged_payments",
            within_s=READ_S,
            since_s=since_s,
            late_s=LATE_S,
            after_id=after_id,
            rows_max=PAYMENTS_PAGE,
        )
        damage["unlisted"] += [
            str(row["payment_id"]) for row in rows if row["charge_key"] not in seen
        ]
        count += len(rows)
        more = len(rows) == PAYMENTS_PAGE
        after_id = rows[-1]["payment_id"] if rows else 0
    return count


def _findings(damage: dict[str, list[str]]) -> Iterator[Finding]:
    for kind, names in damage.items():
        if names:
            some = ", ".join(names[:EXAMPLES_MAX]) + (" …" if len(names) > EXAMPLES_MAX else "")
            yield Finding("B4", f"{len(names)} {DAMAGE[kind]}: {some}", len(names))
