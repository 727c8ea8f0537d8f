"""Gathers what is asked while a statement is under way into the next one.

Most of what a statement costs, it costs once: starting a plan, waiting for the disk. So two are
under way at most, and whoever comes meanwhile goes with the next. Nobody waits for company: an idle
box office answers one at a time, a busy one in batches that grow with what there is to do
(decision 0015).
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Hashable, Sequence
from copy import copy
from typing import Generic, NamedTuple, TypeVar

import structlog

from waitline.kernel.errors import Refused, Unavailable

CALLS_MAX = 2
"""Statements of one kind under way at once in a process: one waits for the disk while the other
works. More would make smaller batches of the same requests."""

BATCH_MAX = 64
"""Requests in a statement. It works for about 10 ms then, and all of them wait for its end; in a
batch of 32 a request costs a quarter of what it does alone, and twice as many gain little."""

WAITING_MAX = 512
"""Requests that may wait for a statement: about half a second's worth. More are refused at once."""

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

log = structlog.get_logger()


class _Asked(NamedTuple, Generic[Item, Outcome]):
    item: Item
    answer: asyncio.Future[Outcome]


class Gathering(Generic[Item, Outcome]):
    """One statement's batches.

    Args:
        call: Runs it for 1 to `BATCH_MAX` items; one outcome per item, in order. A refusal among
            them is raised in the request that it belongs to.
        touched: Names what an item changes. Of two that change the same, one waits for the next
            batch: a statement does not see what it has done itself.
    """

    def __init__(
        self,
        call: Callable[[Sequence[Item]], Awaitable[Sequence[Outcome | Refused]]],
        touched: Callable[[Item], Collection[Hashable]],
    ) -> None:
        self._call = call
        self._touched = touched
        self._waiting: deque[_Asked[Item, Outcome]] = deque()
        self._calls: set[asyncio.Task[None]] = set()

    async def ask(self, item: Item) -> Outcome:
        """Put an item into the next batch, and return its outcome.

        Whoever is cancelled before the batch begins asks for nothing; after that, it is carried
        out all the same.

        Raises:
            Unavailable: Too many wait, or the database does not answer.
        """
        if len(self._waiting) >= WAITING_MAX:
            raise Unavailable("too many requests wait for the database")
        loop = asyncio.get_running_loop()
        asked: _Asked[Item, Outcome] = _Asked(item, loop.create_future())
        self._waiting.append(asked)
        if len(self._calls) < CALLS_MAX:
            task = loop.create_task(self._work())
            self._calls.add(task)
            task.add_done_callback(self._calls.discard)
        return await asked.answer

    async def _work(self) -> None:
        """Run batches until nobody waits."""
        while batch := self._take():
            await self._run(batch)

    def _take(self) -> list[_Asked[Item, Outcome]]:
        """Take the next batch; what cannot go with it stays first in the line."""
        batch: list[_Asked[Item, Outcome]] = []
        held_back: list[_Asked[Item, Outcome]] = []
        touched: set[Hashable] = set()
        while self._waiting and len(batch) < BATCH_MAX:
            asked = self._waiting.popleft()
            if asked.answer.done():
                continue
            own = self._touched(asked.item)
            if touched.isdisjoint(own):
                touched.update(own)
                batch.append(asked)
            else:
                held_back.append(asked)
        self._waiting.extendleft(reversed(held_back))
        return batch

    async def _run(self, batch: Sequence[_Asked[Item, Outcome]]) -> None:
        try:
            outcomes = await self._call([asked.item for asked in batch])
        except asyncio.CancelledError:
            _fail(batch, Unavailable("the service is stopping"))
            raise
        except Unavailable as error:
            _fail(batch, error)
        except Exception as error:
            if len(batch) == 1:
                _fail(batch, error)
                return
            # One of them is broken. A statement is carried out whole or not at all, so all of them
            # may go again, each alone.
            log.exception("a batch failed", size=len(batch))
            for asked in batch:
                await self._run([asked])
        else:
            for asked, outcome in zip(batch, outcomes, strict=True):
                _tell(asked.answer, outcome)


def _fail(batch: Sequence[_Asked[Item, Outcome]], error: Exception) -> None:
    for asked in batch:
        # Each its own: an exception collects the frames of everybody who raises it.
        _tell(asked.answer, copy(error))


def _tell(answer: asyncio.Future[Outcome], outcome: Outcome | Exception) -> None:
    if answer.done():
        return
    if isinstance(outcome, Exception):
        answer.set_exception(outcome)
    else:
        answer.set_result(outcome)
