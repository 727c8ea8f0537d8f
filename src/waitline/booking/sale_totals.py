"""Totals and time series of a sale, summed up from the database afterwards."""

from typing import NamedTuple

from waitline.kernel.ids import RoomId
from waitline.postgres.pool import Database, Row

READ_S = 60.0
"""How long one statement may take: each reads all that was booked, in the order of a second per
million rows."""

STEPS_MAX = 240
"""Most steps of the time series: as many points as a chart shows."""

WIDTHS_S = (1, 2, 5, 10, 30, 60, 300, 900, 3_600, 21_600, 86_400)
"""How long a step may be."""


class Totals(NamedTuple):
    """What became of all that was for sale.

    Attributes:
        concerts: Of this room.
        seats: For sale in all.
        sold: OCCUPIED now.
        held: RESERVED now.
        reservations: That were made.
        pending: Reservations that are held unpaid now.
        confirmed: Reservations that are paid for.
        expired: Reservations that were not paid in time.
        cancelled: Reservations that were given up, paid for or not.
        payments: Attempts to pay.
        declined: Attempts for which no money was taken.
        refunded: Payments that were given back.
        refunding: Payments that are on their way back.
        taken: Money that was taken and kept, in minor units.
        given_back: Money that was given back, in minor units.
        paying_p95_s: p95 of the time from reserving to paying, in s; `None` without payments.
    """

    concerts: int
    seats: int
    sold: int
    held: int
    reservations: int
    pending: int
    confirmed: int
    expired: int
    cancelled: int
    payments: int
    declined: int
    refunded: int
    refunding: int
    taken: int
    given_back: int
    paying_p95_s: float | None


class SaleStep(NamedTuple):
    """What happened within one step of time.

    Attributes:
        at_s: When it began, in s since the epoch.
        reserved: Reservations that were made.
        paid: Payments that were made, of those given back too.
        expired: Reservations whose time ran out.
    """

    at_s: float
    reserved: int
    paid: int
    expired: int


class SaleTotals(NamedTuple):
    """What a room's concerts sold.

    Attributes:
        totals: In all.
        width_s: Of a step.
        steps: Those in which something happened, the first first.
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
    totals = Totals(**{name: row[name] for name in Totals._fields})
    return SaleTotals(totals, width_s, [SaleStep(**dict(step)) for step in steps])


def _width_s(row: Row) -> int:
    """Return the shortest step that covers the whole sale in `STEPS_MAX` steps."""
    if row["first_at"] is None:
        return WIDTHS_S[0]
    took_s = (row["last_at"] - row["first_at"]).total_seconds()
    # Steps begin at whole multiples of their length, so there may be one more.
    fits = (width_s for width_s in WIDTHS_S if took_s / width_s < STEPS_MAX - 1)
    return next(fits, WIDTHS_S[-1])
