"""Audit of the box office: checks the invariants over the whole database.

Each statement of sql/audit.sql sees its tables at one instant, locks nothing and may run during a
sale: what is under way is either not yet to be seen, or whole.
"""

from typing import NamedTuple

from waitline.kernel.findings import Finding
from waitline.postgres.pool import Database, Row

READ_S = 60.0
"""How long one statement may take: each reads whole tables, in the order of a second per million
rows."""

EXAMPLES_MAX = 5
"""Numbers named per finding; the count says how many there are."""

LATE_S = 15.0
"""What should have happened this long ago is not only slow: the sweeper, the reconciler and the
relay all come round within a second or two, and back off for less than this at first."""

LOOKS_MAX = 6
"""Times that the provider was asked about a payment in vain, each time after twice as long."""

TOLD_S = 3_600.0
"""Payments of the last hour are held against the events; the relay keeps what it has sent for
longer than that."""

PAID_MAX = 100_000
"""Visitors held against the waiting room, the last to pay first."""

INVARIANTS = {
    "B1": "a seat has at most one live reservation",
    "B2": "a sold seat is sold once",
    "B3": "a lapsed reservation is back on sale",
    "B4": "paid and confirmed are the same, and nobody pays for nothing",
    "B5": "each payment is told to the waiting room, and frees its slot",
    "B6": "the amount is the price",
    "B7": "a visitor holds no more seats than the schedule allows",
}

# What each word of a statement means. A test holds them against the statements' headers.
DAMAGE = {
    "held_twice": ("B1", "seats are in more than one live reservation"),
    "held_on_sale": ("B1", "seats are on sale and in a pending reservation"),
    "marked_wrong": ("B1", "reservations hold seats though they are over, or the reverse"),
    "seatless": ("B1", "reservations have no seats"),
    "sold_twice": ("B2", "seats were sold twice"),
    "sold_not_occupied": ("B2", "seats were sold and are not OCCUPIED"),
    "occupied_unsold": ("B2", "seats are OCCUPIED and in no confirmed reservation"),
    "reserved_unheld": ("B3", "seats are RESERVED and in no pending reservation"),
    "lapsed": ("B3", "reservations have lapsed and still hold their seats"),
    "unpaid": ("B4", "reservations are confirmed without a payment"),
    "paid_unconfirmed": ("B4", "payments are completed and their reservations are not confirmed"),
    "paid_twice": ("B4", "payments are of a reservation that was paid for more than once"),
    "overlooked": ("B4", "payments wait to be settled, and nobody looks at them"),
    "unsettled": ("B4", "payments cannot be settled or refunded, however often that is tried"),
    "untold": ("B5", "payments have no event"),
    "unsent": ("B5", "events were not sent"),
    "dead": ("B5", "events were given up"),
    "miscounted": ("B6", "reservations cost something else than their seats"),
    "not_the_price": ("B6", "payments are of another amount than the price"),
    "recount": ("B7", "visitors hold another number of seats than is noted"),
    "too_many": ("B7", "visitors hold more seats than allowed"),
}


class PaidVisitor(NamedTuple):
    """A visitor who has paid, and whose slot should have been given to the next.

    Attributes:
        room: The waiting room.
        user_id: Who.
        paid_ms: When, last, in ms since the epoch.
    """

    room: str
    user_id: int
    paid_ms: int


async def examine(
    database: Database, *, at_price: bool, late_s: float = LATE_S, looks_max: int = LOOKS_MAX
) -> list[Finding]:
    """Check every invariant that the tables can show.

    Args:
        database: Holds them.
        at_price: Whether every payment must have been of the price, as in production.
        late_s: How long ago something must have been due to count as forgotten.
        looks_max: How often the provider may have been asked in vain.

    Returns:
        What does not hold, by number; empty if all is well.
    """
    values: dict[str, dict[str, float]] = {
        "audit_seats": {},
        "audit_reservations": {"late_s": late_s},
        "audit_payments": {"late_s": late_s, "looks_max": looks_max, "at_price": at_price},
        "audit_visitors": {},
        "audit_untold": {"kept_s": TOLD_S},
        "audit_events": {"late_s": late_s},
    }
    rows = [
        row
        for statement, asked in values.items()
        for row in await database.fetch_all(
            statement, within_s=READ_S, examples_max=EXAMPLES_MAX, **asked
        )
    ]
    return sorted(_finding(row) for row in rows)


async def count_rows(database: Database) -> dict[str, int]:
    """Return how many seats, sold seats, reservations, payments and events there are."""
    row = await database.fetch_one("audit_counts", within_s=READ_S)
    assert row is not None
    return dict(row)


async def paid_visitors(database: Database, late_s: float = LATE_S) -> list[PaidVisitor]:
    """Return those who paid longer than `late_s` ago: the waiting room must know by now."""
    rows = await database.fetch_all(
        "paid_visitors", within_s=READ_S, late_s=late_s, visitors_max=PAID_MAX
    )
    return [
        PaidVisitor(row["room"], row["user_id"], int(row["paid_at"].timestamp() * 1000))
        for row in rows
    ]


def _finding(row: Row) -> Finding:
    invariant, text = DAMAGE[row["kind"]]
    some = ", ".join(map(str, row["examples"])) + (" …" if row["times"] > EXAMPLES_MAX else "")
    return Finding(invariant, f"{row['times']} {text}: {some}", row["times"])
