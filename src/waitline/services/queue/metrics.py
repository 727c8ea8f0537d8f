"""The rooms' metrics, collected from the store at each rendering."""

import asyncio
import time
from collections.abc import Callable
from itertools import islice
from typing import Never

from waitline.http.metric_families import Collection, FamilySamples
from waitline.kernel import collected_metrics
from waitline.kernel.errors import Refused, Unavailable
from waitline.kernel.ids import RoomId
from waitline.kernel.periodic import periodic
from waitline.kernel.process_metrics import FigureGuard
from waitline.queue import hints
from waitline.queue.decision import Decision, Reason
from waitline.queue.model import Survey
from waitline.queue.rooms import Rooms
from waitline.services.queue.standstill import Standstills, admits

WATCH_S = 0.4
"""Interval, in s, of reading which rooms are awake or occupied. After its last visitor a room stays
listed for longer: the admitter lets it sleep after five visits, which take half a second."""

LINGER_S = 300.0
"""How long a room is shown after it was last awake or occupied, in s: its last counts must be
scraped. Prometheus itself looks back five minutes for a series."""

ROOMS_SHOWN_MAX = 1_000
"""Rooms whose series are shown: 30 000 series, 3 MB. One Prometheus target should not have more."""

EXITS = ("left", "abandoned", "lapsed", "passed", "removed")
"""Reasons for which a visitor leaves a room, as its counters name them."""

CONCURRENT = 64
"""Surveys in progress at once: enough to hide the round trip and to share a write. They keep the
loop busy for 5 ms at most."""


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
        self._standstills = Standstills()

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

    async def collect(self) -> list[FamilySamples]:
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
        admitters = await self._rooms.admitters.count()
        still_s = self._standstills.longest_s(surveys, self._now_s())
        return room_metrics(surveys, await self._rooms.count(), omitted, admitters, still_s)

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
    surveys: list[tuple[RoomId, Survey]],
    rooms: int,
    omitted: int,
    admitters: int,
    still_s: float,
) -> list[FamilySamples]:
    """Convert surveys to metrics.

    Args:
        surveys: By room.
        rooms: How many there are.
        omitted: In how many something happens, but which are beyond the limit.
        admitters: How many share the rooms.
        still_s: Longest standstill of a room, in s.
    """
    found = Collection((*collected_metrics.OF_ROOMS, *collected_metrics.OF_DECISIONS))
    for room, survey in surveys:
        count = survey.counters
        found.add("queue_wait_size", survey.waiting, room)
        found.add("queue_active_size", survey.admitted, room)
        found.add("queue_active_limit", survey.rules.limits.active_max, room)
        found.add("queue_admitting", admits(survey), room)
        found.add("queue_throughput_users_per_second", survey.rate_last, room)
        pace = hints.rate_range(survey.rate_mean, survey.rate_deviation, survey.rate_samples)
        if pace is not None:
            found.add("queue_estimated_wait_seconds", survey.waiting / survey.rate_mean, room)
        found.add("queue_entry_count", count["entered"], room)
        for reason in EXITS:
            found.add("queue_exit_count", count[reason], room, reason)
        found.add("queue_return_count", count["returned"], room)
        found.add("scheduler_move_users", count["admitted"], room)
        found.add("scheduler_cleanup_removed", count["lapsed"], room)
        found.add("queue_no_show_count", count["no_shows"], room)
        found.add("scheduler_lock_acquire_failures", count["lease_refused"], "admit", room)
        if survey.decision is not None:
            _add_decision(found, room, survey, survey.decision)
    found.add(collected_metrics.ROOMS, rooms, "admit")
    found.add(collected_metrics.ADMITTERS, admitters)
    found.add(collected_metrics.STANDSTILL, still_s)
    found.add(collected_metrics.ROOMS_OMITTED, omitted)
    return found.metrics()


def _add_decision(found: Collection, room: RoomId, survey: Survey, decision: Decision) -> None:
    report = decision.report
    found.add("queue_admission_limit_per_second", decision.per_s, room)
    found.add("queue_no_show_share", decision.no_show_share, room)
    found.add("queue_shop_free_seats", report.free, room)
    found.add("queue_shop_live_reservations", report.live, room)
    found.add("queue_shop_load", report.load, room)
    age_s = max(survey.at_ms - report.reported_ms, 0) / 1000
    found.add("queue_shop_report_age_seconds", age_s, room)
    if decision.until is not None:
        allowance = max(decision.until - survey.counters["admitted"], 0)
        found.add("queue_admission_allowance", allowance, room)
    for reason in Reason:
        found.add(collected_metrics.DECISION_REASON, reason is decision.reason, room, str(reason))
