"""Operator calls on rooms, and the survey of a room."""

from contextlib import suppress

import pytest

from tests.store.room import Room, no_memory
from waitline.kernel.errors import Unavailable
from waitline.kernel.ids import REHEARSALS, RoomId, VisitorId
from waitline.kernel.setting import SettingError
from waitline.queue import keys
from waitline.queue import rooms as subject
from waitline.queue.addresses import Addresses, Counted
from waitline.queue.hints import rate_range
from waitline.queue.limits import Limits
from waitline.queue.model import (
    COUNTERS,
    UNKNOWN,
    Joined,
    RoomExists,
    RoomNameReserved,
    RoomOccupied,
    RoomUnknown,
    TooManyRooms,
)
from waitline.queue.settings import Mode, Rules


def test_names_of_rehearsals_are_not_for_operators(room: Room) -> None:
    name = RoomId(f"{REHEARSALS}mine")
    with pytest.raises(RoomNameReserved):
        room.server.wait(room.rooms.create(name, Rules()))
    assert name not in room.server.wait(room.rooms.names())
    room.server.wait(room.rooms.add(name, Rules()))
    assert name in room.server.wait(room.rooms.names())


def test_opened_once(room: Room) -> None:
    room.open(active_max=7, mode=Mode.PAUSED, message="soon", shop_url="https://shop.example/")
    before = room.stored()
    with pytest.raises(RoomExists):
        room.open(active_max=8)
    assert not room.server.wait(room.rooms.ensure(room.id, Rules()))
    assert room.stored() == before
    assert room.server.wait(room.rooms.names()) == ["r"]
    survey = room.survey()
    assert survey.rules == Rules(
        mode=Mode.PAUSED,
        message="soon",
        shop_url="https://shop.example/",
        limits=Limits(active_max=7),
    )
    assert set(survey.counters) == set(COUNTERS)
    assert set(survey.counters.values()) == {0}
    numbers = (survey.waiting, survey.admitted, survey.serving, survey.last_place)
    assert numbers == (0, 0, 0, 0)


def test_a_new_room_has_no_admission_to_give_yet(room: Room) -> None:
    before_ms = room.now_ms()
    room.open()
    bucket = room.raw("HGETALL", room.keys.rate)
    assert bucket["tokens"] == "0"
    assert before_ms <= int(bucket["tokens_at"]) <= room.now_ms()


def test_names_are_sorted_and_bounded(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "ROOMS_MAX", 3)
    others = [Room(room.server, name) for name in ("b", "가", "a", "c")]
    for other in others[:3]:
        other.open()
    assert room.server.wait(room.rooms.names()) == ["a", "b", "가"]
    with pytest.raises(TooManyRooms):
        others[3].open()
    # One that is there already is no more than before.
    with pytest.raises(RoomExists):
        others[0].open()
    for other in others:
        other.close()


def test_a_name_without_a_room_is_completed(room: Room) -> None:
    """The process that made the room died between the two steps."""
    room.raw("SADD", "wl:rooms", "r")
    room.open()
    assert room.survey().last_place == 0


def test_a_change_keeps_the_rest(room: Room) -> None:
    room.open(active_max=7, message="soon")
    changed = room.change(active_max=8, mode="paused", admit_per_s=0.5)
    limits = Limits(active_max=8, admit_per_s=0.5)
    assert changed == Rules(mode=Mode.PAUSED, message="soon", limits=limits)
    assert room.survey().rules == changed
    assert int(room.raw("HGET", room.keys.room, "changed_ms")) <= room.now_ms()


def test_a_change_of_nothing_changes_nothing(room: Room) -> None:
    room.open()
    before = room.stored()
    assert room.change() == Rules()
    assert room.stored() == before


def test_a_refused_change_changes_nothing(room: Room) -> None:
    room.open()
    before = room.stored()
    with pytest.raises(SettingError):
        room.change(active_max=5, waiting_max=0)
    with no_memory(room.server), pytest.raises(Unavailable):
        room.change(active_max=5)
    assert room.stored() == before


@pytest.mark.parametrize("verb", ["change", "reset", "survey", "delete"])
def test_no_room(room: Room, verb: str) -> None:
    with pytest.raises(RoomUnknown):
        getattr(room, verb)()
    k = room.keys
    rows = room.server.wait(
        room.store.run(
            subject.CHANGE,
            (k.room, k.waiting, k.admitted, k.rate, k.changes),
            ("me", "active_max", 5),
        )
    )
    assert rows == [["no_room"]]
    assert room.stored() == {}


def test_reset_sends_everybody_out_and_keeps_the_sequence(room: Room) -> None:
    room.open(active_max=3, ready_ttl_ms=60_000)
    room.let_in("a", "b")
    room.join("c", "d", "e")
    room.server.wait(room.line.subscribe(room.id, "a"))  # type: ignore[arg-type]  # a name
    assert room.reset() == 5
    assert room.status(*"abcde") == [UNKNOWN] * 5
    survey = room.survey()
    assert (survey.waiting, survey.admitted, survey.last_place, survey.serving) == (0, 0, 5, 5)
    assert (survey.counters["entered"], survey.counters["removed"]) == (5, 5)
    assert survey.rules.limits.active_max == 3
    (anew,) = room.join("a")
    assert isinstance(anew, Joined)
    assert (anew.place, anew.ahead) == (6, 0)
    assert room.raw("HGET", room.keys.rate, "tokens") == "0"
    assert room.raw("EXISTS", room.keys.streams) == 0
    assert room.findings() == []
    assert room.reset() == 1
    assert room.reset() == 0


def left(room: Room) -> list[str]:
    """Return the keys of a room, and the registries that still name it."""
    registries = (keys.ROOMS, keys.REHEARSALS, keys.AWAKE, keys.OCCUPIED)
    naming = [name for name in registries if room.raw("SISMEMBER", name, room.id)]
    return naming + [key for key in room.keys if room.raw("EXISTS", key)]


def test_delete_leaves_nothing(room: Room) -> None:
    room.open(active_max=1, ready_ttl_ms=60_000)
    room.let_in("a")
    room.join("b", "c")
    room.server.wait(room.line.subscribe(room.id, "a"))  # type: ignore[arg-type]  # a name
    before = room.stored()
    with pytest.raises(RoomOccupied) as refused:
        room.delete()
    assert (refused.value.waiting, refused.value.admitted) == (2, 1)
    assert room.stored() == before
    assert room.delete(force=True) == 3
    assert left(room) == [room.keys.changes]


def test_whatever_reaches_a_room_after_its_deletion_writes_nothing(room: Room) -> None:
    """Admitters and workers look at a room, and it is deleted before they call."""
    room.open()
    room.delete()
    addresses, newcomer = Addresses(room.store), (VisitorId("a"), "203.0.113.7", "203.0.113.0/24")
    heard_ms = room.now_ms()
    for call in (
        lambda: room.join("a"),
        lambda: room.status("a"),
        lambda: room.validate("a"),
        lambda: room.activate("a"),
        lambda: room.extend("a"),
        lambda: room.leave("a"),
        lambda: room.sweep(heard_ms=heard_ms),
        lambda: room.admit(heard_ms=heard_ms),
        lambda: room.server.wait(addresses.allow(room.id, [newcomer])),
        lambda: room.server.wait(addresses.tally(room.id, [Counted(*newcomer[1:], 1, 1, "a")])),
        lambda: room.change(active_max=5),
        room.reset,
    ):
        with suppress(RoomUnknown):
            call()
        assert left(room) == [room.keys.changes]


def test_a_room_is_created_over_the_beat_that_an_earlier_version_left(room: Room) -> None:
    room.raw("HSET", room.keys.room, "beat_ms", 1, "lost_ms", 5)
    room.open()
    assert "lost_ms" not in room.stored()[room.keys.room]  # type: ignore[operator]  # a hash
    with pytest.raises(RoomExists):
        room.open()


def test_a_deletion_whose_answer_was_lost_can_be_repeated(room: Room) -> None:
    room.open()
    room.raw("UNLINK", *room.keys)
    assert room.delete() == 0
    assert room.raw("KEYS", "*") == []
    with pytest.raises(RoomUnknown):
        room.delete()


def test_serving_never_falls(room: Room) -> None:
    room.open(active_max=50)
    seen = [room.survey().serving]
    for step in (
        lambda: room.join(*"abcd"),
        lambda: room.leave("b"),
        lambda: room.call("a"),
        lambda: room.leave("c"),
        lambda: room.call("d"),
        lambda: room.join("e"),
        room.reset,
        lambda: room.join("f"),
    ):
        step()
        seen.append(room.survey().serving)
    assert seen == [0, 0, 0, 2, 3, 4, 4, 5, 5]


# A measurement lasts from one second to five.
MEASURED_MS = 4_000


def measure(room: Room, *counts: int) -> None:
    """Let time go by in which so many a second were admitted, while somebody waits."""
    room.raw("HSET", room.keys.rate, "tokens", 0)
    for count in counts:
        room.raw("HSET", room.keys.rate, "count", count * MEASURED_MS // 1_000)
        room.take(tokens_at=0, since=MEASURED_MS)


def test_the_rate_is_unknown_before_three_seconds_were_measured(room: Room) -> None:
    room.open(admit_per_s=0.01)
    room.join("a")
    assert (room.survey().rate_samples, room.survey().rate_mean) == (0, 0.0)
    for samples, known in ((1, False), (2, False), (3, True)):
        measure(room, 100)
        survey = room.survey()
        assert survey.rate_samples == samples
        pace = rate_range(survey.rate_mean, survey.rate_deviation, survey.rate_samples)
        assert (pace is not None) is known


def test_the_rate_is_the_mean_of_what_was_measured(room: Room) -> None:
    room.open(admit_per_s=0.01)
    room.join("a")
    measure(room, *[80, 120] * 10)
    survey = room.survey()
    assert survey.rate_mean == pytest.approx(100, rel=0.05)
    assert survey.rate_deviation == pytest.approx(20, rel=0.1)
    assert survey.rate_last == pytest.approx(120, rel=0.05)
    assert survey.rate_samples == 20


def test_the_rate_follows_a_change_of_pace(room: Room) -> None:
    room.open(admit_per_s=0.01)
    room.join("a")
    measure(room, *[100] * 15, *[500] * 7)
    # Exponential smoothing over 30 s: this much of the way is gone after 28 s.
    assert room.survey().rate_mean == pytest.approx(100 + 400 * 0.607, rel=0.05)


def test_only_seconds_in_which_somebody_waited_are_measured(room: Room) -> None:
    room.open()
    room.join("a")
    room.raw("HSET", room.keys.rate, "count", 39)
    room.give_tokens(1)
    room.take(since=4_000)
    survey = room.survey()
    assert (survey.rate_samples, survey.rate_mean) == (0, 0.0)
    assert survey.rate_last == pytest.approx(10, rel=0.05)


@pytest.mark.parametrize(
    "since_ms",
    [
        pytest.param(-3_600_000, id="nobody waited for an hour"),
        pytest.param(3_600_000, id="the clock was set back"),
    ],
)
def test_a_second_that_cannot_be_measured_is_left_out(room: Room, since_ms: int) -> None:
    room.open(admit_per_s=0.01)
    room.join("a")
    room.raw("HSET", room.keys.rate, "since", room.now_ms() + since_ms, "count", 50)
    room.take()
    assert room.survey().rate_samples == 0
    assert abs(int(room.raw("HGET", room.keys.rate, "since")) - room.now_ms()) < 100_000


def test_a_measurement_grows_stale(room: Room) -> None:
    room.open(admit_per_s=0.01)
    room.join("a")
    measure(room, 100)
    assert room.survey().rate_last > 0
    room.raw("HSET", room.keys.rate, "last_at", room.now_ms() - 3_100)
    assert room.survey().rate_last == 0.0


def recent(room: Room, *admissions: tuple[int, int]) -> float:
    """Admit so many, so many ms after the time before, and return the rate that is shown."""
    for count, after_ms in admissions:
        if count:
            room.join(*(f"{room.now_ms()}-{number}" for number in range(count)))
            room.give_tokens(count)
        fields = ("recent_at", "recent_from")
        last_ms, first_ms = (room.raw("HGET", room.keys.rate, field) for field in fields)
        lasted_ms = int(last_ms) - int(first_ms) if last_ms else 0
        ago = {"recent_at": after_ms, "recent_from": after_ms + lasted_ms} if last_ms else {}
        assert room.take(count, **ago).outcome.admitted == count
    return room.survey().rate_recent


def test_the_recent_rate_needs_no_line(room: Room) -> None:
    """Everybody is admitted at once, so nobody waits, and no wait could be estimated."""
    room.open(admit_burst=500)
    assert room.survey().rate_recent == 0.0
    # A room that has just begun shows the mean of its time.
    assert recent(room, (30, 0), *[(30, 3_000)] * 4, (0, 3_000)) == pytest.approx(10, rel=0.1)
    assert room.survey().rate_mean == 0.0
    # In the long run it shows the pace, not the last second.
    assert recent(room, *[(20, 2_000)] * 40, (0, 1_000)) == pytest.approx(10, rel=0.05)


def test_the_recent_rate_follows_the_pace_and_falls_to_nothing(room: Room) -> None:
    room.open(admit_burst=500)
    assert recent(room, *[(10, 1_000)] * 90) == pytest.approx(10, rel=0.05)
    halfway = recent(room, *[(50, 1_000)] * 20)
    # This much of the way is gone after 20 s.
    assert halfway == pytest.approx(10 + 40 * 0.487, rel=0.05)
    assert recent(room, (0, 30_000)) == pytest.approx(halfway * 0.368, rel=0.05)
    assert recent(room, (0, 300_000)) < 0.05
    # After a pause the new pace shows at once.
    assert recent(room, *[(90, 3_000)] * 5, (0, 3_000)) == pytest.approx(30, rel=0.1)


def test_the_recent_rate_ignores_a_time_before_a_reset_or_a_clock_set_back(room: Room) -> None:
    room.open(admit_burst=500)
    assert recent(room, (200, 0)) > 100
    room.reset()
    assert room.survey().rate_recent == 0.0
    assert recent(room, (10, 0), (10, -3_600_000), (10, 10_000)) == pytest.approx(2, rel=0.1)
