"""Short address of the trial: `/rooms/demo` leads to the waiting room of the demo concert."""

from typing import Final

from waitline.kernel.ids import DEMO_ROOM, RoomId
from waitline.queue.model import RoomUnknown
from waitline.services.queue.now_serving import NowServingDocuments

DEMO_LINK: Final = RoomId("demo")
"""Name in the short address."""


class DemoLink:
    """Finds where a waiting page's address leads, if it is the short one.

    Args:
        documents: Rooms, cached.
    """

    def __init__(self, documents: NowServingDocuments) -> None:
        self._documents = documents

    async def target(self, name: str) -> RoomId | None:
        """Return the room that an address leads to, or `None` for the one that it names.

        A room of that name with a title or a shop is an operator's own, and stays. Without both,
        the first visitor created it in trial mode.

        Raises:
            Unavailable: The store does not answer.
        """
        if name != DEMO_LINK:
            return None
        try:
            rules = (await self._documents.fetch(DEMO_LINK)).survey.rules
        except RoomUnknown:
            return DEMO_ROOM
        return None if rules.title or rules.shop_url else DEMO_ROOM
