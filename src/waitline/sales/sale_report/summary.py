"""Summarise a sale that took place, from the data in Valkey and PostgreSQL. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

from waitline.booking.sale_totals import SaleTotals
from waitline.kernel.ids import RoomId
from waitline.kernel.plurals import counted
from waitline.queue.model import Survey
from waitline.queue.record import RoomTotals, SaleRecord, bounds_ms
from waitline.sales.durations import format_duration

SHARES = (0.5, 0.9, 0.95, 0.99)
"""Reported quantiles of the wait."""


@dataclass(frozen=True, slots=True)
class Aftermath:
    """The data of a room's sale.

    Attributes:
        room: Name of the room.
        survey: Current counts; totals since the room was created.
        record: Sale record of the room.
        sale_totals: Totals of its concerts; `None` without a box office.
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
    """Rates between two totals, per second.

    Attributes:
        at_ms: Time of the later total.
        joined: Visitors who joined, per second.
        admitted: Visitors who were admitted, per second.
    """

    at_ms: int
    joined: float
    admitted: float


def paces(steps: Sequence[RoomTotals]) -> list[Pace]:
    """Return the rates between consecutive totals."""
    return [
        Pace(
            after.at_ms,
            (after.entered - before.entered) * 1000 / (after.at_ms - before.at_ms),
            (after.admitted - before.admitted) * 1000 / (after.at_ms - before.at_ms),
        )
        for before, after in pairwise(steps)
    ]


def document(sale: Aftermath) -> dict[str, Any]:
    """Return all figures, in a form that JSON can hold."""
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
    """Return a sentence on whether admissions kept the order of the line."""
    if sale.overtaken:
        who = counted(sale.overtaken, "visitor was", "visitors were")
        return f"{who} admitted after somebody who had joined later"
    if not sale.survey.counters["admitted"]:
        return "Nobody has been admitted yet"
    who = counted(sale.survey.counters["admitted"], "visitor was", "visitors were")
    return f"{who} admitted, all in the order of the line"


def line(sale: Aftermath) -> Iterator[tuple[str, str]]:
    """Yield the figures of the line, as pairs of name and text."""
    counters, record = sale.survey.counters, sale.record
    admitted = counters["admitted"]
    yield "entered", f"{counters['entered']:,}"
    yield "admitted", f"{admitted:,}"
    yield "admitted out of order", f"{sale.overtaken:,}"
    yield "activated", f"{counters['activated']:,}"
    yield "no-shows", _share(counters["no_shows"], admitted)
    yield "left", f"{counters['left']:,}"
    yield "gave up waiting", f"{counters['abandoned']:,}"
    yield "skipped: no contact when called", f"{counters['passed']:,}"
    yield "ran out of time", f"{counters['lapsed']:,}"
    yield "still in the room", f"{sale.survey.waiting:,} waiting, {sale.survey.admitted:,} inside"
    for share in SHARES:
        yield f"wait, p{share * 100:g}", _span(record.wait_ms(share))
    yield "wait, mean", _span(record.mean_ms)
    yield "wait, longest", _span(record.longest_ms if record.admitted else None)


def sold(sale_totals: SaleTotals) -> Iterator[tuple[str, str]]:
    """Yield the figures of the box office, as pairs of name and text."""
    totals = sale_totals.totals
    yield "seats sold", _share(totals.sold, totals.seats)
    yield "seats held now", f"{totals.held:,}"
    yield "reservations", f"{totals.reservations:,}"
    yield "paid for", _share(totals.confirmed, totals.reservations)
    yield "expired unpaid", _share(totals.expired, totals.reservations)
    yield "cancelled", f"{totals.cancelled:,}"
    yield "payments declined", _share(totals.declined, totals.payments)
    yield "refunded", f"{totals.refunded:,}"
    yield "being refunded", f"{totals.refunding:,}"
    yield "amount paid", f"{totals.taken:,}"
    yield "amount refunded", f"{totals.given_back:,}"
    if totals.paying_p95_s is not None:
        yield "time to pay, p95", format_duration(totals.paying_p95_s * 1000)


def _share(count: int, of: int) -> str:
    return f"{count:,} of {of:,} ({count / of:.1%})" if of else f"{count:,}"


def _span(ms: float | None) -> str:
    return "nobody" if ms is None else format_duration(ms)
