"""Settlement: webhooks, and the reconciler that queries the provider about open payments.

An attempt whose answer was lost is settled by whichever comes first: the provider's webhook, or the
reconciler's query. Both use the statements of the call that began it, in any order and any number
of times. A charge that never reached the provider fails within about a minute (decision 0021).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Never
from uuid import UUID

import structlog

from waitline.booking.model import PaymentState
from waitline.booking.provider_calls import TimedProvider
from waitline.kernel.errors import Unavailable
from waitline.kernel.periodic import periodic
from waitline.payment_providers.model import (
    Charged,
    NotCharged,
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
request leaves within the first ten seconds, or its connection is closed; the rest is for what
proxies and the provider still hold of it, which they give up within half a minute. If it is charged
after all, it is refunded."""

GIVE_UP_S = 7_200.0
"""Age at which an attempt counts as failed if the provider says that its outcome is open: twice the
longest lag of a provider's search. If it was charged after all, the webhook leads to a refund."""

log = structlog.get_logger()


class Settlement:
    """Learns outcomes of payments from the provider, and records them.

    Args:
        database: Holds the payments.
        provider: The payment provider.
        confirm: Records a charge.
        fail: Records that nothing was charged, and why.
    """

    def __init__(
        self,
        database: Database,
        provider: TimedProvider,
        *,
        confirm: Callable[[UUID, Charged], Awaitable[object]],
        fail: Callable[[UUID, str], Awaitable[None]],
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
        if event is None or event.key is None:
            return
        match event.outcome:
            case Charged():
                await self._confirm(event.key, event.outcome)
            case NotCharged(reason):
                await self._fail(event.key, reason)
            case Refunded(None):
                await self._database.fetch_one("refunded_payment", charge_key=event.key)
            case _:
                return

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
        match await self._provider.fetch_outcome(key, row["amount"]):
            case Charged() as charged:
                await self._confirm(key, charged)
            case NotCharged(reason):
                await self._fail(key, reason)
            case Unseen() if row["age_s"] > UNSEEN_S:
                await self._fail(key, "it never reached the provider")
            case None if row["age_s"] > GIVE_UP_S:
                await self._fail(key, "unknown to the provider")
            case _:
                return

    async def _refund(self, row: Row) -> None:
        key: UUID = row["charge_key"]
        refund = await self._provider.refund(key, row["provider_ref"], row["amount"])
        if refund.state is not RefundState.DONE:
            raise Unavailable(f"the refund is {refund.state}: {refund.reason}")
        await self._database.fetch_one("refunded_payment", charge_key=key)
