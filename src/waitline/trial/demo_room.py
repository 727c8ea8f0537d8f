"""Waiting room of the demo concert: created at the first start, with the box office as its shop."""

from waitline.kernel.ids import DEMO_ROOM
from waitline.queue.model import RoomUnknown
from waitline.queue.room_log import THE_INSTALLATION
from waitline.queue.rooms import Rooms
from waitline.queue.settings import Rules
from waitline.valkey.client import ValkeyClient

TITLE = "Waitline Live"
"""Title of the room and of the concert. Source: booking/sql/demo.sql."""


async def prepare(store_url: str, new_room: Rules, shop_url: str) -> None:
    """Create the demo's room, or update its link to the box office.

    A room that an operator has created, or linked to another shop, is not changed.

    Args:
        store_url: The store of the line.
        new_room: Default rules of a room.
        shop_url: Address to which its visitors are sent.

    Raises:
        Unavailable: The store does not answer.
    """
    store = ValkeyClient(store_url)
    try:
        rooms = Rooms(store)
        try:
            rules = (await rooms.survey(DEMO_ROOM)).rules
        except RoomUnknown:
            await rooms.create(DEMO_ROOM, new_room.changed({"title": TITLE, "shop_url": shop_url}))
            return
        if rules.shop_url != shop_url and await _is_ours(rooms, rules):
            title = rules.title or TITLE
            await rooms.change(DEMO_ROOM, {"title": title, "shop_url": shop_url})
    finally:
        await store.close()


async def _is_ours(rooms: Rooms, rules: Rules) -> bool:
    """Return whether the room leads where the installation, and no operator, made it lead."""
    changes = await rooms.changes(DEMO_ROOM)
    if not changes:
        # Earlier versions kept no log.
        return rules.title in ("", TITLE)
    for change in changes:
        after = change.after
        # The entry of a creation leaves out what is empty.
        if after is not None and ("shopUrl" in after or change.before is None):
            return change.who == THE_INSTALLATION and after.get("shopUrl", "") == rules.shop_url
    return False
