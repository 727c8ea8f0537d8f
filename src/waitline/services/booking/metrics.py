"""Gauges of the box office's open work, read from the database when Prometheus scrapes."""

from collections.abc import Iterator

from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from waitline.booking.health import OpenWork, count_open_work
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
        return list(_metrics(await count_open_work(self._database)))


def _metrics(work: OpenWork) -> Iterator[Metric]:
    for name, (meaning, label, fields) in telemetry.BACKLOG_GAUGES.items():
        gauge = GaugeMetricFamily(name, meaning, labels=[label] if label else [])
        for value, field in fields.items():
            gauge.add_metric([value] if label else [], getattr(work, field))
        yield gauge
