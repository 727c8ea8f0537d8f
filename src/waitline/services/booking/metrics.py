"""Gauges of the box office's open work, read from the database when Prometheus scrapes."""

from prometheus_client.metrics_core import Metric

from waitline.booking.health import count_open_work
from waitline.http.metric_families import Collection
from waitline.kernel import telemetry
from waitline.postgres.pool import Database


class OpenWorkGauges:
    """The gauges.

    Args:
        database: Holds events and payments.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def collect(self) -> list[Metric]:
        """Return the metrics.

        Raises:
            Unavailable: The database does not answer.
        """
        work = await count_open_work(self._database)
        found = Collection(telemetry.OF_OPEN_WORK)
        found.add("outbox_events", work.events_waiting, "waiting")
        found.add("outbox_events", work.events_dead, "dead")
        found.add("outbox_oldest_age_seconds", work.events_age_s)
        found.add("payments_open", work.payments_pending, "pending")
        found.add("payments_open", work.payments_refunding, "refunding")
        found.add("payments_oldest_age_seconds", work.payments_age_s)
        found.add("payments_attention", work.payments_attention)
        return found.metrics()
