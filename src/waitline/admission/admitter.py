"""The loop that lets visitors in and collects the slots that ran out.

Any number of them may run: a lease per room keeps them from doing the same work twice, and
`admit` is right even without it. Nothing here decides who may enter, or how many.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import structlog

from waitline.admission import policy
from waitline.errors import Refused, Unavailable
from waitline.ids import RoomId
from waitline.queue.model import CHUNK_MAX, Moved
from waitline.queue.rooms import Rooms
from waitline.queue.store import Line

LEASE_MS = 3_000
"""How long a room stays with an admitter that has died before another takes it."""

ROUND_S = 1.0
"""A room gets this long in one round before the others have their turn."""

AT_ONCE_MAX = 8
"""Rooms visited at the same time: enough to hide the way to the store and back."""

RETRY_S = 0.5
"""Pause after a round that the store did not answer."""

BROKEN_S = 5.0
"""Pause in visiting a room whose visit failed: what is broken stays so until somebody mends it."""

log = structlog.get_logger()


@dataclass(slots=True)
class _Visits:
    """When a room is next due, on the loop's clock in seconds."""

    admit_s: float = 0.0
    sweep_s: float = 0.0


class Admitter:
    """Visits every room when it is due.

    Args:
        rooms: Names them.
        line: Admits and sweeps.
        name: Who holds the leases; different for every admitter.
        measure_move: Told the room and the seconds of each admission call that moved somebody.
        on_round: Told how many rooms there are and the seconds that a round took.
    """

    def __init__(
        self,
        rooms: Rooms,
        line: Line,
        *,
        name: str,
        measure_move: Callable[[RoomId, float], None] = lambda _room, _seconds: None,
        on_round: Callable[[int, float], None] = lambda _rooms, _seconds: None,
    ) -> None:
        assert name
        self._rooms = rooms
        self._line = line
        self._name = name
        self._measure_move = measure_move
        self._on_round = on_round
        self._visits: dict[RoomId, _Visits] = {}
        self._names: list[RoomId] = []
        self._names_until_s = 0.0

    async def run(self) -> None:
        """Go round until cancelled. A store that does not answer is waited for."""
        loop = asyncio.get_running_loop()
        answered = True
        while True:
            started = loop.time()
            silence = await self._round()
            if silence is None:
                if not answered:
                    log.info("the store answers again")
                self._on_round(len(self._names), loop.time() - started)
            elif answered:
                log.warning("the store does not answer", reason=str(silence))
            answered = silence is None
            pause_s = policy.TICK_MS / 1000 if answered else RETRY_S
            await asyncio.sleep(max(0.0, started + pause_s - loop.time()))

    async def _round(self) -> Unavailable | None:
        """Visit what is due; return why that could not be done, if it could not."""
        silence = None
        try:
            await self.visit_due()
        except* Unavailable as group:
            silence = Unavailable(str(group.exceptions[0]))
        return silence

    async def visit_due(self) -> None:
        """Visit every room that is due, a few at a time.

        Raises:
            ExceptionGroup: Of `Unavailable`: the store did not answer.
        """
        now_s = asyncio.get_running_loop().time()
        if now_s >= self._names_until_s:
            self._names = await self._rooms.names()
            self._names_until_s = now_s + 1.0
            self._visits = {name: self._visits.get(name, _Visits()) for name in self._names}
        due = [
            (room, visits)
            for room, visits in self._visits.items()
            if min(visits.admit_s, visits.sweep_s) <= now_s
        ]
        if not due:
            return
        queue = iter(due)
        async with asyncio.TaskGroup() as visitors:
            for _ in range(min(AT_ONCE_MAX, len(due))):
                visitors.create_task(self._visit_each(queue))

    async def _visit_each(self, queue: Iterator[tuple[RoomId, _Visits]]) -> None:
        for room, visits in queue:
            try:
                await self._visit(room, visits)
            except Refused:
                # The registry names a room before it exists; it will be there next time.
                visits.admit_s = asyncio.get_running_loop().time() + policy.IDLE_MS / 1000
            except Unavailable:
                raise
            except Exception:
                # One broken room must not stop all the others.
                log.exception("a room cannot be visited", room=room)
                visits.admit_s = visits.sweep_s = asyncio.get_running_loop().time() + BROKEN_S

    async def _visit(self, room: RoomId, visits: _Visits) -> None:
        loop = asyncio.get_running_loop()
        until_s = loop.time() + ROUND_S
        # Sweeping first: what it frees can be given in the same visit.
        if visits.sweep_s <= loop.time():
            while (await self._line.sweep(room, chunk_max=CHUNK_MAX)).more:
                if loop.time() > until_s:
                    break
            visits.sweep_s = loop.time() + policy.SWEEP_MS / 1000
        while visits.admit_s <= loop.time() < until_s:
            started = loop.time()
            outcome = await self._line.admit(
                room, holder=self._name, lease_ms=LEASE_MS, chunk_max=CHUNK_MAX
            )
            if isinstance(outcome, Moved) and outcome.admitted:
                self._measure_move(room, loop.time() - started)
            # The tick is counted from the call's beginning, so that the pace does not drift.
            visits.admit_s = started + policy.next_visit_ms(outcome) / 1000
