"""The admission decision from a shop report: by tables, and for any report."""

from dataclasses import replace
from itertools import pairwise
from math import inf
from statistics import geometric_mean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waitline.admission.policy import (
    CHOOSING_S,
    FLOOR_PER_S,
    FLOOR_SHARE,
    NO_SHOWS_MOST,
    SILENT_MS,
    SLOW_SHARE,
    decide,
)
from waitline.queue import decision as decisions
from waitline.queue.decision import (
    Decision,
    Memory,
    Reason,
    ShopReport,
    WhenSilent,
)
from waitline.queue.limits import Limits
from waitline.queue.model import COUNTERS, Survey
from waitline.queue.settings import Mode, Rules

NOW_MS = 1_000_000_000
LIMITS = Limits(active_max=5_000, admit_per_s=100, admit_burst=25)


def report_of(free: int = 1_000, live: int = 0, load: float = 0.5, age_ms: int = 500) -> ShopReport:
    return ShopReport(free, live, load, NOW_MS - age_ms)


def survey(
    before: Decision | None = None,
    *,
    admitted: int = 0,
    when_silent: WhenSilent = WhenSilent.KEEP,
    limits: Limits = LIMITS,
    at_ms: int = NOW_MS,
    **counters: int,
) -> Survey:
    return Survey(
        at_ms=at_ms,
        rules=Rules(limits=limits, when_shop_silent=when_silent),
        waiting=10,
        admitted=admitted,
        serving=0,
        last_place=0,
        rate_mean=0,
        rate_deviation=0,
        rate_samples=0,
        rate_last=0,
        rate_recent=0,
        counters={name: counters.get(name, 0) for name in COUNTERS},
        decision=before,
    )


def before(
    *,
    share: float = 1.0,
    recent: float = 0.0,
    ended: float = 0.0,
    missed: float = 0.0,
    admitted_total: int = 0,
    ago_ms: int = 1_000,
    said: ShopReport | None = None,
) -> Decision:
    memory = Memory(share, recent, ended, missed, admitted_total, 0, 0)
    return Decision(
        Reason.FULL, 1.0, None, 0.0, said or report_of(age_ms=60_000), memory, NOW_MS - ago_ms
    )


def decided(room: Survey, said: ShopReport | None) -> Decision:
    found = decide(room, said)
    assert found is not None
    return found


def test_a_room_whose_shop_never_reported_has_its_own_limits() -> None:
    assert decide(survey(), None) is None


@pytest.mark.parametrize(
    ("share", "load", "reason", "per_s"),
    [
        pytest.param(1.0, 0.0, Reason.FULL, 100, id="nothing to do"),
        pytest.param(1.0, 1.0, Reason.FULL, 100, id="just right"),
        pytest.param(1.0, 2.0, Reason.BUSY, 100 * 2**-0.1, id="twice the target"),
        pytest.param(1.0, 1e9, Reason.BUSY, 80, id="never faster down than a fifth a second"),
        pytest.param(0.5, 1.0, Reason.RECOVERING, 50, id="right where it is"),
        pytest.param(0.5, 0.8, Reason.RECOVERING, 50 * 0.8**-0.1, id="room for a little more"),
        pytest.param(0.5, 0.0, Reason.RECOVERING, 60, id="never faster up than a fifth a second"),
        pytest.param(0.99, 0.1, Reason.FULL, 100, id="whole again"),
        pytest.param(0.01, 9.0, Reason.BUSY, 1, id="never below the floor"),
    ],
)
def test_the_rate_answers_to_the_load(
    share: float, load: float, reason: Reason, per_s: float
) -> None:
    # Of 100 a second came, so the rate is what limits them.
    room = survey(before(share=share, recent=3_000))
    found = decided(room, report_of(free=1_000_000, load=load))
    assert found.reason is reason
    assert found.per_s == pytest.approx(per_s)


def test_the_rate_falls_from_what_really_came() -> None:
    """Only ten a second came, and those were too many: nine tenths of the limit would not help."""
    room = survey(before(recent=10 * CHOOSING_S))
    found = decided(room, report_of(free=1_000_000, load=2.0))
    assert found.per_s == pytest.approx(10 * 1.25 * 2**-0.1, rel=0.05)


def test_a_changed_limit_holds_at_once() -> None:
    room = survey(before(share=0.5), limits=replace(LIMITS, admit_per_s=1_000))
    assert decided(room, report_of(load=1.0, free=1_000_000)).per_s == 500


@pytest.mark.parametrize(
    ("free", "live", "inside", "recent", "more"),
    [
        pytest.param(50, 0, 0, 0, 50, id="one visitor for each free seat"),
        pytest.param(50, 0, 20, 1_000, 30, id="those inside may take some of them"),
        pytest.param(50, 15, 20, 1_000, 45, id="who holds a reservation wants no other"),
        pytest.param(50, 0, 20, 0, 50, id="who has been inside for long wants none"),
        pytest.param(2, 10, 10, 10, 2, id="two came back"),
        pytest.param(2, 0, 90, 90, 0, id="more are choosing than there are seats"),
        pytest.param(1, 400, 5, 0, 1, id="more reservations than visitors"),
    ],
)
def test_no_more_come_than_seats_are_free(
    free: int, live: int, inside: int, recent: int, more: int
) -> None:
    room = survey(before(recent=recent, admitted_total=700, ago_ms=0), admitted=inside)
    room = room._replace(counters={**room.counters, "admitted": 700})
    found = decided(room, report_of(free, live))
    assert found.until == 700 + more
    assert (found.reason is Reason.LAST_SEATS) is (more < 100)


def test_seats_that_nobody_inside_takes_go_to_others() -> None:
    """Everybody inside was let in for the last seat and does not take it."""
    room = survey(before(recent=1, admitted_total=1), admitted=1)
    room = room._replace(counters={**room.counters, "admitted": 1})
    later = room._replace(at_ms=NOW_MS + round(CHOOSING_S * 1000))
    now, then = (decided(one, ShopReport(1, 0, 0.1, one.at_ms)) for one in (room, later))
    assert (now.until, then.until) == (1, 2)
    assert now.per_s > 0


@pytest.mark.parametrize(
    ("ended", "missed", "share"),
    [
        pytest.param(0, 0, 0.0, id="nothing known"),
        pytest.param(2, 2, 2 / 22, id="two of two say little"),
        pytest.param(180, 50, 0.25, id="a quarter"),
        pytest.param(10_000, 10_000, NO_SHOWS_MOST, id="however many they are"),
    ],
)
def test_more_come_by_the_share_of_no_shows(ended: int, missed: int, share: float) -> None:
    room = survey(before(ended=ended, missed=missed, ago_ms=0))
    found = decided(room, report_of(free=90))
    assert found.no_show_share == pytest.approx(share)
    assert found.until == pytest.approx(90 / (1 - share), abs=1)


def test_no_shows_are_counted_from_the_totals_and_forgotten() -> None:
    room = survey(before(ago_ms=0), left=60, lapsed=40, no_shows=40)
    known = decided(room, report_of()).memory
    assert (known.ended, known.missed) == (100, 40)
    again = survey(
        Decision(Reason.FULL, 1.0, None, 0.4, report_of(), known, NOW_MS),
        left=60, lapsed=40, no_shows=40, at_ms=NOW_MS + 600_000,
    )  # fmt: skip
    faded = decided(again, ShopReport(1, 0, 0.1, again.at_ms)).memory
    assert [faded.ended, faded.missed] == pytest.approx([36.8, 14.7], 0.01)


def test_sold_out_admits_nobody_and_seats_that_come_back_do() -> None:
    room = survey(before(share=0.5, recent=3_000), admitted=5)
    found = decided(room, report_of(free=0, live=3))
    assert (found.reason, found.per_s, found.until) == (Reason.SOLD_OUT, 0, 0)
    assert found.memory.share == 0.5
    room = room._replace(decision=found._replace(at_ms=NOW_MS), at_ms=NOW_MS + 300_000)
    back = decided(room, ShopReport(2, 1, 0.9, room.at_ms))
    assert (back.reason, back.until) == (Reason.LAST_SEATS, 2)
    assert back.per_s > 0


@pytest.mark.parametrize(
    ("chosen", "reason", "per_s"),
    [
        (WhenSilent.KEEP, Reason.SILENT_KEEP, 100),
        (WhenSilent.SLOW, Reason.SILENT_SLOW, 100 * SLOW_SHARE),
        (WhenSilent.HOLD, Reason.SILENT_HOLD, 0),
    ],
)
@pytest.mark.parametrize("known", ["by the report", "by the room"])
@pytest.mark.parametrize("free", [0, 1, 10_000])
def test_a_silent_shop(
    chosen: WhenSilent, reason: Reason, per_s: float, known: str, free: int
) -> None:
    """Whatever it said last, and though the one who decides has just been started."""
    last = report_of(free=free, load=3, age_ms=SILENT_MS + 1)
    room = survey(before(share=0.2, said=last), when_silent=chosen)
    found = decided(room, last if known == "by the report" else None)
    assert (found.reason, found.per_s, found.until) == (reason, per_s, None)
    assert found.holds is (per_s == 0)
    # It reports again.
    again = decided(room._replace(decision=found), report_of(free=5_000, load=0.1))
    assert again.reason is Reason.RECOVERING


def test_a_shop_is_not_silent_before_its_time() -> None:
    last = report_of(age_ms=SILENT_MS)
    assert decided(survey(before(said=last)), None).reason is Reason.FULL


def test_a_report_from_before_the_clock_was_put_back_ages_from_now_on() -> None:
    future = report_of(free=7, age_ms=-3_600_000)
    first = decided(survey(before(said=future)), None)
    assert first.report.reported_ms == NOW_MS
    later = survey(first, at_ms=NOW_MS + SILENT_MS + 1)
    assert decided(later, None).reason is Reason.SILENT_KEEP
    # A report of now counts, though the one before looks newer.
    assert decided(survey(before(said=future)), report_of(free=0)).reason is Reason.SOLD_OUT


def test_modes_that_waiting_visitors_see() -> None:
    sold_out = decided(survey(), report_of(free=0))
    held = sold_out._replace(reason=Reason.SILENT_HOLD)
    for rules, decision, expected in (
        (Rules(), None, "open"),
        (Rules(), sold_out, "sold-out"),
        (Rules(), held, "paused"),
        (Rules(), sold_out._replace(reason=Reason.BUSY), "open"),
        (Rules(mode=Mode.DRAINING), sold_out, "sold-out"),
        (Rules(mode=Mode.PAUSED), sold_out, "paused"),
        (Rules(mode=Mode.CLOSED), held, "closed"),
    ):
        assert survey(decision)._replace(rules=rules).mode_now == expected


# --- for any reports ---------------------------------------------------------------------

numbers = st.integers(0, 20_000_000)
saids = st.builds(
    ShopReport,
    free=st.one_of(st.just(0), st.integers(1, 50), numbers, st.just(-5)),
    live=st.one_of(st.integers(0, 50), numbers, st.just(-5)),
    load=st.one_of(st.floats(0, 5), st.sampled_from([0.0, 1e300, inf, -1.0])),
    reported_ms=st.integers(NOW_MS - 20_000, NOW_MS),
)
limits_ = st.builds(
    Limits,
    active_max=st.integers(1, 100_000),
    admit_per_s=st.sampled_from([0.01, 0.5, 1.0, 20.0, 2_000.0, 1_000_000.0]),
)
steps = st.lists(
    st.tuples(
        st.none() | saids,
        st.integers(0, 30_000),  # ms gone by
        st.integers(0, 5_000),  # admitted
        st.integers(0, 5_000),  # left
        st.integers(0, 500),  # missed
        st.sampled_from(WhenSilent),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=200, deadline=None)
@given(limits_, steps)
def test_whatever_is_reported_the_limits_hold_and_nobody_starves(
    limits: Limits, told_in_turn: list[tuple[ShopReport | None, int, int, int, int, WhenSilent]]
) -> None:
    room = survey(limits=limits)
    for said, gone_ms, admitted, left, missed, chosen in told_in_turn:
        counters = dict(room.counters)
        counters["admitted"] += admitted
        counters["left"] += left
        counters["lapsed"] += missed
        counters["no_shows"] += missed
        room = room._replace(
            at_ms=room.at_ms + gone_ms,
            admitted=max(0, counters["admitted"] - counters["left"] - counters["lapsed"]),
            counters=counters,
            rules=Rules(limits=limits, when_shop_silent=chosen),
        )
        at_ms = room.at_ms
        found = decide(room, said and said._replace(reported_ms=said.reported_ms - NOW_MS + at_ms))
        if found is None:
            assert said is None
            assert room.decision is None
            continue
        assert 0 <= found.per_s <= limits.admit_per_s
        assert 0 <= found.no_show_share <= NO_SHOWS_MOST
        assert found.holds is (found.per_s == 0)
        if not found.reason.startswith("silent"):
            assert found.until is not None
            assert counters["admitted"] <= found.until
            most = max(found.report.free, 0) / (1 - found.no_show_share) + 1
            assert found.until - counters["admitted"] <= most
        if found.report.free > 0 and not found.reason.startswith("silent"):
            least = max(limits.admit_per_s * FLOOR_SHARE, min(limits.admit_per_s, FLOOR_PER_S))
            assert found.per_s >= least * (1 - 1e-9)
        # What is stored is what was decided.
        stored = decisions.parse(*decisions.serialize(found), str(room.at_ms))
        assert stored == found._replace(at_ms=room.at_ms)
        room = room._replace(decision=stored)


@settings(max_examples=25, deadline=None)
@given(
    # The slowest that the policy goes is 2 a second here.
    capacity=st.floats(4, 400),
    delay_s=st.integers(1, 10),
    start=st.sampled_from([0.01, 0.3, 1.0]),
    noise=st.lists(st.floats(0.8, 1.25), min_size=7, max_size=7),
)
def test_the_rate_comes_to_what_the_shop_can_take(
    capacity: float, delay_s: int, start: float, noise: list[float]
) -> None:
    """A shop whose load is what was admitted some seconds ago, over what it can take."""
    limits = replace(LIMITS, admit_per_s=200, active_max=1_000_000)
    total, room = 0.0, survey(before(share=start), limits=limits)
    rates = [start * 200] * delay_s
    for second in range(400):
        load = rates[-delay_s] / capacity * noise[second % 7]
        room = room._replace(
            at_ms=NOW_MS + second * 1_000,
            counters={**room.counters, "admitted": round(total)},
        )
        found = decided(room, ShopReport(1_000_000, 0, load, room.at_ms))
        room = room._replace(decision=found._replace(at_ms=room.at_ms))
        rates.append(found.per_s)
        total += found.per_s
    settled = rates[-150:]
    aim = min(capacity / geometric_mean(noise), 200)
    assert sum(settled) / len(settled) == pytest.approx(aim, rel=0.2)
    assert 0.5 * aim <= min(settled) <= max(settled) <= min(200, 1.6 * aim)
    # It does not jump.
    assert all(0.75 <= then / now <= 1.06 for now, then in pairwise(settled))
