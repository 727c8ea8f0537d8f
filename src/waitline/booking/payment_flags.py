"""Flags of payments, beside their state. Pure."""

from enum import StrEnum


class PaymentFlag(StrEnum):
    """Flag of a payment, beside its state.

    AUTHENTICATION: it waits for the visitor's bank. REFUND_PENDING, REFUND_FAILED: of the refund
    that is due. REFUNDED_ELSEWHERE, REFUNDED_IN_PART: in the provider's dashboard. DISPUTED,
    DISPUTE_WON, DISPUTE_LOST: by the visitor's bank; the money of a lost one is gone.
    CHARGED_OTHERWISE: the amount or currency charged differs from the request, and is refunded.
    """

    AUTHENTICATION = "authentication"
    REFUND_PENDING = "refund_pending"
    REFUND_FAILED = "refund_failed"
    REFUNDED_ELSEWHERE = "refunded_elsewhere"
    REFUNDED_IN_PART = "refunded_in_part"
    DISPUTED = "disputed"
    DISPUTE_WON = "dispute_won"
    DISPUTE_LOST = "dispute_lost"
    CHARGED_OTHERWISE = "charged_otherwise"
