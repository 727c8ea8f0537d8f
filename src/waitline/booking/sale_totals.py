"""Totals and time series of a sale, computed from the database afterwards."""

from collections.abc import Mapping
from typing import NamedTuple

from waitline.kernel.ids import RoomId
from waitline.postgres.pool import Database, Row

READ_S = 60.0
"""Timeout of one statement: each reads all bookings, about a second per million rows."""

STEPS_MAX = 240
"""Most steps of the time series: as many points as a chart shows."""

WIDTHS_S = (1, 2, 5, 10, 30, 60, 300, 900, 3_600, 21_600, 86_400)
"""Possible lengths of a step."""


class Totals(NamedTuple):
    """Totals of a sale.

    Attributes:
        concerts: Concerts of this room.
        seats: All seats.
        sold: Seats that are OCCUPIED.
        held: Seats that are RESERVED.
        held_back: Seats that operators keep out of the sale.
        complimentary: Seats that operators gave away.
        reservations: All reservations.
        pending: Reservations that are held unpaid.
        confirmed: Reservations that are paid for, or cost nothing.
        buyers: Visitors to whom they belong; complimentary tickets belong to none.
        free: Those of visitors that cost nothing.
        expired: Reservations that were not paid in time.
        cancelled: Reservations that were cancelled, paid for or not.
        payments: Payment attempts.
        declined: Attempts that were not charged.
        refunded: Payments that were refunded.
        refunding: Payments whose refund is in progress.
        taken: Charged and not refunded, in minor units by currency, in order of the currencies.
        given_back: Refunded, in minor units by currency, of the same currencies.
        paying_p95_s: p95 of the time from reserving to paying, in s; `None` without payments.
    """

    concerts: int
    seats: int
    sold: int
    held: int
    held_back: int
    complimentary: int
    reservations: int
    pending: int
    confirmed: int
    buyers: int
    free: int
    expired: int
    cancelled: int
    payments: int
    declined: int
    refunded: int
    refunding: int
    taken: Mapping[str, int]
    given_back: Mapping[str, int]
    paying_p95_s: float | None


class SaleStep(NamedTuple):
    """One step of the time series.

    Attributes:
        at_s: Start of the step, in s since the epoch.
        reserved: Reservations that were made.
        paid: Payments that were charged, refunded ones included.
        expired: Reservations that expired.
    """

    at_s: float
    reserved: int
    paid: int
    expired: int


class SaleTotals(NamedTuple):
    """The sale of a room's concerts.

    Attributes:
        totals: Totals of the sale.
        width_s: Length of a step.
        steps: Steps in which something happened, in order of time.
    """

    totals: Totals
    width_s: int
    steps: list[SaleStep]


async def load_sale_totals(database: Database, room: RoomId) -> SaleTotals:
    """Sum up the sale of a room's concerts.

    Raises:
        Unavailable: The database does not answer in time.
    """
    row = await database.fetch_one("sale_totals", within_s=READ_S, room=room)
    assert row is not None
    width_s = _width_s(row)
    steps = await database.fetch_all(
        "sale_steps", within_s=READ_S, room=room, width_s=width_s, steps_max=STEPS_MAX
    )
    figures = {name: row[name] for name in Totals._fields}
    for name in ("taken", "given_back"):
        figures[name] = dict(zip(row["currencies"], row[name], strict=True))
    totals = Totals(**figures)
    return SaleTotals(totals, width_s, [SaleStep(**dict(step)) for step in steps])


def _width_s(row: Row) -> int:
    """Return the shortest step that covers the whole sale in `STEPS_MAX` steps."""
    if row["first_at"] is None:
        return WIDTHS_S[0]
    took_s = (row["last_at"] - row["first_at"]).total_seconds()
    # Steps are aligned to multiples of their length, so the sale may touch one more.
    fits = (width_s for width_s in WIDTHS_S if took_s / width_s < STEPS_MAX - 1)
    return next(fits, WIDTHS_S[-1])
