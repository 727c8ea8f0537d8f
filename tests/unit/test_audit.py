"""The audit of a room: a finding for each broken invariant, none for a sound room."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from waitline.kernel.findings import Finding
from waitline.kernel.ids import RoomId, VisitorId
from waitline.queue.audit import (
    EXAMPLES_MAX,
    INVARIANTS,
    RoomSnapshot,
    examine,
)
from waitline.queue.model import COUNTERS, Slot, State

T0 = 1_800_000_000_000

FIELDS = {
    "seq": "9",
    "entered": "9",
    "admitted": "4",
    "left": "1",
    "lapsed": "1",
    "passed": "1",
    "abandoned": "1",
    "active_max": "3",
    "admit_per_s": "2",
    "admit_burst": "2",
    "extensions_max": "2",
    "ready_ttl_ms": "40000",
    "active_ttl_ms": "20000",
    "created_ms": str(T0),
}


def v(number: int) -> VisitorId:
    return VisitorId(f"v{number}")


def slot(
    place: int, *, state: State = State.READY, admitted_ms: int = 0, extensions: int = 0
) -> Slot:
    called_ms = admitted_ms or T0 + 1_000 * place
    return Slot(state, place, T0 + place, called_ms, extensions, called_ms + 60_000)


# Of nine who joined, 1 has left, 2 lapsed, 3 was passed over, 4 to 6 hold slots, 7 gave up the
# place, and 8 and 9 wait.
SOUND = RoomSnapshot(
    room=RoomId("r"),
    fields=FIELDS,
    waiting={v(8): 8, v(9): 9},
    heard={v(8): T0 + 8, v(9): T0 + 9},
    returned={},
    admitted={v(n): T0 + 1_000 * n + 60_000 for n in (4, 5, 6)},
    lapsed=frozenset({v(2), v(3)}),
    slots={
        v(2): slot(2),
        v(3): slot(3, state=State.EXPIRED),
        v(4): slot(4, state=State.ACTIVE, extensions=2),
        v(5): slot(5),
        v(6): slot(6),
    },
    passed=frozenset({v(3)}),
)


def returned(returned_ms: int) -> RoomSnapshot:
    """Let 1 be back in the line, instead of having left."""
    return replace(
        SOUND,
        fields={**FIELDS, "left": "0"},
        waiting={**SOUND.waiting, v(1): 1},
        heard={**SOUND.heard, v(1): T0 + 1},
        returned={v(1): returned_ms},
    )


def fields(**changes: int) -> RoomSnapshot:
    return replace(SOUND, fields={**FIELDS, **{name: str(n) for name, n in changes.items()}})


def slots(**changes: Slot) -> RoomSnapshot:
    return replace(SOUND, slots={**SOUND.slots, **changes})  # type: ignore[dict-item]  # names


def twins() -> RoomSnapshot:
    """Two visitors admitted from one place."""
    return slots(v5=slot(4, admitted_ms=SOUND.slots[v(5)].admitted_ms))


def overtaken() -> RoomSnapshot:
    """The visitor of place 3 waits, though three later ones were let in."""
    here = {name: held for name, held in SOUND.slots.items() if name != v(3)}
    return replace(
        fields(passed=0),
        waiting={**SOUND.waiting, v(3): 3},
        heard={**SOUND.heard, v(3): T0 + 3},
        lapsed=frozenset({v(2)}),
        slots=here,
        passed=frozenset[VisitorId](),
    )


def hurried() -> RoomSnapshot:
    """All three within a second, though two a second and a burst of one are allowed."""
    seen = fields(admit_per_s=1, admit_burst=1)
    held = {v(n): slot(n, admitted_ms=T0 + 5_000 + n) for n in (4, 5, 6)}
    return replace(
        seen,
        slots={**seen.slots, **held},
        admitted={name: one.expires_ms for name, one in held.items()},
    )


def test_a_visitor_who_returns_has_not_been_overtaken_before() -> None:
    assert examine(returned(T0 + 6_000)) == []


def test_a_sound_room_has_no_findings() -> None:
    assert examine(SOUND) == []
    assert examine(SOUND, serves=lambda owner, _place, _joined, asker: owner == asker) == []


@pytest.mark.parametrize(
    ("seen", "broken", "text"),
    [
        pytest.param(
            twins(), "Q1", "1 share a place with another: v5", id="one place, two visitors"
        ),
        pytest.param(fields(seq=8), "Q2", "1 have a place outside 1 to 8: v9", id="never given"),
        pytest.param(
            replace(SOUND, heard={v(8): T0 + 20, v(9): T0 + 9}),
            "Q2",
            "1 joined before somebody with a lower place: v9",
            id="a later one, a lower place",
        ),
        pytest.param(
            overtaken(),
            "Q3",
            "3 had their turn while place 3 waits: v4, v5, v6",
            id="a lower place waits",
        ),
        pytest.param(
            # Passed over before, 1 came back after 4 had its turn, and before 5 and 6 had theirs.
            returned(T0 + 4_500),
            "Q3",
            "2 had their turn while place 1 waits: v5, v6",
            id="one who returned waits",
        ),
        pytest.param(fields(active_max=2), "Q4", "3 hold a slot, 1 more", id="too many slots"),
        pytest.param(hurried(), "Q5", "3 admitted within one second, 2 allowed", id="too fast"),
        pytest.param(
            replace(SOUND, lapsed=SOUND.lapsed | {v(4)}),
            "Q6",
            "1 both admitted and lapsed: v4",
            id="admitted and lapsed",
        ),
        pytest.param(
            replace(SOUND, lapsed=SOUND.lapsed | {v(8)}),
            "Q6",
            "1 both waiting and lapsed: v8",
            id="waiting and lapsed",
        ),
        pytest.param(
            replace(SOUND, lapsed=SOUND.lapsed | {v(1)}),
            "Q6",
            "1 admitted or lapsed, without a slot: v1",
            id="no slot",
        ),
        pytest.param(
            replace(SOUND, lapsed=SOUND.lapsed - {v(2)}),
            "Q6",
            "1 with a slot, neither admitted nor lapsed: v2",
            id="a slot of nobody",
        ),
        pytest.param(
            replace(SOUND, heard={v(9): T0 + 9}),
            "Q2 Q6",
            "1 waiting, without a time of joining: v8",
            id="no time of joining",
        ),
        pytest.param(
            replace(SOUND, heard={**SOUND.heard, v(1): T0 + 1}),
            "Q6",
            "1 with a time of joining, not waiting: v1",
            id="a time of joining of nobody",
        ),
        pytest.param(
            replace(SOUND, admitted={**SOUND.admitted, v(4): T0}),
            "Q6",
            "1 with two different expiry times: v4",
            id="two ends",
        ),
        pytest.param(
            fields(entered=10), "Q7", "10 joined or came back, 9 are here", id="one is lost"
        ),
        pytest.param(
            fields(left=2), "Q7", "9 joined or came back, 10 are here", id="one counted twice"
        ),
        pytest.param(
            slots(v4=slot(4, state=State.ACTIVE, extensions=3)),
            "Q8",
            "1 extended more than 2 times: v4",
            id="extended too often",
        ),
        pytest.param(
            fields(stay_ms=50_000, active_ttl_ms=10_000),
            "Q8",
            "2 with more time than a stay has: v5, v6",
            id="too long a stay",
        ),
    ],
)
def test_what_is_broken_is_found_and_nothing_else(
    seen: RoomSnapshot, broken: str, text: str
) -> None:
    found = examine(seen)
    assert {finding.invariant for finding in found} == set(broken.split())
    assert any(text in finding.text for finding in found)


def test_a_visitor_in_two_places_is_found_under_both_its_numbers() -> None:
    """A visitor who waits and holds a slot breaks several invariants at once."""
    seen = replace(SOUND, waiting={**SOUND.waiting, v(6): 10}, fields={**FIELDS, "seq": "10"})
    assert {finding.invariant for finding in examine(seen)} >= {"Q1", "Q6"}


@pytest.mark.parametrize(
    ("serves", "text"),
    [
        pytest.param(lambda *_: False, "2 not accepted with their own ticket", id="nobody"),
        pytest.param(lambda *_: True, "1 accepted with another's ticket: v9", id="everybody"),
    ],
)
def test_q9_is_found(serves: Callable[..., bool], text: str) -> None:
    found = examine(SOUND, serves)
    assert [finding.invariant for finding in found] == ["Q9"]
    assert text in found[0].text


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param(fields(active_max=2, changed_ms=T0 + 9_000), id="fewer slots than before"),
        pytest.param(
            fields(admit_per_s=1, admit_burst=0, changed_ms=T0 + 9_000), id="slower than before"
        ),
        pytest.param(
            replace(
                fields(stepped_back_ms=3_600_000),
                heard={v(8): T0 + 8, v(9): T0 - 3_599_000},
            ),
            id="joined after the clock was put back",
        ),
        pytest.param(
            replace(hurried(), fields={**hurried().fields, "stepped_back_ms": "500"}),
            id="admitted in a second that the clock showed twice",
        ),
        pytest.param(fields(extensions_max=0, changed_ms=T0 + 9_000), id="fewer extensions"),
    ],
)
def test_a_lowered_limit_blames_nobody_for_what_was_allowed(seen: RoomSnapshot) -> None:
    assert examine(seen) == []


def test_a_finding_names_some_and_counts_all() -> None:
    seen = replace(SOUND, lapsed=SOUND.lapsed | {VisitorId(f"x{n}") for n in range(8)})
    (finding,) = examine(seen)
    assert finding == Finding("Q6", finding.text, 8)
    assert finding.text.count("x") == EXAMPLES_MAX
    assert finding.text.endswith(" …")


def test_every_invariant_that_a_snapshot_can_show_has_its_words() -> None:
    assert list(INVARIANTS) == [f"Q{number}" for number in range(1, 10)]
    assert set(FIELDS) & set(COUNTERS) == {
        *("entered", "admitted", "left", "lapsed", "passed", "abandoned")
    }
