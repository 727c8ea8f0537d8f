"""What holds for every script: names, tables, reloading; and the right to open streams."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.servers import Server
from tests.store.room import Room
from waitline.kernel.ids import RoomId, VisitorId
from waitline.queue import claims, keys, rooms, slides, store, walk_ins
from waitline.queue.model import BATCH_MAX, Joined, Slot, TooManyStreams
from waitline.queue.store import STREAM_BURST, STREAM_REFILL_MS
from waitline.valkey import scripts

TABLES = [
    (store.JOIN, store.JOINED),
    (store.REJOIN, store.REJOINED),
    (store.STATUS, store.STANDING),
    (store.VALIDATE, store.VALIDATED),
    (store.ACTIVATE, store.ACTIVATED),
    (store.EXTEND, store.EXTENDED),
    (store.LEAVE, store.LEFT),
    (walk_ins.WALK_IN, walk_ins.WALKED_IN),
    (slides.SLIDE, slides.SLID),
    (claims.CLAIM, claims.CLAIMED),
    (store.ADMIT, store.MOVED),
    (store.SWEEP, store.SWEPT),
    (store.SUBSCRIBE, store.SUBSCRIBED),
]

ODD_NAMES = ["{a}b", "}{", "100%", "%7B", "콘서트 1", "a:b c\n", "\"'\\", "x" * 128]


@pytest.mark.parametrize(("script", "table"), TABLES, ids=lambda one: getattr(one, "name", ""))
def test_each_word_of_a_script_means_something(
    script: scripts.Script, table: Mapping[str, Any]
) -> None:
    assert set(table) == set(script.outcomes)


def test_every_script_of_visitors_has_its_table() -> None:
    values = [one for module in (store, walk_ins, slides, claims) for one in vars(module).values()]
    loaded = {value.name for value in values if isinstance(value, scripts.Script)}
    assert {script.name for script, _ in TABLES} == loaded


def test_a_server_that_forgot_the_scripts_is_sent_them_again(room: Room) -> None:
    room.open()
    for step in (
        lambda: room.join("a", "b"),
        lambda: room.status("a"),
        lambda: room.rejoin("a"),
        lambda: room.call("a"),
        lambda: room.validate("a"),
        lambda: room.activate("a"),
        lambda: room.extend("a"),
        room.sweep,
        lambda: room.leave("a"),
        lambda: room.change(active_max=3),
        room.survey,
        room.reset,
    ):
        room.raw("SCRIPT", "FLUSH")
        step()
        step()
    assert room.findings() == []


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_are_names_like_any_other(server: Server, name: str) -> None:
    room = Room(server, name)
    room.open(extensions_max=1)
    room.join(name, "next")
    (slot,) = room.call(name)
    assert slot.place == 1
    assert [
        type(one) for one in (*room.activate(name), *room.extend(name, claim=f"1-{slot.joined_ms}"))
    ] == [Slot] * 2
    room.leave(name)
    assert room.survey().waiting == 1
    assert server.wait(room.rooms.names()) == [name]
    assert room.findings() == []
    room.close()


def test_a_rooms_keys_share_one_slot_and_no_other_rooms(server: Server) -> None:
    names = [RoomId(name) for name in ODD_NAMES]
    every = [key for name in names for key in keys.of(name)]
    assert len(set(every)) == len(every)
    for name in names:
        tags = {key.partition("{")[2].partition("}")[0] for key in keys.of(name)}
        assert len(tags) == 1
        assert tags != {""}
        assert server.wait(server.command("TYPE", keys.of(name).room)) == "none"


def test_rooms_do_not_see_each_other(server: Server) -> None:
    one, other = Room(server, "{a}1"), Room(server, "{a}2")
    one.open()
    other.open()
    one.join("v")
    (joined,) = other.join("v")
    assert isinstance(joined, Joined)
    assert (joined.place, joined.total) == (1, 1)
    one.reset()
    assert other.survey().waiting == 1
    one.close()
    other.close()


@pytest.mark.parametrize(
    "count", [pytest.param(0, id="none"), pytest.param(BATCH_MAX * 2 + 1, id="many")]
)
def test_a_batch_out_of_bounds_is_a_bug(room: Room, count: int) -> None:
    with pytest.raises(AssertionError):
        room.join(*(f"v{number}" for number in range(count)))


def test_an_unknown_word_is_a_bug(room: Room) -> None:
    class Odd:
        async def run(self, *_: object) -> list[scripts.Row]:
            return [["perhaps"]]

        async def command(self, *_: object) -> None:
            """Reply nothing."""

    line = store.Line(Odd())
    with pytest.raises(KeyError, match="perhaps"):
        room.server.wait(line.join(room.id, [VisitorId("a")]))


def test_no_script_writes_what_it_does_not_declare(room: Room) -> None:
    """Every key belongs to the room, or is a list of rooms."""
    room.open()
    room.let_in("a")
    room.join("b")
    room.pass_over("b")
    room.server.wait(room.line.subscribe(room.id, VisitorId("a")))
    declared = {*room.keys, keys.ROOMS, keys.AWAKE, keys.OCCUPIED}
    assert set(room.raw("KEYS", "*")) <= declared


def subscribe(room: Room, visitor: str) -> int:
    """Return after how long to ask again; 0 if the right was granted."""
    try:
        room.server.wait(room.line.subscribe(room.id, VisitorId(visitor)))
    except TooManyStreams as refused:
        return refused.retry_after_ms
    return 0


def test_streams_are_granted_in_a_burst_and_then_refused(room: Room) -> None:
    assert [subscribe(room, "a") for _ in range(STREAM_BURST)] == [0] * STREAM_BURST
    before = room.stored()
    retry_after_ms = subscribe(room, "a")
    assert 0 < retry_after_ms <= STREAM_REFILL_MS
    assert room.stored() == before
    assert subscribe(room, "b") == 0


def test_one_right_comes_back_after_each_refill(room: Room) -> None:
    for _ in range(STREAM_BURST):
        subscribe(room, "a")
    whole_ms = int(float(room.raw("ZSCORE", room.keys.streams, "a")))
    room.raw("ZADD", room.keys.streams, whole_ms - STREAM_REFILL_MS, "a")
    assert subscribe(room, "a") == 0
    assert subscribe(room, "a") > 0


def test_those_whose_allowance_is_whole_again_are_not_stored(room: Room) -> None:
    past_ms = room.now_ms() - 1
    for number in range(150):
        room.raw("ZADD", room.keys.streams, past_ms, f"v{number}")
    subscribe(room, "a")
    assert room.raw("ZCARD", room.keys.streams) == 51
    subscribe(room, "a")
    assert room.raw("ZRANGE", room.keys.streams, 0, -1) == ["a"]


def test_words_of_operators_are_all_used() -> None:
    words = {
        script.name: script.outcomes
        for script in (rooms.OPEN, rooms.CHANGE, rooms.RESET, rooms.SURVEY)
    }
    assert words == {
        "open": ("opened", "exists"),
        "change": ("changed", "occupied", "no_room"),
        "reset": ("emptied", "no_room"),
        "survey": ("room", "no_room"),
    }
