"""Outcomes of a charge, and webhook events. Pure."""

from typing import NamedTuple
from uuid import UUID

from waitline.kernel.errors import Refused

REASON_CHARS_MAX = 200
"""Most characters stored of a provider's reason: free text for people."""


class Charged(NamedTuple):
    """The charge was made.

    Attributes:
        provider_ref: The provider's id of the charge; a refund needs it.
    """

    provider_ref: str


class NotCharged(NamedTuple):
    """Nothing was charged, and never will be for this key.

    Attributes:
        reason: The provider's reason, at most `REASON_CHARS_MAX` characters.
    """

    reason: str


class Refunded(NamedTuple):
    """The whole charge was refunded."""


class WebhookEvent(NamedTuple):
    """The outcome of a charge, sent by the provider.

    Attributes:
        key: Idempotency key of the charge.
        outcome: Its outcome.
    """

    key: UUID
    outcome: Charged | NotCharged | Refunded


class WebhookForged(Refused):
    """A webhook's signature is missing, wrong or too old, or its body is malformed.

    Attributes:
        reason: `signature`, `age` or `body`.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
