"""Go or no-go: is the installation fit for the sale that was rehearsed? Pure."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

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
"""What 95 of 100 answers must come within. Source: the wire contract, section 5; activate is held
to what status is."""

FAILED_MAX = 0.01
"""Share of a call's answers that may be refusals that belong to no sale, or missing. Source: the
wire contract, section 5, validation; the strictest of its scenarios."""

FREED_MS = 1_200.0
"""What 95 of 100 slots must be freed within after the payment. Source: the wire contract, section
3, and the time between two polls."""

LATE_MS = 100.0
"""How late this process may come to 99 of 100 requests. Later ones were another sale than the one
asked for, and their times are this process's rather than the installation's."""

BUSY = 0.95
"""Share of a core that this process may use before it counts as the limit."""


class Findings(NamedTuple):
    """What a rehearsal has shown.

    Attributes:
        visitors: How many were to come.
        done: How many came and were through.
        calls: As `VisitorTally.calls`.
        refused: How often each call was refused, with each code.
        freed_p95_ms: How long slots took to be freed after the payment; `None` if nobody looked.
        overtaken: Visitors who were admitted after a higher place.
        twice: Seats whose purchase two visitors saw confirmed.
        acknowledged: Payments that visitors saw confirmed.
        noted: Reservations that are confirmed; there are more where answers were lost.
        under_way: Payments and events that were not settled in time.
        findings: Promises that line or box office did not keep.
        silences: Looks at the room that the store did not answer.
        late_p99_ms: How late this process came to a request.
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
        """Whether this process was the limit."""
        return self.late_p99_ms > LATE_MS or self.busy > BUSY


def reasons(found: Findings) -> list[str]:
    """Return what speaks against the sale, the worst first; empty for a go."""
    against = [text for count, text in _of_sale(found) if count]
    against += [f"audit: {finding}" for finding in found.findings]
    against += [text for call in found.calls for text in _of_call(call, found.refused)]
    if (found.freed_p95_ms or 0.0) > FREED_MS:
        against.append(
            f"payments freed their slots within {found.freed_p95_ms:,.0f} ms (p95), must be "
            f"within {FREED_MS:,.0f} ms"
        )
    if found.outrun:
        against.append(
            f"this machine could not play so many visitors: 99 of 100 requests left within "
            f"{found.late_p99_ms:,.0f} ms of their time, at {found.busy:.0%} of a core; times "
            "may be its own. Play fewer, or from another machine"
        )
    return against


def _of_sale(found: Findings) -> Iterator[tuple[int, str]]:
    """Yield what must never be, with how often it was."""
    yield found.twice, f"{found.twice:,} seats were sold twice"
    yield found.overtaken, f"{found.overtaken:,} visitors were let in after somebody behind them"
    yield (
        max(0, found.acknowledged - found.noted),
        f"visitors saw {found.acknowledged:,} payments confirmed, the database has {found.noted:,}",
    )
    yield found.under_way, f"{found.under_way:,} payments or events were not settled in time"
    missing = found.visitors - found.done
    yield missing, f"{missing:,} of {found.visitors:,} visitors were not through in time"
    yield found.silences, f"the store did not answer {found.silences:,} of our samples of the room"


def _of_call(call: dict[str, Any], refused: Counter[tuple[str, str]]) -> list[str]:
    name, limit_ms = call["call"], P95_MS.get(call["call"])
    against = []
    if call["failed"] > FAILED_MAX * call["asked"]:
        codes = ", ".join(
            f"{code} {count:,}"
            for (of, code), count in sorted(refused.items())
            if of == name and (of, code) not in FORESEEN
        )
        against.append(
            f"{name}: {call['failed']:,} of {call['asked']:,} were refused or not answered: {codes}"
        )
    if limit_ms is not None and call["p95_ms"] > limit_ms:
        against.append(f"{name}: p95 {call['p95_ms']:,.0f} ms, must be below {limit_ms:,.0f} ms")
    return against
