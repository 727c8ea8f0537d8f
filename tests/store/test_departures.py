"""The consumer of payment events: a visitor who has paid leaves, exactly once."""

from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

import pytest
from typing_extensions import override

from tests.store.room import Room
from waitline.admission import payment_events
from waitline.admission.payment_events import Backlog, DeadLetters, PaymentEvents
from waitline.kernel import events
from waitline.kernel.ids import RoomId, VisitorId
from waitline.queue.model import BATCH_MAX, UNKNOWN, Slot, Waiting
from waitline.queue.store import Line
from waitline.valkey.client import ValkeyClient

T = TypeVar("T")

# A busy machine is no failure here.
TIMEOUT_S = 20.0


class Reading:
    """A room, a reader of the events, and somebody who sends them."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.server = room.server
        self.store = ValkeyClient(self.server.url, timeout_s=TIMEOUT_S)
        self.reader = self.named("one")
        self.letters = DeadLetters(self.store)
        self.wait(self.reader.prepare())

    def named(self, name: str) -> PaymentEvents:
        return PaymentEvents(self.store, self.room.line, name=name)

    def wait(self, call: Coroutine[Any, Any, T]) -> T:
        return self.server.wait(call)

    def tell(self, visitor: str, age_ms: int = 0, **fields: str | int) -> str:
        """Put an event into the stream; return its entry's id."""
        received = {
            "topic": events.PAYMENT_COMPLETED,
            "eventId": "e",
            "concertId": self.room.id,
            "userId": visitor,
            "ageMs": age_ms,
            **fields,
        }
        words = [word for pair in received.items() for word in pair]
        entry_id: str = self.room.raw("XADD", events.STREAM, "*", *words)
        return entry_id

    def read(self) -> int:
        return self.wait(self.reader.read_batch(0.001))

    def unhandled(self) -> int:
        return self.wait(self.letters.backlog()).unhandled

    def dead(self) -> list[payment_events.DeadLetter]:
        return self.wait(self.letters.letters())

    def pass_time(self) -> None:
        """Let the server's clock go on, so that what comes now is later than what was before."""
        self.room.reach(self.room.now_ms() + 2)

    def close(self) -> None:
        self.wait(self.store.close())


@pytest.fixture
def reading(room: Room) -> Iterator[Reading]:
    room.open()
    reading = Reading(room)
    yield reading
    reading.close()


@pytest.mark.parametrize("state", ["ready", "active", "expired", "waiting"])
def test_who_has_paid_is_gone(reading: Reading, state: str) -> None:
    room = reading.room
    if state == "waiting":
        room.join("a")
    else:
        room.change(ready_ttl_ms=10 if state == "expired" else 60_000)
        (slot,) = room.let_in("a")
        if state == "active":
            room.activate("a")
        if state == "expired":
            room.reach(slot.expires_ms)
    reading.tell("a")
    assert reading.read() == 1
    assert room.status("a") == [UNKNOWN]
    left = {"ready": "left", "active": "left", "expired": "lapsed", "waiting": "abandoned"}[state]
    assert room.survey().counters[left] == 1
    assert reading.unhandled() == 0
    assert room.findings() == []


def test_nobody_else_leaves(reading: Reading) -> None:
    reading.room.let_in("a", "b")
    reading.tell("a")
    reading.tell("stranger")
    reading.tell("b", concertId="elsewhere")
    assert reading.read() == 3
    assert isinstance(reading.room.status("b")[0], Slot)
    assert reading.unhandled() == 0
    assert reading.dead() == []


def test_an_event_is_no_contact(reading: Reading) -> None:
    room = reading.room
    reading.tell("a")
    reading.pass_time()
    room.join("a")
    room.silence("a", 500_000)
    long_ago = room.heard("a")
    assert reading.read() == 1
    assert room.heard("a") == long_ago


def test_a_repeat_leaves_who_came_back_in_peace(reading: Reading) -> None:
    """The second sending of an event is older than the first by what lies between."""
    room = reading.room
    room.let_in("a")
    sent_ms = int(reading.tell("a").partition("-")[0])
    reading.read()
    reading.pass_time()
    room.join("a")
    reading.pass_time()
    reading.tell("a", age_ms=room.now_ms() - sent_ms)
    assert reading.read() == 1
    assert isinstance(room.status("a")[0], Waiting)
    room.call("a")
    reading.tell("a", age_ms=room.now_ms() - sent_ms)
    assert reading.read() == 1
    assert isinstance(room.status("a")[0], Slot)
    assert reading.unhandled() == 0


def test_an_entry_that_is_handled_twice_harms_nobody(reading: Reading) -> None:
    """A reader that died before it could note what it did has done it all the same."""
    room = reading.room
    room.let_in("a")
    reading.tell("a")
    room.raw("XREADGROUP", "GROUP", payment_events.GROUP, "dead", "STREAMS", events.STREAM, ">")
    room.leave("a")
    reading.pass_time()
    room.join("a")
    assert reading.wait(reading.reader.take_over(idle_ms=0)) == 1
    assert isinstance(room.status("a")[0], Waiting)
    assert reading.unhandled() == 0


def test_who_has_paid_long_ago_and_stayed_leaves(reading: Reading) -> None:
    """An event that comes late still ends the stay that it was paid in."""
    room = reading.room
    room.let_in("a")
    paid_ms = room.now_ms()
    reading.pass_time()
    reading.tell("a", age_ms=room.now_ms() - paid_ms)
    reading.read()
    assert room.status("a") == [UNKNOWN]


def test_who_comes_back_between_the_two_calls_is_a_stranger(reading: Reading) -> None:
    place = reading.room
    place.let_in("a")
    reading.tell("a")

    class Interrupted(Line):
        """A line in which the visitor leaves and comes back just before being let go."""

        @override
        async def leave(self, room: RoomId, claims: Any) -> Any:
            await super().leave(room, [(VisitorId("a"), 0)])
            await super().join(room, [VisitorId("a")])
            return await super().leave(room, claims)

    reader = PaymentEvents(reading.store, Interrupted(place.store), name="one")
    assert reading.wait(reader.read_batch(0.001)) == 1
    assert isinstance(place.status("a")[0], Waiting)


def test_a_batch_is_bounded_and_groups_visitors_by_room(reading: Reading) -> None:
    room = reading.room
    room.change(admit_burst=BATCH_MAX + 4)
    names = [f"v{number}" for number in range(BATCH_MAX + 4)]
    for part in (names[:200], names[200:]):
        room.let_in(*part)
    for name in names:
        reading.tell(name)
    assert [reading.read(), reading.read(), reading.read()] == [BATCH_MAX, 4, 0]
    assert room.survey().admitted == 0
    assert room.survey().counters["left"] == len(names)


def test_two_payments_of_one_visitor_are_one_departure(reading: Reading) -> None:
    reading.room.let_in("a")
    reading.tell("a")
    reading.tell("a")
    assert reading.read() == 2
    assert reading.room.survey().counters["left"] == 1


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        pytest.param({"concertId": " "}, "concertId", id="blank room"),
        pytest.param({"userId": ""}, "userId", id="no visitor"),
        pytest.param({"userId": "x" * 129}, "userId", id="long visitor"),
        pytest.param({"ageMs": "soon"}, "ageMs", id="no number"),
        pytest.param({"ageMs": "-1"}, "ageMs", id="negative"),
        pytest.param({"ageMs": "9" * 14}, "ageMs", id="no age"),
    ],
)
def test_malformed_events_are_put_aside_and_hold_up_nothing(
    reading: Reading, fields: dict[str, Any], reason: str
) -> None:
    reading.room.let_in("a")
    entry_id = reading.tell("b", **fields)
    reading.tell("a")
    assert reading.read() == 2
    assert reading.room.status("a") == [UNKNOWN]
    (letter,) = reading.dead()
    assert letter.fields["entry"] == entry_id
    assert fields.items() <= letter.fields.items()
    assert reason in letter.reason
    assert reading.wait(reading.letters.backlog()) == Backlog(0, 0, 1)


def test_what_is_no_text_is_put_aside(reading: Reading) -> None:
    words = ("topic", events.PAYMENT_COMPLETED, "concertId", "r", "ageMs", 0, "userId", b"\xff")
    reading.room.raw("XADD", events.STREAM, "*", *words)  # type: ignore[arg-type]  # a stranger's
    assert reading.read() == 1
    assert len(reading.dead()) == 1


def test_other_topics_are_passed_over(reading: Reading) -> None:
    reading.room.let_in("a")
    reading.tell("a", topic="booking.payment.refunded")
    assert reading.read() == 1
    assert isinstance(reading.room.status("a")[0], Slot)
    assert (reading.unhandled(), reading.dead()) == (0, [])


def test_a_broken_room_holds_up_no_other_and_can_be_tried_again(reading: Reading) -> None:
    room = reading.room
    broken = Room(room.server, "broken")
    broken.open()
    broken.raw("SET", broken.keys.slots, "no hash")
    room.let_in("a")
    reading.tell("a", concertId="broken")
    reading.tell("a")
    assert reading.read() == 2
    assert room.status("a") == [UNKNOWN]
    (letter,) = reading.dead()
    assert "WRONGTYPE" in letter.reason

    broken.raw("DEL", broken.keys.slots)
    broken.let_in("a")
    came_back = reading.wait(reading.letters.retry([letter.letter_id]))
    assert (came_back, reading.dead()) == (1, [])
    reading.read()
    assert isinstance(broken.status("a")[0], Slot), "the stay began after the payment"
    broken.close()


def test_a_dead_event_that_is_tried_again_ends_the_stay_it_was_paid_in(reading: Reading) -> None:
    room = reading.room
    slots, aside = room.keys.slots, f"{room.keys.slots}:aside"
    room.let_in("a")
    reading.tell("a")
    room.raw("RENAME", slots, aside)
    room.raw("SET", slots, "no hash")
    reading.read()
    assert len(reading.dead()) == 1
    room.raw("DEL", slots)
    room.raw("RENAME", aside, slots)
    assert reading.wait(reading.letters.retry(None)) == 1
    reading.read()
    assert room.status("a") == [UNKNOWN]
    assert (reading.unhandled(), reading.dead()) == (0, [])


def test_dead_letters_are_bounded(reading: Reading, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payment_events, "DEAD_MAX", 100)
    for _ in range(600):
        reading.tell("")
    while reading.read():
        pass
    # The server trims whole nodes of a hundred entries.
    assert 100 <= reading.wait(reading.letters.backlog()).dead <= 300


def test_what_a_dead_reader_left_is_taken_over(reading: Reading) -> None:
    room = reading.room
    room.let_in("a")
    reading.tell("a")
    room.raw("XREADGROUP", "GROUP", payment_events.GROUP, "dead", "STREAMS", events.STREAM, ">")
    assert reading.read() == 0
    assert reading.unhandled() == 1
    assert reading.wait(reading.reader.take_over()) == 0, "it may be at work still"
    assert reading.wait(reading.reader.take_over(idle_ms=0)) == 1
    assert room.status("a") == [UNKNOWN]
    assert reading.unhandled() == 0


def test_readers_that_have_ended_are_forgotten_unless_they_have_left_something(
    reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = reading.room
    reading.tell("a")
    room.raw("XREADGROUP", "GROUP", payment_events.GROUP, "holds", "STREAMS", events.STREAM, ">")
    room.raw("XGROUP", "CREATECONSUMER", events.STREAM, payment_events.GROUP, "idle")
    reading.wait(reading.reader.prepare())
    names = {"holds", "idle"}
    assert {
        each["name"] for each in room.raw("XINFO", "CONSUMERS", events.STREAM, "queue")
    } == names
    monkeypatch.setattr(payment_events, "GONE_MS", -1)
    reading.wait(reading.reader.prepare())
    (left,) = room.raw("XINFO", "CONSUMERS", events.STREAM, "queue")
    assert left["name"] == "holds"


def test_the_backlog_is_counted_before_the_first_read(room: Room) -> None:
    letters = DeadLetters(room.store)
    assert room.server.wait(letters.backlog()) == Backlog(0, 0, 0)
    room.raw("XADD", events.STREAM, "*", "topic", "t")
    assert room.server.wait(letters.backlog()) == Backlog(1, 0, 0)
