"""When a batch is sent: the window of the batcher, with a clock that tests set forward."""

import pytest

from tests.unit.batches import A, B, Clock, Store, gathered, play, running, settle
from waitline.queue.batcher import (
    FULL,
    GAP_MAX_S,
    GAP_S,
    ROOM_CALLS_MAX,
    SHARE,
)


def test_a_quiet_moment_sends_at_once_and_a_busy_one_gathers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario(store: Store) -> None:
        clock = Clock(monkeypatch)
        async with running(store) as batcher:
            asked = [batcher.ask(A, 0)]
            await settle()
            assert store.calls == [(A, [0])]
            for item in range(1, 4):
                asked.append(batcher.ask(A, item))
                await settle()
            assert store.calls == [(A, [0])]
            clock.now_s += GAP_S
            await settle()
            assert store.calls[1:] == [(A, [1, 2, 3])]
            clock.now_s += GAP_S
            asked.append(batcher.ask(B, 4))
            await settle()
            assert store.calls[2:] == [(B, [4])]
            assert await gathered(asked) == [0, 2, 4, 6, 8]

    play(scenario)


@pytest.mark.parametrize(
    ("carried", "window_s"),
    [
        pytest.param(1, GAP_S, id="one"),
        pytest.param(2 * SHARE + 1, 2 * GAP_S, id="some"),
        pytest.param(FULL - 1, GAP_MAX_S, id="many"),
    ],
)
def test_the_more_a_sending_carries_the_longer_is_the_next_window(
    monkeypatch: pytest.MonkeyPatch, carried: int, window_s: float
) -> None:
    async def scenario(store: Store) -> None:
        clock = Clock(monkeypatch)
        async with running(store) as batcher:
            asked = [batcher.ask(A, item) for item in range(carried)]
            await settle()
            assert len(store.calls) == 1
            asked.append(batcher.ask(A, carried))
            clock.now_s += 0.9 * window_s
            await settle()
            assert len(store.calls) == 1
            clock.now_s += 0.2 * window_s
            await settle()
            assert store.calls[1:] == [(A, [carried])]
            await gathered(asked)

    play(scenario)


def test_what_is_enough_for_a_call_does_not_wait_for_the_window(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario(store: Store) -> None:
        Clock(monkeypatch)
        async with running(store) as batcher:
            asked = [batcher.ask(A, 0)]
            await settle()
            asked += [batcher.ask(A, item) for item in range(1, FULL)]
            await settle()
            assert store.calls == [(A, [0])]
            asked.append(batcher.ask(A, FULL))
            await settle()
            assert store.calls[1:] == [(A, list(range(1, FULL + 1)))]
            # And what came while both of a room's calls were under way, as soon as one is back.
            store.open.clear()
            for first in (100, 200, 300):
                asked += [batcher.ask(A, first + item) for item in range(FULL)]
                await settle()
            assert len(store.calls) == 2 + ROOM_CALLS_MAX
            store.open.set()
            await settle()
            assert store.calls[-1] == (A, list(range(300, 300 + FULL)))
            await gathered(asked)

    play(scenario)
