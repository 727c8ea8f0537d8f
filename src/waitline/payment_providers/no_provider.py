"""No payment provider: only seats at price 0 can be paid. For events that cost nothing."""

from collections.abc import Mapping
from uuid import UUID

from typing_extensions import override

from waitline.payment_providers.model import (
    ActionNeeded,
    Charged,
    ChargePage,
    Money,
    NotCharged,
    Refund,
    RefundState,
    Unseen,
    WebhookEvent,
    WebhookForged,
)
from waitline.payment_providers.port import Provider

REASON = "no payment provider is configured"


class NoProvider(Provider):
    """A `Provider` that charges nothing and declines everything.

    Args:
        key: Not used.
        webhook_secret: Not used.
    """

    def __init__(self, key: str, webhook_secret: str) -> None:
        """Accept the arguments of every adapter."""

    @override
    async def charge(
        self, key: UUID, price: Money, method: str
    ) -> Charged | NotCharged | ActionNeeded:
        """See `Provider.charge`."""
        return NotCharged(REASON)

    @override
    async def fetch_outcome(self, key: UUID, price: Money) -> Charged | NotCharged | Unseen | None:
        """See `Provider.fetch_outcome`."""
        return NotCharged(REASON)

    @override
    async def refund(self, key: UUID, provider_ref: str, whole: Money) -> Refund:
        """See `Provider.refund`."""
        return Refund(RefundState.FAILED, REASON)

    @override
    def parse_webhook(self, headers: Mapping[str, str], body: bytes) -> WebhookEvent | None:
        """See `Provider.parse_webhook`."""
        raise WebhookForged("signature")

    @override
    async def list_charges(self, since_ms: int, after: str | None) -> ChargePage:
        """See `Provider.list_charges`."""
        return ChargePage([], None)

    @override
    async def close(self) -> None:
        """See `Provider.close`."""
