"""The batch window: nothing waits while the worker has time, and batches grow as it fills up."""

import pytest
from typing_extensions import override

from tests.unit.batches import A, B, Clock, Store, gathered, play, running, settle
from waitline.kernel.batching import Window
from waitline.kernel.utilisation import SAMPLE_S, Utilisation
from waitline.queue.batches import LIMITS, WINDOW_MAX_S


def window(share: float) -> Window:
    """The window of a worker whose utilisation is always the same."""

    class Constant(Utilisation):
        @override
        def share(self, now_s: float) -> float:
            return share

    return Window(Constant(), WINDOW_MAX_S)


@pytest.mark.parametrize(
    ("share", "expected_s"),
    [
        pytest.param(0.0, 0.0, id="idle"),
        pytest.param(Window.OPENS_AT, 0.0, id="half busy"),
        pytest.param((Window.OPENS_AT + Window.FULL_AT) / 2, WINDOW_MAX_S / 2, id="busier"),
        pytest.param(Window.FULL_AT, WINDOW_MAX_S, id="nearly full"),
        pytest.param(1.0, WINDOW_MAX_S, id="full"),
    ],
)
def test_the_window_opens_with_the_utilisation(share: float, expected_s: float) -> None:
    assert window(share).length_s(1.0) == pytest.approx(expected_s)


def test_a_worker_with_time_to_spare_sends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(store: Store) -> None:
        Clock(monkeypatch)
        async with running(store, window=window(0.4)) as batcher:
            for item in range(4):
                assert await batcher.enqueue(A, item) == 2 * item
            assert store.calls == [(A, [item]) for item in range(4)]

    play(scenario)


def test_a_busy_worker_gathers_until_the_window_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(store: Store) -> None:
        clock = Clock(monkeypatch)
        async with running(store, window=window(1.0)) as batcher:
            waiting = [batcher.enqueue(A, 0)]
            await settle()
            assert store.calls == [(A, [0])]
            for item in range(1, 4):
                waiting.append(batcher.enqueue(A, item))
                await settle()
            clock.now_s += 0.9 * WINDOW_MAX_S
            await settle()
            assert store.calls == [(A, [0])]
            clock.now_s += 0.2 * WINDOW_MAX_S
            waiting.append(batcher.enqueue(B, 4))
            await settle()
            assert store.calls[1:] == [(A, [1, 2, 3]), (B, [4])]
            assert await gathered(waiting) == [0, 2, 4, 6, 8]

    play(scenario)


def test_what_is_enough_for_a_call_does_not_wait_for_the_window(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario(store: Store) -> None:
        Clock(monkeypatch)
        full = LIMITS.full
        async with running(store, window=window(1.0)) as batcher:
            waiting = [batcher.enqueue(A, 0)]
            await settle()
            waiting += [batcher.enqueue(A, item) for item in range(1, full)]
            await settle()
            assert store.calls == [(A, [0])]
            waiting.append(batcher.enqueue(A, full))
            await settle()
            assert store.calls[1:] == [(A, list(range(1, full + 1)))]
            # And what came while both of a room's calls were in progress, as soon as one is back.
            store.open.clear()
            for first in (100, 200, 300):
                waiting += [batcher.enqueue(A, first + item) for item in range(full)]
                await settle()
            assert len(store.calls) == 2 + LIMITS.key_calls_max
            store.open.set()
            await settle()
            assert store.calls[-1] == (A, list(range(300, 300 + full)))
            await gathered(waiting)

    play(scenario)


def test_utilisation_is_the_busy_share_of_the_time_that_passed() -> None:
    busy_s = 0.0
    utilisation = Utilisation(lambda: busy_s)
    now_s = 100.0
    assert utilisation.share(now_s) == 0.0
    share = 0.0
    for _ in range(20):
        now_s += SAMPLE_S
        busy_s += 0.6 * SAMPLE_S
        share = utilisation.share(now_s)
    assert share == pytest.approx(0.6, abs=0.01)
    # Between two samples nothing is read.
    busy_s += 1.0
    assert utilisation.share(now_s + SAMPLE_S / 2) == share


def test_after_a_pause_the_past_does_not_count() -> None:
    busy_s = 0.0
    utilisation = Utilisation(lambda: busy_s)
    utilisation.share(0.0)
    busy_s = 10.0
    assert utilisation.share(10.0) == 1.0
    assert utilisation.share(20.0) == 0.0


def test_this_thread_has_a_utilisation() -> None:
    utilisation = Utilisation()
    shares = [utilisation.share(at_s * SAMPLE_S) for at_s in range(3)]
    assert all(0.0 <= share <= 1.0 for share in shares)
