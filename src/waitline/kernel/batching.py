"""Batcher: gathers requests that arrive close together into one call per key.

A call to a store costs several times what one more item in it costs. While a worker has time to
spare, requests are sent at once, for latency. The busier it is, the longer its batch window, for
throughput (decision 0017). The number of concurrent calls is limited, so batches grow while the
store is slow (backpressure).
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Hashable, Iterable, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec
import structlog

from waitline.kernel import telemetry
from waitline.kernel.errors import Contended, Refused, Unavailable, WaitlineError
from waitline.kernel.utilisation import Utilisation

SLOW_S = 0.1
"""After a call that took longer than this, in s, overdue requests of all keys are refused."""

STOPPING = "the service is stopping"

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

Call = Callable[[Key, Sequence[Item]], Awaitable[Sequence[Outcome | Refused | Unavailable]]]

log = structlog.get_logger()


class Overloaded(Unavailable):
    """Load shedding: too many requests wait to be answered in time; the item was not sent."""


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """Limits of a batcher.

    Attributes:
        batch_max: Most items in one call.
        full: Number of items of one key that are sent before the window is over.
        key_calls_max: Most concurrent calls for one key.
        calls_max: Most concurrent calls in all.
        pending_max: Most items that wait for a call; more are refused.
        patience_s: Longest wait of an item for its call to begin, in s.
    """

    batch_max: int
    full: int
    key_calls_max: int
    calls_max: int
    pending_max: int
    patience_s: float

    def __post_init__(self) -> None:
        assert 1 <= self.full <= self.batch_max <= self.pending_max
        assert 1 <= self.key_calls_max <= self.calls_max


class Window:
    """Batch window: how long a batch is held open, depending on this worker's utilisation.

    Args:
        utilisation: Utilisation of this worker.
        most_s: The longest window, in s.
    """

    OPENS_AT = 0.5
    """Utilisation up to which the window is 0: the worker is idle half of the time."""

    FULL_AT = 0.9
    """Utilisation from which the window is longest: beyond it a worker is about to fall behind."""

    def __init__(self, utilisation: Utilisation, most_s: float) -> None:
        self._utilisation = utilisation
        self._most_s = most_s

    def length_s(self, now_s: float) -> float:
        """Return how long the next batch is held open, in s."""
        over = self._utilisation.share(now_s) - self.OPENS_AT
        return self._most_s * min(1.0, max(0.0, over / (self.FULL_AT - self.OPENS_AT)))


class _Pending(msgspec.Struct, Generic[Item, Outcome], frozen=True):
    item: Item
    outcome: asyncio.Future[Outcome]
    since_s: float


class Batcher(Generic[Key, Item, Outcome]):
    """The batches of one call, for every key. It belongs to the event loop of its first item.

    Args:
        call: Executes 1 to `batch_max` items of one key; returns one outcome per item, in order. A
            refusal among them is raised in the request that it belongs to.
        limits: Its limits.
        name: Its name in metrics.
        window: The batch window; `None` for none: items gather only while calls are in progress.
        conflicts: Returns what an item changes. Two items that change the same thing never share a
            call, and keep their order. `None` if items never conflict.
        atomic: Whether a call that fails with a bug or `Contended` has changed nothing, so that
            each item may be retried alone.
    """

    def __init__(
        self,
        call: Call[Key, Item, Outcome],
        limits: BatchLimits,
        *,
        name: str,
        window: Window | None = None,
        conflicts: Callable[[Item], Collection[Hashable]] | None = None,
        atomic: bool = False,
    ) -> None:
        self._call = call
        self._limits = limits
        self._window = window
        self._follows_at_once = window is None and limits.key_calls_max == limits.calls_max
        self._conflicts = conflicts
        self._atomic = atomic
        # Counted once per batch, so that a request costs no more.
        self._items = telemetry.BATCH_ITEMS.tally(name)
        self._waits = telemetry.BATCH_WAIT_SECONDS.tally(name)
        self._times = telemetry.BATCH_CALL_SECONDS.tally(name)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pending = 0
        self._stopped = False
        # Round robin: the first key is served, and goes to the end if more of its items wait.
        self._keys: dict[Key, deque[_Pending[Item, Outcome]]] = {}
        self._calls: dict[asyncio.Task[None], Sequence[_Pending[Item, Outcome]]] = {}
        self._key_calls: dict[Key, int] = {}
        self._sent_s = float("-inf")
        self._window_s = 0.0
        self._sending: asyncio.Handle | None = None

    def enqueue(self, key: Key, item: Item) -> asyncio.Future[Outcome]:
        """Put an item into the next batch of its key.

        Returns:
            A future of its outcome, which may raise a refusal or `Unavailable`. An item whose
            future is cancelled is not sent, unless its call has begun.

        Raises:
            Overloaded: `pending_max` items wait already.
            Unavailable: The service is stopping.
        """
        if self._stopped:
            raise Unavailable(STOPPING)
        if self._pending >= self._limits.pending_max:
            raise Overloaded("too many requests wait for the store")
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        outcome: asyncio.Future[Outcome] = loop.create_future()
        pending = _Pending(item, outcome, loop.time())
        waiting = self._keys.get(key)
        if waiting is None:
            waiting = self._keys[key] = deque()
        waiting.append(pending)
        self._pending += 1
        full = len(waiting) == self._limits.full
        if full or self._sending is None:
            self._schedule(loop, at_once=full)
        return outcome

    async def run(self) -> None:
        """Run until cancelled, then cancel calls in progress and fail the items that wait."""
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await self.close()

    async def close(self) -> None:
        """Cancel the calls in progress and fail their requests with `Unavailable`."""
        self._stopped = True
        if self._sending is not None:
            self._sending.cancel()
        calls = dict(self._calls)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        # A task that is cancelled before its first step never runs, so its items are failed here.
        for batch in (*calls.values(), *self._keys.values()):
            _fail_all(batch, Unavailable(STOPPING))
        self._keys.clear()

    def _schedule(self, loop: asyncio.AbstractEventLoop, *, at_once: bool) -> None:
        """Schedule the next send: at the end of the window, or in the next turn of the loop."""
        if self._sending is not None:
            self._sending.cancel()
        wait_s = 0.0 if at_once else self._sent_s + self._window_s - loop.time()
        if wait_s > 0:
            self._sending = loop.call_later(wait_s, self._send, loop)
        else:
            self._sending = loop.call_soon(self._send, loop)

    def _send(self, loop: asyncio.AbstractEventLoop) -> None:
        """Send one batch of every key with waiting items, within the limits."""
        self._sending = None
        self._sent_s = now_s = loop.time()
        limits = self._limits
        for key in list(self._keys):
            if len(self._calls) == limits.calls_max:
                break
            under_way = self._key_calls.get(key, 0)
            if under_way < limits.key_calls_max:
                batch = self._take(key, now_s)
                if batch:
                    self._key_calls[key] = under_way + 1
                    task = loop.create_task(self._carry_out(loop, key, batch))
                    self._calls[task] = batch
        if self._window is not None:
            self._window_s = self._window.length_s(now_s)

    async def _carry_out(
        self,
        loop: asyncio.AbstractEventLoop,
        key: Key,
        batch: Sequence[_Pending[Item, Outcome]],
    ) -> None:
        started_s = loop.time()
        try:
            await self._deliver(key, batch)
            # Where nothing else waits, the next batch follows at once: two turns of a busy loop
            # would leave the store idle.
            while self._follows_at_once and not self._stopped and [*self._keys] == [key]:
                batch = self._take(key, loop.time())
                await self._deliver(key, batch)
        except asyncio.CancelledError:
            _fail_all(batch, Unavailable(STOPPING))
            raise
        finally:
            self._ended(loop, key, loop.time() - started_s)

    async def _deliver(self, key: Key, batch: Sequence[_Pending[Item, Outcome]]) -> None:
        """Execute a batch and pass each outcome to its request."""
        if not batch:
            return
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        self._items.add(len(batch))
        self._waits.add(started_s - batch[0].since_s)
        try:
            outcomes = await self._call(key, [pending.item for pending in batch])
            self._times.add(loop.time() - started_s)
            for pending, outcome in zip(batch, outcomes, strict=True):
                _resolve(pending.outcome, outcome)
        except Unavailable as error:
            if isinstance(error, Contended) and self._atomic and len(batch) > 1:
                await self._deliver_singly(key, batch, error)
            else:
                _fail_all(batch, error)
        except Exception as error:
            if self._atomic and len(batch) == 1:
                _fail_all(batch, error)
                return
            log.exception("batch_failed", key=str(key), size=len(batch), reason=repr(error))
            if self._atomic:
                await self._deliver_singly(key, batch, Unavailable("the batch took too long"))
            else:
                _fail_all(batch, RuntimeError("the batch failed; the log says why"))

    async def _deliver_singly(
        self, key: Key, batch: Sequence[_Pending[Item, Outcome]], late: Unavailable
    ) -> None:
        """Execute each item of a failed batch alone, for at most `patience_s`."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + self._limits.patience_s
        for index, pending in enumerate(batch):
            if loop.time() > until_s:
                _fail_all(batch[index:], late)
                return
            await self._deliver(key, [pending])

    def _ended(self, loop: asyncio.AbstractEventLoop, key: Key, took_s: float) -> None:
        """Release the slot of a finished call and schedule the next send."""
        task = asyncio.current_task()
        assert task is not None
        del self._calls[task]
        left = self._key_calls.pop(key) - 1
        if left:
            self._key_calls[key] = left
        if took_s > SLOW_S:
            self._drop_overdue(loop.time())
        if self._keys and not self._stopped:
            full = len(self._keys.get(key, ())) >= self._limits.full
            if full or self._sending is None:
                self._schedule(loop, at_once=full)

    def _take(self, key: Key, now_s: float) -> list[_Pending[Item, Outcome]]:
        """Take the next batch of a key, without items that are overdue or cancelled."""
        waiting = self._keys.pop(key)
        self._drop(waiting, now_s)
        batch: list[_Pending[Item, Outcome]] = []
        held_back: list[_Pending[Item, Outcome]] = []
        taken: set[Hashable] = set()
        while waiting and len(batch) < self._limits.batch_max:
            pending = waiting.popleft()
            if pending.outcome.done():
                self._pending -= 1
                continue
            if self._conflicts is not None:
                own = self._conflicts(pending.item)
                if not taken.isdisjoint(own):
                    held_back.append(pending)
                    # Later items that conflict with it are held back too, to keep their order.
                    taken.update(own)
                    continue
                taken.update(own)
            self._pending -= 1
            batch.append(pending)
        waiting.extendleft(reversed(held_back))
        if waiting:
            self._keys[key] = waiting
        return batch

    def _drop_overdue(self, now_s: float) -> None:
        """Refuse overdue items of all keys; their next batch may be far off."""
        for waiting in self._keys.values():
            self._drop(waiting, now_s)

    def _drop(self, waiting: deque[_Pending[Item, Outcome]], now_s: float) -> None:
        oldest_s = now_s - self._limits.patience_s
        while waiting and waiting[0].since_s < oldest_s:
            self._pending -= 1
            _fail_all([waiting.popleft()], Overloaded("the store was too slow to get to this one"))


def _resolve(future: asyncio.Future[Outcome], outcome: Outcome | Refused | Unavailable) -> None:
    if future.done():
        return
    if isinstance(outcome, WaitlineError):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)


def _fail_all(batch: Iterable[_Pending[Item, Outcome]], error: Exception) -> None:
    for pending in batch:
        if not pending.outcome.done():
            # A copy for each: an exception collects the traceback frames of every raise.
            pending.outcome.set_exception(copy(error))
