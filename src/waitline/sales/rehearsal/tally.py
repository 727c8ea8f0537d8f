"""What came of a rehearsal, as its visitors saw it."""

from collections import Counter
from typing import Any

from waitline.sales.histogram import Histogram

LOST = "lost"
"""Instead of a code: there was no answer."""

FORESEEN = frozenset((("reserve", "B003"), ("pay", "P001"), ("gone", "Q001")))
"""Refusals that belong to every sale: others were faster, a card was declined; and a buyer polls
until the queue has forgotten it."""


class VisitorTally:
    """Counts of everything, by call and by visitor."""

    def __init__(self) -> None:
        self.times: dict[str, Histogram] = {}
        self.late = Histogram()
        self.refused: Counter[tuple[str, str]] = Counter()
        self.ends: Counter[str] = Counter()
        self.waits = Histogram()
        self.journeys = Histogram()
        self.freed = Histogram()
        self.came = 0
        self.done = 0
        # Whether the room shows "sold out" to those who wait.
        self.sold_out = False
        self.sold: Counter[int] = Counter()

    def called(self, call: str, took_s: float, late_s: float, code: str) -> None:
        """Count one call.

        Args:
            call: Which.
            took_s: From when it was due until it was answered.
            late_s: From when it was due until this process came to it.
            code: Of the refusal; empty if it was none.
        """
        self.times.setdefault(call, Histogram()).record(int(took_s * 1e6))
        self.late.record(int(late_s * 1e6))
        if code:
            self.refused[call, code] += 1

    def ended(self, how: str) -> None:
        """Count a visitor who has gone."""
        self.done += 1
        self.ends[how] += 1

    def failures(self, call: str) -> int:
        """Return how many of a call's answers were refusals that belong to no sale."""
        return sum(
            count
            for (name, code), count in self.refused.items()
            if name == call and (name, code) not in FORESEEN
        )

    def calls(self) -> list[dict[str, Any]]:
        """Return each call's figures, in the order in which visitors make them."""
        return [
            {
                "call": call,
                "asked": times.total,
                "p50_ms": times.quantile_ms(0.5),
                "p95_ms": times.quantile_ms(0.95),
                "p99_ms": times.quantile_ms(0.99),
                "failed": self.failures(call),
            }
            for call, times in self.times.items()
        ]

    @property
    def twice(self) -> int:
        """Seats whose purchase more than one visitor saw confirmed."""
        return sum(count > 1 for count in self.sold.values())
