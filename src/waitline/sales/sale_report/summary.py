"""Summarise a past sale from the data in Valkey and PostgreSQL. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

from waitline.booking import currency
from waitline.booking.sale_totals import SaleTotals
from waitline.kernel.ids import RoomId
from waitline.kernel.plurals import counted
from waitline.queue.model import Survey
from waitline.queue.record import RoomTotals, SaleRecord, bounds_ms
from waitline.sales.durations import format_duration
from waitline.sales.sale_report import meanings

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
            "taken": _major(sale_totals.totals.taken),
            "given_back": _major(sale_totals.totals.given_back),
            "width_s": sale_totals.width_s,
            "steps": [step._asdict() for step in sale_totals.steps],
        },
        "differences": differences(sale),
        "meanings": {"line": meanings.LINE, "sale": meanings.OFFICE},
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


class Figure(NamedTuple):
    """A formatted figure.

    Attributes:
        name: Its label.
        text: The figure.
        meaning: What it counts; empty if a figure above says it.
    """

    name: str
    text: str
    meaning: str = ""


def line(sale: Aftermath) -> Iterator[Figure]:
    """Yield the figures of the line."""
    counters, record, of = sale.survey.counters, sale.record, meanings.LINE
    admitted = counters["admitted"]
    yield Figure("entered", f"{counters['entered']:,}", of["entered"])
    yield Figure("admitted", f"{admitted:,}", of["admitted"])
    yield Figure("admitted out of order", f"{sale.overtaken:,}", of["overtaken"])
    yield Figure("activated", f"{counters['activated']:,}", of["activated"])
    yield Figure("no-shows", _share(counters["no_shows"], admitted), of["no_shows"])
    yield Figure("gave their slot back", f"{counters['left']:,}", of["left"])
    yield Figure("gave up waiting", f"{counters['abandoned']:,}", of["abandoned"])
    yield Figure("passed over", f"{counters['passed']:,}", of["passed"])
    yield Figure("came back", f"{counters['returned']:,}", of["returned"])
    yield Figure("ran out of time", f"{counters['lapsed']:,}", of["lapsed"])
    yield Figure("removed", f"{counters['removed']:,}", of["removed"])
    yield Figure("waiting now", f"{sale.survey.waiting:,}", of["waiting"])
    yield Figure("inside now", f"{sale.survey.admitted:,}", of["inside"])
    # Define the wait once for all of them.
    yield Figure("wait, mean", _span(record.mean_ms), of["wait_ms"])
    for share in SHARES:
        yield Figure(f"wait, p{share * 100:g}", _span(record.wait_ms(share)))
    yield Figure("wait, longest", _span(record.longest_ms if record.admitted else None))


def sold(sale_totals: SaleTotals) -> Iterator[Figure]:
    """Yield the figures of the box office."""
    totals, of = sale_totals.totals, meanings.OFFICE
    confirmed = _share(totals.confirmed, totals.reservations)
    yield Figure("seats sold", _share(totals.sold, totals.seats), of["sold"])
    yield Figure("complimentary seats", f"{totals.complimentary:,}", of["complimentary"])
    yield Figure("seats reserved now", f"{totals.held:,}", of["held"])
    yield Figure("seats held back", f"{totals.held_back:,}", of["held_back"])
    yield Figure("reservations", f"{totals.reservations:,}", of["reservations"])
    yield Figure("confirmed", confirmed, of["confirmed"])
    yield Figure("free of charge", f"{totals.free:,}", of["free"])
    yield Figure("buyers", f"{totals.buyers:,}", of["buyers"])
    yield Figure("expired unpaid", _share(totals.expired, totals.reservations), of["expired"])
    yield Figure("cancelled", f"{totals.cancelled:,}", of["cancelled"])
    yield Figure("payments declined", _share(totals.declined, totals.payments), of["declined"])
    yield Figure("refunded", f"{totals.refunded:,}", of["refunded"])
    yield Figure("being refunded", f"{totals.refunding:,}", of["refunding"])
    yield from _amounts("amount paid", totals.taken, of["taken"])
    yield from _amounts("amount refunded", totals.given_back, of["given_back"])
    if totals.paying_p95_s is not None:
        paying = format_duration(totals.paying_p95_s * 1000)
        yield Figure("time to pay, p95", paying, of["paying_p95_s"])


def differences(sale: Aftermath) -> list[str]:
    """Return a sentence for each pair of similar figures that differ."""
    return [*meanings.differences(sale.survey, sale.sale_totals and sale.sale_totals.totals)]


def _major(amounts: Mapping[str, int]) -> dict[str, str]:
    """Return amounts in major units, with the decimals of their currency: `120.50`."""
    return {code: currency.major(amount, code) for code, amount in amounts.items()}


def _amounts(name: str, amounts: Mapping[str, int], meaning: str) -> Iterator[Figure]:
    """Yield an amount per currency: amounts of different currencies have no sum."""
    shown = [currency.shown(amount, code) for code, amount in amounts.items()] or ["0"]
    for nth, text in enumerate(shown):
        yield Figure(name, text, "" if nth else meaning)


def _share(count: int, of: int) -> str:
    return f"{count:,} of {of:,} ({count / of:.1%})" if of else f"{count:,}"


def _span(ms: float | None) -> str:
    return "nobody" if ms is None else format_duration(ms)
