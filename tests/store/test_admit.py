"""Admission: slots, rate, order, leases, skipped visitors."""

import pytest

from tests.store.room import Room, no_memory
from waitline.kernel.instants import Instant
from waitline.queue.model import (
    CHUNK_MAX,
    Held,
    Leased,
    Moved,
    Passed,
    RoomUnknown,
    Slot,
    State,
    Waiting,
)
from waitline.valkey.replies import CommandError


def names(count: int, prefix: str = "v") -> list[str]:
    return [f"{prefix}{number}" for number in range(count)]


def fill(room: Room, count: int) -> None:
    for start in range(0, count, 250):
        room.join(*names(min(250, count - start), f"{start}-"))


def states(room: Room, *visitors: str) -> list[State]:
    return [
        one.state
        if isinstance(one, Slot)
        else State.WAITING
        if isinstance(one, Waiting)
        else State.EXPIRED
        if isinstance(one, Passed)
        else State.NOT_FOUND
        for one in room.status(*visitors)
    ]


def test_the_first_of_the_line_become_ready(room: Room) -> None:
    room.open(ready_ttl_ms=60_000, active_max=10, admit_per_s=0.01)
    room.join(*"abcde")
    room.give_tokens(3)
    taken = room.take()
    assert taken.outcome == Moved(admitted=3, passed=0, waiting=2, free=7, due=0)
    (slot, *_), ahead = room.status("a", "b", "c"), room.status("d", "e")
    assert isinstance(slot, Slot)
    assert slot == Slot(
        State.READY, 1, slot.joined_ms, slot.admitted_ms, 0, slot.admitted_ms + 60_000
    )
    assert taken.from_ms <= slot.admitted_ms <= taken.to_ms
    assert [one.ahead for one in ahead if isinstance(one, Waiting)] == [0, 1]
    assert room.survey().counters["admitted"] == 3
    assert room.findings() == []


def test_slots_bound(room: Room) -> None:
    room.open(active_max=2, admit_per_s=0.01)
    room.join(*"abc")
    room.give_tokens(100)
    assert room.take().outcome == Moved(2, 0, 1, 0, 98)
    assert room.take().outcome[:4] == (0, 0, 1, 0)


def test_the_chunk_bounds(room: Room) -> None:
    room.open()
    fill(room, 600)
    room.give_tokens(500)
    moved = [room.take().outcome for _ in range(2)]
    assert [one.admitted for one in moved] == [CHUNK_MAX, CHUNK_MAX]
    assert moved[0].due >= 250
    room.give_tokens(500)
    assert room.take(7).outcome.admitted == 7
    assert room.findings() == []


def test_an_empty_line_admits_nobody_and_writes_nothing(room: Room) -> None:
    room.open(active_max=5)
    before = room.stored()
    assert room.take().outcome[:4] == (0, 0, 0, 5)
    assert isinstance(room.admit(holder="one"), Moved)
    assert room.stored() == before


def test_a_new_room_admits_at_its_rate_and_does_not_jump(room: Room) -> None:
    """50 000 slots are free, and still nobody comes sooner than the rate allows."""
    room.open(active_max=50_000, admit_per_s=2_000, admit_burst=500)
    fill(room, 1_500)
    room.raw("HSET", room.keys.rate, "tokens", 0, "tokens_at", room.now_ms())
    opened_ms = int(room.raw("HGET", room.keys.rate, "tokens_at"))
    admitted = calls = 0
    while admitted < 1_000:
        taken = room.take()
        admitted += taken.outcome.admitted
        calls += 1
        # The bucket began empty, so not even a burst comes on top.
        assert admitted <= (taken.to_ms - opened_ms) * 2
        if taken.outcome.admitted < CHUNK_MAX:
            # What the rate allows is not held back either, unless the burst cut it.
            assert taken.outcome.due == 0
        assert taken.from_ms - opened_ms < 10_000, "it stalls"
    assert calls > 4
    assert room.findings() == []


def test_after_a_pause_no_more_than_a_burst_comes_at_once(room: Room) -> None:
    room.open(admit_per_s=1_000_000, admit_burst=5)
    room.join(*names(50))
    room.raw("HSET", room.keys.rate, "tokens", 0, "tokens_at", room.now_ms() - 3_600_000)
    assert room.take().outcome == Moved(5, 0, 45, 49_995, 0)


def test_a_rate_below_one_a_second_adds_up(room: Room) -> None:
    room.open(admit_per_s=0.5, admit_burst=1)
    room.join("a", "b")
    room.raw("HSET", room.keys.rate, "tokens", 0, "tokens_at", room.now_ms() - 1_900)
    assert room.take().outcome.admitted == 0
    room.raw("HSET", room.keys.rate, "tokens_at", room.now_ms() - 2_000)
    assert room.take().outcome.admitted == 1
    assert room.take().outcome.admitted == 0


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        pytest.param("open", Moved, id="open admits"),
        pytest.param("paused", Held, id="paused admits nobody"),
        pytest.param("draining", Moved, id="draining admits those who wait"),
        pytest.param("closed", Held, id="closed admits nobody"),
    ],
)
def test_the_mode_decides(room: Room, mode: str, expected: type) -> None:
    room.open()
    room.join("a")
    room.change(mode=mode)
    room.give_tokens(1)
    before = room.stored()
    outcome = room.admit()
    assert isinstance(outcome, expected)
    if expected is Held:
        # A pause saves nothing up; nothing else changes.
        before[room.keys.rate] = {}
        assert {room.keys.rate: {}} | room.stored() == before


@pytest.mark.parametrize("by", ["mode", "opening"])
def test_a_pause_saves_no_admissions_up(room: Room, by: str) -> None:
    held = {"mode": "paused"} if by == "mode" else {"opens_at": Instant(room.now_ms() + 10**7, 0)}
    room.open(admit_per_s=1, admit_burst=60, **held)
    room.join(*names(100))
    room.raw("HSET", room.keys.rate, "tokens", 60, "tokens_at", room.now_ms() - 60_000)
    room.change(**({"mode": "open"} if by == "mode" else {"opens_at": None}))
    outcome = room.admit()
    assert isinstance(outcome, Moved)
    assert outcome.admitted == 0
    room.raw("HINCRBY", room.keys.rate, "tokens_at", -1_000)
    outcome = room.admit()
    assert isinstance(outcome, Moved)
    assert outcome.admitted == 1


def test_a_room_that_opens_by_itself_has_saved_nothing_up(room: Room) -> None:
    opened_ms = room.now_ms()
    room.open(admit_per_s=1_000, admit_burst=500, opens_at=Instant(opened_ms, 0))
    room.join(*names(250))
    # No admitter has called since an hour before the opening.
    room.raw("HSET", room.keys.rate, "tokens", 500, "tokens_at", opened_ms - 3_600_000)
    taken = room.take()
    assert taken.outcome.admitted <= taken.to_ms - opened_ms


@pytest.mark.parametrize(
    ("per_s", "at_once"), [(1, 1), (4, 1), (7, 1), (8, 2), (100, 25), (2_000, 250)]
)
def test_the_burst_follows_the_rate(room: Room, per_s: int, at_once: int) -> None:
    room.open(admit_per_s=per_s, admit_burst=0)
    fill(room, 300)
    room.raw("HSET", room.keys.rate, "tokens", 0, "tokens_at", room.now_ms() - 3_600_000)
    # One chunk is 250.
    assert room.take().outcome.admitted == at_once


def test_no_room_is_refused(room: Room) -> None:
    with pytest.raises(RoomUnknown):
        room.admit()
    assert room.stored() == {}


def test_changed_limits_hold_from_the_next_call_on(room: Room) -> None:
    room.open(active_max=2, admit_burst=10, admit_per_s=0.01)
    room.join(*names(9))
    room.give_tokens(9)
    assert room.take().outcome.admitted == 2
    room.change(active_max=5)
    room.give_tokens(9)
    assert room.take().outcome == Moved(3, 0, 4, 0, 6)
    room.change(active_max=1)
    assert room.take().outcome[:4] == (0, 0, 4, 0)
    room.change(active_max=100, admit_burst=1)
    room.give_tokens(9)
    assert room.take().outcome.admitted == 1
    assert room.findings() == []


def test_the_silent_are_passed_over_and_take_neither_slot_nor_rate(room: Room) -> None:
    room.open(active_max=2, idle_ms=16_000, admit_per_s=0.01)
    room.join(*"abcde")
    for silent in "abd":
        room.silence(silent, 18_000)
    room.give_tokens(3)
    assert room.take(2).outcome == Moved(admitted=0, passed=2, waiting=3, free=2, due=3)
    assert room.take(3).outcome == Moved(admitted=1, passed=1, waiting=1, free=1, due=2)
    assert room.take(3).outcome == Moved(admitted=1, passed=0, waiting=0, free=0, due=1)
    assert states(room, *"abcde") == ["EXPIRED", "EXPIRED", "READY", "EXPIRED", "READY"]
    counters = room.survey().counters
    assert (counters["admitted"], counters["passed"], counters["lapsed"]) == (2, 3, 0)
    assert room.findings() == []


@pytest.mark.parametrize(
    ("idle_ms", "silent_ms", "passed"),
    [
        pytest.param(16_000_000, 16_900_000, 0, id="a mark may be a sixteenth old"),
        pytest.param(16_000_000, 17_100_000, 1, id="silent"),
        pytest.param(0, 86_400_000, 0, id="nobody is ever passed over"),
    ],
)
def test_how_long_silence_may_last(room: Room, idle_ms: int, silent_ms: int, passed: int) -> None:
    room.open(idle_ms=idle_ms)
    room.join("a")
    room.silence("a", silent_ms)
    room.give_tokens(1)
    assert room.take().outcome[:2] == (1 - passed, passed)


def test_another_admitter_is_kept_out_by_a_lease(room: Room) -> None:
    room.open()
    room.join(*names(9))
    room.give_tokens(9)
    assert isinstance(room.admit(1, holder="one"), Moved)
    before = room.stored()
    leased = room.admit(1, holder="two")
    assert isinstance(leased, Leased)
    assert 0 < leased.remaining_ms <= 60_000
    assert room.survey().counters["lease_refused"] == 1
    room.raw("HDEL", room.keys.room, "lease_refused")
    assert room.stored() == before
    # Without a lease it is just as right, only perhaps done twice.
    assert room.take(1).outcome.admitted == 1
    assert isinstance(room.admit(1, holder="one"), Moved)


def test_a_lease_that_ran_out_goes_to_whoever_comes(room: Room) -> None:
    room.open(admit_per_s=0.01)
    room.join("a", "b")
    room.admit(1, holder="one", lease_ms=10)
    room.reach(room.now_ms() + 11)
    assert isinstance(room.admit(1, holder="two"), Moved)
    assert isinstance(room.admit(1, holder="one"), Leased)


def test_a_lease_is_renewed_at_half_its_time(room: Room) -> None:
    room.open(admit_per_s=0.01)
    room.join("a", "b")
    room.admit(1, holder="one", lease_ms=60_000)
    until = room.raw("HGET", room.keys.room, "lease_until")
    room.reach(room.now_ms() + 2)
    room.admit(1, holder="one", lease_ms=60_000)
    assert room.raw("HGET", room.keys.room, "lease_until") == until
    room.raw("HSET", room.keys.room, "lease_until", room.now_ms() + 29_000)
    room.admit(1, holder="one", lease_ms=60_000)
    assert int(room.raw("HGET", room.keys.room, "lease_until")) > room.now_ms() + 59_000


def test_a_lease_from_a_clock_that_was_set_back_binds_nobody(room: Room) -> None:
    """Its holder may be dead, and nobody could admit until the clock has caught up."""
    room.open(admit_per_s=0.01)
    room.join("a")
    room.raw(
        "HSET", room.keys.room, "lease_holder", "one", "lease_until", room.now_ms() + 3_600_000
    )
    room.give_tokens(1)
    assert room.admit(holder="two") == Moved(1, 0, 0, 49_999, 0)


def test_a_clock_that_was_set_back_neither_stalls_nor_jumps(room: Room) -> None:
    room.open(admit_per_s=1_000, admit_burst=500)
    room.join(*names(200))
    room.raw("HSET", room.keys.rate, "tokens", 3, "tokens_at", room.now_ms() + 3_600_000)
    first = room.take()
    assert first.outcome.admitted == 3
    room.reach(first.to_ms + 5)
    second = room.take()
    assert 5 <= second.outcome.admitted <= second.to_ms - first.from_ms + 1


def test_a_full_store_still_lets_in(room: Room) -> None:
    """Its memory frees as the line gets shorter, so the line must not stop."""
    room.open(idle_ms=16_000, admit_per_s=0.01)
    room.join("a", "b", "c")
    room.silence("b", 18_000)
    room.give_tokens(2)
    with no_memory(room.server):
        assert room.admit(2, holder="one") == Moved(1, 1, 1, 49_999, 1)
    assert states(room, *"abc") == ["READY", "EXPIRED", "WAITING"]
    assert room.findings() == []


@pytest.mark.parametrize(
    "planted",
    [
        pytest.param(("SET", "record", "no record"), id="the record has another type"),
        pytest.param(("HSET", "record", "longest_ms", "long"), id="the record is no number"),
        pytest.param(("HSET", "room", "overtaken", "many"), id="a counter is no number"),
        pytest.param(("HSET", "rate", "count", "many", "since", "0"), id="the rate is no number"),
    ],
)
def test_statistics_that_fail_leave_the_admission_done(
    room: Room, planted: tuple[str, ...]
) -> None:
    room.open(active_max=10, admit_per_s=0.01)
    room.join(*"abc")
    room.give_tokens(2)
    # Two places higher than those who wait: a visitor admitted now has been overtaken.
    room.raw("HSET", room.keys.record, "last_place", 9, "last_at", room.now_ms() + 60_000)
    verb, key, *words = planted
    if verb == "SET":
        room.raw("DEL", getattr(room.keys, key))
    room.raw(verb, getattr(room.keys, key), *words)
    assert room.admit(holder="one") == Moved(admitted=2, passed=0, waiting=1, free=8, due=0)
    assert states(room, *"abc") == ["READY", "READY", "WAITING"]
    assert room.raw("HGET", room.keys.room, "admitted") == "2"
    assert float(room.raw("HGET", room.keys.rate, "tokens")) < 1
    assert isinstance(room.admit(holder="two"), Leased)


def test_a_failure_before_anybody_moves_changes_nothing(room: Room) -> None:
    room.open()
    room.join("a")
    room.raw("DEL", room.keys.rate)
    room.raw("SET", room.keys.rate, "no bucket")
    before = room.stored()
    with pytest.raises(CommandError, match="WRONGTYPE"):
        room.admit(holder="one")
    assert room.stored() == before
