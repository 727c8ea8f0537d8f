"""The simulation: small sales by hand, others by properties of every sale."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waitline.admission.policy import TICK_MS
from waitline.queue.hints import poll_after_ms
from waitline.queue.limits import Limits
from waitline.sales.simulation import figures
from waitline.sales.simulation.model import (
    Arrivals,
    Figures,
    Sale,
    SaleImpossible,
    Use,
    VisitState,
)
from waitline.sales.simulation.sale import (
    SimulatedSale,
    joining,
    outcome,
    simulate_sale,
)

NO_USE = Use(0, 0)


def sale(
    *arrivals: Arrivals, use: Use = NO_USE, no_shows: float = 0.0, **limits: float
) -> Sale:  # fmt: skip
    return Sale(arrivals, Limits(**limits), use, no_shows)  # type: ignore[arg-type]  # by name


def dice(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def admitted(which: Sale) -> list[int]:
    times: list[int] = simulate_sale(which, dice()).admitted_ms.tolist()
    return times


# --- by hand -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("burst", "expected_ms"),
    [
        pytest.param(1, [0, 500, 1_000, 1_500, 2_000, 2_500], id="one token at once"),
        pytest.param(3, [0, 0, 0, 500, 1_000, 1_500], id="the bucket is full at first"),
    ],
)
def test_the_rate_bounds(burst: int, expected_ms: list[int]) -> None:
    assert admitted(sale(Arrivals(6, 0), admit_per_s=2, admit_burst=burst)) == expected_ms


def test_a_token_that_comes_between_two_visits_waits_for_the_next() -> None:
    # One each 400 ms by the rate of 2.5 tokens: at 150 ms after the first there is none.
    times = admitted(sale(Arrivals(1, 150), Arrivals(3, 0), admit_per_s=2.5, admit_burst=1))
    assert times == [0, 400, 800, 1_200]


def test_a_bucket_that_is_full_between_two_visits_gains_nothing_more() -> None:
    # 3 tokens/s are a whole one after 333 ms, so at every fourth visit; the rest flows over.
    assert admitted(sale(Arrivals(3, 0), admit_per_s=3, admit_burst=1)) == [0, 400, 800]


def test_a_join_between_two_visits_waits_for_the_next() -> None:
    played = simulate_sale(sale(Arrivals(4, 1_000), admit_per_s=1_000), dice())
    assert played.joined_ms.tolist() == [0, 250, 500, 750]
    assert played.admitted_ms.tolist() == [0, 300, 500, 800]


def test_more_than_a_chunk_is_moved_at_once_if_slots_and_rate_allow() -> None:
    free = sale(Arrivals(700, 0), admit_per_s=100, admit_burst=1_000)
    assert set(admitted(free)) == {0}
    bound = admitted(replace(free, limits=replace(free.limits, active_max=300)))
    assert bound[299] == 0 < bound[300]


def test_a_slot_is_free_when_its_visitor_has_heard_and_shopped() -> None:
    played = simulate_sale(sale(Arrivals(3, 0), use=Use(3_000, 3_000), active_max=1), dice())
    # Near their turn they ask at an even pace, from when they came on.
    expected, free_ms = [], 0
    for _ in range(3):
        turn_ms = -(-free_ms // TICK_MS) * TICK_MS
        noticed_ms = poll_after_ms(1, 0.0)
        while noticed_ms < turn_ms:
            noticed_ms += poll_after_ms(1, 0.0)
        free_ms = noticed_ms + 3_000
        expected.append(turn_ms)
    assert played.admitted_ms.tolist() == expected
    assert played.most_admitted == 1


@pytest.mark.parametrize(("more_ms", "turn_ms"), [(0, 9_000), (1, 9_100)])
def test_what_is_free_at_the_instant_of_a_visit_is_given_in_it(more_ms: int, turn_ms: int) -> None:
    use_ms = 9_000 - poll_after_ms(1, 0.0) + more_ms
    assert admitted(sale(Arrivals(2, 0), use=Use(use_ms, use_ms), active_max=1)) == [0, turn_ms]


@pytest.mark.parametrize(
    ("ready_ms", "expected_ms"),
    [
        pytest.param(2_500, [0, 3_000, 6_000], id="sweeps come at full seconds"),
        pytest.param(3_000, [0, 3_000, 6_000], id="over at the instant of a sweep"),
        pytest.param(3_001, [0, 4_000, 8_000], id="just after one"),
    ],
)
def test_a_no_show_holds_its_slot_until_the_sweep_after_its_time(
    ready_ms: int, expected_ms: list[int]
) -> None:
    which = sale(Arrivals(3, 0), no_shows=1, active_max=1, ready_ttl_ms=ready_ms)
    played = simulate_sale(which, dice())
    assert played.admitted_ms.tolist() == expected_ms
    assert (played.no_shows, played.late) == (3, 0)


def test_a_late_visitor_holds_a_slot_like_a_no_show() -> None:
    which = sale(Arrivals(3, 0), active_max=1, ready_ttl_ms=1_500)
    played = simulate_sale(which, dice())
    # Nobody asks before three seconds have passed. The second is called at two, the third at six.
    assert played.late == 1
    assert played.no_shows == 0
    assert played.admitted_ms[1] == 2_000


def test_waits_by_hand() -> None:
    # 40 come, one each 250 ms; one is let in each 500 ms: the n-th waits 250 ms x n.
    figures_ = outcome(
        sale(Arrivals(40, 10_000), admit_per_s=2, admit_burst=1), dice(), edges=1, fresh_s=1
    ).figures
    assert figures_ == Figures(
        drained_ms=19_500,
        mean_ms=250 * 19.5,
        p50_ms=250 * 19,
        p90_ms=250 * 35,
        p99_ms=250 * 39,
        longest_ms=250 * 39,
        peak_line=20,
    )


def test_curves_by_hand() -> None:
    found = outcome(
        sale(Arrivals(4, 0), Arrivals(4, 2_000), admit_per_s=2, admit_burst=1),
        dice(),
        edges=1,
        fresh_s=1,
    )
    assert found.joined == [6, 2, 0, 0]
    assert found.admitted == [2, 2, 2, 2]
    assert found.line == [4, 4, 2, 0]
    assert found.slots[0] == 2
    # A visitor who joins at the instant of a visit waited: 5 at the first, 5 each time one goes.
    assert found.figures.peak_line == 5
    assert found.loads[1].name.startswith("status, each 1 s")
    # They wait 0, 500, 1 000, 1 500 ms, and four times 2 000; nobody hears without asking.
    assert found.loads[1].total == 1 + 1 + 1 + 2 + 2 + 2 + 2 + 2
    assert found.loads[1].per_s == [0, 6, 5, 2]


def test_who_joins_when() -> None:
    assert joining((Arrivals(3, 0),)).tolist() == [0, 0, 0]
    assert joining((Arrivals(2, 1_000), Arrivals(3, 300))).tolist() == [0, 500, 1_000, 1_100, 1_200]
    assert joining((Arrivals(1, 0), Arrivals(0, 5_000), Arrivals(1, 0))).tolist() == [0, 5_000]
    # A quarter comes in the first half of the time, the rest in the second.
    assert joining((Arrivals(4, 1_000, growing=True),)).tolist() == [0, 500, 707, 866]


def test_the_policy_may_change_its_mind() -> None:
    slow, fast = (Limits(admit_per_s=rate, admit_burst=1) for rate in (2, 10))
    asked: list[VisitState] = []

    def decide(seen: VisitState) -> Limits:
        asked.append(seen)
        return slow if seen.now_ms < 1_000 else fast

    played = simulate_sale(sale(Arrivals(5, 0), admit_burst=1), dice(), decide=decide)
    assert played.admitted_ms.tolist() == [0, 500, 1_000, 1_100, 1_200]
    assert asked[0] == VisitState(now_ms=0, waiting=5, admitted=0)
    assert asked[1] == VisitState(now_ms=TICK_MS, waiting=4, admitted=1)


def test_a_sale_that_stands_still_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    # A day is 30 s of calculating; what is tested is that it ends.
    monkeypatch.setattr("waitline.sales.simulation.sale.DAY_MS", 9_500)
    which = sale(Arrivals(3, 0), no_shows=1, ready_ttl_ms=5_000)
    with pytest.raises(SaleImpossible, match="1 of 3 visitors still waiting after a day"):
        simulate_sale(which, dice(), decide=lambda _seen: replace(which.limits, active_max=1))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        pytest.param(sale, "visitors: must be from 1 to 10,000,000", id="nobody"),
        pytest.param(
            lambda: sale(Arrivals(9, 0), waiting_max=8),
            "at least the number of visitors",
            id="no room",
        ),
        pytest.param(
            lambda: sale(Arrivals(1, 0), use=Use(2, 1)),
            "shorter time must come first",
            id="use backwards",
        ),
        pytest.param(
            lambda: sale(Arrivals(1, 0), use=Use(1, 1_800_001)),
            "at most 1,800 s, the longest time",
            id="no end of shopping",
        ),
        pytest.param(lambda: sale(Arrivals(1, 0), no_shows=1.1), "a share", id="share"),
        pytest.param(
            lambda: sale(Arrivals(100_000, 0), admit_per_s=1),
            "takes at least 1.2 days",
            id="rate too low",
        ),
        pytest.param(
            lambda: sale(Arrivals(100_000, 0), use=Use(10_000, 20_000), active_max=10),
            "takes at least 1.7 days",
            id="slots too few",
        ),
    ],
)
def test_impossible_sales_say_why(make: Callable[[], Sale], said: str) -> None:
    with pytest.raises(SaleImpossible, match=said):
        make()


# --- of every sale -----------------------------------------------------------------------

groups = st.builds(
    Arrivals,
    visitors=st.integers(1, 40),
    over_ms=st.integers(0, 4_000),
    growing=st.booleans(),
)
sales = st.builds(
    lambda arrivals, limits, least, more, no_shows: Sale(
        tuple(arrivals), limits, Use(least, least + more), no_shows
    ),
    arrivals=st.lists(groups, min_size=1, max_size=3),
    limits=st.builds(
        Limits,
        active_max=st.integers(3, 60),
        admit_per_s=st.sampled_from([3.0, 7.0, 40.0, 1_000.0]),
        admit_burst=st.integers(1, 30),
        ready_ttl_ms=st.integers(10, 9_000),
    ),
    least=st.integers(0, 3_000),
    more=st.integers(0, 3_000),
    no_shows=st.sampled_from([0.0, 0.3, 1.0]),
)
fast = settings(max_examples=30, deadline=None)


@fast
@given(sales, st.integers(0, 9))
def test_everybody_is_admitted_once_in_order_and_within_the_limits(which: Sale, seed: int) -> None:
    played = simulate_sale(which, dice(seed))
    assert len(played.admitted_ms) == len(played.joined_ms) == which.visitors
    assert (played.admitted_ms >= played.joined_ms).all()
    assert (np.diff(played.admitted_ms) >= 0).all()
    assert played.most_admitted <= which.limits.active_max
    assert max(played.slots) <= which.limits.active_max
    assert max(_in_any_second(played)) <= which.limits.admit_per_s + which.limits.admit_burst
    assert played.requests.sum() >= which.visitors


@fast
@given(sales, st.integers(1, 80))
def test_more_slots_never_drain_later(which: Sale, more: int) -> None:
    # Time enough for everybody to hear of it: who hears too late gives the slot back sooner.
    limits = replace(which.limits, ready_ttl_ms=10_000)
    which = replace(which, limits=limits)
    wider = replace(which, limits=replace(limits, active_max=limits.active_max + more))
    less, then = simulate_sale(which, dice()).admitted_ms, simulate_sale(wider, dice()).admitted_ms
    # A token that is whole but for a rounding is there a visit later.
    assert (then <= less + TICK_MS).all()


@fast
@given(sales)
def test_the_same_dice_make_the_same_sale(which: Sale) -> None:
    one, two = (outcome(which, dice(7), edges=3, fresh_s=1) for _ in range(2))
    assert one == two


def test_other_dice_make_another_sale() -> None:
    which = sale(Arrivals(50, 0), use=Use(0, 9_000), active_max=3)
    assert (
        simulate_sale(which, dice(1)).admitted_ms[-1]
        != simulate_sale(which, dice(2)).admitted_ms[-1]
    )


def test_a_prediction_is_held_against_what_was_measured() -> None:
    said = Figures(110, 50.0, 5, 5, 5, 5, 20)
    found = Figures(100, 100.0, 5, 0, 5, 5, 20)
    rows = {row.name: row.share for row in figures.differences(said, found)}
    assert rows == {
        "drained_ms": pytest.approx(0.1),
        "mean_ms": -0.5,
        "p50_ms": 0,
        "p90_ms": 1,
        "peak_line": 0,
    }


def _in_any_second(played: SimulatedSale) -> Iterator[int]:
    times = played.admitted_ms
    for start in np.unique(times):
        until = np.searchsorted(times, start + 1_000, side="right")
        yield int(until - np.searchsorted(times, start))
