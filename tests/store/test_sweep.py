"""The sweep: frees expired slots, and forgets visitors who lapsed long ago."""

import pytest

from tests.store.room import Room, no_memory
from waitline.kernel.ids import VisitorId
from waitline.queue.model import UNKNOWN, Again, Passed, Slot, State, Swept, Unknown


def lapse(room: Room, *names: str) -> None:
    """Let visitors in and their time run out."""
    slots = room.let_in(*names)
    room.reach(max(slot.expires_ms for slot in slots))


def test_whose_time_ran_out_moves_to_the_lapsed(room: Room) -> None:
    room.open(ready_ttl_ms=60_000, active_ttl_ms=10)
    room.let_in("stays", "a", "b")
    (one, two) = room.activate("a", "b")
    assert isinstance(one, Slot)
    assert isinstance(two, Slot)
    room.reach(two.expires_ms)
    assert room.sweep() == Swept(lapsed=2, forgotten=0, more=False)
    assert room.sweep() == Swept(lapsed=0, forgotten=0, more=False)
    assert room.status("a") == [one._replace(state=State.EXPIRED)]
    survey = room.survey()
    assert (survey.admitted, survey.counters["lapsed"]) == (1, 2)
    assert room.findings() == []


@pytest.mark.parametrize(
    "mark", ["|7|7|7|7", "|7|7|7|7|7|7;a", ";;;;;;;;", ":1:2:3;4", "\0\n\r\x7f%a.+", "99999999"]
)
def test_marks_of_any_characters(room: Room, mark: str) -> None:
    """A visitor chooses the key, so the mark may look like the rest of what is stored."""

    def joined(name: str) -> Again | Slot | Passed:
        (outcome,) = room.server.wait(room.line.join(room.id, [VisitorId(name)], [mark]))
        assert isinstance(outcome, Again | Slot | Passed)
        return outcome

    room.open(active_ttl_ms=10, return_ms=60_000)
    for name in ("passed", "a"):
        room.server.wait(room.line.join(room.id, [VisitorId(name)], [mark]))
        assert joined(name).mark == mark
    room.pass_over("passed")
    assert joined("passed").mark == mark
    room.rejoin("passed")
    room.status("passed")
    assert joined("passed").mark == mark
    room.give_tokens(2)
    room.take()
    assert joined("a").mark == mark
    slots = room.activate("a", "passed")
    ends_ms = [slot.expires_ms for slot in slots if isinstance(slot, Slot)]
    room.reach(max(ends_ms))
    assert room.sweep().lapsed == 2
    standings = room.status("a", "passed")
    assert [slot.expires_ms for slot in standings if isinstance(slot, Slot)] == ends_ms
    assert room.findings() == []


def test_a_slot_is_collected_at_its_end_and_not_before(room: Room) -> None:
    room.open(ready_ttl_ms=60_000)
    room.let_in("a", "b")
    now_ms = room.now_ms()
    for name, ends_ms in (("a", now_ms), ("b", now_ms + 30_000)):
        room.raw("ZADD", room.keys.admitted, ends_ms, name)
    assert room.sweep() == Swept(1, 0, more=False)
    assert list(room.raw("ZRANGE", room.keys.admitted, 0, -1)) == ["b"]


def test_a_collected_slot_is_free_for_the_next(room: Room) -> None:
    room.open(ready_ttl_ms=10, active_max=1)
    lapse(room, "a")
    room.join("b")
    room.give_tokens(1)
    assert room.take().outcome.free == 0
    room.sweep()
    room.give_tokens(1)
    assert room.take().outcome.admitted == 1


def test_one_call_collects_a_chunk_and_says_that_there_may_be_more(room: Room) -> None:
    room.open(ready_ttl_ms=10)
    lapse(room, *"abcde")
    assert [room.sweep(2) for _ in range(3)] == [
        Swept(2, 0, more=True),
        Swept(2, 0, more=True),
        Swept(1, 0, more=False),
    ]


def test_the_lapsed_are_forgotten_after_a_while(room: Room) -> None:
    room.open(ready_ttl_ms=10)
    lapse(room, *"abc")
    room.sweep()
    assert room.forget(kept_ms=60_000, lapsed_max=100) == ["swept", 0, 0, 0]
    assert [one.state for one in room.status("a") if isinstance(one, Slot)] == [State.EXPIRED]
    room.reach(room.now_ms() + 2)
    assert room.forget(chunk_max=2, kept_ms=1, lapsed_max=100) == ["swept", 0, 2, 1]
    assert room.forget(chunk_max=2, kept_ms=1, lapsed_max=100) == ["swept", 0, 1, 0]
    assert room.status(*"abc") == [UNKNOWN] * 3
    assert room.findings() == []


def test_too_many_lapsed_are_forgotten_oldest_first(room: Room) -> None:
    room.open(ready_ttl_ms=10, idle_ms=60_000)
    for name in "abcd":
        lapse(room, name)
        room.sweep()
    room.join("e")
    room.pass_over("e")
    assert room.forget(chunk_max=2, kept_ms=60_000, lapsed_max=2) == ["swept", 0, 2, 1]
    assert room.forget(chunk_max=2, kept_ms=60_000, lapsed_max=2) == ["swept", 0, 1, 0]
    kinds = [type(one) for one in room.status(*"abcde")]
    assert kinds == [Unknown, Unknown, Unknown, Slot, Passed]


def test_a_full_store_still_collects(room: Room) -> None:
    room.open(ready_ttl_ms=10)
    lapse(room, "a")
    with no_memory(room.server):
        assert room.sweep() == Swept(1, 0, more=False)
    assert room.findings() == []


def test_where_there_is_no_room_there_is_nothing_to_sweep(room: Room) -> None:
    assert room.sweep() == Swept(0, 0, more=False)
    assert room.stored() == {}
