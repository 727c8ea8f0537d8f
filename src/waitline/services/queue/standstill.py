"""Standstill: how long a room has admitted nobody, though it should. Pure.

Monitoring that cannot compare several metrics of one room, such as CloudWatch, alarms on this one.
"""

from collections.abc import Iterable

from waitline.kernel.ids import RoomId
from waitline.queue.model import Survey
from waitline.queue.settings import ADMITTING


def admits(survey: Survey) -> bool:
    """Return whether the room admits visitors who wait, as far as its rules and its shop go."""
    decision = survey.decision
    if survey.mode_now not in ADMITTING:
        return False
    if decision is None:
        return True
    return decision.until is None or decision.until > survey.counters["admitted"]


class Standstills:
    """Measures standstills from one look at the rooms to the next."""

    def __init__(self) -> None:
        # Of each room that should admit: visitors admitted so far, and since when no more.
        self._still: dict[RoomId, tuple[int, float]] = {}

    def longest_s(self, surveys: Iterable[tuple[RoomId, Survey]], now_s: float) -> float:
        """Return the longest standstill of all rooms, in s; 0 if there is none.

        Args:
            surveys: All rooms in which something happens.
            now_s: A monotonic clock.
        """
        still: dict[RoomId, tuple[int, float]] = {}
        for room, survey in surveys:
            free = survey.rules.limits.active_max - survey.admitted
            if survey.waiting and free > 0 and admits(survey):
                admitted = survey.counters["admitted"]
                before = self._still.get(room, (-1, now_s))
                still[room] = before if before[0] == admitted else (admitted, now_s)
        self._still = still
        return max((now_s - since_s for _, since_s in still.values()), default=0.0)
