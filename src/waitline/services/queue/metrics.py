"""The rooms' metrics, collected from the store at each scrape."""

from collections.abc import Iterator

from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
)

from waitline.kernel import telemetry
from waitline.kernel.errors import Refused, Unavailable
from waitline.kernel.ids import RoomId
from waitline.queue import hints
from waitline.queue.decision import Reason
from waitline.queue.feed import Feed
from waitline.queue.model import Survey
from waitline.queue.rooms import Rooms
from waitline.services.queue.now_serving import NowServingDocuments


class RoomMetrics:
    """Collects the rooms' metrics.

    Args:
        rooms: Lists the rooms.
        documents: Caches their surveys.
        feed: Counts open streams.
    """

    def __init__(self, rooms: Rooms, documents: NowServingDocuments, feed: Feed) -> None:
        self._rooms = rooms
        self._documents = documents
        self._feed = feed

    async def collect(self) -> list[Metric]:
        """Return the rooms' metrics; none while the store does not answer."""
        telemetry.STREAMS_OPEN.set(self._feed.size)
        try:
            names = await self._rooms.names()
            surveys = [(name, survey) for name in names if (survey := await self._survey(name))]
        except Unavailable:
            # The processes' own figures matter most when the store is down.
            return []
        return list(room_metrics(surveys, len(names)))

    async def _survey(self, room: RoomId) -> Survey | None:
        try:
            return (await self._documents.fetch(room)).survey
        except Refused:
            return None


def room_metrics(surveys: list[tuple[RoomId, Survey]], rooms: int) -> Iterator[Metric]:
    """Convert surveys to metrics.

    Args:
        surveys: By room.
        rooms: How many there are.
    """
    gauges = {
        name: GaugeMetricFamily(name, meaning, labels=["concert_id"])
        for name, meaning in telemetry.ROOM_GAUGES.items()
    }
    labels = {
        "queue_exit_count": ["concert_id", "reason"],
        "scheduler_lock_acquire_failures": ["scheduler_type", "concert_id"],
    }
    counters = {
        name: CounterMetricFamily(name, meaning, labels=labels.get(name, ["concert_id"]))
        for name, meaning in telemetry.ROOM_COUNTERS.items()
    }
    for room, survey in surveys:
        count = survey.counters
        gauges["queue_wait_size"].add_metric([room], survey.waiting)
        gauges["queue_active_size"].add_metric([room], survey.admitted)
        gauges["queue_throughput_users_per_second"].add_metric([room], survey.rate_last)
        pace = hints.rate_range(survey.rate_mean, survey.rate_deviation, survey.rate_samples)
        if pace is not None:
            wait_s = survey.waiting / survey.rate_mean
            gauges["queue_estimated_wait_seconds"].add_metric([room], wait_s)
        counters["queue_entry_count"].add_metric([room], count["entered"])
        for reason in ("left", "abandoned", "lapsed", "passed", "removed"):
            counters["queue_exit_count"].add_metric([room, reason], count[reason])
        counters["scheduler_move_users"].add_metric([room], count["admitted"])
        counters["scheduler_cleanup_removed"].add_metric([room], count["lapsed"])
        counters["queue_no_show_count"].add_metric([room], count["no_shows"])
        counters["scheduler_lock_acquire_failures"].add_metric(
            ["admit", room], count["lease_refused"]
        )
    yield from gauges.values()
    yield from counters.values()
    yield from decision_metrics(surveys)
    total = GaugeMetricFamily(*telemetry.ROOMS_GAUGE, labels=["scheduler_type"])
    total.add_metric(["admit"], rooms)
    yield total


def decision_metrics(surveys: list[tuple[RoomId, Survey]]) -> Iterator[Metric]:
    """Convert admission decisions to metrics.

    Args:
        surveys: By room.
    """
    gauges = {
        name: GaugeMetricFamily(name, meaning, labels=["concert_id"])
        for name, meaning in telemetry.DECISION_GAUGES.items()
    }
    reasons = GaugeMetricFamily(*telemetry.DECISION_REASON, labels=["concert_id", "reason"])
    for room, survey in surveys:
        decision = survey.decision
        if decision is None:
            continue
        report = decision.report
        values = {
            "queue_admission_limit_per_second": decision.per_s,
            "queue_no_show_share": decision.no_show_share,
            "queue_shop_free_seats": report.free,
            "queue_shop_live_reservations": report.live,
            "queue_shop_load": report.load,
            "queue_shop_report_age_seconds": max(survey.at_ms - report.reported_ms, 0) / 1000,
        }
        if decision.until is not None:
            so_far = survey.counters["admitted"]
            values["queue_admission_allowance"] = max(decision.until - so_far, 0)
        for name, value in values.items():
            gauges[name].add_metric([room], value)
        for reason in Reason:
            reasons.add_metric([room, str(reason)], float(reason is decision.reason))
    yield from gauges.values()
    yield reasons
