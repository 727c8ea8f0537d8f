"""A restored database: makes it agree with the line, and with what browsers have seen of it."""

from waitline.booking.outbox import Outbox
from waitline.postgres.pool import Database

RENEW_S = 30.0
"""Timeout of renewing the versions of all seats, in s: one row for each schedule."""


async def make_agree(database: Database, since_ms: int) -> int:
    """Send events again, and give the seats new versions. Can be repeated.

    Transaction numbers, of which versions are made, begin again at the point in time (decision
    0009): a browser that was ahead of it would miss changes.

    Args:
        database: The restored database.
        since_ms: Events that were sent from then on are sent again, in ms since the epoch.

    Returns:
        How many events will be sent again.
    """
    await database.fetch_one("renew_layouts", within_s=RENEW_S)
    return await Outbox(database).resend(since_ms)
