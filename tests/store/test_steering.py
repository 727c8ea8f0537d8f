"""Following the shop: what was reported becomes what a room admits, at the admitter's rounds."""

from collections.abc import Iterator

import msgspec
import pytest

from tests.store.room import TIMEOUT_S, Room, no_memory
from waitline.admission.controller import EVERY_MS, AdmissionController
from waitline.admission.policy import SILENT_MS
from waitline.admission.shop_reports import ShopReports
from waitline.kernel.events import REPORTS, InStock, Report
from waitline.kernel.ids import RoomId
from waitline.queue import rooms as keeping
from waitline.queue.decision import Reason, ShopReport, WhenSilent
from waitline.queue.model import Held, Moved, Slot, Survey
from waitline.queue.rooms import Rooms
from waitline.valkey.client import ValkeyClient


class Shop:
    """A shop that reports by hand, and one who listens to it."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.store = ValkeyClient(room.server.url, timeout_s=TIMEOUT_S)
        self.start()

    def start(self) -> None:
        """Listen as one who knows nothing yet."""
        self.reports = ShopReports(self.store)
        self.controller = AdmissionController(Rooms(self.store), self.reports)

    def says(
        self, free: int, live: int = 0, load: float = 0.1, worker: str = "a", ago_ms: int = 0
    ) -> None:
        stock = {str(self.room.id): InStock(free, live)}
        self.writes(msgspec.json.encode(Report(worker, load, stock)).decode(), ago_ms)

    def writes(self, text: str, ago_ms: int = 0, field: str = "report") -> None:
        at = f"{self.room.now_ms() - ago_ms}-*" if ago_ms else "*"
        self.room.raw("XADD", REPORTS, at, field, text)

    def look(self, *, decided_ms: int = EVERY_MS) -> Survey:
        """Decide as at a look; what was decided before was so that long ago."""
        if noted := self.room.raw("HGET", self.room.keys.room, "now_ms"):
            self.room.raw("HSET", self.room.keys.room, "now_ms", int(noted) - decided_ms)

        async def looked() -> None:
            await self.controller.refresh()
            for room in self.controller.due({self.room.id}, looking=True):
                await self.controller.decide(room)

        self.room.server.wait(looked())
        return self.room.survey()

    def decides(self) -> Reason:
        decision = self.look().decision
        assert decision is not None
        return decision.reason


@pytest.fixture
def shop(room: Room) -> Iterator[Shop]:
    made = Shop(room)
    yield made
    room.server.wait(made.store.close())


def names(count: int) -> list[str]:
    return [f"v{number}" for number in range(count)]


def admitted(room: Room) -> int:
    """Admit whatever may be admitted, whatever the rate."""
    total = 0
    while True:
        room.give_tokens(250)
        outcome = room.admit()
        if not isinstance(outcome, Moved) or not outcome.admitted:
            return total
        total += outcome.admitted


def test_a_room_without_a_shop_admits_as_ever(shop: Shop, room: Room) -> None:
    room.open()
    room.join(*names(20))
    other = Room(room.server, "other")
    other.open()
    before = room.stored()
    shop.look()
    assert shop.look().decision is None
    assert room.stored() == before
    Shop(other).says(0)
    assert shop.look().decision is None
    assert admitted(room) == 20
    other.close()


def test_the_last_seats_draw_as_many_as_there_are(shop: Shop, room: Room) -> None:
    room.open()
    room.join(*names(200))
    shop.says(7)
    assert shop.decides() is Reason.LAST_SEATS
    assert admitted(room) == 7
    # Those who leave make no way for others: seven may still choose.
    room.leave("v0", "v1")
    assert admitted(room) == 0
    assert shop.decides() is Reason.LAST_SEATS
    # They have left without a seat, and the seats are there for others.
    assert admitted(room) == 2
    assert room.findings() == []


def test_sold_out_admits_nobody_until_seats_come_back(shop: Shop, room: Room) -> None:
    room.open(admit_burst=250)
    room.join(*names(100))
    shop.says(3)
    shop.look()
    assert admitted(room) == 3
    shop.says(0, live=3)
    survey = shop.look()
    assert survey.decision
    assert (survey.decision.reason, survey.mode_now) == (Reason.SOLD_OUT, "sold-out")
    assert survey.rules.mode == "open"
    room.give_tokens(100)
    before = room.stored()
    assert isinstance(room.admit(), Held)
    # Meanwhile no admissions are saved up.
    assert before.pop(room.keys.rate) != room.raw("HGETALL", room.keys.rate)
    assert {key: room.stored()[key] for key in before} == before
    # Two of the three have paid and left, the third's time ran out; it holds its slot still.
    room.leave("v0", "v1")
    shop.says(1)
    shop.look(decided_ms=60_000)
    assert room.raw("HGET", room.keys.rate, "tokens") == "0"
    room.give_tokens(5)
    assert admitted(room) == 1
    assert room.survey().mode_now == "open"


def test_a_busy_shop_slows_the_room_down_and_a_quick_one_lets_it_go(shop: Shop, room: Room) -> None:
    room.open(admit_per_s=100, admit_burst=50)
    rates = []
    for load in [9.0] * 30 + [0.1] * 120:
        shop.says(1_000_000, load=load)
        decision = shop.look(decided_ms=1_000).decision
        assert decision
        rates.append(decision.per_s)
    assert rates[29] == 1
    assert rates[:30] == sorted(rates[:30], reverse=True)
    assert rates[30:] == sorted(rates[30:])
    assert rates[-1] == 100


def test_the_rate_and_the_burst_of_a_slow_room_are_lower(shop: Shop, room: Room) -> None:
    room.open(admit_per_s=100, admit_burst=50)
    room.join(*names(100))
    shop.says(1_000_000, load=99)
    shop.look()
    room.raw("HSET", room.keys.room, "now_per_s", "10.0")
    room.raw("HSET", room.keys.rate, "tokens", 50, "tokens_at", room.now_ms())
    assert room.take().outcome.admitted == 5
    at_ms = room.now_ms() - 300
    room.raw("HSET", room.keys.rate, "tokens", 0, "tokens_at", at_ms)
    taken = room.take()
    assert 3 <= taken.outcome.admitted <= (taken.to_ms - at_ms) * 10 / 1000


@pytest.mark.parametrize(
    "lie",
    [
        {"now_per_s": "1e9"},
        {"now_per_s": "inf"},
        {"now_per_s": "nan"},
        {"now_per_s": "words"},
        {"now_until": "999999999"},
        {"now_until": "words"},
        {"now_until": ""},
    ],
    ids=str,
)
def test_nothing_that_was_decided_goes_beyond_the_rooms_own_limits(
    room: Room, lie: dict[str, str]
) -> None:
    """Q4, Q5, whichever process has written it."""
    room.open(active_max=5, admit_per_s=0.01, admit_burst=9)
    room.join(*names(50))
    known = {"now_per_s": "0.01", "now_until": ""} | lie
    for name, value in known.items():
        room.raw("HSET", room.keys.room, name, value)
    room.give_tokens(3)
    assert room.take().outcome.admitted == 3
    room.give_tokens(9)
    assert room.take().outcome.admitted == 2
    assert room.findings() == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"worker":"a"}',
        '{"worker":"a","load":-1}',
        '{"worker":"a","load":1e999}',
        '{"worker":"a","load":"1"}',
        '{"worker":"a","load":1,"stock":{"r":[-1,0]}}',
        '{"worker":"a","load":1,"stock":{"r":[1]}}',
        '{"worker":"a","load":1,"stock":{"r":[1e400,0]}}',
        '{"worker":"%s","load":1}' % ("x" * 201),
    ],
)
def test_a_report_that_cannot_be_read_is_passed_over(shop: Shop, room: Room, text: str) -> None:
    room.open()
    shop.says(5)
    shop.writes(text)
    shop.writes("", field="other")
    assert shop.decides() is Reason.LAST_SEATS
    shop.says(0)
    shop.writes(text)
    assert shop.decides() is Reason.SOLD_OUT


def test_another_kind_of_thing_where_the_reports_should_be_stops_nobody(
    shop: Shop, room: Room
) -> None:
    room.open()
    room.join("a")
    room.raw("SET", REPORTS, "words")
    assert shop.look().decision is None
    assert admitted(room) == 1


def test_the_load_is_that_of_all_workers(shop: Shop, room: Room) -> None:
    room.open()
    shop.says(5, load=1e12, worker="dead", ago_ms=SILENT_MS + 1_000)
    for worker, load in (("a", 0.5), ("b", 9.0), ("b", 1.0), ("c", 3.0)):
        shop.says(5, 2, load, worker)
    decision = shop.look().decision
    assert decision
    assert decision.report._replace(reported_ms=0) == ShopReport(5, 2, 1.5, 0)
    assert 0 <= room.now_ms() - decision.report.reported_ms < 10_000


@pytest.mark.parametrize(
    ("chosen", "reason", "comes"),
    [
        (WhenSilent.KEEP, Reason.SILENT_KEEP, 30),
        (WhenSilent.SLOW, Reason.SILENT_SLOW, 30),
        (WhenSilent.HOLD, Reason.SILENT_HOLD, 0),
    ],
)
@pytest.mark.parametrize("started_anew", [False, True])
def test_a_shop_that_falls_silent(
    shop: Shop, room: Room, *, chosen: WhenSilent, reason: Reason, comes: int, started_anew: bool
) -> None:
    room.open(when_shop_silent=chosen, admit_per_s=1_000, admit_burst=500)
    room.join(*names(30))
    shop.says(0, ago_ms=SILENT_MS + 1)
    if started_anew:
        shop.look()
        # Nothing is known any more but what the room keeps.
        room.raw("DEL", REPORTS)
        shop.start()
        shop.look()
    decision = shop.look().decision
    assert decision
    assert (decision.reason, decision.until) == (reason, None)
    assert decision.per_s == {"keep": 1_000, "slow": 100, "hold": 0}[chosen]
    assert admitted(room) == comes
    assert room.survey().mode_now == ("open" if comes else "paused")
    shop.says(500)
    assert shop.decides() in {Reason.FULL, Reason.LAST_SEATS}


def test_no_shows_are_those_who_never_began(room: Room) -> None:
    # Long enough for two calls on a busy machine.
    room.open(ready_ttl_ms=500, active_ttl_ms=500)
    room.join(*"abcde")
    slots = room.call(*"abcde")
    (active,) = room.activate("a")
    assert isinstance(active, Slot)
    room.leave("b")
    room.reach(max(slots[0].expires_ms, active.expires_ms) + 20)
    room.sweep()
    counters = room.survey().counters
    assert (counters["lapsed"], counters["no_shows"], counters["left"]) == (4, 3, 1)
    assert room.findings() == []


def test_more_are_let_in_where_some_never_come(shop: Shop, room: Room) -> None:
    room.open(ready_ttl_ms=60_000)
    everybody = names(400)
    room.join(*everybody[:200])
    room.join(*everybody[200:])
    room.raw("HSET", room.keys.room, "left", 60, "lapsed", 60, "no_shows", 60)
    shop.says(50)
    shop.look()
    # What was before anything was decided is no measurement: shares are of what is seen to end.
    room.raw("HSET", room.keys.room, "left", 100, "lapsed", 100, "no_shows", 100)
    survey = shop.look()
    assert survey.decision
    assert survey.decision.no_show_share == pytest.approx(0.4, abs=0.01)
    assert admitted(room) in {83, 84}


def test_of_two_who_decide_one_does(shop: Shop, room: Room) -> None:
    room.open()
    shop.says(50, load=2.0)
    shop.look()
    other = Shop(room)
    first = shop.look().decision
    # At once after it, by another.
    assert other.look(decided_ms=0).decision == first
    # Both have read the same decision; the second finds that another was made.
    assert first
    rooms = Rooms(shop.store)
    assert room.server.wait(rooms.decide(room.id, first, first._replace(per_s=5.0)))
    before = room.stored()
    assert not room.server.wait(rooms.decide(room.id, first, first._replace(per_s=4.0)))
    assert room.stored() == before
    assert room.survey().decision == first._replace(
        per_s=5.0,
        at_ms=room.survey().decision.at_ms,  # type: ignore[union-attr]
    )
    room.server.wait(other.store.close())


def test_a_full_store_can_still_be_stopped(shop: Shop, room: Room) -> None:
    room.open()
    room.join("a")
    room.give_tokens(1)
    shop.says(0)
    with no_memory(room.server):
        assert shop.decides() is Reason.SOLD_OUT
        assert isinstance(room.admit(), Held)


def test_a_room_that_wakes_is_decided_for_before_anybody_is_let_in(shop: Shop, room: Room) -> None:
    room.open()
    shop.says(0)
    room.server.wait(shop.controller.refresh())
    controller = shop.controller
    assert controller.due({RoomId("else")}, looking=True) == []
    assert controller.due({RoomId("else"), room.id}, looking=False) == [room.id]
    assert controller.due({RoomId("else"), room.id}, looking=False) == []
    # The other was awake for a whole look: perhaps somebody has decided for it, once.
    both = {RoomId("else"), room.id}
    assert sorted(controller.due(both, looking=True)) == sorted(both)
    assert controller.due(both, looking=True) == [room.id]
    room.server.wait(controller.decide(RoomId("else")))
    assert controller.due(both, looking=True) == [room.id]


def test_a_room_that_is_gone_stops_nobody(shop: Shop, room: Room) -> None:
    shop.says(5)
    room.server.wait(shop.controller.refresh())
    room.server.wait(shop.controller.decide(room.id))
    rows = room.server.wait(
        room.store.run(keeping.DECIDE, (room.keys.room, room.keys.rate), (0, "full", 1, 1, ""))
    )
    assert rows == [["no_room"]]
    assert room.stored() == {}
