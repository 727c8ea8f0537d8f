"""Outcomes of a charge, and webhook events. Pure."""

from typing import NamedTuple
from uuid import UUID

from waitline.kernel.errors import Refused

REASON_CHARS_MAX = 200
"""Characters of a provider's reason that are kept: any text, for people to read."""


class Charged(NamedTuple):
    """The money was taken.

    Attributes:
        provider_ref: The provider's own name for the charge; a refund needs it.
    """

    provider_ref: str


class NotCharged(NamedTuple):
    """No money was taken, and none ever will be for this key.

    Attributes:
        reason: The provider's, at most `REASON_CHARS_MAX` characters.
    """

    reason: str


class Refunded(NamedTuple):
    """All of the money went back."""


class WebhookEvent(NamedTuple):
    """A charge's outcome, sent by the provider.

    Attributes:
        key: Idempotency key of the charge.
        outcome: Of the charge.
    """

    key: UUID
    outcome: Charged | NotCharged | Refunded


class WebhookForged(Refused):
    """A webhook's signature is missing, wrong or too old, or its body is none of the provider's.

    Attributes:
        reason: `signature`, `age` or `body`.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
