"""Admission control: adapt the pace of each room to the load and stock that its shop reports.

Once a second it reads what the shops report and decides anew; a room that wakes is decided for
before anybody is let in. What is decided stays in the room, so any number of these may run: the
second to decide within a second finds that it was done. A room whose shop has never reported costs
one call after it woke, and none that sleeps costs any.
"""

from collections.abc import Set as AbstractSet

import structlog

from waitline.admission import policy
from waitline.admission.shop_reports import ShopReports
from waitline.kernel.errors import Unavailable
from waitline.kernel.ids import RoomId
from waitline.queue.decision import Decision
from waitline.queue.model import RoomUnknown
from waitline.queue.rooms import Rooms

EVERY_MS = 500
"""A room that was decided for within this was decided for by somebody else: they look once a second
each."""

log = structlog.get_logger()


class AdmissionController:
    """Decides for rooms.

    Args:
        rooms: Where decisions are kept.
        reports: What the shops say.
    """

    def __init__(self, rooms: Rooms, reports: ShopReports) -> None:
        self._rooms = rooms
        self._reports = reports
        self._awake: AbstractSet[RoomId] = frozenset()
        # Rooms that have been awake for a while, and those of them that have a decision.
        self._seen: set[RoomId] = set()
        self._decided: set[RoomId] = set()

    async def refresh(self) -> None:
        """Read what the shops report.

        Raises:
            Unavailable: The store does not answer.
        """
        try:
            await self._reports.refresh()
        except Unavailable:
            raise
        except Exception as error:
            # Whatever lies there: visitors are let in by what is known already.
            log.exception("shop_reports_unreadable", reason=repr(error))

    def due(self, awake: AbstractSet[RoomId], *, looking: bool) -> list[RoomId]:
        """Return the rooms to be decided for now.

        Args:
            awake: Rooms in which somebody may wait.
            looking: Whether reports were just read; otherwise only rooms that woke are due.
        """
        woke, self._awake = awake - self._awake, awake
        self._seen &= awake
        self._decided &= awake
        if not looking:
            return [room for room in woke if self._reports.of(room) is not None]
        # What one that was here before left behind is noticed a look after the room woke, so that
        # a room that falls asleep at once costs nothing.
        unseen = awake - woke - self._seen
        self._seen |= awake - woke
        return [
            room
            for room in awake
            if room in self._decided or room in unseen or self._reports.of(room) is not None
        ]

    async def decide(self, room: RoomId) -> None:
        """Decide for a room, unless somebody else just has.

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
                _log(room, before, decision)
        except RoomUnknown:
            # It is gone: nobody is let in there.
            return
        except Unavailable:
            raise
        except Exception as error:
            # One broken room must not stop all the others.
            log.exception("admission_decision_failed", room=room, reason=repr(error))


def _log(room: RoomId, before: Decision | None, decision: Decision) -> None:
    """Say so when a room admits for another reason than before."""
    if before is None or before.reason is not decision.reason:
        log.info(
            "admission_changed",
            room=room,
            reason=str(decision.reason),
            per_s=round(decision.per_s, 2),
            free=decision.report.free,
            load=round(decision.report.load, 2),
        )
