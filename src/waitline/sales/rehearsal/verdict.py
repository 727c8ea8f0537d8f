"""Decide go or no-go from the figures of a rehearsal. Pure."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from waitline.kernel.plurals import counted
from waitline.sales.rehearsal.tally import FORESEEN

P95_MS = {
    "enter": 200.0,
    "status": 100.0,
    "activate": 100.0,
    "seats": 500.0,
    "reserve": 1_000.0,
    "pay": 2_000.0,
    "remove": 100.0,
}
"""Limits of the p95 latency by call, in ms. Source: the wire contract, section 5; activate has the
limit of status."""

FAILED_MAX = 0.01
"""Largest share of a call's answers that may be missing or unexpected refusals. Source: the wire
contract, section 5, validation; the strictest of its scenarios."""

FREED_MS = 1_200.0
"""Limit of the p95 time from a payment until its slot is freed, in ms. Source: the wire contract,
section 3, and the time between two polls."""

LATE_MS = 100.0
"""Limit of how late this process may send requests, p99, in ms. Above it the load differs from the
plan, and latencies measure this process rather than the installation."""

BUSY = 0.95
"""Share of a core above which this process counts as saturated."""


class Findings(NamedTuple):
    """The figures that the verdict is based on.

    Attributes:
        visitors: Number of planned visitors.
        done: Number of visitors who finished.
        calls: As `VisitorTally.calls`.
        refused: Number of refusals by call and code.
        freed_p95_ms: Time from a payment until its slot was freed, p95; `None` if not measured.
        overtaken: Visitors who were admitted after a higher place.
        twice: Seats whose purchase was confirmed to two visitors.
        acknowledged: Payments that were confirmed to visitors.
        noted: Reservations that are confirmed in the database. More than `acknowledged` if answers
            were lost.
        under_way: Payments and events that did not settle in time.
        findings: Invariants of the line or the box office that were broken.
        silences: Samples of the room that Valkey did not answer.
        late_p99_ms: How late this process sent requests, p99.
        busy: Share of a core that this process used.
    """

    visitors: int
    done: int
    calls: Sequence[dict[str, Any]]
    refused: Counter[tuple[str, str]]
    freed_p95_ms: float | None
    overtaken: int
    twice: int
    acknowledged: int
    noted: int
    under_way: int
    findings: Sequence[str]
    silences: int
    late_p99_ms: float
    busy: float

    @property
    def outrun(self) -> bool:
        """Whether this process was saturated."""
        return self.late_p99_ms > LATE_MS or self.busy > BUSY


def reasons(found: Findings) -> list[str]:
    """Return the reasons for a no-go, the worst first; empty for a go."""
    against = [text for count, text in _of_sale(found) if count]
    against += [f"audit: {finding}" for finding in found.findings]
    against += [text for call in found.calls for text in _of_call(call, found.refused)]
    if (found.freed_p95_ms or 0.0) > FREED_MS:
        against.append(
            f"slots were freed {found.freed_p95_ms:,.0f} ms after the payment (p95), must be "
            f"at most {FREED_MS:,.0f} ms"
        )
    if found.outrun:
        against.append(
            f"the load generator was saturated: it sent requests {found.late_p99_ms:,.0f} ms late "
            f"(p99), at {found.busy:.0%} of a core, so the measured times are not reliable. Use "
            "fewer visitors, or run it on another machine"
        )
    return against


def _of_sale(found: Findings) -> Iterator[tuple[int, str]]:
    """Yield the count and text of each event that must never happen."""
    yield found.twice, f"{counted(found.twice, 'seat was', 'seats were')} sold twice"
    who = counted(found.overtaken, "visitor was", "visitors were")
    yield found.overtaken, f"{who} admitted out of order"
    confirmed = counted(found.acknowledged, "payment was", "payments were")
    missing = f"{confirmed} confirmed to visitors, but the database has {found.noted:,}"
    yield max(0, found.acknowledged - found.noted), missing
    unsettled = counted(found.under_way, "payment or event", "payments or events")
    yield found.under_way, f"{unsettled} did not settle in time"
    left = found.visitors - found.done
    yield left, f"{left:,} of {counted(found.visitors, 'visitor')} did not finish in time"
    unanswered = counted(found.silences, "sample")
    yield found.silences, f"Valkey did not answer for {unanswered} of the room"


def _of_call(call: dict[str, Any], refused: Counter[tuple[str, str]]) -> list[str]:
    name, limit_ms = call["call"], P95_MS.get(call["call"])
    against = []
    if call["failed"] > FAILED_MAX * call["requests"]:
        codes = ", ".join(
            f"{code} {count:,}"
            for (of, code), count in sorted(refused.items())
            if of == name and (of, code) not in FORESEEN
        )
        against.append(f"{name}: {call['failed']:,} of {call['requests']:,} failed: {codes}")
    if limit_ms is not None and call["p95_ms"] > limit_ms:
        against.append(f"{name}: p95 {call['p95_ms']:,.0f} ms, must be at most {limit_ms:,.0f} ms")
    return against
