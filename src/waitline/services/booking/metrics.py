"""Metrics that are read when Prometheus scrapes: open work, the database; answers, for the load."""

from typing import TYPE_CHECKING

from waitline.booking.health import count_open_work, server_figures
from waitline.booking.load_reporter import Answered
from waitline.http.metric_families import Collection, FamilySamples
from waitline.kernel import collected_metrics, telemetry
from waitline.postgres.pool import Database

if TYPE_CHECKING:
    from datetime import datetime


ADMITTED_CALLS = frozenset(
    (
        ("GET", "/api/v1/schedules/{scheduleId}/seats"),
        ("POST", "/api/v1/reservations"),
        ("GET", "/api/v1/reservations/{reservationId}"),
        ("DELETE", "/api/v1/reservations/{reservationId}"),
        ("POST", "/api/v1/payments"),
        ("GET", "/api/v1/payments/{paymentId}"),
    )
)
ADMITTED_STATUSES = frozenset(("200", "201", "304", "409"))
"""Calls, and statuses of their answers, that only admitted visitors get. The list of own
reservations is not among them: waiting visitors get it too."""


class OpenWorkGauges:
    """The gauges.

    Args:
        database: Holds events and payments.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def collect(self) -> list[FamilySamples]:
        """Return the metrics.

        Raises:
            Unavailable: The database does not answer.
        """
        work = await count_open_work(self._database)
        found = Collection(collected_metrics.OF_OPEN_WORK)
        found.add("outbox_events", work.events_waiting, "waiting")
        found.add("outbox_events", work.events_dead, "dead")
        found.add("outbox_oldest_age_seconds", work.events_age_s)
        found.add("payments_open", work.payments_pending, "pending")
        found.add("payments_open", work.payments_refunding, "refunding")
        found.add("payments_oldest_age_seconds", work.payments_age_s)
        found.add("payments_attention", work.payments_attention)
        return found.metrics()


class DatabaseMetrics:
    """Metrics of the database's server.

    Args:
        database: The database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._started: datetime | None = None

    async def collect(self) -> list[FamilySamples]:
        """Return the metrics.

        Raises:
            Unavailable: The database does not answer.
        """
        row = await server_figures(self._database)
        if self._started not in {None, row["started"]}:
            telemetry.DATABASE_CHANGES.add(1)
        self._started = row["started"]
        found = Collection(collected_metrics.OF_DATABASE)
        for state in ("active", "idle", "in_transaction", "other"):
            found.add("database_connections", row[state], state)
        found.add("database_connections_limit", row["connections_max"])
        for outcome in ("committed", "rolled_back"):
            found.add("database_transactions", row[outcome], outcome)
        found.add("database_blocks_read", row["cached"], "cache")
        found.add("database_blocks_read", row["read"], "disk")
        found.add("database_deadlocks", row["deadlocks"])
        found.add("database_size_bytes", row["size_bytes"])
        found.add("database_lock_waits", row["lock_waits"])
        found.add("database_oldest_transaction_seconds", row["oldest_s"])
        found.add("database_replicas", row["replicas"])
        if row["replica_lag_bytes"] is not None:
            found.add("database_replica_lag_bytes", row["replica_lag_bytes"])
        return found.metrics()


def answered() -> Answered:
    """Return the number of answers of this worker, and of those to admitted visitors."""
    everybody = admitted = 0
    for (method, route, status), tally in telemetry.HTTP_SECONDS.tallies.items():
        count = sum(tally.counts)
        everybody += count
        if (method, route) in ADMITTED_CALLS and status in ADMITTED_STATUSES:
            admitted += count
    return Answered(everybody, admitted)
