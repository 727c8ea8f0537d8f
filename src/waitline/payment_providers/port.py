"""Port to payment providers: the interface that every adapter implements.

Each adapter's tests check this contract. `registry.py` describes how to add one.
"""

from collections.abc import Mapping
from typing import Protocol
from uuid import UUID

from waitline.payment_providers.model import (
    ActionNeeded,
    Charged,
    ChargePage,
    Money,
    NotCharged,
    Refund,
    Unseen,
    WebhookEvent,
)

WEBHOOK_PATH = "/api/v1/payments/webhook"
"""Route of the booking service that takes the provider's webhooks."""

CALL_TIMEOUT_S = 10.0
"""Timeout of one call, in s. Card networks answer within seconds. After a timeout, the outcome
comes by webhook or from the reconciler."""

CONNECTIONS_MAX = 512
"""Connections to the provider, per process. At one second per charge they carry 512 payments a
second, about as many as a process can serve."""

ANSWER_BYTES_MAX = 65_536
"""Most bytes of an answer. Genuine ones have a few thousand."""


class Provider(Protocol):
    """Charges and refunds, each at most once per idempotency key."""

    async def charge(
        self, key: UUID, price: Money, method: str
    ) -> Charged | NotCharged | ActionNeeded:
        """Charge an amount, once per key.

        Args:
            key: Idempotency key: a repeat charges nothing more.
            price: Amount, more than 0, and currency. `NotCharged` if the provider does not charge
                it, without asking the provider.
            method: Payment method, as the provider names it.

        Returns:
            `ActionNeeded` if the visitor has to confirm first. The charge may then be made at any
            time, until `fetch_outcome` has closed it.

        Raises:
            NotSent: The request did not leave: the charge is not made, and never will be.
            Unavailable: No answer in time. The charge may have been made, or may yet be made.
        """
        ...

    async def fetch_outcome(self, key: UUID, price: Money) -> Charged | NotCharged | Unseen | None:
        """Return the outcome of a charge.

        If the provider can, it closes an unknown key: a charge request that arrives later is
        refused, and the outcome is `NotCharged`. A charge that waits for the visitor is closed too.

        Args:
            key: Idempotency key of the charge.
            price: Amount requested.

        Returns:
            `None` if the outcome may still change. `Unseen` if the provider does not know the key
            and cannot close it.

        Raises:
            Unavailable: No answer in time.
        """
        ...

    async def refund(self, key: UUID, provider_ref: str, whole: Money) -> Refund:
        """Refund a charge, once; a repeat returns the outcome.

        Args:
            key: Key of the charge; also the idempotency key of the refund.
            provider_ref: The provider's id of the charge.
            whole: Amount of the whole charge. Parts already refunded elsewhere are not refunded
                again.

        Raises:
            Unavailable: The outcome is unknown; try again.
        """
        ...

    def parse_webhook(self, headers: Mapping[str, str], body: bytes) -> WebhookEvent | None:
        """Verify and parse a webhook.

        Args:
            headers: Headers of the request, names in lower case.
            body: Body of the request, byte for byte.

        Returns:
            `None` if the webhook is not about one of our charges.

        Raises:
            WebhookForged: The signature is wrong or too old.
        """
        ...

    async def list_charges(self, since_ms: int, after: str | None) -> ChargePage:
        """Return a page of the charges that were begun since a time, in any order.

        Args:
            since_ms: The time, in ms since the epoch.
            after: Cursor of the page before; `None` for the first.

        Raises:
            Unavailable: No answer in time.
        """
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...
