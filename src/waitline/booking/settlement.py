"""Settlement: webhooks, and the reconciler that queries the provider about open payments.

An attempt whose answer was lost is settled by whichever comes first: the provider's webhook, or the
reconciler's query. Both use the statements of the call that began it, in any order and any number
of times. A charge that never reached the provider fails within about a minute (decision 0021).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple, Never
from uuid import UUID

import structlog

from waitline.booking.batches import until_unlocked
from waitline.booking.evidence import Settler
from waitline.booking.model import NEVER_ARRIVED, NEVER_KNOWN, PaymentState
from waitline.booking.payment_flags import PaymentFlag
from waitline.booking.provider_calls import TimedProvider
from waitline.kernel.errors import Contended, Unavailable
from waitline.kernel.periodic import periodic
from waitline.payment_providers.model import (
    Changed,
    Charged,
    Disputed,
    DisputeState,
    Money,
    NotCharged,
    Refund,
    Refunded,
    RefundState,
    Unseen,
)
from waitline.postgres.pool import Database, Row

CHUNK_MAX = 32
"""Payments that the reconciler settles concurrently."""

TICK_S = 1.0
"""Between two rounds of the reconciler, so that a refund begins within about a second."""

PAUSE_S = 5.0
OPEN_PAUSE_MAX_S = 30.0
PAUSE_MAX_S = 600.0
"""Exponential backoff between the checks of one payment: first pause, longest of an open attempt,
longest of a refund. A buyer waits for the first, so after an outage of the provider an attempt is
settled within half a minute; a refund is checked within ten minutes."""

UNSEEN_S = 60.0
"""Age at which an attempt fails if the provider does not know its key and cannot close it. A
request leaves within the first ten seconds, or its connection is closed; the rest covers proxies
and the provider, which drop a request within half a minute. If it is charged after all, it is
refunded."""

GIVE_UP_S = 7_200.0
"""Age at which an attempt counts as failed if the provider says that its outcome is open: twice the
longest lag of a provider's search. If it was charged after all, the webhook leads to a refund."""

AUTHENTICATION_S = 180.0
"""How long a charge may wait for the visitor's bank, in s, also beyond the reservation's expiry. A
confirmation takes a minute; banks' pages give up after five, but the seats are wanted by others."""

# Flags by what the provider reports.
_REFUNDS = {
    RefundState.DONE: "refunded",
    RefundState.PENDING: PaymentFlag.REFUND_PENDING,
    RefundState.FAILED: PaymentFlag.REFUND_FAILED,
}
_DISPUTES = {
    DisputeState.OPEN: PaymentFlag.DISPUTED,
    DisputeState.WON: PaymentFlag.DISPUTE_WON,
    DisputeState.LOST: PaymentFlag.DISPUTE_LOST,
}

log = structlog.get_logger()


class _Move(NamedTuple):
    """The values of `move_money`."""

    charge_key: UUID | None
    provider_ref: str | None
    refunded: int | None
    gone: bool
    news: str
    who: Settler


class Settlement:
    """Learns outcomes of payments from the provider, and records them.

    Args:
        database: Holds the payments.
        provider: The payment provider.
        confirm: Records a charge, and who found it.
        fail: Records that nothing was charged, why, and who found it.
    """

    def __init__(
        self,
        database: Database,
        provider: TimedProvider,
        *,
        confirm: Callable[[UUID, Charged, Settler], Awaitable[object]],
        fail: Callable[[UUID, str, Settler], Awaitable[None]],
    ) -> None:
        self._database = database
        self._provider = provider
        self._confirm = confirm
        self._fail = fail

    async def webhook(self, headers: Mapping[str, str], body: bytes) -> None:
        """Handle a webhook of the provider. Idempotent.

        Args:
            headers: Headers of the request, names in lower case.
            body: Body of the request, byte for byte.

        Raises:
            WebhookForged: The signature is wrong or too old.
        """
        event = self._provider.parse_webhook(headers, body)
        if event is None:
            return
        key, ref = event.key, event.provider_ref
        match event.outcome:
            case Charged() as charged if key is not None:
                await self._confirm(key, charged, Settler.WEBHOOK)
            case NotCharged(reason) if key is not None:
                await self._fail(key, reason, Settler.WEBHOOK)
            case Changed() if key is not None:
                await self._look_again(key)
            case Refunded(amount):
                await self.note_refund(key, ref, amount, Settler.WEBHOOK)
            case Refund() as refund:
                await self._note_open_refund(key, ref, refund, Settler.WEBHOOK)
            case Disputed(state):
                gone = state is DisputeState.LOST
                await self._move(_Move(key, ref, None, gone, _DISPUTES[state], Settler.WEBHOOK))
            case _:
                return

    async def authenticate(self, key: UUID, provider_ref: str) -> None:
        """Record that a charge waits for the visitor's bank."""

        async def attempt() -> None:
            row = await self._database.fetch_one(
                "authenticate_payment",
                charge_key=key,
                provider_ref=provider_ref,
                patience_s=AUTHENTICATION_S,
                who=Settler.CALL,
            )
            if row is not None and row["locked"]:
                raise Contended("the reservation or its payment is locked")

        await until_unlocked(attempt)

    async def close(self, key: UUID, price: Money, by: Settler) -> None:
        """Close a charge that waits for the visitor's bank, and record its outcome.

        Args:
            key: Key of the charge.
            price: Amount requested.
            by: Who closes it, for the evidence log.

        Raises:
            Unavailable: The provider does not answer; nothing has changed.
        """
        match await self._provider.fetch_outcome(key, price):
            case Charged() as charged:
                await self._confirm(key, charged, by)
            case NotCharged(reason):
                await self._fail(key, reason, by)
            case _:
                return

    async def note_refund(
        self, key: UUID | None, ref: str | None, amount: int | None, by: Settler
    ) -> None:
        """Record a refund that the provider reports.

        Args:
            key: Key of the charge.
            ref: The provider's id of it, if there is no key.
            amount: All that was refunded of it so far; `None` for the whole charge.
            by: Who found it, for the evidence log.
        """
        await self._move(_Move(key, ref, amount, amount is None, "refunded", by))

    async def _note_open_refund(
        self, key: UUID | None, ref: str | None, refund: Refund, by: Settler
    ) -> None:
        flag = _REFUNDS[refund.state]
        await self._move(_Move(key, ref, None, refund.state is RefundState.DONE, flag, by))

    async def _move(self, move: _Move) -> None:
        async def attempt() -> Row | None:
            row = await self._database.fetch_one("move_money", **move._asdict())
            if row is not None and row["locked"]:
                raise Contended("the reservation, its seats or its payment are locked")
            return row

        row = await until_unlocked(attempt)
        if row is None:
            log.warning("charge_unknown", charge=str(move.charge_key or move.provider_ref))
        elif row["is_new"] and row["flag"] is not None:
            log.warning(
                "payment_flagged",
                payment=row["payment_id"],
                flag=row["flag"],
                state=row["state"],
                seats=row["seats"],
            )

    async def _look_again(self, key: UUID) -> None:
        """Query the provider about the charge that an unsigned webhook names."""
        rows = await self._database.fetch_all("payments_by_key", charge_keys=[key])
        if rows:
            await self.close(key, _asked(rows[0]), Settler.WEBHOOK)

    async def run(self) -> Never:
        """Run the reconciler until cancelled."""
        await periodic("settlement", self._round, TICK_S)

    async def _round(self) -> bool:
        return await self.settle() == CHUNK_MAX

    async def settle(self) -> int:
        """Settle open attempts with the provider's help, and make due refunds.

        Reconcilers may run concurrently.

        Returns:
            How many payments were checked, at most `CHUNK_MAX`.
        """
        rows = await self._database.fetch_all(
            "unsettled_payments",
            chunk_max=CHUNK_MAX,
            pause_s=PAUSE_S,
            open_pause_max_s=OPEN_PAUSE_MAX_S,
            pause_max_s=PAUSE_MAX_S,
        )
        async with asyncio.TaskGroup() as group:
            for row in rows:
                group.create_task(self._settle(row))
        return len(rows)

    async def _settle(self, row: Row) -> None:
        settle = self._refund if row["state"] == PaymentState.REFUNDING else self._ask
        try:
            await settle(row)
        except Unavailable as error:
            log.warning(
                "payment_unsettled",
                payment=row["payment_id"],
                state=row["state"],
                looks=row["looks"],
                reason=str(error),
            )
        except Exception as error:
            # One broken payment must not keep the others from being settled. Its next check is
            # stored already.
            log.exception("payment_unsettled", payment=row["payment_id"], reason=repr(error))

    async def _ask(self, row: Row) -> None:
        key: UUID = row["charge_key"]
        by = Settler.RECONCILER
        if row["amount"] == 0:
            # Seats at price 0 need no charge.
            await self._confirm(key, Charged(None), by)
            return
        match await self._provider.fetch_outcome(key, _asked(row)):
            case Charged() as charged:
                await self._confirm(key, charged, by)
            case NotCharged(reason):
                await self._fail(key, reason, by)
            case Unseen() if row["age_s"] > UNSEEN_S:
                await self._fail(key, NEVER_ARRIVED, by)
            case None if row["age_s"] > GIVE_UP_S:
                await self._fail(key, NEVER_KNOWN, by)
            case _:
                return

    async def _refund(self, row: Row) -> None:
        key: UUID = row["charge_key"]
        if row["amount"] > 0:
            refund = await self._provider.refund(key, row["provider_ref"], _asked(row))
            if refund.state is not RefundState.DONE:
                await self._note_open_refund(key, None, refund, Settler.RECONCILER)
                return
        await self._database.fetch_one("refunded_payment", charge_key=key, who=Settler.RECONCILER)


def _asked(row: Row) -> Money:
    return Money(row["amount"], row["currency"])
