"""What a payment provider tells. Pure."""

from typing import NamedTuple
from uuid import UUID

from waitline.kernel.errors import Refused

REASON_CHARS_MAX = 200
"""Characters of a provider's reason that are kept; it is read by people, and may be any text."""


class Charged(NamedTuple):
    """The money is taken.

    Attributes:
        provider_ref: The provider's own name for the charge, which a refund names.
    """

    provider_ref: str


class NotCharged(NamedTuple):
    """No money is taken, and none ever will be for this key.

    Attributes:
        reason: What the provider says, at most `REASON_CHARS_MAX` characters.
    """

    reason: str


class Refunded(NamedTuple):
    """The money has gone back, all of it."""


class Event(NamedTuple):
    """A message that a provider has sent of its own accord.

    Attributes:
        key: Of which charge.
        outcome: What has become of it.
    """

    key: UUID
    outcome: Charged | NotCharged | Refunded


class WebhookForged(Refused):
    """A message is not signed by the provider, or was signed too long ago, or is none of its own.

    Attributes:
        why: Which of these.
    """

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why
