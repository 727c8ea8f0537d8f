"""Replay a sale in real time on an installation of its own, to check the simulation.

Valkey and the admitter are real. The visitors call the store directly, in batches, without HTTP, so
that thousands of them fit on a small machine. They behave like the simulated ones.
"""

import asyncio
import heapq
from collections.abc import Awaitable, Callable, Sequence
from enum import IntEnum
from itertools import chain
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import uvloop

from waitline.kernel.errors import Unavailable
from waitline.kernel.findings import Finding
from waitline.kernel.ids import RoomId, VisitorId
from waitline.queue import audit
from waitline.queue.hints import first_poll_after_s, poll_after_ms
from waitline.queue.model import BATCH_MAX, Joined, Slot, State, Waiting
from waitline.queue.rooms import Rooms
from waitline.queue.settings import Rules
from waitline.queue.store import Line
from waitline.sales.simulation.model import Sale
from waitline.trial import installation
from waitline.valkey.client import ValkeyClient

if TYPE_CHECKING:
    from waitline.sales.simulation.figures import Times

CALL_S = 10.0
LEAST_PAUSE_S = 0.002
"""Shortest pause between two batches, in s. A batch costs less than single calls."""

ROOM = RoomId("sale")

Progress = Callable[[float], None]
T = TypeVar("T")
A = TypeVar("A")


class ReplayedSale(NamedTuple):
    """The measurements of a replayed sale.

    Attributes:
        joined_ms: Join time of each visitor since the first, in the order of the line.
        admitted_ms: Admission time of each; both by the server's clock.
        requests: Requests of waiting visitors.
        behind_ms: Largest delay of a visitor's action, when this process was busy.
        findings: Invariants that were broken.
    """

    joined_ms: "Times"
    admitted_ms: "Times"
    requests: int
    behind_ms: float
    findings: list[Finding]


class _Verb(IntEnum):
    JOIN = 0
    POLL = 1
    LEAVE = 2


def replay_sale(
    sale: Sale, rng: Random, on_progress: Progress = lambda _share: None
) -> ReplayedSale:
    """Replay a sale on an installation of its own.

    Args:
        sale: The sale.
        rng: Random generator for the visitors' behaviour.
        on_progress: Receives the share of visitors who have learned of their admission.

    Raises:
        Unavailable: The installation did not start, or did not answer in time.
    """
    with installation.start(1) as stack:
        return uvloop.run(_replay(stack.valkey_url, sale, rng, on_progress))


async def _replay(url: str, sale: Sale, rng: Random, on_progress: Progress) -> ReplayedSale:
    store = ValkeyClient(url, timeout_s=CALL_S)
    try:
        await Rooms(store).create(ROOM, Rules(limits=sale.limits))
        # The token bucket of a new room is empty; a sale begins with a full one.
        await asyncio.sleep(sale.limits.burst / sale.limits.admit_per_s)
        crowd = _ReplayedVisitors(Line(store), sale, rng)
        await crowd.live(on_progress)
        findings = audit.examine(await audit.take_snapshot(store, ROOM))
        return crowd.measured(findings)
    finally:
        await store.close()


class _ReplayedVisitors:
    """All visitors of the sale, numbered in the order of joining."""

    def __init__(self, line: Line, sale: Sale, rng: Random) -> None:
        # A late import: numpy is an optional extra.
        from waitline.sales.simulation.sale import joining  # noqa: PLC0415

        self._line = line
        self._sale = sale
        self._rng = rng
        self._no_show = [rng.random() < sale.no_shows for _ in range(sale.visitors)]
        # Heap of (time, visitor, action). Sorted times are a heap already.
        self._agenda = [
            (float(at_ms), visitor, _Verb.JOIN)
            for visitor, at_ms in enumerate(joining(sale.arrivals).tolist())
        ]
        self._slots: dict[int, Slot] = {}
        self._requests = 0
        self._behind_ms = 0.0

    async def live(self, on_progress: Progress) -> None:
        """Run the visitors until the last has learned of its admission."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        while len(self._slots) < self._sale.visitors:
            now_ms = (loop.time() - started) * 1000
            due = self._due(now_ms)
            if due:
                await self._act(due)
                on_progress(len(self._slots) / self._sale.visitors)
            rest_ms = self._agenda[0][0] - (loop.time() - started) * 1000 if self._agenda else 0.0
            await asyncio.sleep(max(rest_ms / 1000, LEAST_PAUSE_S))

    def _due(self, now_ms: float) -> dict[_Verb, list[tuple[float, int]]]:
        """Pop the actions that are due."""
        due: dict[_Verb, list[tuple[float, int]]] = {}
        while self._agenda and self._agenda[0][0] <= now_ms:
            at_ms, visitor, verb = heapq.heappop(self._agenda)
            due.setdefault(verb, []).append((at_ms, visitor))
            self._behind_ms = max(self._behind_ms, now_ms - at_ms)
        return due

    async def _act(self, due: dict[_Verb, list[tuple[float, int]]]) -> None:
        deeds = {_Verb.JOIN: self._join, _Verb.POLL: self._poll, _Verb.LEAVE: self._leave}
        async with asyncio.TaskGroup() as group:
            for verb, those in due.items():
                group.create_task(deeds[verb](those))

    async def _join(self, those: list[tuple[float, int]]) -> None:
        outcomes = await _batched([who for _, who in those], self._join_batch)
        for (at_ms, visitor), outcome in zip(those, outcomes, strict=True):
            if not isinstance(outcome, Joined) or outcome.place != visitor + 1:
                raise Unavailable(f"visitor {visitor} did not get the next place: {outcome}")
            after_s = first_poll_after_s(outcome.ahead + 1, self._rng.random())
            self._schedule(at_ms + 1000 * after_s, visitor, _Verb.POLL)

    async def _join_batch(self, numbers: Sequence[int]) -> Sequence[Any]:
        return await self._line.join(ROOM, _names(numbers))

    async def _poll(self, those: list[tuple[float, int]]) -> None:
        self._requests += len(those)
        standings = await _batched([who for _, who in those], self._poll_batch)
        ready = []
        for (at_ms, visitor), standing in zip(those, standings, strict=True):
            if isinstance(standing, Waiting):
                hint_ms = poll_after_ms(standing.ahead + 1, self._rng.random())
                self._schedule(at_ms + hint_ms, visitor, _Verb.POLL)
                continue
            if not isinstance(standing, Slot):
                raise Unavailable(f"visitor {visitor} is unknown")
            self._slots[visitor] = standing
            if standing.state is State.READY and not self._no_show[visitor]:
                ready.append((at_ms, visitor))
        if ready:
            await self._activate(ready)

    async def _poll_batch(self, numbers: Sequence[int]) -> Sequence[Any]:
        return await self._line.status(ROOM, [(name, 0) for name in _names(numbers)])

    async def _activate(self, those: list[tuple[float, int]]) -> None:
        turns = await _batched([who for _, who in those], self._activate_batch)
        use = self._sale.use
        for (at_ms, visitor), turn in zip(those, turns, strict=True):
            # A visitor who learned of it too late leaves.
            if isinstance(turn, Slot):
                use_ms = self._rng.randint(use.least_ms, use.most_ms)
                self._schedule(at_ms + use_ms, visitor, _Verb.LEAVE)

    async def _activate_batch(self, numbers: Sequence[int]) -> Sequence[Any]:
        return await self._line.activate(ROOM, [(name, 0) for name in _names(numbers)])

    async def _leave(self, those: list[tuple[float, int]]) -> None:
        await _batched([who for _, who in those], self._leave_batch)

    async def _leave_batch(self, numbers: Sequence[int]) -> Sequence[Any]:
        return await self._line.leave(ROOM, [(name, 0) for name in _names(numbers)])

    def _schedule(self, at_ms: float, visitor: int, verb: _Verb) -> None:
        heapq.heappush(self._agenda, (at_ms, visitor, verb))

    def measured(self, findings: list[Finding]) -> ReplayedSale:
        """Return the measurements."""
        import numpy as np  # noqa: PLC0415 - an extra

        slots = [self._slots[visitor] for visitor in range(self._sale.visitors)]
        first_ms = slots[0].joined_ms
        return ReplayedSale(
            joined_ms=np.array([slot.joined_ms - first_ms for slot in slots], np.int32),
            admitted_ms=np.array([slot.admitted_ms - first_ms for slot in slots], np.int32),
            requests=self._requests,
            behind_ms=self._behind_ms,
            findings=findings,
        )


async def _batched(
    many: Sequence[A], call: Callable[[Sequence[A]], Awaitable[Sequence[T]]]
) -> list[T]:
    """Call for each batch concurrently, and return the outcomes in order."""
    batches = [many[start : start + BATCH_MAX] for start in range(0, len(many), BATCH_MAX)]
    return list(chain.from_iterable(await asyncio.gather(*(call(batch) for batch in batches))))


def _names(numbers: Sequence[int]) -> list[VisitorId]:
    return [VisitorId(f"v{number}") for number in numbers]
