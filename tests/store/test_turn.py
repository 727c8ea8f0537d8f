"""Using a slot: `activate`, `extend`, `leave`."""

import pytest

from tests.store.room import Room, no_memory
from waitline.kernel.errors import Refused
from waitline.kernel.ids import VisitorId
from waitline.queue.model import (
    BATCH_MAX,
    UNKNOWN,
    ExtensionsSpent,
    Left,
    Slot,
    State,
    TimeRanOut,
    TokenRejected,
    VisitorUnknown,
)

VERBS = ["activate", "extend", "slide", "leave"]


def first(outcomes: list[Slot | Refused]) -> Slot:
    (slot,) = outcomes
    assert isinstance(slot, Slot)
    return slot


def test_activate_starts_the_time_once(room: Room) -> None:
    room.open(active_ttl_ms=60_000, ready_ttl_ms=300_000)
    (ready,) = room.let_in("a")
    before_ms = room.now_ms()
    active = first(room.activate("a"))
    assert before_ms + 60_000 <= active.expires_ms <= room.now_ms() + 60_000
    assert active == ready._replace(state=State.ACTIVE, expires_ms=active.expires_ms)
    room.reach(active.expires_ms - 60_000 + 2)
    assert room.activate("a", "a") == [active, active]
    assert room.survey().counters["activated"] == 1
    assert room.findings() == []


def test_extend_renews_as_often_as_allowed(room: Room) -> None:
    room.open(extensions_max=2, active_ttl_ms=60_000)
    room.let_in("a")
    active = first(room.activate("a"))
    for count in (1, 2):
        room.reach(active.expires_ms - 60_000 + 2)
        extended = first(room.extend("a"))
        assert extended.expires_ms > active.expires_ms
        assert extended == active._replace(extensions=count, expires_ms=extended.expires_ms)
        active = extended
    before = room.stored()
    assert [type(one) for one in room.extend("a", "a")] == [ExtensionsSpent] * 2
    assert room.stored() == before
    assert room.findings() == []


def test_three_extensions_in_one_batch_are_counted_one_by_one(room: Room) -> None:
    room.open(extensions_max=2)
    room.let_in("a")
    room.activate("a")
    assert [type(one) for one in room.extend("a", "a", "a")] == [Slot, Slot, ExtensionsSpent]


def test_no_extension_where_none_is_allowed(room: Room) -> None:
    room.open(extensions_max=0)
    room.let_in("a")
    room.activate("a")
    assert [type(one) for one in room.extend("a")] == [ExtensionsSpent]


def test_a_ready_visitor_may_not_extend(room: Room) -> None:
    room.open()
    room.let_in("a")
    before = room.stored()
    assert [type(one) for one in room.extend("a")] == [TokenRejected]
    assert room.stored() == before


@pytest.mark.parametrize("verb", ["activate", "extend", "slide"])
@pytest.mark.parametrize(
    "swept", [pytest.param(False, id="not swept"), pytest.param(True, id="swept")]
)
def test_a_turn_that_ran_out_is_refused_as_such(room: Room, verb: str, *, swept: bool) -> None:
    room.open(ready_ttl_ms=60_000, active_ttl_ms=10)
    room.let_in("a")
    active = first(room.activate("a"))
    room.reach(active.expires_ms)
    if swept:
        room.sweep()
    before = room.stored()
    assert [type(one) for one in getattr(room, verb)("a")] == [TimeRanOut]
    assert room.stored() == before


@pytest.mark.parametrize("verb", ["activate", "extend", "slide"])
def test_a_passed_over_turn_is_refused_as_run_out(room: Room, verb: str) -> None:
    room.open()
    room.join("a")
    room.pass_over("a")
    assert [type(one) for one in getattr(room, verb)("a")] == [TimeRanOut]


@pytest.mark.parametrize("verb", ["activate", "extend", "slide"])
@pytest.mark.parametrize(
    "claim", [pytest.param(0, id="no claim"), pytest.param("1-9", id="a claim")]
)
def test_queued_and_unknown_hold_nothing(room: Room, verb: str, claim: str | int) -> None:
    room.open()
    room.join("a")
    before = room.stored()
    outcomes = getattr(room, verb)("a", "nobody", claim=claim)
    assert [type(one) for one in outcomes] == [TokenRejected, VisitorUnknown]
    assert room.stored() == before


@pytest.mark.parametrize("verb", VERBS)
def test_anothers_token_serves_nobody(room: Room, verb: str) -> None:
    room.open()
    _, slot = room.let_in("other", "a")
    room.activate("a")
    before = room.stored()
    # Another place; the same place of a room that was deleted since; a place without its time.
    for claim in (f"1-{slot.joined_ms}", f"2-{slot.joined_ms - 1}", "2", "2-"):
        assert [type(one) for one in getattr(room, verb)("a", claim=claim)] == [TokenRejected]
    assert room.stored() == before
    right = f"2-{slot.joined_ms}"
    assert [type(one) for one in getattr(room, verb)("a", claim=right)] in ([Slot], [Left])


def test_anothers_token_does_not_leave_the_line(room: Room) -> None:
    room.open()
    room.join("a", "b")
    before = room.stored()
    joined_ms, _ = room.heard("a")
    for claim in (f"2-{joined_ms}", f"1-{joined_ms - 1}", "1"):
        assert [type(one) for one in room.leave("a", claim=claim)] == [TokenRejected]
    assert room.stored() == before
    assert room.leave("a", claim=f"1-{joined_ms}") == [Left()]


def test_a_token_of_an_earlier_stay_does_not_serve(room: Room) -> None:
    room.open()
    (earlier,) = room.let_in("a")
    room.leave("a")
    (slot,) = room.let_in("a")
    assert slot.place == 2
    claim = f"1-{earlier.joined_ms}"
    assert [type(one) for one in room.activate("a", claim=claim)] == [TokenRejected]


def test_leaving_the_line(room: Room) -> None:
    room.open()
    room.join("a", "b")
    assert room.leave("a", "a", "nobody") == [Left(), UNKNOWN, UNKNOWN]
    assert room.survey().counters["abandoned"] == 1
    assert room.status("a") == [UNKNOWN]
    assert room.findings() == []


def test_leaving_frees_the_slot_at_once(room: Room) -> None:
    room.open(active_max=1)
    room.let_in("a")
    room.join("b")
    room.give_tokens(1)
    assert room.take().outcome.admitted == 0
    assert room.leave("a") == [Left()]
    assert room.take().outcome.admitted == 1
    assert room.survey().counters["left"] == 1
    assert room.findings() == []


@pytest.mark.parametrize(
    "swept", [pytest.param(False, id="not swept"), pytest.param(True, id="swept")]
)
def test_leaving_after_the_time_ran_out_counts_as_lapsed_once(room: Room, *, swept: bool) -> None:
    room.open(ready_ttl_ms=10)
    (slot,) = room.let_in("a")
    room.reach(slot.expires_ms)
    if swept:
        room.sweep()
    assert room.leave("a") == [Left()]
    counters = room.survey().counters
    assert (counters["left"], counters["lapsed"]) == (0, 1)
    assert room.status("a") == [UNKNOWN]
    assert room.findings() == []


@pytest.mark.parametrize("verb", VERBS)
def test_a_batch_of_256(room: Room, verb: str) -> None:
    room.open(admit_burst=BATCH_MAX)
    names = [f"v{number}" for number in range(BATCH_MAX)]
    room.join(*names)
    room.call(*names[:250])
    room.call(*names[250:])
    if verb in {"extend", "slide"}:
        room.activate(*names)
    outcomes = getattr(room, verb)(*names)
    assert {type(one) for one in outcomes} == {Left if verb == "leave" else Slot}
    assert len(outcomes) == BATCH_MAX


def test_each_claim_is_its_visitors_own(room: Room) -> None:
    room.open()
    a, _, c = room.let_in("a", "b", "c")
    claims: list[tuple[VisitorId, str | int]] = [
        (VisitorId("a"), f"1-{a.joined_ms}"),
        (VisitorId("b"), f"3-{c.joined_ms}"),
        (VisitorId("c"), 0),
    ]
    outcomes = room.server.wait(room.line.activate(room.id, claims))
    assert [type(one) for one in outcomes] == [Slot, TokenRejected, Slot]


def test_a_full_store_lets_everybody_go(room: Room) -> None:
    room.open()
    room.let_in("a")
    room.join("b")
    with no_memory(room.server):
        assert room.leave("a", "b") == [Left(), Left()]
    assert room.findings() == []


def test_a_full_store_lets_everybody_use_the_slot(room: Room) -> None:
    """Admitted visitors can finish; only the others are kept out."""
    room.open()
    room.let_in("ready", "active")
    room.activate("active")
    with no_memory(room.server):
        outcomes = [*room.activate("ready"), *room.extend("active")]
    assert [one.state for one in outcomes if isinstance(one, Slot)] == [State.ACTIVE] * 2
    assert room.status("ready", "active") == outcomes
    assert room.findings() == []
