"""Admitter: the loop that admits visitors and sweeps the slots that ran out.

It looks after the rooms that are awake, because somebody may wait in them, or occupied, because
somebody may hold a slot; all the others sleep and cost it nothing but their name in the registry,
which it reads once a second, and a patrol of constant size (decision 0007).

Any number of them may run: a lease per room keeps them from doing the same work twice, and
`admit` is right even without it. Nothing here decides who may enter; how many, the policy decides
from what the shop reports (`controller.py`).
"""

import asyncio
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Never

import structlog

from waitline.admission import policy
from waitline.admission.controller import AdmissionController
from waitline.kernel.errors import Refused, Unavailable
from waitline.kernel.ids import RoomId
from waitline.kernel.periodic import periodic
from waitline.queue.model import CHUNK_MAX, Held, Moved
from waitline.queue.rooms import Rooms
from waitline.queue.store import Line

LEASE_MS = 3_000
"""How long a room stays with an admitter that has died before another takes it."""

ROUND_S = 1.0
"""A room gets this long in one round before the others have their turn."""

AT_ONCE_MAX = 8
"""Rooms visited at the same time: enough to hide the way to the store and back."""

LOOK_S = 1.0
"""Between two readings of the registry and of the rooms that are occupied."""

EARLY_S = policy.TICK_MS / 2_000
"""Half a tick of tolerance: a round begins a tick after the last, and a call somewhere within its
round. Without it every visit slips one tick."""

BROKEN_S = 5.0
"""Pause in visiting a room whose visit failed: a bug stays until it is fixed."""

log = structlog.get_logger()


@dataclass(slots=True)
class _Visits:
    """When a room is next due, on the loop's clock in seconds.

    Attributes:
        admit_s: For admitting, if it is awake.
        sweep_s: For sweeping.
        idle: Visits in a row that found nobody waiting.
    """

    admit_s: float = 0.0
    sweep_s: float = 0.0
    idle: int = 0


class Admitter:
    """Visits every room that is awake or occupied when it is due.

    Args:
        rooms: Names them, and knows which sleep.
        line: Admits and sweeps.
        controller: Follows the shop.
        name: Who holds the leases; different for every admitter.
        observe_move: Called with the room and the seconds of each call that admitted somebody.
        observe_round: Called with the number of rooms and the seconds that a round took.
    """

    def __init__(
        self,
        rooms: Rooms,
        line: Line,
        controller: AdmissionController,
        *,
        name: str,
        observe_move: Callable[[RoomId, float], None] = lambda _room, _seconds: None,
        observe_round: Callable[[int, float], None] = lambda _rooms, _seconds: None,
    ) -> None:
        assert name
        self._rooms = rooms
        self._line = line
        self._controller = controller
        self._name = name
        self._observe_move = observe_move
        self._observe_round = observe_round
        self._names: list[RoomId] = []
        self._occupied: set[RoomId] = set()
        # Rooms that are to be awake, though the store does not have them on its list yet.
        self._unnoted: set[RoomId] = set()
        self._visits: dict[RoomId, _Visits] = {}
        self._look_s = 0.0
        # Whether the next patrol looks into every room, and the last one that a patrol has seen.
        self._everywhere = True
        self._patrolled = RoomId("")

    async def run(self) -> Never:
        """Go round until cancelled."""
        await periodic("admission", self._round, policy.TICK_MS / 1000)

    async def _round(self) -> None:
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        await self.visit_due()
        self._observe_round(len(self._names), loop.time() - started_s)

    async def visit_due(self) -> None:
        """Visit every room that is due, a few at a time; once a second, patrol.

        Raises:
            ExceptionGroup: Of `Unavailable`: the store did not answer.
        """
        try:
            await self._visit_due(asyncio.get_running_loop().time())
        except* Unavailable:
            # Workers may have been cut off as well, between giving a place and waking the room.
            self._everywhere = True
            raise

    async def _visit_due(self, now_s: float) -> None:
        looking = now_s >= self._look_s
        if looking:
            self._names = await self._rooms.names()
            self._occupied = await self._rooms.occupied()
            await self._controller.refresh()
        awake = await self._rooms.awake() | self._unnoted
        looked_after = awake | self._occupied
        self._visits = {room: self._visits.get(room) or _Visits() for room in looked_after}
        due = self._controller.due(awake, looking=looking)
        if due and not looking:
            # They woke: what was reported a moment ago counts before the first is let in.
            await self._controller.refresh()
        await self._each(due, self._controller.decide)
        await self._each(
            self._due(awake, now_s), lambda room: self._visit(room, awake=room in awake)
        )
        # Who waits in a known line comes before the search for others.
        if looking:
            await self._patrol(awake)
            self._look_s = now_s + LOOK_S

    def _due(self, awake: set[RoomId], now_s: float) -> list[RoomId]:
        """Return the rooms that are due, those in which somebody may wait before the others."""
        first, then = [], []
        for room, visits in self._visits.items():
            if room in awake:
                if min(visits.admit_s, visits.sweep_s) <= now_s + EARLY_S:
                    first.append(room)
            else:
                # Woken again, it is due at once, whatever another admitter's lease said before.
                visits.admit_s, visits.idle = 0.0, 0
                if visits.sweep_s <= now_s + EARLY_S:
                    then.append(room)
        return first + then

    async def _each(
        self, rooms: Sequence[RoomId], call: Callable[[RoomId], Awaitable[None]]
    ) -> None:
        queue = iter(rooms)
        async with asyncio.TaskGroup() as visitors:
            for _ in range(min(AT_ONCE_MAX, len(rooms))):
                visitors.create_task(_call_each(queue, call))

    async def _visit(self, room: RoomId, *, awake: bool) -> None:
        loop = asyncio.get_running_loop()
        visits = self._visits[room]
        try:
            # Sweeping first: what it frees can be given in the same visit.
            if visits.sweep_s <= loop.time() + EARLY_S:
                await self._sweep(room)
                visits.sweep_s = loop.time() + policy.SWEEP_MS / 1000
                if not awake and await self._struck(room, self._rooms.mark_vacant):
                    self._occupied.discard(room)
            if awake and visits.admit_s <= loop.time() + EARLY_S:
                await self._admit(room, visits)
        except Unavailable:
            raise
        except Exception as error:
            # One broken room must not stop all the others.
            log.exception("room_visit_failed", room=room, reason=repr(error))
            visits.admit_s = visits.sweep_s = loop.time() + BROKEN_S

    async def _sweep(self, room: RoomId) -> None:
        until_s = asyncio.get_running_loop().time() + ROUND_S
        while (await self._line.sweep(room, chunk_max=CHUNK_MAX)).more:
            if asyncio.get_running_loop().time() > until_s:
                break

    async def _admit(self, room: RoomId, visits: _Visits) -> None:
        loop = asyncio.get_running_loop()
        until_s = loop.time() + ROUND_S
        while visits.admit_s <= loop.time() + EARLY_S < until_s:
            started = loop.time()
            try:
                outcome = await self._line.admit(
                    room, holder=self._name, lease_ms=LEASE_MS, chunk_max=CHUNK_MAX
                )
            except Refused:
                # It is gone: nobody is let in there, as where the mode forbids it.
                outcome = Held()
            if isinstance(outcome, Moved) and outcome.admitted:
                self._observe_move(room, loop.time() - started)
            # The tick is counted from the call's beginning, so that the pace does not drift.
            visits.admit_s = started + policy.next_visit_ms(outcome) / 1000
            visits.idle = visits.idle + 1 if policy.may_be_empty(outcome) else 0
        if visits.idle >= policy.LINGER_VISITS:
            visits.idle = 0
            if await self._struck(room, self._rooms.let_sleep):
                self._occupied.add(room)

    async def _struck(self, room: RoomId, strike: Callable[[RoomId], Awaitable[bool]]) -> bool:
        """Take a room off a list, and see to it that it is on again whatever comes between."""
        if room in self._unnoted:
            return False
        self._unnoted.add(room)
        try:
            struck = await strike(room)
        except Unavailable:
            # A full store may refuse this and still let visitors in everywhere, so the round goes
            # on; one that is silent is noticed by the next call.
            return False
        self._unnoted.discard(room)
        return struck

    async def _patrol(self, awake: set[RoomId]) -> None:
        """Look into rooms that are not awake for somebody who was not noted.

        All of them at the beginning and after a silence of the store, a few at any other time.
        """
        asleep = [room for room in self._names if room not in awake]
        count = len(asleep) if self._everywhere else policy.PATROL_PER_S
        first = bisect_right(asleep, self._patrolled)
        chosen = (asleep[first:] + asleep[:first])[:count]
        await self._each(chosen, self._inspect)
        if chosen:
            self._patrolled = chosen[-1]
        self._everywhere = False
        if self._unnoted:
            # What a full store refuses now is tried again at the next patrol.
            with suppress(Unavailable):
                await self._rooms.wake(self._unnoted)
                self._unnoted.clear()

    async def _inspect(self, room: RoomId) -> None:
        try:
            if room in self._occupied:
                found = await self._rooms.has_waiting(room)
            else:
                # Nobody else collects there, and forgets those who lapsed.
                await self._sweep(room)
                found = await self._rooms.has_visitors(room)
        except Unavailable:
            raise
        except Exception:  # noqa: BLE001 - the visit says so, and knows when to try again
            found = True
        if found:
            self._unnoted.add(room)


async def _call_each(rooms: Iterator[RoomId], call: Callable[[RoomId], Awaitable[None]]) -> None:
    for room in rooms:
        await call(room)
