"""What the metrics tell of what the box office has not done yet, read when they are asked for."""

from collections.abc import Iterator

from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from waitline.kernel import telemetry
from waitline.kernel.errors import Unavailable
from waitline.postgres.pool import Database, Row

COUNTED_MAX = 10_000
"""More of a kind are shown as this many: an operator has long been called by then, and counting
further would cost a database in trouble more."""


class BacklogFigures:
    """Reads it.

    Args:
        database: Holds events and payments.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self) -> list[Metric]:
        """Return the metrics; none while the database does not answer."""
        try:
            row = await self._database.one("backlog", counted_max=COUNTED_MAX)
        except Unavailable:
            # The processes' own figures matter most when the database is down.
            return []
        assert row is not None
        return list(_metrics(row))


def _metrics(row: Row) -> Iterator[Metric]:
    for name, (meaning, label, columns) in telemetry.BACKLOG_GAUGES.items():
        gauge = GaugeMetricFamily(name, meaning, labels=[label] if label else [])
        for value, column in columns.items():
            gauge.add_metric([value] if label else [], row[column])
        yield gauge
