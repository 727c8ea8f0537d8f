"""Rehearsals: arrivals and behaviour, and the verdict."""

from collections import Counter
from random import Random
from typing import Any

import pytest

from waitline.kernel.errors import Misconfigured
from waitline.kernel.ids import is_rehearsal
from waitline.payment_providers.registry import PROVIDERS
from waitline.payment_providers.sandbox.behaviour import Effect, SandboxBehaviour
from waitline.queue.decision import WhenSilent
from waitline.queue.limits import LIMIT_SETTINGS, Limits
from waitline.queue.settings import Mode, Rules
from waitline.sales.rehearsal import outcome_text, verdict, watch
from waitline.sales.rehearsal.plan import (
    ABANDONED,
    DECLINED,
    NO_SHOWS,
    VISITORS_MAX,
    Conduct,
    RehearsalPlan,
    conduct,
)
from waitline.sales.rehearsal.stage import hall, room_name, rules_like
from waitline.sales.rehearsal.tally import LOST, VisitorTally
from waitline.sales.rehearsal.verdict import (
    FAILED_MAX,
    FREED_MS,
    LATE_MS,
    P95_MS,
    Findings,
    reasons,
)
from waitline.sales.rehearsal.watch import RoomSample
from waitline.sales.simulation.model import Sale


def dice() -> Random:
    return Random(7)  # noqa: S311 - dice, not secrets


@pytest.mark.parametrize("visitors", [1, 2, 7, 1_000])
def test_everybody_comes_in_time_and_half_of_them_at_once(visitors: int) -> None:
    plan = RehearsalPlan(visitors, 10, 2.0)
    due_s = list(plan.due_s(dice()))
    assert len(due_s) == visitors
    assert due_s == sorted(due_s)
    assert 0 <= due_s[0] <= due_s[-1] <= 120
    early = sum(at_s <= 12 for at_s in due_s)
    assert abs(early - visitors / 2) <= 1


def test_the_room_of_a_rehearsal_like_another() -> None:
    own = {setting.name: setting.least + 5 for setting in LIMIT_SETTINGS}
    room = Rules(
        mode=Mode.CLOSED,
        title="Spring",
        shop_url="https://shop.example/",
        limits=Limits(**own),  # type: ignore[arg-type]  # numbers
        when_shop_silent=WhenSilent.HOLD,
    )
    of_addresses = {
        "address_joins_max", "network_joins_max", "address_held_max", "network_held_max",
        "address_refusals_max", "network_refusals_max",
    }  # fmt: skip
    expected = {name: 0 if name in of_addresses else value for name, value in own.items()}
    assert rules_like(room) == Rules(
        limits=Limits(**expected),  # type: ignore[arg-type]  # numbers
        when_shop_silent=WhenSilent.HOLD,
    )


def test_the_same_sale_can_be_simulated() -> None:
    sale = Sale(RehearsalPlan(1_000, 10, 2.0).arrivals())
    assert (sale.visitors, sale.over_ms) == (1_000, 120_000)


@pytest.mark.parametrize(
    ("visitors", "minutes"), [(0, 1.0), (VISITORS_MAX + 1, 1.0), (10, 0.0), (10, 121.0)]
)
def test_what_cannot_be_played_is_refused(visitors: int, minutes: float) -> None:
    with pytest.raises(Misconfigured, match=r"--(visitors|minutes): "):
        RehearsalPlan(visitors, 10, minutes)


def test_some_do_not_begin_some_are_declined_and_some_never_pay() -> None:
    thrower, many = dice(), 20_000
    found = Counter(conduct(thrower) for _ in range(many))
    for kind, share in (
        (Conduct.NO_SHOW, NO_SHOWS),
        (Conduct.DECLINED, DECLINED),
        (Conduct.ABANDONS, ABANDONED),
    ):
        assert found[kind] / many == pytest.approx(share, rel=0.2)
    assert found[Conduct.BUYS] > many / 2


def test_the_sandbox_declines_one_means_of_payment_and_not_the_other() -> None:
    behaviour = SandboxBehaviour()
    assert behaviour.draw_effects(PROVIDERS["sandbox"].declined_method, dice()) == {Effect.DECLINE}
    assert behaviour.draw_effects(PROVIDERS["sandbox"].test_method, dice()) == frozenset()


@pytest.mark.parametrize("seats", [1, 3, 4, 50, 51, 10_000])
def test_a_hall_has_as_many_seats_as_asked_for(seats: int) -> None:
    laid_out = list(hall(seats))
    assert len({seat.number for seat in laid_out}) == seats
    assert len({(seat.section, seat.row, seat.position) for seat in laid_out}) == seats


@pytest.mark.parametrize("seats", [0, -1, 100_001])
def test_a_hall_has_its_limits(seats: int) -> None:
    with pytest.raises(Misconfigured, match="--seats: "):
        next(hall(seats))


def test_the_room_says_that_it_is_a_rehearsal() -> None:
    assert is_rehearsal(room_name(1_800_000_000_000))


# --- the verdict -----------------------------------------------------------------------


def call(name: str, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - figures
    figures = {"call": name, "requests": 1_000, "p50_ms": 1.0, "p95_ms": 2.0, "p99_ms": 3.0}
    return {**figures, "failed": 0, **changes}


FINE = Findings(
    visitors=1_000, done=1_000, calls=[call(name) for name in P95_MS], refused=Counter(),
    freed_p95_ms=100.0, overtaken=0, twice=0, acknowledged=90, noted=90, under_way=0, findings=(),
    silences=0, late_p99_ms=1.0, busy=0.2,
)  # fmt: skip


def test_a_sale_that_went_well_is_a_go() -> None:
    assert reasons(FINE) == []
    assert reasons(FINE._replace(noted=91)) == []
    assert reasons(FINE._replace(freed_p95_ms=None)) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({"twice": 1}, "1 seat was sold twice", id="sold twice"),
        pytest.param({"overtaken": 2}, "2 visitors were admitted out of order", id="order"),
        pytest.param({"findings": ["B4: x"]}, "audit: B4: x", id="audit"),
        pytest.param(
            {"acknowledged": 91},
            "91 payments were confirmed to visitors, but the database has 90",
            id="acknowledged",
        ),
        pytest.param({"under_way": 3}, "3 payments or events", id="unsettled"),
        pytest.param({"done": 990}, "10 of 1,000 visitors did not finish", id="not through"),
        pytest.param({"silences": 1}, "did not answer for 1 sample", id="silent store"),
        pytest.param({"freed_p95_ms": FREED_MS + 1}, "slots were freed", id="slots"),
        pytest.param({"late_p99_ms": LATE_MS + 1}, "load generator was saturated", id="late"),
        pytest.param({"busy": 0.99}, "at 99% of a core", id="busy"),
    ],
)
def test_whatever_must_not_be_is_a_no_go(changes: dict[str, Any], said: str) -> None:
    (reason,) = reasons(FINE._replace(**changes))
    assert said in reason


@pytest.mark.parametrize("name", P95_MS)
def test_a_call_that_is_too_slow_is_a_no_go(name: str) -> None:
    slow = FINE._replace(calls=[call(name, p95_ms=P95_MS[name] + 1)])
    (reason,) = reasons(slow)
    assert reason.startswith(f"{name}: p95 ")
    assert reasons(FINE._replace(calls=[call(name, p95_ms=P95_MS[name])])) == []


def test_calls_that_fail_too_often_are_a_no_go_and_say_why() -> None:
    refused = Counter({("pay", "P004"): 11, ("pay", "P001"): 500, ("pay", LOST): 2})
    bad = FINE._replace(calls=[call("pay", failed=13)], refused=refused)
    (reason,) = reasons(bad)
    assert reason == "pay: 13 of 1,000 failed: P004 11, lost 2"
    few = FINE._replace(calls=[call("pay", failed=int(1_000 * FAILED_MAX))], refused=refused)
    assert reasons(few) == []


def test_refusals_that_belong_to_every_sale_are_no_failures() -> None:
    tally = VisitorTally()
    for code in ("", "B003", "B003", "E003"):
        tally.called("reserve", 0.01, 0.0, code)
    (counted,) = tally.calls()
    assert (counted["requests"], counted["failed"]) == (4, 1)


def test_a_seat_sold_to_two_visitors_is_detected() -> None:
    tally = VisitorTally()
    tally.sold.update([1, 2, 2, 3])
    assert tally.twice == 1


# --- what limited it -------------------------------------------------------------------

LIMITS = Limits(active_max=100, admit_per_s=10, admit_burst=10)


def looks(*rows: tuple[int, int, int]) -> list[RoomSample]:
    return [RoomSample(float(at_s), *row, done=0, shop=False) for at_s, row in enumerate(rows)]


def test_a_line_is_kept_by_the_rate_by_slots_or_by_what_should_not_be() -> None:
    seen = looks((50, 10, 10), (50, 20, 20), (50, 99, 30), (50, 100, 30), (50, 90, 31), (1, 90, 80))
    assert watch.limited(seen, LIMITS) == {"slots": 2, "rate": 1, "shop": 0, "other": 1}
    assert watch.drained_s(seen, LIMITS) == 5.0


def test_where_there_is_no_line_nothing_limits() -> None:
    seen = looks((2, 10, 10), (0, 20, 20), (2, 99, 30))
    assert watch.limited(seen, LIMITS) == {"slots": 0, "rate": 0, "shop": 0, "other": 0}
    assert watch.drained_s(seen, LIMITS) == 0.0
    assert watch.drained_s(looks((0, 0, 0), (9, 0, 0)), LIMITS) is None


def test_a_shop_that_is_slow_or_sold_out_is_what_keeps_a_line() -> None:
    seen = [look._replace(shop=True) for look in looks((900, 10, 10), (900, 12, 12))]
    assert watch.limited(seen, LIMITS) == {"slots": 0, "rate": 0, "shop": 1, "other": 0}
    assert watch.drained_s([], LIMITS) is None


def test_calls_are_shown_with_their_limits() -> None:
    figures = {"calls": [{**call("pay", p95_ms=2_500.0), "p95_limit_ms": P95_MS["pay"]}]}
    (row,) = outcome_text.calls(figures)
    assert row == ("pay", "1,000", "1", "2,500", "2,000", "3", "0", False)
    assert len(row) == len(outcome_text.CALLS) + 1
    assert set(P95_MS) >= {"enter", "status", "seats", "reserve", "pay"}
    assert verdict.P95_MS is P95_MS
