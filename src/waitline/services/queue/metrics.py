"""The rooms' metrics, collected from the store at each rendering."""

import asyncio
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Never

from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
)

from waitline.kernel import telemetry
from waitline.kernel.errors import Refused, Unavailable
from waitline.kernel.ids import RoomId
from waitline.kernel.periodic import periodic
from waitline.kernel.telemetry import FigureGuard
from waitline.queue import hints
from waitline.queue.decision import Reason
from waitline.queue.model import Survey
from waitline.queue.rooms import Rooms

WATCH_S = 0.4
"""Interval, in s, of reading which rooms are awake or occupied. After its last visitor a room stays
listed for longer: the admitter lets it sleep after five visits, which take half a second."""

LINGER_S = 300.0
"""How long a room is shown after it was last awake or occupied, in s: its last counts must be
scraped. Prometheus itself looks back five minutes for a series."""

ROOMS_SHOWN_MAX = 1_000
"""Rooms whose series are shown: 30 000 series, 3 MB, a third of a second of rendering. More could
not be rendered every second, and are more than one Prometheus target should have."""

CONCURRENT = 16
"""Surveys in progress at once: enough to hide the round trip, few enough not to block the loop."""


class RoomMetrics:
    """Collects the metrics of the rooms in which something happens.

    A room is shown while it is awake or occupied, and for `LINGER_S` after that.

    Args:
        rooms: Lists and surveys the rooms.
        guard: Counts rooms that fail.
        now_s: A monotonic clock.
    """

    def __init__(
        self, rooms: Rooms, guard: FigureGuard, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._rooms = rooms
        self._guard = guard
        self._now_s = now_s
        # When each was last awake or occupied.
        self._seen_s: dict[RoomId, float] = {}
        self._shown: set[RoomId] = set()

    async def run(self) -> Never:
        """Watch the rooms until cancelled."""
        await periodic("room_watch", self.watch, WATCH_S)

    async def watch(self) -> None:
        """Read which rooms are awake or occupied.

        Raises:
            Unavailable: The store does not answer.
        """
        listed = await self._rooms.awake() | await self._rooms.occupied()
        now_s = self._now_s()
        if len(self._seen_s) > len(listed):
            self._seen_s = {
                room: seen_s for room, seen_s in self._seen_s.items() if now_s - seen_s < LINGER_S
            }
        self._seen_s.update(dict.fromkeys(listed, now_s))

    def shows(self, room: str) -> bool:
        """Return whether the series of a room are shown."""
        return room in self._shown

    async def collect(self) -> list[Metric]:
        """Return the rooms' metrics.

        Raises:
            Unavailable: The store does not answer.
        """
        await self.watch()
        chosen = self._chosen()
        surveys: list[tuple[RoomId, Survey]] = []
        rest = iter(chosen)
        while batch := list(islice(rest, CONCURRENT)):
            surveys += filter(None, await asyncio.gather(*map(self._survey, batch)))
        self._shown = {room for room, _ in surveys}
        omitted = len(self._seen_s) - len(chosen)
        return list(room_metrics(surveys, await self._rooms.count(), omitted))

    def _chosen(self) -> list[RoomId]:
        """Choose the rooms to show: the latest, then those shown before, so that series go on."""
        if len(self._seen_s) <= ROOMS_SHOWN_MAX:
            return sorted(self._seen_s)
        order = sorted(
            self._seen_s, key=lambda room: (-self._seen_s[room], room not in self._shown, room)
        )
        return sorted(order[:ROOMS_SHOWN_MAX])

    async def _survey(self, room: RoomId) -> tuple[RoomId, Survey] | None:
        try:
            return room, await self._rooms.survey(room)
        except Unavailable:
            raise
        except Refused:
            # It was deleted.
            self._seen_s.pop(room, None)
            return None
        except Exception as error:  # noqa: BLE001 - one broken room costs its own series
            self._guard.failed("room", f"{room!r}: {error!r}")
            return None


def room_metrics(
    surveys: list[tuple[RoomId, Survey]], rooms: int, omitted: int
) -> Iterator[Metric]:
    """Convert surveys to metrics.

    Args:
        surveys: By room.
        rooms: How many there are.
        omitted: In how many something happens, but which are beyond the limit.
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
        counters["queue_return_count"].add_metric([room], count["returned"])
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
    yield GaugeMetricFamily(*telemetry.ROOMS_OMITTED, value=omitted)


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
