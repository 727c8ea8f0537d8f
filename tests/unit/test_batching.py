"""The batcher: batches, the outcome of each call, and a slow or failing store."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from tests.unit.batches import A, B, C, Clock, Store, gathered, play, running, settle
from waitline.kernel.batching import SLOW_S, Batcher, Overloaded
from waitline.kernel.errors import Refused, Unavailable
from waitline.kernel.ids import RoomId
from waitline.queue.batches import LIMITS
from waitline.queue.model import BATCH_MAX, RoomClosed, RoomFull, StoreFull
from waitline.valkey.client import CALL_TIMEOUT_S


def test_one_turn_becomes_one_call_per_room() -> None:
    async def scenario(store: Store) -> None:
        async with running(store) as batcher:
            asked = [batcher.enqueue(room, item) for item, room in enumerate((A, B, A, B, A))]
            assert await gathered(asked) == [0, 2, 4, 6, 8]
        assert store.calls == [(A, [0, 2, 4]), (B, [1, 3])]

    play(scenario)


def test_arrivals_during_calls_join_the_next_batch() -> None:
    async def scenario(store: Store) -> None:
        async with running(store) as batcher:
            store.open.clear()
            asked = []
            for item in range(6):
                asked.append(batcher.enqueue(A, item))
                await settle()
            # Two calls are in flight, and the other four items wait together.
            assert store.calls == [(A, [0]), (A, [1])]
            store.open.set()
            assert await gathered(asked) == [0, 2, 4, 6, 8, 10]
        assert store.calls[2:] == [(A, [2, 3, 4, 5])]

    play(scenario)


def test_a_slow_room_holds_up_no_other() -> None:
    async def scenario(store: Store) -> None:
        slow, opened = store.call, asyncio.Event()

        async def call(room: RoomId, items: Sequence[int]) -> list[int | Refused | Unavailable]:
            if room == A:
                await opened.wait()
            return await slow(room, items)

        batcher = Batcher(call, LIMITS, name="test")
        async with asyncio.TaskGroup() as group:
            task = group.create_task(batcher.run())
            waiting = []
            for item in range(2 * LIMITS.key_calls_max):
                waiting.append(batcher.enqueue(A, item))
                await settle()
            for item in range(10):
                assert await batcher.enqueue(B, item) == 2 * item
            assert not any(one.done() for one in waiting)
            opened.set()
            assert await gathered(waiting) == [0, 2, 4, 6]
            task.cancel()
        # The second half waited for the first, and went together.
        assert [items for room, items in store.calls if room == A] == [[0], [1], [2, 3]]

    play(scenario)


def test_a_batch_holds_256_and_keeps_the_order() -> None:
    async def scenario(store: Store) -> None:
        async with running(store) as batcher:
            asked = [batcher.enqueue(A, item) for item in range(2 * BATCH_MAX + 1)]
            assert await gathered(asked) == [2 * item for item in range(2 * BATCH_MAX + 1)]
        assert [len(items) for _, items in store.calls] == [BATCH_MAX, BATCH_MAX, 1]
        assert [item for _, items in store.calls for item in items] == list(range(len(asked)))

    play(scenario)


def test_refusals_reach_only_those_refused() -> None:
    async def scenario(store: Store) -> None:
        store.refused = {1: RoomFull(5), 2: RoomClosed(), 3: StoreFull()}
        async with running(store) as batcher:
            answers = await gathered([batcher.enqueue(A, item) for item in range(5)])
        assert [answers[0], answers[4]] == [0, 8]
        assert [type(answer) for answer in answers[1:4]] == [RoomFull, RoomClosed, StoreFull]
        assert isinstance(answers[1], RoomFull)
        assert answers[1].waiting_max == 5

    play(scenario)


def test_a_failing_batch_fails_only_its_own() -> None:
    async def scenario(store: Store) -> None:
        store.broken[A] = Unavailable("the store does not answer")
        async with running(store) as batcher:
            one, other, well = batcher.enqueue(A, 1), batcher.enqueue(A, 2), batcher.enqueue(B, 3)
            answers = await gathered([one, other, well])
        assert answers[2] == 6
        assert [type(answer) for answer in answers[:2]] == [Unavailable, Unavailable]
        assert [str(answer) for answer in answers[:2]] == ["the store does not answer"] * 2
        # One exception raised in two places would collect the frames of both.
        assert answers[0] is not answers[1]

    play(scenario)


@pytest.mark.parametrize("calls_max", [pytest.param(1, id="one"), pytest.param(2, id="two")])
def test_a_bug_in_one_call_ends_no_sender(calls_max: int) -> None:
    async def scenario(store: Store) -> None:
        store.broken[A] = KeyError("a word that nobody knows")
        async with running(store, calls_max=calls_max, key_calls_max=1) as batcher:
            for _ in range(calls_max + 1):
                with capture_logs() as logs, pytest.raises(RuntimeError, match="the log says why"):
                    await batcher.enqueue(A, 1)
                assert [entry["event"] for entry in logs] == ["batch_failed"]
            assert await batcher.enqueue(B, 2) == 4

    play(scenario)


def test_a_call_that_answers_too_little_ends_no_sender() -> None:
    async def scenario(_: Store) -> None:
        async def forgetful(room: RoomId, items: Sequence[int]) -> list[int]:
            return list(items[:-1]) if room == A else list(items)

        batcher = Batcher(forgetful, replace(LIMITS, calls_max=1, key_calls_max=1), name="test")
        async with asyncio.TaskGroup() as group:
            task = group.create_task(batcher.run())
            with capture_logs():
                answers = await gathered([batcher.enqueue(A, item) for item in range(3)])
            # Nobody is left waiting for an answer that cannot come.
            assert answers[:2] == [0, 1]
            assert isinstance(answers[2], RuntimeError)
            assert await batcher.enqueue(B, 2) == 2
            task.cancel()

    play(scenario)


def test_a_cancelled_request_is_not_sent() -> None:
    async def scenario(store: Store) -> None:
        async with running(store) as batcher:
            asked = [batcher.enqueue(A, item) for item in range(3)]
            asked[1].cancel()
            assert await gathered([asked[0], asked[2]]) == [0, 4]
            alone = batcher.enqueue(B, 9)
            alone.cancel()
            await settle()
        assert store.calls == [(A, [0, 2])]

    play(scenario)


def test_a_request_cancelled_on_its_way_spoils_nothing() -> None:
    async def scenario(store: Store) -> None:
        async with running(store) as batcher:
            store.open.clear()
            asked = [batcher.enqueue(A, item) for item in range(3)]
            await settle()
            asked[1].cancel()
            store.open.set()
            assert await gathered([asked[0], asked[2]]) == [0, 4]
            assert await batcher.enqueue(A, 7) == 14

    play(scenario)


def test_too_many_are_refused_at_once() -> None:
    async def scenario(store: Store) -> None:
        async with running(
            store, calls_max=1, key_calls_max=1, batch_max=4, full=4, pending_max=4
        ) as batcher:
            store.open.clear()
            first = batcher.enqueue(A, 0)
            await settle()
            # What is on its way no longer waits.
            waiting = [batcher.enqueue(room, 1) for room in (A, B, A, B)]
            with pytest.raises(Overloaded):
                await batcher.enqueue(C, 2)
            store.open.set()
            assert await gathered([first, *waiting]) == [0, 2, 2, 2, 2]
            assert await batcher.enqueue(C, 2) == 4
        assert C in store.rooms

    play(scenario)


def test_refused_requests_make_room_again() -> None:
    async def scenario(store: Store) -> None:
        async with running(store, batch_max=2, full=2, pending_max=2) as batcher:
            for item in range(10):
                asked = [batcher.enqueue(A, item), batcher.enqueue(A, item)]
                asked[0].cancel()
                assert await asked[1] == 2 * item

    play(scenario)


@pytest.mark.parametrize(
    ("later_s", "expected"),
    [
        pytest.param(LIMITS.patience_s / 2, int, id="in time"),
        pytest.param(LIMITS.patience_s + 0.05, Overloaded, id="too late"),
    ],
)
def test_nobody_waits_longer_than_patience(
    monkeypatch: pytest.MonkeyPatch, later_s: float, expected: type
) -> None:
    async def scenario(store: Store) -> None:
        clock = Clock(monkeypatch)
        patience_s = LIMITS.patience_s
        async with running(store, calls_max=1, key_calls_max=1, patience_s=patience_s) as batcher:
            store.open.clear()
            slow = batcher.enqueue(A, 0)
            await settle()
            others = [batcher.enqueue(room, 1) for room in (A, B, C)]
            clock.now_s += later_s
            store.open.set()
            # The slow call itself has its own deadline, in the store.
            assert await slow == 0
            assert {type(answer) for answer in await gathered(others)} == {expected}
            assert await batcher.enqueue(B, 2) == 4
        sent = [item for _, items in store.calls for item in items]
        assert sent.count(1) == (3 if expected is int else 0)

    assert LIMITS.patience_s / 2 > SLOW_S
    play(scenario)


def test_the_deadlines_of_a_request_add_up_to_the_second_that_is_promised() -> None:
    assert LIMITS.patience_s + CALL_TIMEOUT_S <= 1.0 - SLOW_S


def test_rooms_take_turns() -> None:
    async def scenario(store: Store) -> None:
        async with running(store, calls_max=1, key_calls_max=1) as batcher:
            crowd = [batcher.enqueue(A, item) for item in range(3 * BATCH_MAX)]
            few = [batcher.enqueue(B, 1), batcher.enqueue(C, 2)]
            await gathered([*crowd, *few])
        assert store.rooms == [A, B, C, A, A]

    play(scenario)


def test_stopping_leaves_nobody_without_an_answer() -> None:
    async def scenario(store: Store) -> None:
        async with running(store) as batcher:
            store.open.clear()
            asked = batcher.enqueue(A, 1)
            await settle()
        assert [type(answer) for answer in await gathered([asked])] == [Unavailable]

    play(scenario)


def test_a_call_that_is_cancelled_before_it_began_answers_too() -> None:
    async def scenario(store: Store) -> None:
        async with running(store) as batcher:
            waiting = batcher.enqueue(A, 1)
            # The batch is made in the next turn of the loop, where this comes second; its call
            # would begin in the turn after.
            await asyncio.create_task(batcher.close())
            assert [type(outcome) for outcome in await gathered([waiting])] == [Unavailable]
        assert store.calls == []

    play(scenario)


def test_nothing_is_taken_after_the_end() -> None:
    async def scenario(store: Store) -> None:
        async with running(store) as batcher:
            await batcher.close()
            with pytest.raises(Unavailable, match="stopping"):
                await batcher.enqueue(A, 1)

    play(scenario)
