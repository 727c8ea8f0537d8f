"""Latencies, refusals and outcomes of a rehearsal, as its visitors saw them."""

from collections import Counter
from typing import Any

from waitline.sales.histogram import Histogram

LOST = "lost"
"""Stands for the code where there was no answer."""

FORESEEN = frozenset((("reserve", "B003"), ("pay", "P001"), ("gone", "Q001")))
"""Expected refusals, by call: the seat was taken, the card was declined, and the queue no longer
knows a buyer who polls until its slot is freed."""


class VisitorTally:
    """Counts by call and by visitor."""

    def __init__(self) -> None:
        self.times: dict[str, Histogram] = {}
        self.late = Histogram()
        self.refused: Counter[tuple[str, str]] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.waits = Histogram()
        self.journeys = Histogram()
        self.freed = Histogram()
        self.came = 0
        self.done = 0
        # Whether the room shows "sold out" to waiting visitors.
        self.sold_out = False
        self.sold: Counter[int] = Counter()

    def called(self, call: str, took_s: float, late_s: float, code: str) -> None:
        """Record one call.

        Args:
            call: Kind of call.
            took_s: Time from when it was due until it was answered.
            late_s: Time from when it was due until it was sent.
            code: Code of the refusal; empty if there was none.
        """
        self.times.setdefault(call, Histogram()).record(int(took_s * 1e6))
        self.late.record(int(late_s * 1e6))
        if code:
            self.refused[call, code] += 1

    def ended(self, how: str) -> None:
        """Record the outcome of a visit."""
        self.done += 1
        self.outcomes[how] += 1

    def failures(self, call: str) -> int:
        """Return the number of unexpected refusals of a call."""
        return sum(
            count
            for (name, code), count in self.refused.items()
            if name == call and (name, code) not in FORESEEN
        )

    def calls(self) -> list[dict[str, Any]]:
        """Return the figures of each call, in the order in which visitors make them."""
        return [
            {
                "call": call,
                "requests": times.total,
                "p50_ms": times.quantile_ms(0.5),
                "p95_ms": times.quantile_ms(0.95),
                "p99_ms": times.quantile_ms(0.99),
                "failed": self.failures(call),
            }
            for call, times in self.times.items()
        ]

    @property
    def twice(self) -> int:
        """Seats whose purchase was confirmed to more than one visitor."""
        return sum(count > 1 for count in self.sold.values())
