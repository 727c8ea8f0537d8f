"""Payments that need an operator's attention: listed, and acknowledged once seen."""

from datetime import datetime
from typing import NamedTuple

from waitline.booking.model import PaymentState, PaymentUnknown
from waitline.postgres.pool import Database

SHOWN_MAX = 200
"""Payments listed: more than an operator handles in one sitting. The count covers all."""

PENDING_S = 86_400.0
"""How long a refund is pending at the provider before it needs attention, in s: a day. Banks take
up to a week, and nearly all are done within minutes."""

LOOKS_MAX = 6
"""Checks of a payment at the provider without an outcome, after which it needs attention."""


class FlaggedPayment(NamedTuple):
    """A payment that needs attention.

    Attributes:
        payment_id: Its number.
        reservation_id: The reservation.
        user_id: The visitor.
        amount: Requested amount, in minor units.
        currency: Its currency.
        charged: Amount charged, if different.
        charged_currency: Currency charged, if different.
        refunded: What the provider has refunded.
        state: Its state.
        flag: Why: a `PaymentFlag`, or `unsettled`.
        since: When it was flagged.
        provider_ref: The provider's id of the charge, if it is known.
        reason: The provider's reason, if it has one.
    """

    payment_id: int
    reservation_id: int
    user_id: str
    amount: int
    currency: str
    charged: int | None
    charged_currency: str | None
    refunded: int
    state: PaymentState
    flag: str
    since: datetime
    provider_ref: str | None
    reason: str | None


class Attention:
    """The payments that need attention.

    Args:
        database: Holds the payments.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def flagged(self) -> tuple[int, list[FlaggedPayment]]:
        """Return how many need attention, and `SHOWN_MAX` of them, the longest flagged first."""
        rows = await self._database.fetch_all(
            "flagged_payments", rows_max=SHOWN_MAX, pending_s=PENDING_S, looks_max=LOOKS_MAX
        )
        found = [
            FlaggedPayment(**{name: row[name] for name in FlaggedPayment._fields})._replace(
                state=PaymentState(row["state"])
            )
            for row in rows
        ]
        return (rows[0]["payments"] if rows else 0), found

    async def acknowledge(self, payment_id: int) -> str:
        """Record that an operator has seen a payment's flag; return the flag.

        Raises:
            PaymentUnknown: There is no such payment, or it has no flag.
        """
        row = await self._database.fetch_one("acknowledge_payment", payment_id=payment_id)
        if row is None:
            raise PaymentUnknown
        flag: str = row["flag"]
        return flag
