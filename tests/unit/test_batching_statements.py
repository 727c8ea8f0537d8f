"""Batches of statements: what goes into one, and what becomes of those that fail."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import pytest
from structlog.testing import capture_logs
from typing_extensions import override

from tests.unit.batches import Clock, settle
from waitline.booking.batches import LIMITS, statement_batcher
from waitline.booking.model import SeatTaken
from waitline.kernel.batching import Batcher, BatchLimits, Overloaded
from waitline.kernel.errors import Contended, Refused, Unavailable


class Statement:
    """Doubles numbers when the gate is open; refuses or fails on demand."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.refused: set[int] = set()
        self.broken: dict[int, Exception] = {}
        self.each: Callable[[], None] = lambda: None

    async def run(self, _: None, items: Sequence[int]) -> list[int | Refused]:
        self.calls.append(list(items))
        self.each()
        await self.gate.wait()
        for item in items:
            if item in self.broken:
                raise self.broken[item]
        return [SeatTaken() if item in self.refused else 2 * item for item in items]


Play = Callable[[Statement, Batcher[None, int, int]], Awaitable[None]]


def played(play: Play, touched: Callable[[int], Sequence[int]] = lambda item: (item,)) -> Statement:
    async def whole() -> Statement:
        statement = Statement()
        batcher = statement_batcher("test", statement.run, touched)
        async with asyncio.timeout(20):
            await play(statement, batcher)
        return statement

    return asyncio.run(whole())


async def asked(
    batcher: Batcher[None, int, int], items: Sequence[int]
) -> list[asyncio.Future[int]]:
    """Ask for each in turn, until all of them wait or are answered."""
    tasks = [batcher.enqueue(None, item) for item in items]
    await settle()
    return tasks


async def outcomes(tasks: Sequence[asyncio.Future[int]]) -> list[int | BaseException]:
    return await asyncio.gather(*tasks, return_exceptions=True)


def test_an_idle_one_answers_at_once() -> None:
    async def play(_: Statement, batcher: Batcher[None, int, int]) -> None:
        assert [await batcher.enqueue(None, item) for item in (1, 2)] == [2, 4]

    assert played(play).calls == [[1], [2]]


def test_arrivals_during_statements_join_the_next_batch() -> None:
    async def play(statement: Statement, batcher: Batcher[None, int, int]) -> None:
        statement.gate.clear()
        first = await asked(batcher, [1, 2])
        first += await asked(batcher, [3])
        then = await asked(batcher, [4, 5, 6])
        assert len(statement.calls) == LIMITS.calls_max
        statement.gate.set()
        assert await outcomes(first + then) == [2, 4, 6, 8, 10, 12]

    assert played(play).calls == [[1, 2], [3], [4, 5, 6]]


class Turns(Statement):
    """Records the turns of the loop between the end of a statement and what follows."""

    def __init__(self) -> None:
        super().__init__()
        self.course: list[str] = []

    @override
    async def run(self, key: None, items: Sequence[int]) -> list[int | Refused]:
        self.course.append("statement")
        outcomes = await super().run(key, items)
        asyncio.get_running_loop().call_soon(self.course.append, "turn")
        return outcomes


def followed(limits: BatchLimits) -> list[str]:
    """Let one item go while another waits; return the course of their statements."""

    async def whole() -> list[str]:
        statement = Turns()
        batcher = Batcher(statement.run, limits, atomic=True, name="test")
        statement.gate.clear()
        first = await asked(batcher, [1])
        first += await asked(batcher, [2])
        statement.gate.set()
        assert await outcomes(first) == [2, 4]
        return statement.course

    return asyncio.run(whole())


ONE_AT_A_TIME = replace(LIMITS, key_calls_max=1, calls_max=1)


def test_the_next_statement_follows_at_once() -> None:
    """In the same turn of the loop: the database would be idle for the turns between."""
    assert followed(ONE_AT_A_TIME)[:2] == ["statement", "statement"]


def test_control_where_other_keys_may_have_calls_the_next_waits_for_its_turn() -> None:
    """If this fails, the test above proves nothing."""
    course = followed(replace(ONE_AT_A_TIME, calls_max=2))
    assert course[:3] == ["statement", "turn", "statement"]


def test_a_batch_that_met_a_lock_is_repeated_one_by_one() -> None:
    async def play(statement: Statement, batcher: Batcher[None, int, int]) -> None:
        statement.broken = {2: Contended("locked")}
        results = await outcomes(await asked(batcher, [1, 2, 3]))
        assert (results[0], results[2]) == (2, 6)
        assert isinstance(results[1], Contended)

    assert played(play).calls == [[1, 2, 3], [1], [2], [3]]


def test_repeats_one_by_one_end_when_they_took_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play(statement: Statement, batcher: Batcher[None, int, int]) -> None:
        clock = Clock(monkeypatch)
        statement.broken = {item: Contended("locked") for item in range(4)}
        statement.each = lambda: setattr(clock, "now_s", clock.now_s + LIMITS.patience_s * 0.6)
        results = await outcomes(await asked(batcher, range(4)))
        assert [type(one) for one in results] == [Contended] * 4

    assert len(played(play).calls) == 3


def test_a_batch_is_bounded() -> None:
    async def play(_: Statement, batcher: Batcher[None, int, int]) -> None:
        items = range(LIMITS.batch_max + 1)
        assert await outcomes(await asked(batcher, items)) == [2 * item for item in items]

    assert [len(call) for call in played(play).calls] == [LIMITS.batch_max, 1]


def test_of_those_that_change_the_same_one_goes_at_a_time() -> None:
    async def play(_: Statement, batcher: Batcher[None, int, int]) -> None:
        await outcomes(await asked(batcher, [10, 11, 20, 12, 30]))

    # The tens are what they change. A waiting item is not overtaken by one like it.
    assert played(play, lambda item: (item // 10,)).calls == [[10, 20, 30], [11], [12]]


def test_a_refusal_is_of_the_request_that_it_belongs_to() -> None:
    async def play(statement: Statement, batcher: Batcher[None, int, int]) -> None:
        statement.refused = {2}
        results = await outcomes(await asked(batcher, [1, 2, 3]))
        assert (results[0], results[2]) == (2, 6)
        assert isinstance(results[1], SeatTaken)

    assert played(play).calls == [[1, 2, 3]]


def test_a_timeout_fails_every_item_without_a_retry() -> None:
    async def play(statement: Statement, batcher: Batcher[None, int, int]) -> None:
        statement.broken = {2: Unavailable("silent")}
        results = await outcomes(await asked(batcher, [1, 2]))
        assert [type(one) for one in results] == [Unavailable, Unavailable]
        assert results[0] is not results[1]

    assert played(play).calls == [[1, 2]]


def test_a_broken_request_fails_alone() -> None:
    async def play(statement: Statement, batcher: Batcher[None, int, int]) -> None:
        statement.broken = {2: ValueError("no such number")}
        with capture_logs() as logged:
            results = await outcomes(await asked(batcher, [1, 2, 3]))
        assert (results[0], results[2]) == (2, 6)
        assert isinstance(results[1], ValueError)
        assert [line["event"] for line in logged] == ["batch_failed"]

    assert played(play).calls == [[1, 2, 3], [1], [2], [3]]


def test_cancelled_items_are_not_sent() -> None:
    async def play(statement: Statement, batcher: Batcher[None, int, int]) -> None:
        statement.gate.clear()
        tasks = await asked(batcher, [1]) + await asked(batcher, [2])
        left, stayed = await asked(batcher, [3, 4])
        left.cancel()
        statement.gate.set()
        assert await outcomes([*tasks, stayed]) == [2, 4, 8]

    assert played(play).calls == [[1], [2], [4]]


def test_more_than_can_be_answered_are_refused_at_once() -> None:
    async def play(statement: Statement, batcher: Batcher[None, int, int]) -> None:
        statement.gate.clear()
        under_way = await asked(batcher, [1]) + await asked(batcher, [2])
        waiting = await asked(batcher, range(LIMITS.pending_max))
        with pytest.raises(Overloaded, match="too many"):
            await batcher.enqueue(None, 6)
        statement.gate.set()
        assert len(await outcomes(under_way + waiting)) == 2 + LIMITS.pending_max

    calls = played(play).calls
    assert [len(call) for call in calls[:3]] == [1, 1, LIMITS.batch_max]
