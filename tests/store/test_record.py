"""The sale record of a room: histogram of waits, totals over time, admissions out of order."""

from dataclasses import replace

import pytest

from tests.store.room import Room, no_memory
from waitline.queue import record, store
from waitline.queue.model import Moved
from waitline.queue.record import (
    BUCKETS,
    STEP_S,
    STEPS,
    SaleRecord,
    bounds_ms,
)

DAY_MS = 86_400_000


def kept(room: Room) -> SaleRecord:
    return room.server.wait(room.rooms.sale_record(room.id))


def waited(room: Room, name: str, for_ms: int) -> None:
    """Let a visitor be admitted who joined so long ago."""
    room.join(name)
    room.raw("HSET", room.keys.heard, name, f"{room.now_ms() - for_ms}:{room.now_ms()}")
    room.give_tokens(1)
    assert room.take().outcome.admitted == 1


@pytest.mark.parametrize(
    "for_ms", [0, 950, 1_050, 1_150, 1_500, 2_010, 7_900, 60_000, 3_601_000, DAY_MS, 10 * DAY_MS]
)
def test_a_wait_is_in_the_bucket_that_says_so(room: Room, for_ms: int) -> None:
    room.open()
    waited(room, "a", for_ms)
    found = kept(room)
    (bucket,) = [number for number, count in enumerate(found.waits) if count]
    low, high = bounds_ms(bucket)
    # What the test takes to get there is part of the wait.
    assert for_ms <= found.longest_ms == found.waited_ms
    assert low <= found.longest_ms < high
    assert found.wait_ms(1.0) == found.longest_ms
    assert low <= (found.wait_ms(0.5) or 0) <= found.longest_ms


def test_buckets_follow_each_other_without_a_gap() -> None:
    ends = [bounds_ms(bucket) for bucket in range(BUCKETS)]
    assert [low for low, _ in ends[1:]] == [high for _, high in ends[:-1]]
    assert (ends[0][0], ends[-1][1]) == (0, float("inf"))
    assert ends[-1][0] == 65_536_000


def test_percentiles_are_near_those_of_the_waits_themselves() -> None:
    # Waits of 1 to 1 000 s, one of each.
    waits = [0] * BUCKETS
    for second in range(1, 1_001):
        (bucket,) = (
            n for n in range(BUCKETS) if bounds_ms(n)[0] <= second * 1_000 < bounds_ms(n)[1]
        )
        waits[bucket] += 1
    found = SaleRecord(tuple(waits), 500_500_000, 1_000_000, ())
    assert found.mean_ms == 500_500
    for share in (0.1, 0.5, 0.9, 0.99):
        assert found.wait_ms(share) == pytest.approx(share * 1_000_000, rel=0.1)
    assert found.wait_ms(1.0) == 1_000_000


def test_the_record_survives_those_who_left_and_a_reset(room: Room) -> None:
    room.open()
    room.let_in(*"abc")
    room.leave(*"abc")
    room.reset()
    found = kept(room)
    assert found.admitted == 3
    (step,) = found.steps
    assert (step.entered, step.admitted, step.waiting, step.inside) == (3, 3, 0, 3)


def test_the_totals_of_ten_seconds_are_those_after_the_last_admission(room: Room) -> None:
    room.open(active_max=3)
    room.join(*"abcde")
    room.call("a")
    room.call("b", "c")
    steps = kept(room).steps
    # Between the two calls ten seconds may have come to an end.
    assert 1 <= len(steps) <= 2
    assert steps[-1][1:] == (5, 3, 2, 3)
    assert steps[-1].at_ms <= room.now_ms() < steps[-1].at_ms + 60_000
    assert steps[-1].at_ms % (STEP_S * 1000) == 0


def test_totals_of_an_earlier_sale_are_not_shown() -> None:
    now = 180_000_000
    stored = {
        "s0": f"{now}:9:8:1:2",
        "s1": f"{now - STEPS + 1}:5:4:1:2",
        "s2": f"{now - STEPS}:1:1:0:1",
    }
    assert [step.entered for step in record.parse(stored).steps] == [5, 9]


def test_a_room_in_which_nobody_was_admitted_has_an_empty_record(room: Room) -> None:
    room.open()
    room.join("a")
    found = kept(room)
    assert found == SaleRecord((0,) * BUCKETS, 0, 0, ())
    assert (found.mean_ms, found.wait_ms(0.5)) == (None, None)


def test_fields_are_bounded(room: Room) -> None:
    room.open()
    for number, for_ms in enumerate((0, 1_000, 2_000, 2_000, 90_000_000)):
        waited(room, f"v{number}", for_ms)
    names = set(room.raw("HKEYS", room.keys.record))
    others = {"last_place", "last_at", "longest_ms", "waited_ms"}
    assert others < names
    assert names - others <= {f"w{n}" for n in range(BUCKETS)} | {f"s{n}" for n in range(STEPS)}


def test_the_passed_over_have_no_wait(room: Room) -> None:
    room.open(idle_ms=60_000)
    room.join("a", "b")
    room.pass_over("a")
    assert kept(room).admitted == 0
    room.call("b")
    assert kept(room).admitted == 1


def test_admission_in_order_counts_no_overtaking(room: Room) -> None:
    room.open()
    room.join(*"abcdef")
    room.call("a", "b")
    room.leave("c")
    room.call("d")
    room.join("g")
    room.call("e", "f", "g")
    assert room.survey().counters["overtaken"] == 0
    assert room.findings() == []


def test_admission_after_a_higher_place_is_counted(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    backwards = store.ADMIT.source.replace("'ZPOPMIN'", "'ZPOPMAX'")
    assert backwards != store.ADMIT.source
    room.open()
    room.join(*"abcd")
    room.reach(room.now_ms() + 2)
    planted = replace(store.ADMIT, source=backwards, digest="0" * 40)
    with monkeypatch.context() as patch:
        patch.setattr("tests.store.room.ADMIT", planted)
        room.give_tokens(2)
        assert room.take(2).outcome.admitted == 2
    # The fourth and the third place went first, the one before the other.
    assert room.survey().counters["overtaken"] == 1
    room.call("a", "b")
    assert room.survey().counters["overtaken"] == 3
    assert [finding.invariant for finding in room.findings()] == ["Q3"]


def test_no_shows_are_those_who_lapse_without_having_begun(room: Room) -> None:
    room.open(ready_ttl_ms=60, active_ttl_ms=10)
    slots = room.let_in(*"abc")
    room.activate("b")
    room.reach(max(slot.expires_ms for slot in slots) + 1)
    room.sweep()
    counters = room.survey().counters
    begun = counters["activated"]
    assert (counters["lapsed"], counters["no_shows"]) == (3, 3 - begun)


def test_a_full_store_still_keeps_the_record(room: Room) -> None:
    room.open()
    room.join("a")
    room.give_tokens(1)
    with no_memory(room.server):
        outcome = room.admit()
    assert isinstance(outcome, Moved)
    assert outcome.admitted == kept(room).admitted == 1
