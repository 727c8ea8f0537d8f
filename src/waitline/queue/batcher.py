"""Gather the requests of a moment into one script call per room and verb.

Self-clocked: at most `IN_FLIGHT` calls of a verb are under way, and whatever arrives meanwhile
goes with the next one. An idle worker therefore sends at once what one turn of the event loop
brought, and a busy one sends full batches; there is no window to tune and no timer.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Generic, NamedTuple, TypeVar

import structlog

from waitline.errors import Refused, Unavailable
from waitline.ids import RoomId
from waitline.queue.model import BATCH_MAX

IN_FLIGHT = 2
"""Calls under way at once, per verb and worker: one on the server while the replies of the other
are read. With 1, 2 and 4 a worker on a core of its own answered as many requests a second, within
the noise of a run; with 1 a slow call would hold up every other room."""

PENDING_MAX = 8_192
"""Requests that may wait for a call, per verb and worker: a third of a second's worth at full
speed. More would only be refused later."""

PATIENCE_S = 0.4
"""How long a request may wait for its call to begin. With the call's own deadline, nobody waits
longer than a second for an answer."""

SLOW_S = 0.1
"""A call that took longer than this lets the requests of other rooms grow old."""

STOPPING = "the service is stopping"

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

log = structlog.get_logger()


class Overloaded(Unavailable):
    """More requests wait than can be answered in time; nothing was done for this one."""


class _Asked(NamedTuple, Generic[Item, Outcome]):
    item: Item
    answer: asyncio.Future[Outcome]
    since_s: float


class Batcher(Generic[Item, Outcome]):
    """One verb's batches, for every room.

    Args:
        call: Runs the verb for 1 to `BATCH_MAX` items of one room; one outcome per item, in order.
            A refusal among them is raised in the request that it belongs to.
        in_flight: Calls under way at once.
    """

    def __init__(
        self,
        call: Callable[
            [RoomId, Sequence[Item]], Awaitable[Sequence[Outcome | Refused | Unavailable]]
        ],
        *,
        in_flight: int = IN_FLIGHT,
    ) -> None:
        self._call = call
        self._in_flight = in_flight
        self._loop = asyncio.get_running_loop()
        self._work = asyncio.Event()
        self._pending = 0
        self._stopped = False
        # Rooms take turns: the first is served, and goes to the end if more of it waits.
        self._rooms: dict[RoomId, deque[_Asked[Item, Outcome]]] = {}

    def ask(self, room: RoomId, item: Item) -> asyncio.Future[Outcome]:
        """Put an item into the next batch of its room.

        Returns:
            Its outcome, to be awaited. A refusal is raised there, as is `Unavailable`. Cancelled
            before the batch is sent, the item is not sent.

        Raises:
            Overloaded: `PENDING_MAX` requests wait already.
            Unavailable: The service is stopping.
        """
        if self._stopped:
            raise Unavailable(STOPPING)
        if self._pending >= PENDING_MAX:
            raise Overloaded("too many requests wait for the store")
        answer: asyncio.Future[Outcome] = self._loop.create_future()
        asked = _Asked(item, answer, self._loop.time())
        queue = self._rooms.get(room)
        if queue is None:
            self._rooms[room] = deque((asked,))
            self._work.set()
        else:
            queue.append(asked)
        self._pending += 1
        return answer

    async def run(self) -> None:
        """Send batches until cancelled; whoever waits or asks after that is told so."""
        try:
            async with asyncio.TaskGroup() as senders:
                for _ in range(self._in_flight):
                    senders.create_task(self._send())
        finally:
            self._stopped = True
            for queue in self._rooms.values():
                _fail_all(queue, Unavailable(STOPPING))

    async def _send(self) -> None:
        while True:
            await self._work.wait()
            if not self._rooms:
                self._work.clear()
                continue
            room, batch = self._take()
            if batch:
                started = self._loop.time()
                await self._answer(room, batch)
                if self._loop.time() - started > SLOW_S:
                    self._drop_overdue()

    async def _answer(self, room: RoomId, batch: list[_Asked[Item, Outcome]]) -> None:
        try:
            outcomes = await self._call(room, [asked.item for asked in batch])
            for asked, outcome in zip(batch, outcomes, strict=True):
                _tell(asked, outcome)
        except asyncio.CancelledError:
            _fail_all(batch, Unavailable(STOPPING))
            raise
        except Unavailable as error:
            _fail_all(batch, error)
        except Exception:
            # One broken call must not end the sender that all later ones rely on.
            log.exception("batch failed", room=room, size=len(batch))
            _fail_all(batch, RuntimeError("the batch failed; the log says why"))

    def _take(self) -> tuple[RoomId, list[_Asked[Item, Outcome]]]:
        """Take the next batch of the room whose turn it is; those who waited too long drop out."""
        room = next(iter(self._rooms))
        queue = self._rooms.pop(room)
        self._drop(queue)
        batch: list[_Asked[Item, Outcome]] = []
        while queue and len(batch) < BATCH_MAX:
            asked = queue.popleft()
            self._pending -= 1
            if not asked.answer.done():
                batch.append(asked)
        if queue:
            self._rooms[room] = queue
        return room, batch

    def _drop_overdue(self) -> None:
        """Answer those who waited too long in any room; their turn may be long in coming."""
        for queue in self._rooms.values():
            self._drop(queue)

    def _drop(self, queue: deque[_Asked[Item, Outcome]]) -> None:
        oldest_s = self._loop.time() - PATIENCE_S
        while queue and queue[0].since_s < oldest_s:
            self._pending -= 1
            _fail_all([queue.popleft()], Overloaded("the store was too slow to get to this one"))


def _tell(asked: _Asked[Item, Outcome], outcome: Outcome | Refused | Unavailable) -> None:
    if asked.answer.done():
        return
    if isinstance(outcome, Refused | Unavailable):
        asked.answer.set_exception(outcome)
    else:
        asked.answer.set_result(outcome)


def _fail_all(batch: Iterable[_Asked[Item, Outcome]], error: Exception) -> None:
    for asked in batch:
        if not asked.answer.done():
            # Each its own: an exception collects the frames of everybody who raises it.
            asked.answer.set_exception(type(error)(*error.args))
