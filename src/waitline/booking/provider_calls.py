"""Calls to the payment provider, each reported with its outcome and its duration."""

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar
from uuid import UUID

from waitline.kernel.request_context import step
from waitline.payment_providers.model import (
    ActionNeeded,
    Charged,
    Money,
    NotCharged,
    Refund,
    Unseen,
    WebhookEvent,
)
from waitline.payment_providers.port import Provider

OnProviderCall = Callable[[str, str, float], None]
"""Called after each call: its name, its outcome (ok, declined, silent), its duration in s."""

T = TypeVar("T")


def ignore(_call: str, _outcome: str, _seconds: float) -> None:
    """Observe nothing."""


class TimedProvider:
    """A provider whose calls are reported.

    Args:
        provider: The payment provider.
        on_call: Called after each call.
    """

    def __init__(self, provider: Provider, on_call: OnProviderCall) -> None:
        self._provider = provider
        self._on_call = on_call
        self.parse_webhook: Callable[..., WebhookEvent | None] = provider.parse_webhook

    async def charge(
        self, key: UUID, price: Money, method: str
    ) -> Charged | NotCharged | ActionNeeded:
        """See `Provider.charge`."""
        return await self._timed("charge", self._provider.charge(key, price, method))

    async def fetch_outcome(self, key: UUID, price: Money) -> Charged | NotCharged | Unseen | None:
        """See `Provider.fetch_outcome`."""
        return await self._timed("find", self._provider.fetch_outcome(key, price))

    async def refund(self, key: UUID, provider_ref: str, whole: Money) -> Refund:
        """See `Provider.refund`."""
        return await self._timed("refund", self._provider.refund(key, provider_ref, whole))

    async def _timed(self, call: str, answer: Awaitable[T]) -> T:
        started = time.perf_counter()
        outcome = "silent"
        try:
            with step(f"payment provider: {call}"):
                result = await answer
            outcome = "declined" if isinstance(result, NotCharged) else "ok"
            return result
        finally:
            self._on_call(call, outcome, time.perf_counter() - started)
