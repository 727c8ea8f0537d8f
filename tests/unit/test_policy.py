"""What the admitter and the visitors are told to do next, by tables."""

import pytest

from waitline.admission.policy import IDLE_MS, TICK_MS, next_visit_ms
from waitline.queue.model import CHUNK_MAX, Held, Leased, Moved
from waitline.queue.policy import (
    POLL_FAR_MS,
    POLL_LEAST_MS,
    POLL_MAX_MS,
    POLL_NEAR_MS,
    PerSecond,
    Seconds,
    poll_after_ms,
    rate_range,
    wait_range,
)


def moved(admitted: int, passed: int, waiting: int, *, free: int = 9, due: int = 9) -> Moved:
    return Moved(admitted, passed, waiting, free, due)


@pytest.mark.parametrize(
    ("outcome", "expected_ms"),
    [
        pytest.param(Held(), IDLE_MS, id="a held room can wait"),
        pytest.param(moved(0, 0, 0), IDLE_MS, id="nobody waits"),
        pytest.param(moved(3, 0, 0), IDLE_MS, id="the last were admitted"),
        pytest.param(moved(0, 3, 0), IDLE_MS, id="the last were passed over"),
        pytest.param(Leased(3_000), 3_000, id="until another's lease ends"),
        pytest.param(Leased(1), TICK_MS, id="a lease about to end is not chased"),
        pytest.param(moved(3, 0, 5), TICK_MS, id="what was due was admitted"),
        pytest.param(moved(CHUNK_MAX, 0, 5), 0, id="a whole chunk, more is due"),
        pytest.param(moved(CHUNK_MAX, 0, 5, free=0), TICK_MS, id="a whole chunk, no slot left"),
        pytest.param(moved(CHUNK_MAX, 0, 5, due=0), TICK_MS, id="a whole chunk, the rate is used"),
        pytest.param(moved(2, 1, 5), 0, id="the passed over left their share to others"),
        pytest.param(moved(0, CHUNK_MAX, 5), 0, id="all were passed over"),
        pytest.param(moved(2, 1, 5, free=0), TICK_MS, id="passed over, no slot left"),
        pytest.param(moved(2, 1, 5, due=0), TICK_MS, id="passed over, the rate is used"),
    ],
)
def test_next_visit(outcome: Moved | Leased | Held, expected_ms: int) -> None:
    assert next_visit_ms(outcome) == expected_ms


@pytest.mark.parametrize(
    ("position", "expected_ms"),
    [
        pytest.param(0, POLL_NEAR_MS, id="admitted"),
        pytest.param(1, POLL_NEAR_MS, id="the next"),
        pytest.param(1_000, POLL_NEAR_MS, id="the last of the near"),
        pytest.param(50_500, 6_500, id="halfway"),
        pytest.param(100_000, POLL_FAR_MS, id="a hundred thousand"),
        pytest.param(10_000_000, POLL_MAX_MS, id="capped"),
    ],
)
def test_poll_after(position: int, expected_ms: int) -> None:
    assert poll_after_ms(position, 0.0) == expected_ms


def test_polls_differ_and_never_come_too_soon() -> None:
    hints = [poll_after_ms(50_500, tenths / 10) for tenths in range(10)]
    assert len(set(hints)) == len(hints)
    assert hints == sorted(hints)
    assert POLL_LEAST_MS <= hints[0] < hints[-1] < hints[0] * 1.2


@pytest.mark.parametrize(
    ("mean", "deviation", "samples", "expected"),
    [
        pytest.param(100.0, 0.0, 2, None, id="two samples say little"),
        pytest.param(0.0, 0.0, 60, None, id="nobody was admitted"),
        pytest.param(100.0, 0.0, 3, PerSecond(90, 110), id="never narrower than a tenth"),
        pytest.param(100.0, 80.0, 16, PerSecond(80, 120), id="one standard error"),
        pytest.param(100.0, 400.0, 4, PerSecond(50, 300), id="never below half the mean"),
    ],
)
def test_rate_range(
    mean: float, deviation: float, samples: int, expected: PerSecond | None
) -> None:
    found = rate_range(mean, deviation, samples)
    assert found == (expected and pytest.approx(expected))


@pytest.mark.parametrize(
    ("ahead", "pace", "expected"),
    [
        pytest.param(100, None, None, id="pace unknown"),
        pytest.param(0, PerSecond(90, 110), Seconds(0, 0), id="the next"),
        pytest.param(900, PerSecond(90, 100), Seconds(9, 10), id="slow pace, long wait"),
    ],
)
def test_wait_range(ahead: int, pace: PerSecond | None, expected: Seconds | None) -> None:
    assert wait_range(ahead, pace) == expected
