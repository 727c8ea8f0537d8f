"""Visitors of protected sites: admitted without a line. The gate and the sites' calls use it."""

import secrets

from waitline.http.requests import Request
from waitline.kernel.ids import RoomId, VisitorId
from waitline.queue.model import Slot
from waitline.queue.relations import Standby
from waitline.queue.walk_ins import LineFormed
from waitline.services.queue.address_watch import AddressWatch
from waitline.services.queue.batchers import Batchers
from waitline.services.queue.minting import Tokens
from waitline.services.queue.now_serving import NowServingDocuments


class SiteVisits:
    """Admits them.

    Args:
        batchers: Run the verbs.
        documents: The settings of each room.
        tokens: Mints passes.
        watch: Counts and limits client addresses.
    """

    def __init__(
        self,
        batchers: Batchers,
        documents: NowServingDocuments,
        tokens: Tokens,
        watch: AddressWatch,
    ) -> None:
        self._batchers = batchers
        self._documents = documents
        self._tokens = tokens
        self._watch = watch

    async def walk_in(self, room: RoomId, visiting: Request | None) -> tuple[VisitorId, Slot, str]:
        """Admit a new visitor without a line; return the visitor, the slot and the pass.

        Args:
            room: The room.
            visiting: The visitor's request, whose client address counts; `None` if a site asks for
                its visitor, since the address is the site's then.

        Raises:
            LineFormed: The room needs a line now, or does not stand by.
            AddressLimited: The address has reached a limit of the room.
        """
        document = await self._documents.fetch(room)
        if document.survey.rules.standby is Standby.OFF:
            raise LineFormed
        visitor = VisitorId(secrets.token_hex(16))
        counted = visiting is None or await self._watch.allow(visiting, room, visitor)
        slot = (await self._batchers.walk_in.enqueue(room, visitor)).slot
        if visiting is not None and not counted:
            self._watch.count_place(visiting, room, visitor)
        return visitor, slot, self._tokens.entry_pass(room, visitor, slot, account=False)
