"""The timer wheel of the load generators."""

from random import Random

import pytest

from waitline_bench.carry.wheel import BUCKETS, WIDTH_S, Wheel

START_S = 1_000.02
ALL = 1_000


@pytest.mark.parametrize(
    "after_s",
    [
        pytest.param(-5.0, id="overdue"),
        pytest.param(0.0, id="now"),
        pytest.param(0.004, id="in this bucket"),
        pytest.param(WIDTH_S, id="in the next"),
        pytest.param(36.0, id="the longest hint"),
        pytest.param(WIDTH_S * BUCKETS, id="a whole round"),
        pytest.param(WIDTH_S * BUCKETS * 3.7, id="several rounds"),
    ],
)
def test_due_when_booked_and_not_before(after_s: float) -> None:
    wheel = Wheel(1, START_S)
    due_s = START_S + after_s
    wheel.put(0, due_s)
    now_s = START_S
    # As a loop goes: it looks whenever somebody may be due.
    while not wheel.take(now_s, ALL):
        assert now_s < due_s
        now_s += max(wheel.wait_s(now_s), 1e-6)
    assert due_s <= now_s <= max(START_S, due_s + 1e-5)
    assert wheel.take(due_s + 1_000, ALL) == []


def test_longest_due_first_and_a_few_at_a_time() -> None:
    wheel = Wheel(4, START_S)
    for slot, after_s in enumerate((0.3, 0.1, 0.2, 9.0)):
        wheel.put(slot, START_S + after_s)
    assert wheel.take(START_S + 1, 2) == [1, 2]
    assert wheel.take(START_S + 1, 2) == [0]
    assert wheel.take(START_S + 10, 2) == [3]


def test_nobody_is_due_before_the_time_that_it_names() -> None:
    wheel = Wheel(1, START_S)
    assert 0 < wheel.wait_s(START_S) <= WIDTH_S
    wheel.put(0, START_S + 0.01)
    assert wheel.wait_s(START_S) == pytest.approx(0.01)
    assert wheel.wait_s(START_S + 1) == 0


def test_as_a_sorted_list_would_have_it() -> None:
    dice = Random(2)  # noqa: S311 - times
    wheel, now_s = Wheel(300, START_S), START_S
    booked = {slot: START_S + dice.random() * 40 for slot in range(300)}
    for slot, due_s in booked.items():
        wheel.put(slot, due_s)
    for _ in range(3_000):
        now_s += dice.random() * 0.2
        due = sorted(due_s for due_s in booked.values() if due_s <= now_s)
        taken = wheel.take(now_s, ALL)
        assert [booked[slot] for slot in taken] == due
        assert len(set(taken)) == len(taken)
        for slot in taken:
            booked[slot] = now_s + dice.choice((0.0, 0.003, 3.0, 60.0)) * dice.random()
            wheel.put(slot, booked[slot])
