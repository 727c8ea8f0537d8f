"""Admitter: the loop that admits visitors and sweeps expired slots.

It serves rooms that are awake (visitors may be waiting) or occupied (visitors may hold slots). All
other rooms sleep. They cost one read of the registry a second and a patrol of constant size
(decision 0007).

Any number of admitters may run. They share the rooms (`sharing.py`) by heartbeats in the store, and
a lease per room saves duplicate work while they disagree; correctness depends on neither. The order
of admission is fixed by the line; `controller.py` decides how many are admitted.
"""

import asyncio
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from typing import Never

import structlog

from waitline.admission import policy
from waitline.admission.chunks import Chunks, Confirm
from waitline.admission.controller import AdmissionController
from waitline.admission.sharing import Shares
from waitline.kernel.errors import Unavailable
from waitline.kernel.ids import RoomId
from waitline.kernel.periodic import periodic
from waitline.queue.admitters import GONE_MS, Admitters
from waitline.queue.listening import Listening
from waitline.queue.model import Moved, Unsure
from waitline.queue.rooms import Rooms
from waitline.queue.store import Line

LEASE_MS = 2_000
"""Duration of a room's lease: if an admitter dies, another takes over its rooms after this."""

ENLIST_S = 0.5
"""Interval, in s, of heartbeats, and of reading those of the other admitters."""

ROUND_S = 1.0
"""Longest time for one room in one round, in s, so that it does not hold up the others."""

AT_ONCE_MAX = 8
"""Rooms visited concurrently: enough to hide the round trip to the store."""

LOOK_S = 1.0
"""Interval, in s, of reading the registry and the list of occupied rooms."""

EARLY_S = policy.TICK_MS / 2_000
"""Half a tick of tolerance. Rounds are a tick apart, but a room's call may come at any point of its
round; without the tolerance every visit slips one tick."""

BROKEN_S = 5.0
"""Pause, in s, before the next visit to a room whose visit failed with a bug."""

HEARD_S = 0.2
"""How long, in s, the workers' last beat is cached: a long round uses new beats too, and many rooms
share one read."""

log = structlog.get_logger()


@dataclass(slots=True)
class _Visits:
    """When a room is next due, on the loop's clock.

    Attributes:
        admit_s: Time of the next admit call, if the room is awake.
        sweep_s: Time of the next sweep.
        idle: Consecutive visits that found nobody waiting.
        leased: Whether this admitter may hold the room's lease.
    """

    admit_s: float = 0.0
    sweep_s: float = 0.0
    idle: int = 0
    leased: bool = False


class Admitter:
    """Visits every room that is awake or occupied when it is due.

    Args:
        rooms: The registry, and the lists of rooms that are awake or occupied.
        line: Admits and sweeps.
        controller: Decides the rate of each room.
        name: Holder of the leases; unique to this admitter.
        listening: The workers' heartbeat; `None` if there is no heartbeat, so that all time counts.
        confirm: As in `Chunks`.
        admitters: Those that share the rooms; `None` if this is the only one.
        observe_move: Called with the room and the duration in s of each call that admitted
            visitors.
        observe_round: Called with the number of rooms and the duration in s of each round.
    """

    def __init__(
        self,
        rooms: Rooms,
        line: Line,
        controller: AdmissionController,
        *,
        name: str,
        listening: Listening | None = None,
        confirm: Confirm | None = None,
        admitters: Admitters | None = None,
        observe_move: Callable[[RoomId, float], None] = lambda _room, _seconds: None,
        observe_round: Callable[[int, float], None] = lambda _rooms, _seconds: None,
    ) -> None:
        assert name
        self._rooms = rooms
        self._chunks = Chunks(line, name, LEASE_MS, confirm)
        self._controller = controller
        self._name = name
        self._listening = listening
        self._admitters, self._enlisted_s = admitters, -inf
        self._shares, self._unheard = Shares(name), False
        self._heard_ms, self._heard_read_s = 0, -inf
        self._observe_move = observe_move
        self._observe_round = observe_round
        self._names: list[RoomId] = []
        self._occupied: set[RoomId] = set()
        # Rooms that must be awake but may be missing from the store's list.
        self._to_wake: set[RoomId] = set()
        self._visits: dict[RoomId, _Visits] = {}
        self._look_s = 0.0
        # Whether the next patrol checks every room, and the last room that a patrol has checked.
        self._everywhere = True
        self._patrolled = RoomId("")

    async def run(self) -> Never:
        """Visit rooms until cancelled."""
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
            # Workers may have been cut off too, between a join and waking its room.
            self._everywhere = True
            raise

    async def _visit_due(self, now_s: float) -> None:
        looking = now_s >= self._look_s
        await self._enlist()
        await self._heard()
        if looking:
            self._names = await self._rooms.names()
            self._occupied = await self._rooms.occupied()
            await self._controller.refresh()
            await self._announce()
        all_awake = await self._rooms.awake() | self._to_wake
        served = await self._shared(all_awake | self._occupied)
        awake = all_awake & served
        due = self._controller.due(awake, looking=looking)
        if due and not looking:
            # These rooms woke just now: read the latest reports before the first admission.
            await self._controller.refresh()
        await self._each(due, self._controller.decide)
        await self._each(
            self._due(awake, now_s), lambda room: self._visit(room, awake=room in awake)
        )
        # Rooms that are known to be awake come before the search for others.
        if looking:
            await self._patrol(all_awake)
            self._look_s = now_s + LOOK_S

    async def _shared(self, rooms: set[RoomId]) -> AbstractSet[RoomId]:
        """Return this admitter's share of the rooms; release those that are others' now."""
        served = frozenset() if self._unheard else self._shares.of(rooms)
        lost = [
            room
            for room, visits in self._visits.items()
            if visits.leased and room in rooms and room not in served
        ]
        self._visits = {room: self._visits.get(room) or _Visits() for room in served}
        self._chunks.forget_others(served)
        await self._each(lost, self._release)
        return served

    async def _announce(self) -> None:
        """Log the rooms that the clock has opened or closed; other admitters do not log them."""
        for room in await self._rooms.openings.due():
            announced = await self._rooms.openings.announce(room)
            if announced.opened:
                log.info("room_opened", room=room)
            if announced.closed:
                log.info("room_closed", room=room)

    def _due(self, awake: set[RoomId], now_s: float) -> list[RoomId]:
        """Return the rooms that are due, awake ones first."""
        first, then = [], []
        for room, visits in self._visits.items():
            if room in awake:
                if min(visits.admit_s, visits.sweep_s) <= now_s + EARLY_S:
                    first.append(room)
            else:
                # When it wakes again it is due at once; an earlier lease does not delay it.
                visits.admit_s, visits.idle = 0.0, 0
                if visits.sweep_s <= now_s + EARLY_S:
                    then.append(room)
        return first + then

    async def _each(
        self, rooms: Sequence[RoomId], call: Callable[[RoomId], Awaitable[None]]
    ) -> None:
        queue = iter(rooms)
        async with asyncio.TaskGroup() as group:
            for _ in range(min(AT_ONCE_MAX, len(rooms))):
                group.create_task(_call_each(queue, call))

    async def _visit(self, room: RoomId, *, awake: bool) -> None:
        loop = asyncio.get_running_loop()
        visits = self._visits[room]
        try:
            # Sweep first: the slots that it frees can be given in the same visit.
            if visits.sweep_s <= loop.time() + EARLY_S:
                await self._sweep(room)
                visits.sweep_s = loop.time() + policy.SWEEP_MS / 1000
                if not awake and await self._remove_from_list(room, self._rooms.mark_vacant):
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
        heard_ms = await self._heard()
        while await self._chunks.sweep(room, heard_ms):
            if asyncio.get_running_loop().time() > until_s:
                break

    async def _admit(self, room: RoomId, visits: _Visits) -> None:
        loop = asyncio.get_running_loop()
        until_s = loop.time() + ROUND_S
        while visits.admit_s <= loop.time() + EARLY_S < until_s:
            started = loop.time()
            outcome = await self._chunks.admit(room, await self._heard())
            if isinstance(outcome, Unsure):
                continue
            visits.leased |= isinstance(outcome, Moved)
            if isinstance(outcome, Moved) and outcome.admitted:
                self._observe_move(room, loop.time() - started)
            # The tick counts from the start of the call, so that the rate does not drift.
            visits.admit_s = started + policy.next_visit_ms(outcome) / 1000
            visits.idle = visits.idle + 1 if policy.may_be_empty(outcome) else 0
        if visits.idle >= policy.LINGER_VISITS:
            visits.idle = 0
            if await self._remove_from_list(room, self._rooms.let_sleep):
                self._occupied.add(room)

    async def stop(self) -> None:
        """Leave the rooms to the other admitters at once; the last call.

        Raises:
            Unavailable: The store does not answer; they take over when the leases end.
        """
        if self._admitters is not None:
            await self._admitters.leave(self._name)
            await self._each(
                [room for room, it in self._visits.items() if it.leased], self._release
            )

    async def _release(self, room: RoomId) -> None:
        if self._admitters is not None:
            await self._admitters.release(room, self._name)

    async def _enlist(self) -> None:
        """Send a heartbeat, and share the rooms among all that send theirs, if it is due."""
        now_s = asyncio.get_running_loop().time()
        if self._admitters is not None and now_s - self._enlisted_s >= ENLIST_S:
            absent = now_s - self._enlisted_s > GONE_MS / 1000
            # Set before the answer, as in `_heard`.
            self._enlisted_s = now_s
            names = await self._admitters.enlist(self._name)
            self._shares.among(names)
            # The others serve its rooms until their next heartbeat; it would be refused.
            self._unheard = absent and len(names) > 1

    async def _heard(self) -> int:
        """Return when a worker last listened, by the store's clock; 0 if unknown."""
        # Here too, because a round over many rooms may take longer than a heartbeat may be old.
        await self._enlist()
        now_s = asyncio.get_running_loop().time()
        if self._listening is not None and now_s - self._heard_read_s >= HEARD_S:
            # Set before the answer, so that the other rooms of the round do not read it too.
            self._heard_read_s = now_s
            self._heard_ms = await self._listening.heard_ms()
        return self._heard_ms

    async def _remove_from_list(
        self, room: RoomId, remove: Callable[[RoomId], Awaitable[bool]]
    ) -> bool:
        """Take a room off a list; if the outcome is unknown, the next patrol wakes it again."""
        if room in self._to_wake:
            return False
        self._to_wake.add(room)
        try:
            removed = await remove(room)
        except Unavailable:
            # A full store refuses this but still admits visitors, so the round goes on. If the
            # store does not answer at all, the next call fails.
            return False
        self._to_wake.discard(room)
        return removed

    async def _patrol(self, awake: set[RoomId]) -> None:
        """Check sleeping rooms for visitors whose join did not wake the room.

        Checks all of them at the start and after the store was unavailable, otherwise a few.
        """
        asleep = [room for room in self._names if room not in awake]
        count = len(asleep) if self._everywhere else policy.PATROL_PER_S
        first = bisect_right(asleep, self._patrolled)
        chosen = (asleep[first:] + asleep[:first])[:count]
        await self._each(chosen, self._inspect)
        if chosen:
            self._patrolled = chosen[-1]
        self._everywhere = False
        if self._to_wake:
            # A full store refuses this; the next patrol tries again.
            with suppress(Unavailable):
                await self._rooms.wake(self._to_wake)
                self._to_wake.clear()

    async def _inspect(self, room: RoomId) -> None:
        try:
            if room in self._occupied:
                found = await self._rooms.has_waiting(room)
            else:
                # No other call sweeps a room that is on neither list.
                await self._sweep(room)
                found = await self._rooms.has_visitors(room)
        except Unavailable:
            raise
        except Exception:  # noqa: BLE001 - the visit logs it and schedules a retry
            found = True
        if found:
            self._to_wake.add(room)


async def _call_each(rooms: Iterator[RoomId], call: Callable[[RoomId], Awaitable[None]]) -> None:
    for room in rooms:
        await call(room)
