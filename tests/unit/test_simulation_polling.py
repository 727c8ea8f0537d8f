"""Simulated polling: when visitors poll, and the load that results."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waitline.queue.hints import POLL_NEAR_MS, first_poll_after_s, poll_after_ms
from waitline.queue.limits import Limits
from waitline.sales.simulation import polling
from waitline.sales.simulation.figures import Times
from waitline.sales.simulation.model import Arrivals, Sale, Use
from waitline.sales.simulation.sale import simulate_sale


def ms(*times: int) -> Times:
    return np.array(times, np.int32)


def dice(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("position", [1, 2, 999, 1_000, 1_001, 1_024])
def test_hints_are_those_that_are_served(position: int) -> None:
    served = {poll_after_ms(position, share / 640) for share in range(640)}
    drawn = polling.Hints(2_000).after_ms(np.full(200, position, np.int32), dice())
    assert set(drawn.tolist()) <= served


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 10_000_000))
def test_hints_far_away_are_within_a_hundredth(position: int) -> None:
    drawn = HINTS.after_ms(np.full(100, position, np.int32), dice())
    assert drawn.min() >= poll_after_ms(position, 0.0) * 0.99
    assert drawn.max() <= poll_after_ms(position, 1.0) * 1.01


HINTS = polling.Hints(10_000_000)


def test_a_hint_shorter_than_what_is_looked_through_at_once_is_a_bug() -> None:
    with pytest.raises(AssertionError):
        polling.Hints(10, lambda _position, _dice: 999)


def test_asking_each_second_by_hand() -> None:
    # One asks at 1, 2, 3 s; the other at 1.4, 2.4, 3.4 s; both are in at 2.5 s.
    asked, received = polling.steady(ms(0, 400), ms(2_500, 2_500), 1_000)
    assert trimmed(asked) == [0, 2, 2, 2]
    assert trimmed(received) == [0, 0, 0, 2]


def test_asking_every_third_second_by_hand() -> None:
    # At 3 and 6 s; at 3.4 s; at 5.9 s although its turn came as it joined.
    asked, received = polling.steady(ms(0, 400, 2_900), ms(3_001, 3_400, 2_900), 3_000)
    assert trimmed(asked) == [0, 0, 0, 2, 0, 1, 1]
    assert trimmed(received) == [0, 0, 0, 1, 0, 1, 1]


def test_edges_ask_once_in_the_time_that_they_may_keep_it() -> None:
    joined, admitted = np.zeros(90, np.int32), np.full(90, 5_000, np.int32)
    asked, _ = polling.steady(joined, admitted, POLL_NEAR_MS)
    through = polling.through_edges(joined, admitted, edges=20, fresh_s=2)
    # Ten requests of twenty edges in a second, where anybody asks; and each for its own turn.
    assert trimmed(asked).count(90) == 2
    assert sorted(trimmed(through)) == [*[0] * (len(trimmed(through)) - 2), 10, 100]


def test_many_visitors_are_counted_a_slice_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    joined = np.sort(dice().integers(0, 50_000, 1_000, np.int32))
    admitted = np.maximum.accumulate(joined + 7_000)
    whole, _ = polling.steady(joined, admitted, 1_000)
    monkeypatch.setattr(polling, "_SLICE", 37)
    assert (polling.steady(joined, admitted, 1_000)[0] == whole).all()


def test_everybody_asks_at_the_served_hints_until_admitted() -> None:
    visitors = 300
    sale = Sale((Arrivals(visitors, 9_000),), Limits(admit_per_s=10, admit_burst=1), Use(0, 0))
    played = simulate_sale(sale, dice())
    # So near the line's head all hints are alike, whatever the dice.
    expected: Counter[int] = Counter()
    told_sum_ms = 0
    for joined_ms, admitted_ms in zip(
        played.joined_ms.tolist(), played.admitted_ms.tolist(), strict=True
    ):
        ask_ms = joined_ms + 1_000 * first_poll_after_s(1, 0.0)
        expected[ask_ms // 1000] += 1
        while ask_ms < admitted_ms:
            ask_ms += poll_after_ms(1, 0.0)
            expected[ask_ms // 1000] += 1
        told_sum_ms += ask_ms - admitted_ms
    assert {second: int(n) for second, n in enumerate(played.requests) if n} == expected
    assert played.noticed_mean_ms == pytest.approx(told_sum_ms / visitors)


def test_a_poll_at_the_instant_of_admission_sees_it() -> None:
    first_ms = 3_000
    turns = ((0, first_ms), (first_ms, first_ms), (first_ms + 1, first_ms + 3_000))
    for turn_ms, noticed_ms in turns:
        pollers = polling.PollingVisitors(ms(0), polling.Hints(1), dice())
        assert pollers.admit(turn_ms, 1).tolist() == [noticed_ms]
        assert pollers.per_s().sum() == (1 if noticed_ms == first_ms else 2)


def test_hints_follow_the_position_as_the_line_moves() -> None:
    # The hint depends on the position, so a poll at a wrong position shifts the times.
    visitors, joined = 400, ms(*range(0, 4_000, 10))
    pollers = polling.PollingVisitors(joined, polling.Hints(visitors, telling), dice())
    # The hint that joining gives is in whole seconds.
    asks = [
        at + -(-telling(position, 0.0) // 1_000) * 1_000
        for position, at in enumerate(joined.tolist(), 1)
    ]
    turns = [5_000 + 70 * number for number in range(visitors)]
    for number, turn_ms in enumerate(turns):
        ask_ms = asks[number]
        while ask_ms < turn_ms:
            gone = sum(earlier <= ask_ms for earlier in turns)
            ask_ms += telling(number + 1 - gone, 0.0)
        assert pollers.admit(turn_ms, 1).tolist() == [ask_ms]


def test_of_neighbours_only_those_who_wait_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "COHORTS_MAX", 2)
    pollers = polling.PollingVisitors(
        ms(0, 0, 0, 0), polling.Hints(4, lambda _position, _dice: 5_000), dice()
    )
    # The first of each pair goes early, and the others when both pairs have asked four times.
    assert pollers.admit(100, 1).tolist() == [5_000]
    assert pollers.admit(21_500, 3).tolist() == [25_000] * 3
    assert pollers.per_s().sum() == 1 + 5 + 5 + 5


def test_neighbours_who_ask_together_make_as_many_requests(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sale = Sale((Arrivals(20_000, 10_000),), Limits(admit_per_s=500), Use(1_000, 3_000))
    alone = simulate_sale(sale, dice())
    # Cohorts of seven, of which the last is smaller.
    monkeypatch.setattr(polling, "COHORTS_MAX", 3_000)
    together = simulate_sale(sale, dice())
    assert (alone.admitted_ms == together.admitted_ms).all()
    assert together.requests.sum() == pytest.approx(alone.requests.sum(), rel=0.02)
    busiest = alone.requests > alone.requests.max() / 2
    assert together.requests[busiest] == pytest.approx(alone.requests[busiest], rel=0.25)
    assert together.noticed_mean_ms == pytest.approx(alone.noticed_mean_ms, rel=0.1)


def test_a_load_is_summed_up() -> None:
    load = polling.load("any", np.array([0, 4, 2, 0, 0]), waited_ms=3_000)
    assert (load.total, load.mean_per_s, load.most_per_s) == (6, 2.0, 4)
    assert load.per_s == [0, 4, 2]
    assert polling.load("none", np.zeros(5, np.int64), waited_ms=0).per_s == [0]


def trimmed(counts: polling.Counts) -> list[int]:
    found: list[int] = np.trim_zeros(counts, "b").tolist()
    return found


def telling(position: int, _dice: float) -> int:
    return 2_000 + 7 * position
