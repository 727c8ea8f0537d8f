"""Admission control: adapt the rate of each room to the load and stock that its shop reports.

Once a second it reads the reports and decides for every room that is awake; a room that wakes gets
a decision before its first admission. Decisions are stored in the room, so several controllers may
run: within a second, the first one's decision counts. A room whose shop has never reported costs
one call after it woke; a sleeping room costs none.
"""

from collections.abc import Set as AbstractSet

import structlog

from waitline.admission import policy
from waitline.admission.shop_reports import ShopReports
from waitline.kernel import telemetry
from waitline.kernel.errors import Unavailable
from waitline.kernel.ids import RoomId
from waitline.queue.decision import Decision
from waitline.queue.model import RoomUnknown
from waitline.queue.rooms import Rooms

EVERY_MS = 500
"""A decision younger than this, in ms, is another controller's: each decides once a second."""

log = structlog.get_logger()


class AdmissionController:
    """Decides for rooms.

    Args:
        rooms: Store of the decisions.
        reports: The shops' reports.
    """

    def __init__(self, rooms: Rooms, reports: ShopReports) -> None:
        self._rooms = rooms
        self._reports = reports
        self._awake: AbstractSet[RoomId] = frozenset()
        # Rooms that have been awake for a while, and those of them that have a decision.
        self._seen: set[RoomId] = set()
        self._decided: set[RoomId] = set()

    async def refresh(self) -> None:
        """Read the shops' reports.

        Raises:
            Unavailable: The store does not answer.
        """
        try:
            await self._reports.refresh()
        except Unavailable:
            raise
        except Exception as error:
            # Unreadable reports must not stop admission: the previous ones are used.
            log.exception("shop_reports_unreadable", reason=repr(error))

    def due(self, awake: AbstractSet[RoomId], *, looking: bool) -> list[RoomId]:
        """Return the rooms that need a decision now.

        Args:
            awake: Rooms in which visitors may be waiting.
            looking: Whether reports were just read; otherwise only rooms that woke are due.
        """
        woke, self._awake = awake - self._awake, awake
        self._seen &= awake
        self._decided &= awake
        if not looking:
            return [room for room in woke if self._reports.of(room) is not None]
        # A room may have a decision stored by an earlier controller. It is checked one round after
        # the room woke, so a room that falls asleep at once costs nothing.
        unseen = awake - woke - self._seen
        self._seen |= awake - woke
        return [
            room
            for room in awake
            if room in self._decided or room in unseen or self._reports.of(room) is not None
        ]

    async def decide(self, room: RoomId) -> None:
        """Decide for a room, unless another controller just has.

        Raises:
            Unavailable: The store does not answer.
        """
        try:
            survey = await self._rooms.survey(room)
            before = survey.decision
            if before is not None and 0 <= survey.at_ms - before.at_ms < EVERY_MS:
                self._decided.add(room)
                return
            decision = policy.decide(survey, self._reports.of(room))
            if decision is None:
                return
            self._decided.add(room)
            if await self._rooms.decide(room, before, decision):
                telemetry.DECISIONS.add(1, str(decision.reason))
                _log(room, before, decision)
        except RoomUnknown:
            # The room was deleted.
            return
        except Unavailable:
            raise
        except Exception as error:
            # One broken room must not stop all the others.
            log.exception("admission_decision_failed", room=room, reason=repr(error))


def _log(room: RoomId, before: Decision | None, decision: Decision) -> None:
    """Log a change of the reason of a room's decision."""
    if before is None or before.reason is not decision.reason:
        log.info(
            "admission_changed",
            room=room,
            reason=str(decision.reason),
            per_s=round(decision.per_s, 2),
            free=decision.report.free,
            load=round(decision.report.load, 2),
        )
