"""What goes into one statement, who is told what, and what happens when it fails."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest
from structlog.testing import capture_logs

from tests.unit.batches import settle
from waitline.booking import gathering as subject
from waitline.booking.gathering import (
    BATCH_MAX,
    CALLS_MAX,
    WAITING_MAX,
    Gathering,
)
from waitline.booking.model import SeatTaken
from waitline.kernel.errors import Refused, Unavailable


class Statement:
    """Doubles numbers, when the gate is open; refuses or fails as it is told."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.refused: set[int] = set()
        self.broken: dict[int, Exception] = {}

    async def run(self, items: Sequence[int]) -> list[int | Refused]:
        self.calls.append(list(items))
        await self.gate.wait()
        for item in items:
            if item in self.broken:
                raise self.broken[item]
        return [SeatTaken() if item in self.refused else 2 * item for item in items]


Play = Callable[[Statement, Gathering[int, int]], Awaitable[None]]


def played(play: Play, touched: Callable[[int], Sequence[int]] = lambda item: (item,)) -> Statement:
    async def whole() -> Statement:
        statement = Statement()
        gathering: Gathering[int, int] = Gathering(statement.run, touched)
        async with asyncio.timeout(20):
            await play(statement, gathering)
        return statement

    return asyncio.run(whole())


async def asked(gathering: Gathering[int, int], items: Sequence[int]) -> list[asyncio.Task[int]]:
    """Ask for each in turn, until all of them wait or are answered."""
    tasks = [asyncio.create_task(gathering.ask(item)) for item in items]
    await settle()
    return tasks


async def outcomes(tasks: Sequence[asyncio.Task[int]]) -> list[int | BaseException]:
    return await asyncio.gather(*tasks, return_exceptions=True)


def test_an_idle_one_answers_at_once() -> None:
    async def play(_: Statement, gathering: Gathering[int, int]) -> None:
        assert [await gathering.ask(item) for item in (1, 2)] == [2, 4]

    assert played(play).calls == [[1], [2]]


def test_whoever_comes_while_statements_are_under_way_goes_with_the_next() -> None:
    async def play(statement: Statement, gathering: Gathering[int, int]) -> None:
        statement.gate.clear()
        first = await asked(gathering, [1, 2])
        first += await asked(gathering, [3])
        then = await asked(gathering, [4, 5, 6])
        assert len(statement.calls) == CALLS_MAX
        statement.gate.set()
        assert await outcomes(first + then) == [2, 4, 6, 8, 10, 12]

    assert played(play).calls == [[1, 2], [3], [4, 5, 6]]


def test_a_batch_is_bounded() -> None:
    async def play(_: Statement, gathering: Gathering[int, int]) -> None:
        items = range(BATCH_MAX + 1)
        assert await outcomes(await asked(gathering, items)) == [2 * item for item in items]

    assert [len(call) for call in played(play).calls] == [BATCH_MAX, 1]


def test_of_those_that_change_the_same_one_goes_at_a_time() -> None:
    async def play(_: Statement, gathering: Gathering[int, int]) -> None:
        await outcomes(await asked(gathering, [10, 11, 20, 12, 30]))

    # The tens are what they change. Whoever had to wait is not overtaken by its like.
    assert played(play, lambda item: (item // 10,)).calls == [[10, 20, 30], [11], [12]]


def test_a_refusal_is_of_the_request_that_it_belongs_to() -> None:
    async def play(statement: Statement, gathering: Gathering[int, int]) -> None:
        statement.refused = {2}
        told = await outcomes(await asked(gathering, [1, 2, 3]))
        assert (told[0], told[2]) == (2, 6)
        assert isinstance(told[1], SeatTaken)

    assert played(play).calls == [[1, 2, 3]]


def test_a_silent_database_is_told_to_each_and_not_asked_again() -> None:
    async def play(statement: Statement, gathering: Gathering[int, int]) -> None:
        statement.broken = {2: Unavailable("silent")}
        told = await outcomes(await asked(gathering, [1, 2]))
        assert [type(one) for one in told] == [Unavailable, Unavailable]
        assert told[0] is not told[1]

    assert played(play).calls == [[1, 2]]


def test_a_broken_request_fails_alone() -> None:
    async def play(statement: Statement, gathering: Gathering[int, int]) -> None:
        statement.broken = {2: ValueError("no such number")}
        with capture_logs() as logged:
            told = await outcomes(await asked(gathering, [1, 2, 3]))
        assert (told[0], told[2]) == (2, 6)
        assert isinstance(told[1], ValueError)
        assert [line["event"] for line in logged] == ["a batch failed"]

    assert played(play).calls == [[1, 2, 3], [1], [2], [3]]


def test_whoever_has_gone_is_not_asked_for() -> None:
    async def play(statement: Statement, gathering: Gathering[int, int]) -> None:
        statement.gate.clear()
        tasks = await asked(gathering, [1]) + await asked(gathering, [2])
        left, stayed = await asked(gathering, [3, 4])
        left.cancel()
        statement.gate.set()
        assert await outcomes([*tasks, stayed]) == [2, 4, 8]

    assert played(play).calls == [[1], [2], [4]]


def test_more_than_can_be_answered_are_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "WAITING_MAX", 3)
    assert WAITING_MAX > BATCH_MAX

    async def play(statement: Statement, gathering: Gathering[int, int]) -> None:
        statement.gate.clear()
        under_way = await asked(gathering, [1]) + await asked(gathering, [2])
        waiting = await asked(gathering, [3, 4, 5])
        with pytest.raises(Unavailable, match="too many"):
            await gathering.ask(6)
        statement.gate.set()
        assert await outcomes(under_way + waiting) == [2, 4, 6, 8, 10]

    assert played(play).calls == [[1], [2], [3, 4, 5]]
