"""Audit of the box office: checks the invariants over the whole database.

Each statement of sql/audit.sql reads a consistent snapshot and locks nothing, so it may run during
a sale: a transaction in progress is invisible.
"""

from typing import NamedTuple

from waitline.kernel.findings import Finding
from waitline.kernel.ids import VisitorId
from waitline.postgres.pool import Database, Row

READ_S = 60.0
"""Timeout of one statement: each reads whole tables, about a second per million rows."""

EXAMPLES_MAX = 5
"""Ids listed per finding."""

LATE_S = 15.0
"""Work overdue by this much counts as forgotten. Sweeper, reconciler and relay run every second or
two, and their first pauses of backoff are shorter than this."""

LOOKS_MAX = 6
"""Checks of a payment at the provider without an outcome, each after twice the pause."""

PENDING_S = 604_800.0
"""How long a refund may be pending at the provider, in s: a week, the time that banks take."""

TOLD_S = 3_600.0
"""Payments of the last hour are compared with the events. The relay keeps sent events for
longer."""

STOPPED_S = 120.0
"""How long a stopped schedule can still have reservations and payments, in s: payments in progress
have to finish, and the booking services have to end and refund the others."""

SCHEDULES_MAX = 200
"""Schedules whose limits an audit shows: the newest."""

PAID_MAX = 100_000
"""Visitors compared with the waiting room, latest payment first."""

INVARIANTS = {
    "B1": "a seat has at most one live reservation",
    "B2": "a seat is sold at most once",
    "B3": "the seats of a lapsed reservation are back on sale",
    "B4": "a reservation is confirmed if and only if it is paid for; other charges are refunded",
    "B5": "each completed payment emits its event and frees its slot",
    "B6": "the amount is the price",
    "B7": "a holder has no more seats than the schedule and the concert allow",
    "B8": "only the holder reads, pays and cancels a reservation",
    "B9": "a seat that is held back is not sold to the public",
    "B10": "a cancelled schedule keeps no reservation and no money",
}

# Invariant and text for each outcome of a statement. A test compares them with the headers.
DAMAGE = {
    "held_twice": ("B1", "seats are in more than one live reservation"),
    "held_on_sale": ("B1", "seats are on sale and in a pending reservation"),
    "marked_wrong": ("B1", "reservations are over and hold seats, or are live and hold none"),
    "seatless": ("B1", "reservations have no seats"),
    "sold_twice": ("B2", "seats were sold twice"),
    "sold_not_occupied": ("B2", "seats were sold and are not OCCUPIED"),
    "occupied_unsold": ("B2", "seats are OCCUPIED and in no confirmed reservation"),
    "reserved_unheld": ("B3", "seats are RESERVED and in no pending reservation"),
    "lapsed": ("B3", "reservations have lapsed and still hold their seats"),
    "unpaid": ("B4", "reservations are confirmed without a payment"),
    "paid_unconfirmed": ("B4", "payments are completed and their reservations are not confirmed"),
    "paid_twice": ("B4", "payments are of a reservation that was paid for more than once"),
    "overlooked": ("B4", "payments are open, and the reconciler has not checked them in time"),
    "unsettled": ("B4", "payments are still not settled or refunded after many attempts"),
    "returned_confirmed": ("B4", "payments were refunded and their reservations are confirmed"),
    "refund_failed": ("B4", "refunds have failed at the provider"),
    "refund_overdue": ("B4", "refunds have been pending at the provider for a week"),
    "untold": ("B5", "payments have no event"),
    "unsent": ("B5", "events were not sent"),
    "dead": ("B5", "events are dead letters"),
    "miscounted": ("B6", "reservations have an amount that is not the sum of their seats"),
    "not_the_price": ("B6", "payments have an amount that is not the price"),
    "recount": ("B7", "visitors have a stored seat count that is wrong"),
    "too_many": ("B7", "visitors hold more seats than allowed"),
    "too_many_of_concert": ("B7", "visitors hold more seats than allowed in a concert"),
    "paid_by_another": ("B8", "reservations were paid for by another user"),
    "key_of_another": (
        "B8",
        "reservations were changed under another holder's key",
    ),
    "held_unlisted": ("B9", "seats are held back without a reason"),
    "listed_on_sale": ("B9", "seats are on sale that should be held back"),
    "held_sold": ("B9", "seats that are held back were sold"),
    "left_over": ("B10", "reservations are left of a stopped schedule"),
    "kept_money": ("B10", "payments of a cancelled schedule are not refunded"),
}


class PaidVisitor(NamedTuple):
    """A visitor who has paid, and whose slot must be free by now.

    Attributes:
        room: The waiting room.
        user_id: The visitor.
        paid_ms: Time of the last payment, in ms since the epoch.
    """

    room: str
    user_id: VisitorId
    paid_ms: int


async def examine(
    database: Database, *, at_price: bool, late_s: float = LATE_S, looks_max: int = LOOKS_MAX
) -> list[Finding]:
    """Check every invariant that is visible in the tables.

    Args:
        database: Holds the tables.
        at_price: Whether the amount of every payment must be the price, as in production.
        late_s: Age from which overdue work counts as forgotten.
        looks_max: Most checks of a payment without an outcome.

    Returns:
        The violations, by invariant; empty if all is well.
    """
    values: dict[str, dict[str, float]] = {
        "audit_seats": {},
        "audit_reservations": {"late_s": late_s},
        "audit_payments": {
            "late_s": late_s,
            "looks_max": looks_max,
            "pending_s": PENDING_S,
            "at_price": at_price,
        },
        "audit_visitors": {},
        "audit_holders": {},
        "audit_house": {},
        "audit_stopped": {"late_s": max(late_s, STOPPED_S)},
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


class LimitsEvidence(NamedTuple):
    """Most seats per holder of a schedule, next to its limits.

    Attributes:
        schedule_id: The schedule.
        concert_id: Its concert.
        schedule_limit: Most seats per holder in the schedule.
        concert_limit: Most in all schedules of the concert; `None` for no limit.
        holders: How many holders have seats.
        most: The most seats that one of them has in the schedule.
        most_of_concert: The most that one has in the concert.
    """

    schedule_id: int
    concert_id: int
    schedule_limit: int
    concert_limit: int | None
    holders: int
    most: int
    most_of_concert: int


async def limits_evidence(database: Database) -> list[LimitsEvidence]:
    """Count the seats per holder in the newest schedules, next to the limits (B7)."""
    rows = await database.fetch_all("limits_evidence", within_s=READ_S, schedules_max=SCHEDULES_MAX)
    return [LimitsEvidence(**{name: row[name] for name in LimitsEvidence._fields}) for row in rows]


async def count_rows(database: Database) -> dict[str, int]:
    """Count seats, sold seats, reservations, payments and events."""
    row = await database.fetch_one("audit_counts", within_s=READ_S)
    assert row is not None
    return dict(row)


async def paid_visitors(database: Database, late_s: float = LATE_S) -> list[PaidVisitor]:
    """Return visitors who paid more than `late_s` ago: the waiting room must know of them."""
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
