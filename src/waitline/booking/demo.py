"""The demo concert of trial mode, for load tests and first steps: concert 1, unless that is taken.

It is recognised by its origin alone; concerts of operators and of rehearsals are never touched.
"""

from typing import NamedTuple

from waitline.postgres.pool import Database

LOAD_S = 20.0
"""Timeout of loading: it takes under a second on an idle machine, and longer after a load test that
has left a million rows to delete."""


class DemoSize(NamedTuple):
    """How much is on sale. A test compares it with sql/demo.sql."""

    concerts: int = 1
    schedules: int = 1
    seats: int = 10_000


async def load(database: Database) -> DemoSize:
    """Reset the demo concert; its bookings are deleted, and no others.

    Raises:
        Unavailable: No answer in time; the reset was made whole or not at all.
    """
    await database.fetch_one("load_demo", within_s=LOAD_S)
    return DemoSize()


async def load_first(database: Database) -> bool:
    """Put the demo concert on sale if there is no concert; return whether it was."""
    row = await database.fetch_one("any_concert")
    assert row is not None
    if not row["found"]:
        await load(database)
    return not row["found"]
