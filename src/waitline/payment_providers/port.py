"""The port: what the box office calls on any payment provider.

Each adapter keeps these promises, and its tests hold it to them. How to add one: `registry.py`.
"""

from collections.abc import Mapping
from typing import Protocol
from uuid import UUID

from waitline.payment_providers.model import Charged, NotCharged, WebhookEvent

WEBHOOK_PATH = "/api/v1/payments/webhook"
"""Route of the booking service that takes the provider's webhooks."""

CALL_TIMEOUT_S = 10.0
"""Timeout of one call, in s. Card networks answer within seconds; after a timeout the webhook or
the reconciler brings the outcome."""

CONNECTIONS_MAX = 512
"""Connections to the provider, per process. At a second for each charge they carry 512 payments a
second, about as many as a process can serve."""

ANSWER_BYTES_MAX = 65_536
"""Most bytes of an answer or a webhook. Genuine ones have a few thousand."""


class Provider(Protocol):
    """Charges and refunds, each at most once per idempotency key."""

    async def charge(self, key: UUID, amount: int, method: str) -> Charged | NotCharged:
        """Take the money, unless it was taken before.

        Args:
            key: Idempotency key: a repeat with the same key charges nothing more.
            amount: In minor units, more than 0.
            method: Payment method, in the provider's words.

        Raises:
            Unavailable: No answer in time. The money may be taken now, or later.
        """
        ...

    async def fetch_outcome(self, key: UUID) -> Charged | NotCharged | None:
        """Return the outcome of a charge.

        An unknown key is closed, where the provider can do that: a request that is still on its
        way then takes no money, and the outcome is `NotCharged`.

        Returns:
            `None` where the outcome may still change.

        Raises:
            Unavailable: No answer in time.
        """
        ...

    async def refund(self, key: UUID, provider_ref: str, amount: int) -> None:
        """Give the money back, unless that was done before.

        Args:
            key: Of the charge; also the idempotency key of the refund.
            provider_ref: Of the charge.
            amount: All of it, in minor units.

        Raises:
            Unavailable: The outcome is unknown; to be repeated.
        """
        ...

    def parse_webhook(self, headers: Mapping[str, str], body: bytes) -> WebhookEvent | None:
        """Verify and parse a webhook.

        Args:
            headers: Of the request, names in lower case.
            body: Of the request, byte for byte.

        Returns:
            `None` for a webhook about anything but a charge of ours.

        Raises:
            WebhookForged: It is not the provider's, or too old.
        """
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...
