"""The demo concert of trial mode: concert 1, for load tests and first steps."""

from typing import NamedTuple

from waitline.postgres.pool import Database

LOAD_S = 20.0
"""How long loading may take: under a second on an idle machine, and more where a load test has left
a million rows to forget."""


class DemoSize(NamedTuple):
    """How much is on sale. A test holds it against sql/demo.sql."""

    concerts: int = 1
    schedules: int = 1
    seats: int = 10_000


async def load(database: Database) -> DemoSize:
    """Put the demo concert on sale as new; all bookings are deleted.

    Raises:
        Unavailable: Not done in time; as it was, or done.
    """
    await database.fetch_one("load_demo", within_s=LOAD_S)
    return DemoSize()


async def load_first(database: Database) -> bool:
    """Put the demo concert on sale if nothing is, and return whether that was so."""
    row = await database.fetch_one("any_concert")
    assert row is not None
    if not row["found"]:
        await load(database)
    return not row["found"]
