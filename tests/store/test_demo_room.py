"""The demo's room leads to the box office that runs, unless an operator made it lead elsewhere."""

from tests.store.room import Room
from waitline.kernel.ids import DEMO_ROOM
from waitline.queue import keys
from waitline.queue.settings import Rules
from waitline.trial import demo_room

FIRST = "http://127.0.0.1:4001/shop"
SECOND = "http://127.0.0.1:4002/shop"
OURS = "https://shop.example/buy"


def prepared(room: Room, shop_url: str) -> tuple[str, str]:
    """Prepare the demo's room as a start does; return where it leads, and its title."""
    room.server.wait(demo_room.prepare(room.server.url, Rules(), shop_url))
    rules = room.server.wait(room.rooms.survey(DEMO_ROOM)).rules
    return rules.shop_url, rules.title


def operator_changes(room: Room, **changes: object) -> None:
    operator = room.rooms.changed_by("operator 1a2b3c4d")
    room.server.wait(operator.change(DEMO_ROOM, changes))


def test_it_leads_to_the_present_address(room: Room) -> None:
    assert prepared(room, FIRST) == (FIRST, demo_room.TITLE)
    assert prepared(room, SECOND) == (SECOND, demo_room.TITLE)
    operator_changes(room, title="우리 공연", active_max=7)
    assert prepared(room, FIRST) == (FIRST, "우리 공연"), "renamed, and still the demo's"
    assert prepared(room, SECOND) == (SECOND, "우리 공연")


def test_an_operators_address_stays(room: Room) -> None:
    prepared(room, FIRST)
    operator_changes(room, shop_url=OURS)
    assert prepared(room, SECOND) == (OURS, demo_room.TITLE)
    operator_changes(room, title="우리 공연", shop_url="")
    assert prepared(room, SECOND) == ("", "우리 공연")


def test_a_room_that_an_operator_made_is_no_demo(room: Room) -> None:
    operator = room.rooms.changed_by("operator 1a2b3c4d")
    rules = Rules().changed({"title": demo_room.TITLE, "shop_url": OURS})
    room.server.wait(operator.create(DEMO_ROOM, rules))
    assert prepared(room, SECOND) == (OURS, demo_room.TITLE)


def test_a_room_that_a_visitor_made_becomes_the_demos(room: Room) -> None:
    room.server.wait(room.rooms.ensure(DEMO_ROOM, Rules()))
    assert prepared(room, SECOND) == (SECOND, demo_room.TITLE)


def test_a_room_without_a_log_is_known_by_its_title(room: Room) -> None:
    """As earlier versions left it."""
    prepared(room, FIRST)
    room.server.wait(room.store.command("DEL", keys.of(DEMO_ROOM).changes))
    assert prepared(room, SECOND) == (SECOND, demo_room.TITLE)
