"""Health of the box office: whether the database answers, and how much work is open."""

from typing import NamedTuple

from waitline.postgres.pool import Database

COUNTED_MAX = 10_000
"""Most rows of a kind that are counted: enough to alarm an operator. Counting further would cost a
database in trouble more."""


class OpenWork(NamedTuple):
    """Work that is not done yet, each kind up to `COUNTED_MAX`.

    Attributes:
        events_waiting: Events that are not sent.
        events_dead: Events that wait for an operator.
        events_age_s: Age of the oldest event that is not sent.
        payments_pending: Payments that are under way.
        payments_refunding: Payments that are being refunded.
        payments_age_s: Age of the oldest of them.
    """

    events_waiting: int
    events_dead: int
    events_age_s: float
    payments_pending: int
    payments_refunding: int
    payments_age_s: float


async def ping(database: Database) -> None:
    """Return if the database answers.

    Raises:
        Unavailable: It does not.
    """
    await database.fetch_one("ping")


async def count_open_work(database: Database) -> OpenWork:
    """Count what is not done yet.

    Raises:
        Unavailable: The database does not answer.
    """
    row = await database.fetch_one("backlog", counted_max=COUNTED_MAX)
    assert row is not None
    return OpenWork(**dict(row))
