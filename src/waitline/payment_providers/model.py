"""Outcomes of a charge, webhook events, and rows of a provider's list. Pure."""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from waitline.kernel.errors import Refused, Unavailable

REASON_CHARS_MAX = 200
"""Most characters stored of a provider's reason: free text for display."""

NOT_CHARGEABLE = "the payment provider does not charge this amount of this currency"
"""Reason of a charge that an adapter does not send: the provider would refuse it, or read its
number as another amount."""


class NotSent(Unavailable):
    """The provider certainly did not get the request: nothing is charged for it, now or later."""


class Money(NamedTuple):
    """An amount in a currency.

    Attributes:
        amount: In minor units of ISO 4217; adapters translate where their provider counts others.
        currency: Code of ISO 4217, in capital letters.
    """

    amount: int
    currency: str


class Charged(NamedTuple):
    """The charge was made.

    Attributes:
        provider_ref: The provider's id of the charge; a refund needs it. `None` if no call was made
            because nothing was due.
        money: What was charged; `None` if nothing was.
        refunded: How much of it the provider has refunded since, in the same minor units.
    """

    provider_ref: str | None
    money: Money | None = None
    refunded: int = 0


class ActionNeeded(NamedTuple):
    """The visitor must act before the charge is made: 3-D Secure, or another confirmation.

    Attributes:
        provider_ref: The provider's id of the charge.
        client_secret: Secret that the provider's script in the visitor's page needs; `None` if
            there is none.
        url: Page of the provider or the bank to which the visitor is sent; `None` if there is none.
    """

    provider_ref: str
    client_secret: str | None = None
    url: str | None = None


class NotCharged(NamedTuple):
    """Nothing was charged, and never will be for this key.

    Attributes:
        reason: The provider's reason, at most `REASON_CHARS_MAX` characters.
    """

    reason: str


class Unseen(NamedTuple):
    """The provider does not know the key, and cannot close it: a request may still arrive."""


class RefundState(StrEnum):
    """State of a refund at the provider."""

    DONE = "done"
    PENDING = "pending"
    FAILED = "failed"


class Refund(NamedTuple):
    """Outcome of a refund.

    Attributes:
        state: Its state.
        reason: The provider's reason of a failure.
    """

    state: RefundState
    reason: str = ""


class Refunded(NamedTuple):
    """Money of a charge was refunded, by us or in the provider's dashboard.

    Attributes:
        amount: Total refunded so far, in minor units; `None` for the whole charge.
    """

    amount: int | None = None


class DisputeState(StrEnum):
    """State of a dispute (chargeback)."""

    OPEN = "open"
    WON = "won"
    LOST = "lost"


class Disputed(NamedTuple):
    """The visitor's bank disputes the charge, or has decided.

    Attributes:
        state: Its state. The money of a lost dispute is gone.
    """

    state: DisputeState


class Changed(NamedTuple):
    """An unsigned webhook. It proves only some change, so the provider is queried."""


class WebhookEvent(NamedTuple):
    """A provider's report about a charge.

    Attributes:
        key: Idempotency key of the charge; `None` if the webhook names only `provider_ref`.
        outcome: What happened.
        provider_ref: The provider's id of the charge; needed without a key.
    """

    key: UUID | None
    outcome: Charged | NotCharged | Refunded | Refund | Disputed | Changed
    provider_ref: str | None = None


class ListedCharge(NamedTuple):
    """A charge in the provider's list.

    Attributes:
        key: Our idempotency key; `None` if the charge has none.
        provider_ref: The provider's id.
        charged: Whether money was taken; `None` while the outcome is open.
        money: Amount taken, or requested.
        refunded: How much of it was refunded, in the same minor units.
    """

    key: UUID | None
    provider_ref: str
    charged: bool | None
    money: Money
    refunded: int = 0


class ChargePage(NamedTuple):
    """A page of the provider's list.

    Attributes:
        charges: Its rows.
        after: Cursor of the next page; `None` if this is the last.
    """

    charges: Sequence[ListedCharge]
    after: str | None


class WebhookForged(Refused):
    """A webhook's signature is missing, wrong or too old, or its body is malformed.

    Attributes:
        reason: `signature`, `age` or `body`.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
