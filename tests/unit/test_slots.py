"""Slots of keys, keys of commands, and the map of slots."""

import pytest
import redis.crc
from hypothesis import given
from hypothesis import strategies as st

from waitline.kernel import events
from waitline.kernel.ids import RoomId
from waitline.queue import keys
from waitline.valkey import slots
from waitline.valkey.slots import Node


@pytest.mark.parametrize(
    ("key", "slot"),
    [
        ("123456789", 0x31C3),
        ("", 0),
        ("foo", 12_182),
        ("{foo}bar", 12_182),
        ("x{foo}bar{zap}", 12_182),
    ],
)
def test_slots_of_the_specification(key: str, slot: int) -> None:
    assert slots.slot_of(key) == slot


@given(st.text(alphabet=st.characters(codec="utf-8")))
def test_slots_are_those_of_another_driver(key: str) -> None:
    assert slots.slot_of(key) == redis.crc.key_slot(key.encode())


@given(st.text(min_size=1, max_size=40))
def test_the_keys_of_a_room_share_a_slot(name: str) -> None:
    if all(ord(letter) < 0xD800 or ord(letter) > 0xDFFF for letter in name):
        assert len({slots.slot_of(key) for key in keys.of(RoomId(name))}) == 1


def test_the_streams_share_a_slot() -> None:
    names = (events.STREAM, events.DEAD, events.REPORTS, events.REPORTER)
    assert len({slots.slot_of(name) for name in names}) == 1


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (("EVALSHA", "abc", 2, "k1", "k2", "arg"), "k1"),
        (("EVAL", "return 1", 1, "k1"), "k1"),
        (("GET", "k1"), "k1"),
        (("EXISTS", "k1", "k2"), "k1"),
        (("XGROUP", "CREATE", "k1", "g", "0", "MKSTREAM"), "k1"),
        (("XINFO", "CONSUMERS", "k1", "g"), "k1"),
        (("XREADGROUP", "GROUP", "g", "c", "COUNT", 1, "STREAMS", "k1", ">"), "k1"),
        (("XAUTOCLAIM", "k1", "g"), "k1"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else value,
)
def test_the_key_of_a_command(words: tuple[str | int, ...], key: str) -> None:
    assert slots.key_of(words) == key


@pytest.mark.parametrize("words", [("TIME",), ("PING",), ("FLUSHALL",)])
def test_a_command_without_a_key_is_a_bug(words: tuple[str]) -> None:
    with pytest.raises(ValueError, match="has no key"):
        slots.key_of(words)


def test_a_map_names_primaries_first() -> None:
    found = slots.parse_map(
        [
            [0, 8191, ["10.0.0.1", 6379, "a", []], ["10.0.0.3", 6379, "c", []]],
            [8192, 16383, ["", 6380, "b"]],
            [7, 7, ["?", 6380, "d"]],
        ],
        "seed.example",
    )
    assert found.ranges == (
        (0, 8191, Node("10.0.0.1", 6379)),
        (8192, 16383, Node("seed.example", 6380)),
    )
    assert found.nodes == (
        Node("10.0.0.1", 6379), Node("seed.example", 6380), Node("10.0.0.3", 6379)
    )  # fmt: skip
    assert found.ids == {"a", "b", "c", "d"}


@pytest.mark.parametrize("reply", [[1], [["a"]], [[0, 1, ["h", "p", "a"]]], [[0, 1, 2]]])
def test_what_is_no_map_is_refused(reply: list[object]) -> None:
    with pytest.raises(ValueError, match=r"map|literal|unpack"):
        slots.parse_map(reply, "h")


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("MOVED 3999 127.0.0.1:6381", Node("127.0.0.1", 6381)),
        ("ASK 3999 ::1:6381", Node("::1", 6381)),
        ("MOVED 3999 node.example:6381", Node("node.example", 6381)),
        ("MOVED 3999 :6381", Node("here", 6381)),
        ("MOVED 3999 ?:6381", None),
        ("MOVED", None),
    ],
)
def test_where_a_redirect_leads(text: str, node: Node | None) -> None:
    assert slots.parse_redirect(text, "here") == node
