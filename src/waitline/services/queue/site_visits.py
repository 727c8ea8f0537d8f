"""Visitors of protected sites: admitted without a line, and kept while they are active."""

import secrets

from waitline.http.requests import Request
from waitline.kernel.clock import Clock
from waitline.kernel.ids import RoomId, VisitorId
from waitline.queue.claims import BrowserClaim
from waitline.queue.model import Slot
from waitline.queue.relations import Standby
from waitline.queue.store import StayClaim
from waitline.queue.walk_ins import LineFormed
from waitline.services.queue.address_watch import AddressWatch
from waitline.services.queue.batchers import Batchers
from waitline.services.queue.minting import Tokens
from waitline.services.queue.now_serving import NowServingDocuments


class SiteVisits:
    """Admits and keeps them, for the gate and for the calls of sites.

    Args:
        batchers: Run the verbs.
        documents: The settings of each room.
        tokens: Mints passes.
        watch: Counts and limits client addresses.
        clock: The present time.
    """

    def __init__(
        self,
        batchers: Batchers,
        documents: NowServingDocuments,
        tokens: Tokens,
        watch: AddressWatch,
        clock: Clock,
    ) -> None:
        self._batchers = batchers
        self._documents = documents
        self._tokens = tokens
        self._watch = watch
        self._clock = clock

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

    async def slide(
        self, room: RoomId, claim: StayClaim, *, expires_ms: int, account: bool
    ) -> tuple[Slot, str | None]:
        """Move the end of a visitor's stay forward.

        Args:
            room: The room.
            claim: The visitor, and the stay.
            expires_ms: When the visitor's present pass expires; 0 if there is none.
            account: Whether the present pass proves an account.

        Returns:
            The slot; and a new pass, or `None` if it would last no longer than the present one.

        Raises:
            TimeRanOut, TokenRejected, VisitorUnknown: As by `Slides.slide`.
        """
        slot = await self._batchers.slide.enqueue(room, claim)
        if slot.expires_ms <= expires_ms:
            return slot, None
        now_ms = self._clock.now_ms()
        return slot, self._tokens.entry_pass(
            room, claim[0], slot, account=account, issued_ms=now_ms
        )

    async def claim(self, room: RoomId, claim: StayClaim, browser: str) -> None:
        """Keep a visitor's stay for the browser that claims it first.

        Args:
            room: The room.
            claim: The visitor, and the stay.
            browser: The browser's secret.

        Raises:
            PassUsed: Another browser has claimed it.
            TimeRanOut, TokenRejected, VisitorUnknown: There is no such stay.
        """
        await self._batchers.claim.enqueue(room, BrowserClaim(*claim, browser))
