"""The listening clock of a room: outages and steps of the server's clock count for nobody.

`Room.step` moves the server's clock as the room sees it. Put forward and followed by a beat, it is
an outage of that length.
"""

import pytest

from tests.store.room import Room, no_memory
from waitline.kernel.errors import Refused
from waitline.kernel.ids import VisitorId
from waitline.queue.listening import Listening
from waitline.queue.model import Held, Leased, Moved, Slot, State, Swept, Waiting

HOUR_MS = 3_600_000

# What lua/include/listening.lua lets count after a beat.
GAP_MS = 2_000

STEPS = [
    pytest.param(HOUR_MS, id="an hour forward, or an outage"),
    pytest.param(16_000, id="16 s forward, or an outage"),
    pytest.param(-HOUR_MS, id="an hour back"),
]


def inside(room: Room) -> None:
    """Have one visitor of each kind, and a beat."""
    room.open(ready_ttl_ms=10_000, active_ttl_ms=10_000, idle_ms=10_000, admit_per_s=1000)
    room.beat()
    room.let_in("ready", "active")
    room.activate("active")
    room.join("waits")
    room.silence("waits", 6_000)


def states(room: Room, *names: str) -> list[State]:
    return [one.state for one in room.validate(*names) if isinstance(one, Slot)]


@pytest.mark.parametrize("step_ms", STEPS)
@pytest.mark.parametrize("beats", [False, True], ids=["before anybody noticed", "afterwards"])
def test_a_step_or_outage_counts_for_nobody(room: Room, step_ms: int, *, beats: bool) -> None:
    inside(room)
    room.step(step_ms)
    if beats:
        assert room.beat() == Swept(0, 0, more=False)
        # `step` has moved what was lost the other way; all of it but the gap is lost again.
        assert -GAP_MS <= room.lost_ms <= 500
    assert states(room, "ready", "active") == [State.READY, State.ACTIVE]
    # Without a beat there is only the little that counts before anybody has noticed.
    assert room.sweep() == Swept(0, 0, more=False)
    room.give_tokens(1)
    outcome = room.admit(heard_ms=room.now_ms())
    assert isinstance(outcome, Moved)
    assert (outcome.admitted, outcome.passed) == (1, 0)
    assert states(room, "ready", "active", "waits") == [State.READY, State.ACTIVE, State.READY]
    assert room.extend("active") != []
    assert room.survey().counters["lapsed"] == 0


def test_silence_during_listening_time_passes_a_visitor_over(room: Room) -> None:
    inside(room)
    room.silence("waits", 10_700)
    room.raw("HSET", room.keys.room, "resumed_ms", 0)
    room.give_tokens(1)
    outcome = room.admit(heard_ms=room.now_ms())
    assert isinstance(outcome, Moved)
    assert (outcome.admitted, outcome.passed) == (0, 1)


def test_after_an_outage_silence_counts_from_its_end(room: Room) -> None:
    """A visitor who was nearly silent enough before it may have tried during it."""
    inside(room)
    room.silence("waits", 10_500)
    room.step(16_000)
    room.beat()
    room.give_tokens(1)
    outcome = room.admit(heard_ms=room.now_ms())
    assert isinstance(outcome, Moved)
    assert (outcome.admitted, outcome.passed) == (1, 0)


def test_turns_and_stays_end_while_we_listen(room: Room) -> None:
    room.open(ready_ttl_ms=300, active_ttl_ms=300)
    room.beat()
    room.let_in("ready", "active")
    room.activate("active")
    last_ms = max(
        one.expires_ms for one in room.validate("ready", "active") if isinstance(one, Slot)
    )
    room.reach(last_ms)
    assert room.beat() == Swept(2, 0, more=False)


@pytest.mark.parametrize("step_ms", STEPS)
def test_expiry_is_answered_in_the_servers_time_and_moves_with_it(room: Room, step_ms: int) -> None:
    inside(room)
    (before,) = room.status("ready")
    assert isinstance(before, Slot)
    room.step(step_ms)
    room.beat()
    lost_ms = room.lost_ms
    for ask in (room.status, room.validate, room.join):
        (one,) = ask("ready")
        assert isinstance(one, Slot)
        # As the room sees it, the server's clock was behind by the step before.
        assert one.expires_ms == before.expires_ms + lost_ms
    (active,) = room.extend("active")
    assert isinstance(active, Slot)
    assert 9_000 < active.expires_ms - room.now_ms() <= 10_000
    assert room.activate("active") == [active]


@pytest.mark.parametrize("mark", ["", ";|7|7|7|7"])
def test_the_expiry_of_a_lapsed_slot_moves_no_more(room: Room, mark: str) -> None:
    inside(room)
    room.step(HOUR_MS)
    room.beat()
    over_ms = room.now_ms() - 60_000
    room.raw("HSET", room.keys.slots, "ready", f"R|1|1|1|0|{over_ms}{mark}")
    room.raw("ZADD", room.keys.admitted, over_ms, "ready")
    (before,) = room.status("ready")
    assert isinstance(before, Slot)
    assert before.state is State.EXPIRED
    assert room.beat() == Swept(1, 0, more=False)
    assert room.status("ready") == [before]
    room.step(HOUR_MS)
    room.beat()
    assert room.status("ready") == [before]
    assert room.findings() == []


def test_nobody_is_admitted_while_nobody_listens(room: Room) -> None:
    inside(room)
    room.step(GAP_MS + 1)
    room.give_tokens(1)
    assert isinstance(room.admit(), Held)
    assert isinstance(room.admit(heard_ms=room.now_ms() - GAP_MS - 1), Held)
    assert isinstance(room.admit(heard_ms=room.now_ms() + HOUR_MS), Held)
    assert isinstance(room.admit(heard_ms=room.now_ms()), Moved)


def test_a_room_that_slept_passes_nobody_over(room: Room) -> None:
    """Its last beat is old; nobody was inside, so nothing of it counts."""
    room.open(idle_ms=10_000)
    room.beat()
    room.step(24 * HOUR_MS)
    room.join("first")
    room.beat()
    room.give_tokens(1)
    outcome = room.admit(heard_ms=room.now_ms())
    assert isinstance(outcome, Moved)
    assert (outcome.admitted, outcome.passed) == (1, 0)


def test_a_room_without_a_beat_has_the_servers_time(room: Room) -> None:
    """As rooms of an older version, and rooms that no admitter has visited."""
    room.open(idle_ms=10_000, ready_ttl_ms=10_000)
    room.let_in("ready")
    room.join("waits", "silent")
    room.silence("waits", 9_000)
    room.silence("silent", 11_000)
    (before,) = room.status("ready")
    room.give_tokens(2)
    outcome = room.admit()
    assert isinstance(outcome, Moved)
    assert (outcome.admitted, outcome.passed) == (1, 1)
    room.beat()
    assert room.lost_ms == 0
    assert room.status("ready") == [before]


@pytest.mark.parametrize("step_ms", STEPS)
def test_a_step_fills_no_bucket_and_empties_none(room: Room, step_ms: int) -> None:
    room.open(admit_per_s=1, admit_burst=2)
    room.join(*"abcdef")
    room.beat()
    room.give_tokens(2)
    assert taken(room, 1_000) == 2
    room.step(step_ms)
    assert taken(room, 1_001) == 0
    # After a step back listening time goes on from the last beat, so that it takes this longer.
    room.reach(room.now_ms() + 1_300)
    assert taken(room, 2_400) == 1


def taken(room: Room, mono_ms: int, holder: str = "h") -> int:
    """Admit as an admitter does whose monotonic clock shows that; return how many."""
    outcome = room.admit(holder=holder, lease_ms=1, heard_ms=room.now_ms(), mono_ms=mono_ms)
    assert isinstance(outcome, Moved)
    return outcome.admitted


def test_another_admitter_takes_over_a_bucket_that_a_step_did_not_fill(room: Room) -> None:
    room.open(admit_per_s=1, admit_burst=2)
    room.join(*"abcdef")
    room.beat()
    room.give_tokens(2)
    assert taken(room, 77_000, "a") == 2
    room.step(HOUR_MS)
    assert taken(room, 5, "b") == 0


@pytest.mark.parametrize("step_ms", STEPS)
def test_a_lease_lasts_as_long_as_it_says_whatever_the_clock(room: Room, step_ms: int) -> None:
    room.open(admit_per_s=1000)
    room.join("a", "b")
    room.beat()
    room.give_tokens(1)
    room.admit(1, holder="h", lease_ms=5_000, heard_ms=room.now_ms())
    room.step(step_ms)
    refused = room.admit(1, holder="other", lease_ms=5_000, heard_ms=room.now_ms())
    assert isinstance(refused, Leased)
    assert 2_000 < refused.remaining_ms <= 5_000 + GAP_MS


def test_what_is_lost_is_not_forgotten_in_a_full_store(room: Room) -> None:
    inside(room)
    room.step(HOUR_MS)
    with no_memory(room.server):
        room.beat()
        assert -GAP_MS <= room.lost_ms <= 500
        (one,) = room.status("waits")
        assert isinstance(one, Waiting)
    assert room.now_ms() - room.lost_ms - room.heard("waits")[1] < GAP_MS


def test_the_allowance_for_streams_is_no_further_away_after_a_step_back(room: Room) -> None:
    room.open()
    room.raw("ZADD", room.keys.streams, room.now_ms() + HOUR_MS, "v")
    for _ in range(10):
        room.server.wait(room.line.subscribe(room.id, VisitorId("v")))
    with pytest.raises(Refused):
        room.server.wait(room.line.subscribe(room.id, VisitorId("v")))


def test_workers_beat_in_a_full_store_too(room: Room) -> None:
    listening = Listening(room.store)
    assert room.server.wait(listening.heard_ms()) == 0
    for _ in range(2):
        before_ms = room.now_ms()
        with no_memory(room.server):
            room.server.wait(listening.beat())
        assert before_ms <= room.server.wait(listening.heard_ms()) <= room.now_ms()


@pytest.mark.parametrize(("ahead_ms", "counts"), [(400, True), (900, True), (60_000, False)])
def test_a_beat_by_another_nodes_clock_counts_now(
    room: Room, ahead_ms: int, *, counts: bool
) -> None:
    """In a cluster the beat is on a node whose clock may be ahead of the room's."""
    room.open()
    room.beat()
    room.step(HOUR_MS)
    room.sweep(heard_ms=room.now_ms() + ahead_ms)
    beat_ms = int(room.raw("HGET", room.keys.room, "beat_ms"))
    assert (abs(room.now_ms() - beat_ms) < GAP_MS) is counts
