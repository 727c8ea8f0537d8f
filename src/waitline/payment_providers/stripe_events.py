"""Parser of Stripe's webhooks. Pure; the signature is verified before."""

from uuid import UUID

import msgspec

from waitline.payment_providers import stripe_units
from waitline.payment_providers.model import (
    REASON_CHARS_MAX,
    Changed,
    Charged,
    Disputed,
    DisputeState,
    NotCharged,
    Refund,
    Refunded,
    RefundState,
    WebhookEvent,
)

_REFUNDS = {
    "succeeded": RefundState.DONE,
    "pending": RefundState.PENDING,
    "requires_action": RefundState.PENDING,
    "failed": RefundState.FAILED,
    "canceled": RefundState.FAILED,
}
# Source: https://docs.stripe.com/api/disputes/object#dispute_object-status. A warning is an inquiry
# before a dispute; closed ones took no money.
_DISPUTES = {
    "warning_needs_response": DisputeState.OPEN,
    "warning_under_review": DisputeState.OPEN,
    "needs_response": DisputeState.OPEN,
    "under_review": DisputeState.OPEN,
    "warning_closed": DisputeState.WON,
    "prevented": DisputeState.WON,
    "won": DisputeState.WON,
    "lost": DisputeState.LOST,
}


class Subject(msgspec.Struct):
    """Subject of a webhook: a PaymentIntent, a charge, a refund or a dispute.

    A charge has its intent's metadata; disputes and refunds of the dashboard name the intent.
    """

    id: str
    metadata: dict[str, str] | None = None
    payment_intent: str | None = None
    status: str = ""
    amount: int = 0
    amount_received: int = 0
    amount_refunded: int = 0
    currency: str = ""
    refunded: bool = False
    failure_reason: str | None = None


class _Data(msgspec.Struct):
    object: Subject


class Message(msgspec.Struct):
    """Body of a webhook."""

    type: str
    data: _Data


def parse_message(message: Message) -> WebhookEvent | None:
    """Return what a webhook reports.

    Returns:
        `None` if it is not about one of our charges.
    """
    subject = message.data.object
    outcome = _reported(message.type, subject)
    if outcome is None:
        return None
    named = (subject.metadata or {}).get("charge_key", "")
    try:
        return WebhookEvent(UUID(named), outcome)
    except ValueError:
        if isinstance(outcome, (Charged, NotCharged, Changed)) or subject.payment_intent is None:
            return None
        return WebhookEvent(None, outcome, subject.payment_intent)


def _reported(
    kind: str, subject: Subject
) -> Charged | NotCharged | Refunded | Refund | Disputed | Changed | None:
    match kind:
        case "payment_intent.succeeded":
            return _succeeded(subject)
        case "payment_intent.payment_failed" | "payment_intent.canceled":
            return declined(kind)
        case "charge.refunded":
            returned = stripe_units.money_of(subject.amount_refunded, subject.currency)
            return Refunded(None if subject.refunded else returned.amount)
        case "refund.updated" | "refund.failed" | "charge.refund.updated":
            made = refund(subject.status, subject.failure_reason)
            # A completed refund is reported with its amounts, as charge.refunded.
            return None if made.state is RefundState.DONE else made
        case "charge.dispute.created" | "charge.dispute.updated" | "charge.dispute.closed" if (
            subject.status in _DISPUTES
        ):
            return Disputed(_DISPUTES[subject.status])
        case _:
            return None


def _succeeded(subject: Subject) -> Charged | Changed:
    taken = subject.amount_received or subject.amount
    if not taken or not subject.currency:
        # Without the charged amount nothing can be compared, so Stripe is queried.
        return Changed()
    return Charged(subject.id, stripe_units.money_of(taken, subject.currency))


def declined(reason: str) -> NotCharged:
    """Return the outcome of a charge that is not made."""
    return NotCharged(reason[:REASON_CHARS_MAX])


def refund_state(status: str | None) -> RefundState:
    """Return the state of a refund; an unknown one is open."""
    return _REFUNDS.get(status or "", RefundState.PENDING)


def refund(status: str | None, reason: str | None) -> Refund:
    """Return the outcome of a refund."""
    return Refund(refund_state(status), (reason or "")[:REASON_CHARS_MAX])
