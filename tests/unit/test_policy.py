"""The admission policy and the polling hints, by tables."""

import pytest

from waitline.admission.policy import (
    HANDOVER_MS,
    IDLE_MS,
    TICK_MS,
    may_be_empty,
    next_visit_ms,
)
from waitline.http.limits import KEEP_ALIVE_S
from waitline.queue.hints import (
    POLL_FAR_MS,
    POLL_LEAST_MS,
    POLL_MAX_MS,
    POLL_NEAR_MS,
    PerSecond,
    Seconds,
    first_poll_after_s,
    poll_after_ms,
    rate_range,
    wait_range,
)
from waitline.queue.limits import Limits
from waitline.queue.model import CHUNK_MAX, Held, Leased, Moved


def moved(admitted: int, passed: int, waiting: int, *, free: int = 9, due: int = 9) -> Moved:
    return Moved(admitted, passed, waiting, free, due)


@pytest.mark.parametrize(
    ("outcome", "expected_ms"),
    [
        pytest.param(Held(), IDLE_MS, id="a held room can wait"),
        pytest.param(moved(0, 0, 0), TICK_MS, id="nobody waits"),
        pytest.param(moved(3, 0, 0), TICK_MS, id="the last were admitted"),
        pytest.param(moved(0, 3, 0), TICK_MS, id="the last were passed over"),
        pytest.param(moved(CHUNK_MAX, 0, 0), TICK_MS, id="a whole chunk, and nobody after it"),
        pytest.param(Leased(2_000), HANDOVER_MS, id="another's lease may be released"),
        pytest.param(Leased(200), 200, id="until another's lease ends"),
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
    ("outcome", "expected"),
    [
        pytest.param(moved(0, 0, 0), True, id="nobody waits"),
        pytest.param(moved(3, 0, 0), True, id="the last were admitted"),
        pytest.param(moved(0, 0, 1), False, id="somebody waits"),
        pytest.param(Held(), True, id="a held room does not say"),
        pytest.param(Leased(10), False, id="only where somebody waits is a lease looked at"),
    ],
)
def test_may_be_empty(outcome: Moved | Leased | Held, *, expected: bool) -> None:
    assert may_be_empty(outcome) is expected


@pytest.mark.parametrize(
    ("position", "expected_ms"),
    [
        pytest.param(0, POLL_NEAR_MS, id="admitted"),
        pytest.param(1, POLL_NEAR_MS, id="the next"),
        pytest.param(1_000, POLL_NEAR_MS, id="the last of the near"),
        pytest.param(10_500, 6_500, id="halfway"),
        pytest.param(20_000, POLL_FAR_MS, id="twenty thousand"),
        pytest.param(100_000, POLL_MAX_MS, id="a hundred thousand"),
        pytest.param(10_000_000, POLL_MAX_MS, id="capped"),
    ],
)
def test_poll_after(position: int, expected_ms: int) -> None:
    assert poll_after_ms(position, 0.0) == expected_ms


@pytest.mark.parametrize(
    ("position", "dice", "expected_s"),
    [
        pytest.param(1, 0.0, 3, id="the next"),
        pytest.param(10_500, 0.0, 7, id="rounded up"),
        pytest.param(10_000_000, 0.999, 36, id="the longest"),
    ],
)
def test_first_poll_after(position: int, dice: float, expected_s: int) -> None:
    assert first_poll_after_s(position, dice) == expected_s


def test_polls_differ_and_never_come_too_soon() -> None:
    hints = [poll_after_ms(10_500, tenths / 10) for tenths in range(10)]
    assert len(set(hints)) == len(hints)
    assert hints == sorted(hints)
    assert POLL_LEAST_MS <= hints[0] < hints[-1] < hints[0] * 1.2


def test_the_longest_hint_keeps_connection_and_turn() -> None:
    latest_ms = poll_after_ms(10_000_000, 1.0)
    assert latest_ms < KEEP_ALIVE_S * 1000 / 2
    # However fast the line moves, most of the time to activate is left.
    assert latest_ms < Limits().ready_ttl_ms / 5
    # A visitor who misses a call or two on a bad line is not passed over.
    assert latest_ms * 10 < Limits().idle_ms


@pytest.mark.parametrize("per_s", [100, 2_000], ids=["a slow room", "the default pace"])
@pytest.mark.parametrize("dice", [0.0, 0.999], ids=["no jitter", "most jitter"])
def test_the_turn_is_heard_of_soon(per_s: int, dice: float) -> None:
    # From wherever a visitor asks, it comes back no later than shortly after its turn.
    late_ms = max(
        poll_after_ms(position, dice) - position / per_s * 1000 for position in range(1, 300_001, 7)
    )
    assert late_ms <= 3_100


@pytest.mark.parametrize(
    ("waiting", "polls_per_s"),
    [
        pytest.param(10_000, 2_170, id="10 000"),
        pytest.param(100_000, 6_794, id="100 000"),
        pytest.param(300_000, 12_855, id="300 000"),
    ],
)
def test_what_a_full_line_asks(waiting: int, polls_per_s: float) -> None:
    # What decision 0008 and the documentation of speed rest on.
    asked = sum(1000 / poll_after_ms(position, 0.5) for position in range(1, waiting + 1))
    assert asked == pytest.approx(polls_per_s, rel=0.001)


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
