"""Published results of a Java implementation (Spring, Redis) of the same contract. Pure.

Source: its own report, on its own hardware; the wire contract, section 5.
"""

from typing import NamedTuple


class PublishedEntry(NamedTuple):
    """A burst of 5 000 entries/s into one concert.

    Attributes:
        hardware: What it ran on.
        per_s: Entries carried out per second.
        p95_ms: 95th percentile of their time.
        p99_ms: 99th percentile.
        dropped: Share of arrivals that were dropped; `None` if it was not published.
    """

    hardware: str
    per_s: float
    p95_ms: float
    p99_ms: float
    dropped: float | None


ENTRIES = (
    PublishedEntry("4 instances, a cluster of 6 nodes", 4_406, 131, 356, 0.0035),
    PublishedEntry("1 instance, 1 Redis", 4_320, 419, 651, None),
)

SCALE_OUT = {2: 1.01, 4: 1.035}
"""Throughput of the entry burst, as a multiple of one instance's."""

JOURNEY = {
    "seats": 4_550.0,
    "reserve": 2_970.0,
    "pay": 3_330.0,
}
"""95th percentile of the calls of a whole journey, in ms, at 194.5 requests/s; 54 % of the arrivals
were dropped."""

JOURNEY_BOOKED, JOURNEY_DROPPED = 0.956, 0.54

SEATS_P95_MS = 829.0
"""95th percentile of the seat list alone, in ms."""
