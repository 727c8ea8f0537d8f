"""Latency and fault injection of the sandbox. Pure: the random generator is an argument.

A payment method that joins words of `Effect` with `+` has exactly those effects: "TIMEOUT",
"DECLINE+DUPLICATE_WEBHOOK". With any other method, each effect occurs at random with its share.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random


class Effect(StrEnum):
    """A fault of a charge.

    DECLINE: nothing is charged. TIMEOUT: the charge is made, and the request is never answered.
    WEBHOOK_FIRST: the webhook is delivered before the answer. DUPLICATE_WEBHOOK: the webhook is
    delivered twice. LATE_WEBHOOK: the webhook is delivered after `late_s`. AUTHENTICATE: the buyer
    must confirm first (3-D Secure). OTHER_AMOUNT, OTHER_CURRENCY: the charge differs from the
    request. REFUND_PENDING, REFUND_FAIL: a refund stays open, or fails.
    """

    DECLINE = "DECLINE"
    TIMEOUT = "TIMEOUT"
    WEBHOOK_FIRST = "WEBHOOK_FIRST"
    DUPLICATE_WEBHOOK = "DUPLICATE_WEBHOOK"
    LATE_WEBHOOK = "LATE_WEBHOOK"
    AUTHENTICATE = "AUTHENTICATE"
    OTHER_AMOUNT = "OTHER_AMOUNT"
    OTHER_CURRENCY = "OTHER_CURRENCY"
    REFUND_PENDING = "REFUND_PENDING"
    REFUND_FAIL = "REFUND_FAIL"


_EFFECTS: frozenset[str] = frozenset(Effect)


@dataclass(frozen=True, slots=True)
class SandboxBehaviour:
    """Latency and faults.

    Attributes:
        latency_s: Shortest and longest duration of a charge, in s.
        shares: Share of charges with each effect, 0 to 1.
        late_s: Delay of a late webhook, in s.
    """

    latency_s: tuple[float, float] = (0.5, 1.0)
    shares: Mapping[Effect, float] = field(default_factory=dict)
    late_s: float = 30.0

    def draw_effects(self, method: str, rng: Random) -> frozenset[Effect]:
        """Return the effects of a charge."""
        words = method.split("+")
        if _EFFECTS.issuperset(words):
            return frozenset(Effect(word) for word in words)
        return frozenset(effect for effect, share in self.shares.items() if rng.random() < share)
