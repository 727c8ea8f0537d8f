"""How the sandbox behaves, and misbehaves. Pure: the dice are an argument.

A payment method made of the words of `Effect`, with `+` between them, has just those effects:
"TIMEOUT", "DECLINE+DUPLICATE_WEBHOOK". All other methods meet each of them by chance, as often as
was chosen.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random


class Effect(StrEnum):
    """How a charge may go other than well.

    DECLINE: no money is taken. TIMEOUT: money is taken, and the answer never comes. WEBHOOK_FIRST:
    the message is delivered before the answer. DUPLICATE_WEBHOOK: it comes twice. LATE_WEBHOOK: it
    comes when nobody expects it any more.
    """

    DECLINE = "DECLINE"
    TIMEOUT = "TIMEOUT"
    WEBHOOK_FIRST = "WEBHOOK_FIRST"
    DUPLICATE_WEBHOOK = "DUPLICATE_WEBHOOK"
    LATE_WEBHOOK = "LATE_WEBHOOK"


_EFFECTS: frozenset[str] = frozenset(Effect)


@dataclass(frozen=True, slots=True)
class Habits:
    """How the sandbox behaves.

    Attributes:
        latency_s: How long a charge takes at least and at most.
        shares: How often each effect is met by chance, 0 to 1.
        late_s: How late a late message is.
    """

    latency_s: tuple[float, float] = (0.5, 1.0)
    shares: Mapping[Effect, float] = field(default_factory=dict)
    late_s: float = 30.0

    def effects(self, method: str, dice: Random) -> frozenset[Effect]:
        """Return what befalls a charge."""
        words = method.split("+")
        if _EFFECTS.issuperset(words):
            return frozenset(Effect(word) for word in words)
        return frozenset(effect for effect, share in self.shares.items() if dice.random() < share)
