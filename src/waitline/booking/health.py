"""Health check of the database, and counts of the box office's open work."""

from contextlib import suppress
from typing import NamedTuple

from waitline.kernel.errors import Contended
from waitline.postgres.pool import Database, Row

COUNTED_MAX = 10_000
"""Most rows counted of each kind: enough for an alert. Counting more would burden a database in
trouble."""


class OpenWork(NamedTuple):
    """Open work, each kind up to `COUNTED_MAX`.

    Attributes:
        events_waiting: Unsent events, without dead ones.
        events_dead: Dead letters: events that wait for an operator.
        events_age_s: Age of the oldest unsent event.
        payments_pending: Payments in progress.
        payments_refunding: Refunds in progress.
        payments_age_s: Age of the oldest of these payments.
        payments_attention: Payments that need an operator's attention.
    """

    events_waiting: int
    events_dead: int
    events_age_s: float
    payments_pending: int
    payments_refunding: int
    payments_age_s: float
    payments_attention: int


async def ping(database: Database) -> str:
    """Check that the database takes writes; return an empty text.

    Raises:
        Unavailable: It does not.
    """
    # While a migration has locked the table, the database works.
    with suppress(Contended):
        await database.fetch_one("ping")
    return ""


class Loss(NamedTuple):
    """What a crash of the server's machine may do to acknowledged bookings.

    Attributes:
        reason: The settings that allow it, with the remedy.
        damages: Whether all data may be damaged (`fsync=off`), not only the latest be missing.
    """

    reason: str
    damages: bool


async def lossy(database: Database) -> Loss | None:
    """Return what the server may lose of acknowledged bookings; `None` if nothing.

    Source: PostgreSQL, Non-Durable Settings.

    Raises:
        Unavailable: It does not answer.
    """
    found = [row["name"] for row in await database.fetch_all("lossy_settings")]
    if not found:
        return None
    reason = (
        f"the database runs with {', '.join(f'{name}=off' for name in found)}: after a crash of "
        "its machine, confirmed payments may be missing, or the data damaged. Set "
        f"{' and '.join(found)} to on"
    )
    return Loss(reason, damages="fsync" in found)


async def count_open_work(database: Database) -> OpenWork:
    """Count the open work.

    Raises:
        Unavailable: The database does not answer.
    """
    row = await database.fetch_one("backlog", counted_max=COUNTED_MAX)
    assert row is not None
    return OpenWork(**dict(row))


class ServerClock(NamedTuple):
    """The database server's clock and size.

    Attributes:
        now_ms: Its present time, in ms since the epoch.
        connections_max: Most connections that it allows, of all clients.
    """

    now_ms: int
    connections_max: int


async def server_clock(database: Database) -> ServerClock:
    """Read the server's clock, and how many connections it allows.

    Raises:
        Unavailable: The database does not answer.
    """
    row = await database.fetch_one("server_clock")
    assert row is not None
    return ServerClock(**dict(row))


async def server_figures(database: Database) -> Row:
    """Return the server's statistics for metrics; what the user may not see is `None`.

    Raises:
        Unavailable: The database does not answer.
    """
    row = await database.fetch_one("server_figures")
    assert row is not None
    return row
