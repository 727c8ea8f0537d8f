"""A sale that is over, as the stores remember it. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

from waitline.booking.sale_totals import SaleTotals
from waitline.kernel.ids import RoomId
from waitline.queue.model import Survey
from waitline.queue.record import RoomTotals, SaleRecord, bounds_ms
from waitline.sales.durations import format_duration

SHARES = (0.5, 0.9, 0.95, 0.99)
"""Quantiles of the wait."""


@dataclass(frozen=True, slots=True)
class Aftermath:
    """What the stores hold of a room's sale.

    Attributes:
        room: Its name.
        survey: Its numbers now; totals are since it was made.
        record: What it kept of its sale.
        sale_totals: What its concerts sold; `None` where there is no box office.
    """

    room: RoomId
    survey: Survey
    record: SaleRecord
    sale_totals: SaleTotals | None

    @property
    def overtaken(self) -> int:
        """Visitors who were admitted after a higher place (Q3)."""
        return self.survey.counters["overtaken"]


class Pace(NamedTuple):
    """What happened between two totals, per second.

    Attributes:
        at_ms: When the later one began.
        joined: Visitors who joined.
        admitted: Visitors who were admitted.
    """

    at_ms: int
    joined: float
    admitted: float


def paces(steps: Sequence[RoomTotals]) -> list[Pace]:
    """Return how fast visitors came and were let in, between each two totals."""
    return [
        Pace(
            after.at_ms,
            (after.entered - before.entered) * 1000 / (after.at_ms - before.at_ms),
            (after.admitted - before.admitted) * 1000 / (after.at_ms - before.at_ms),
        )
        for before, after in pairwise(steps)
    ]


def document(sale: Aftermath) -> dict[str, Any]:
    """Return all of it as JSON can hold it."""
    record, sale_totals = sale.record, sale.sale_totals
    counters = {name: n for name, n in sale.survey.counters.items() if name != "lease_refused"}
    return {
        "room": sale.room,
        "at_ms": sale.survey.at_ms,
        **counters,
        "waiting": sale.survey.waiting,
        "inside": sale.survey.admitted,
        "wait_ms": {
            "mean": record.mean_ms,
            **{f"p{share * 100:g}": record.wait_ms(share) for share in SHARES},
            "longest": record.longest_ms if record.admitted else None,
        },
        "waits": [
            {"from_ms": bounds_ms(bucket)[0], "visitors": count}
            for bucket, count in enumerate(record.waits)
            if count
        ],
        "steps": [step._asdict() for step in record.steps],
        "sale": sale_totals
        and {
            **sale_totals.totals._asdict(),
            "width_s": sale_totals.width_s,
            "steps": [step._asdict() for step in sale_totals.steps],
        },
    }


def order(sale: Aftermath) -> str:
    """Say whether the order of the line was kept."""
    if sale.overtaken:
        return f"{sale.overtaken:,} visitors were admitted after somebody who had joined later"
    if not sale.survey.counters["admitted"]:
        return "Nobody has been admitted yet"
    return f"All {sale.survey.counters['admitted']:,} were admitted in the order of the line"


def line(sale: Aftermath) -> Iterator[tuple[str, str]]:
    """Yield what became of the visitors, by name."""
    counters, record = sale.survey.counters, sale.record
    admitted = counters["admitted"]
    yield "entered", f"{counters['entered']:,}"
    yield "admitted", f"{admitted:,}"
    yield "admitted out of order", f"{sale.overtaken:,}"
    yield "began to shop", f"{counters['activated']:,}"
    yield "no-shows", _share(counters["no_shows"], admitted)
    yield "left", f"{counters['left']:,}"
    yield "gave up their place", f"{counters['abandoned']:,}"
    yield "skipped: no contact when called", f"{counters['passed']:,}"
    yield "ran out of time", f"{counters['lapsed']:,}"
    yield "here still", f"{sale.survey.waiting:,} wait, {sale.survey.admitted:,} inside"
    for share in SHARES:
        yield f"wait, p{share * 100:g}", _span(record.wait_ms(share))
    yield "wait, mean", _span(record.mean_ms)
    yield "wait, longest", _span(record.longest_ms if record.admitted else None)


def sold(sale_totals: SaleTotals) -> Iterator[tuple[str, str]]:
    """Yield what became of the seats, by name."""
    totals = sale_totals.totals
    yield "seats sold", _share(totals.sold, totals.seats)
    yield "seats held now", f"{totals.held:,}"
    yield "reservations", f"{totals.reservations:,}"
    yield "paid for", _share(totals.confirmed, totals.reservations)
    yield "ran out unpaid", _share(totals.expired, totals.reservations)
    yield "given up", f"{totals.cancelled:,}"
    yield "payments declined", _share(totals.declined, totals.payments)
    yield "refunded", f"{totals.refunded:,}"
    yield "being refunded", f"{totals.refunding:,}"
    yield "money taken", f"{totals.taken:,}"
    yield "money given back", f"{totals.given_back:,}"
    if totals.paying_p95_s is not None:
        yield "paying took, p95", format_duration(totals.paying_p95_s * 1000)


def _share(count: int, of: int) -> str:
    return f"{count:,} of {of:,} ({count / of:.1%})" if of else f"{count:,}"


def _span(ms: float | None) -> str:
    return "nobody" if ms is None else format_duration(ms)
