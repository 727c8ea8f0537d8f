"""The registries of awake and occupied rooms: what adds a room, and what removes it."""

from collections.abc import Callable, Collection
from typing import Any

import pytest
from typing_extensions import override

from tests.store.room import TIMEOUT_S, Room
from waitline.kernel.errors import Unavailable
from waitline.kernel.ids import VisitorId
from waitline.queue import keys
from waitline.queue.model import Joined
from waitline.queue.store import Line
from waitline.valkey.client import ValkeyClient

Step = Callable[[Room], object]


def awake(room: Room) -> bool:
    return room.id in room.server.wait(room.rooms.awake())


def occupied(room: Room) -> bool:
    return room.id in room.server.wait(room.rooms.occupied())


def forget_lists(room: Room) -> None:
    for listed in (keys.AWAKE, keys.OCCUPIED):
        room.raw("DEL", listed)


@pytest.mark.parametrize(
    ("before", "names", "wakes"),
    [
        pytest.param([], "a", True, id="the first of the line"),
        pytest.param([], "abc", True, id="the first of the line, with others"),
        pytest.param([], "aa", True, id="the first of the line, twice"),
        pytest.param([lambda room: room.join("a")], "b", False, id="behind somebody"),
        pytest.param([lambda room: room.join("a")], "ba", True, id="the first asks again"),
        pytest.param([lambda room: room.join("a", "b")], "b", False, id="another asks again"),
        pytest.param([lambda room: room.let_in("a")], "a", False, id="who holds a slot"),
        pytest.param([lambda room: room.let_in("a")], "b", True, id="first after the admitted"),
        pytest.param([lambda room: room.change(mode="closed")], "a", False, id="a closed room"),
        pytest.param([lambda room: room.change(mode="paused")], "a", True, id="a paused room"),
        pytest.param(
            [lambda room: room.change(waiting_max=1), lambda room: room.join("a")],
            "b",
            False,
            id="a full room",
        ),
        pytest.param([lambda room: room.raw("DEL", room.keys.room)], "a", False, id="no room"),
    ],
)
def test_joining_an_empty_line_wakes_the_room(
    room: Room, before: list[Step], names: str, *, wakes: bool
) -> None:
    room.open()
    for step in before:
        step(room)
    forget_lists(room)
    room.join(*names)
    assert awake(room) is wakes
    assert not occupied(room)


def test_a_place_stands_though_the_room_could_not_be_woken(room: Room) -> None:
    class Refusing(ValkeyClient):
        """A server that has just become too full for anything but what is in progress."""

        @override
        async def command(self, *words: str | float, expects: Collection[str] = ()) -> Any:
            raise Unavailable(f"no {words[0]}")

    room.open()
    store = Refusing(room.server.url, timeout_s=TIMEOUT_S)
    (outcome,) = room.server.wait(Line(store).join(room.id, [VisitorId("a")]))
    room.server.wait(store.close())
    assert isinstance(outcome, Joined)
    assert (outcome.place, outcome.ahead) == (1, 0)
    assert not awake(room)
    assert room.server.wait(room.rooms.has_waiting(room.id))


@pytest.mark.parametrize(
    ("inside", "waits", "holds"),
    [
        pytest.param(lambda _: None, False, False, id="nobody"),
        pytest.param(lambda room: room.join("a"), True, False, id="somebody waits"),
        pytest.param(lambda room: room.let_in("a"), False, True, id="somebody holds a slot"),
        pytest.param(lambda room: (room.let_in("a"), room.join("b")), True, True, id="both"),
        pytest.param(lambda room: (room.let_in("a"), room.leave("a")), False, False, id="gone"),
        pytest.param(lambda room: (room.join("a"), room.reset()), False, False, id="sent out"),
        pytest.param(lambda room: (room.join("a"), room.pass_over("a")), False, False, id="lapsed"),
    ],
)
def test_a_room_comes_off_a_list_when_nobody_is_in_it(
    room: Room, inside: Step, *, waits: bool, holds: bool
) -> None:
    room.open()
    inside(room)
    wait = room.server.wait
    assert wait(room.rooms.has_waiting(room.id)) is waits
    assert wait(room.rooms.has_visitors(room.id)) is (waits or holds)
    forget_lists(room)
    wait(room.rooms.wake([room.id]))
    assert (awake(room), occupied(room)) == (True, True)

    assert wait(room.rooms.mark_vacant(room.id)) is not holds
    assert (awake(room), occupied(room)) == (True, holds)
    # The last visitor in line may hold a slot, so the room is occupied until somebody has looked.
    assert wait(room.rooms.let_sleep(room.id)) is not waits
    assert (awake(room), occupied(room)) == (waits, True)
