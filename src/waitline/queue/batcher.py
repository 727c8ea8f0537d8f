"""Gather the requests of a moment into one script call per room and verb.

The window opens with the load. After a quiet millisecond a request is sent at once, with whatever
came in the same turn of the event loop; otherwise it waits until the window has passed since the
last sending, and goes with all that came meanwhile. The more a sending carried, the longer is the
next window. A call costs about ten times what one more visitor in it costs, so what a request
waits here, the worker and the store do not spend.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Generic, TypeVar

import msgspec
import structlog

from waitline.kernel.errors import Refused, Unavailable, WaitlineError
from waitline.kernel.ids import RoomId
from waitline.queue.model import BATCH_MAX

GAP_S = 0.001
"""Least time between two sendings, per verb and worker. No timer of the loop is finer."""

GAP_MAX_S = 0.004
"""What a request waits longest for others (decision 0004)."""

SHARE = 2
"""Requests in a sending that lengthen the next window by `GAP_S`: from so many a millisecond on,
it opens to `GAP_MAX_S`; a worker that has less to do has time for small batches."""

FULL = 16
"""Requests of a room that wait for no more: each takes 1.6 times what it would in a call of
hundreds, where one alone takes eleven times."""

ROOM_CALLS_MAX = 2
"""Calls under way at once for one room: one on the server while the replies of the other are read.
More would only make smaller batches of the same requests."""

CALLS_MAX = 32
"""Calls under way at once, per verb and worker. A room whose calls are slow holds up no other
until that many are, and hundreds of rooms get through to a store that is a millisecond away."""

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


class _Asked(msgspec.Struct, Generic[Item, Outcome], frozen=True):
    item: Item
    answer: asyncio.Future[Outcome]
    since_s: float


class Batcher(Generic[Item, Outcome]):
    """One verb's batches, for every room.

    Args:
        call: Runs the verb for 1 to `BATCH_MAX` items of one room; one outcome per item, in order.
            A refusal among them is raised in the request that it belongs to.
        calls_max: Calls under way at once.
    """

    def __init__(
        self,
        call: Callable[
            [RoomId, Sequence[Item]], Awaitable[Sequence[Outcome | Refused | Unavailable]]
        ],
        *,
        calls_max: int = CALLS_MAX,
    ) -> None:
        self._call = call
        self._calls_max = calls_max
        self._loop = asyncio.get_running_loop()
        self._calls = asyncio.TaskGroup()
        self._pending = 0
        self._stopped = False
        # Who waits, by room. Rooms take turns: the first is served, and goes to the end if more of
        # it waits.
        self._rooms: dict[RoomId, deque[_Asked[Item, Outcome]]] = {}
        # Calls under way: in all, and by room.
        self._calls_now = 0
        self._room_calls: dict[RoomId, int] = {}
        self._sent_s = float("-inf")
        self._gap_s = GAP_S
        self._sending: asyncio.Handle | None = None

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
            queue = self._rooms[room] = deque()
        queue.append(asked)
        self._pending += 1
        enough = len(queue) == FULL
        if enough or self._sending is None:
            self._send_soon(at_once=enough)
        return answer

    async def run(self) -> None:
        """Send batches until cancelled; whoever waits or asks after that is told so."""
        try:
            async with self._calls:
                try:
                    await self._loop.create_future()
                finally:
                    self._stopped = True
                    if self._sending is not None:
                        self._sending.cancel()
        finally:
            for queue in self._rooms.values():
                _fail_all(queue, Unavailable(STOPPING))

    def _send_soon(self, *, at_once: bool = False) -> None:
        """Send when the window has passed, unless enough wait."""
        if self._sending is not None:
            self._sending.cancel()
        wait_s = self._sent_s + self._gap_s - self._loop.time()
        if wait_s > 0 and not at_once:
            self._sending = self._loop.call_later(wait_s, self._send)
        else:
            self._sending = self._loop.call_soon(self._send)

    def _send(self) -> None:
        """Send a batch of every room that waits, as far as the limits allow."""
        self._sending = None
        self._sent_s = self._loop.time()
        waited = self._pending
        for room in list(self._rooms):
            if self._calls_now == self._calls_max:
                break
            under_way = self._room_calls.get(room, 0)
            if under_way < ROOM_CALLS_MAX:
                batch = self._take(room)
                if batch:
                    self._calls_now += 1
                    self._room_calls[room] = under_way + 1
                    self._calls.create_task(self._answer(room, batch))
        self._gap_s = min(GAP_MAX_S, GAP_S * max(1, (waited - self._pending) // SHARE))

    async def _answer(self, room: RoomId, batch: list[_Asked[Item, Outcome]]) -> None:
        started_s = self._loop.time()
        try:
            outcomes = await self._call(room, [asked.item for asked in batch])
            for asked, outcome in zip(batch, outcomes, strict=True):
                _tell(asked.answer, outcome)
        except asyncio.CancelledError:
            _fail_all(batch, Unavailable(STOPPING))
            raise
        except Unavailable as error:
            _fail_all(batch, error)
        except Exception:
            # One broken call must not end the sender that all later ones rely on.
            log.exception("batch failed", room=room, size=len(batch))
            _fail_all(batch, RuntimeError("the batch failed; the log says why"))
        finally:
            self._ended(room, self._loop.time() - started_s)

    def _ended(self, room: RoomId, took_s: float) -> None:
        """Make way for the next call."""
        self._calls_now -= 1
        left = self._room_calls.pop(room) - 1
        if left:
            self._room_calls[room] = left
        if took_s > SLOW_S:
            self._drop_overdue()
        if self._rooms and not self._stopped:
            enough = len(self._rooms.get(room, ())) >= FULL
            if enough or self._sending is None:
                self._send_soon(at_once=enough)

    def _take(self, room: RoomId) -> list[_Asked[Item, Outcome]]:
        """Take the next batch of a room; those who waited too long drop out."""
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
        return batch

    def _drop_overdue(self) -> None:
        """Answer those who waited too long in any room; their turn may be long in coming."""
        for queue in self._rooms.values():
            self._drop(queue)

    def _drop(self, queue: deque[_Asked[Item, Outcome]]) -> None:
        oldest_s = self._loop.time() - PATIENCE_S
        while queue and queue[0].since_s < oldest_s:
            self._pending -= 1
            _fail_all([queue.popleft()], Overloaded("the store was too slow to get to this one"))


def _tell(answer: asyncio.Future[Outcome], outcome: Outcome | Refused | Unavailable) -> None:
    if answer.done():
        return
    if isinstance(outcome, WaitlineError):
        answer.set_exception(outcome)
    else:
        answer.set_result(outcome)


def _fail_all(batch: Iterable[_Asked[Item, Outcome]], error: Exception) -> None:
    for asked in batch:
        if not asked.answer.done():
            # Each its own: an exception collects the frames of everybody who raises it.
            asked.answer.set_exception(type(error)(*error.args))
