"""Calls of protected sites: returns, walk-ins, slides, claims, departures; departed places."""

from collections.abc import Mapping
from hashlib import blake2b

import msgspec

from waitline.gate.returns import verify_return, verify_webhook
from waitline.gate.site_key import SITE_KEY_HEADER, SiteKeyRefused, is_site_key
from waitline.http.caching import etag_matches
from waitline.http.envelope import success
from waitline.http.problems import InputInvalid
from waitline.http.requests import MISSING, Handler, Request, checked_name, decode_parameter
from waitline.http.responses import Answer
from waitline.kernel.clock import Clock
from waitline.kernel.ids import RoomId
from waitline.queue.departed import Departed
from waitline.queue.model import TokenRejected, VisitorUnknown
from waitline.services.identity import given_token
from waitline.services.queue import texts
from waitline.services.queue.batchers import Batchers
from waitline.services.queue.calls import QueueCalls, claim_of, names_in
from waitline.services.queue.site_visits import SiteVisits
from waitline.services.queue.views import ClaimBody, RoomBody, VisitorBody, slot_status

SIGNATURE_HEADER = b"x-waitline-signature"

_visitor_body = msgspec.json.Decoder(VisitorBody)
_claim_body = msgspec.json.Decoder(ClaimBody)
_room_body = msgspec.json.Decoder(RoomBody)


class ReturnView(msgspec.Struct, frozen=True):
    """Response data of the check of a return address."""

    url: str


class DepartedPlaces(msgspec.Struct, frozen=True):
    """Places that were left before their passes ended, the latest departure first."""

    room: str
    places: list[int]


class SiteCalls:
    """Answers them.

    Args:
        site_key: The key shared with protected sites.
        calls: Authenticate visitors.
        visits: Admit visitors without a line, and keep active ones.
        batchers: Run the verbs.
        departed: The store of departed places.
        clock: The present time.
    """

    def __init__(
        self,
        *,
        site_key: bytes,
        calls: QueueCalls,
        visits: SiteVisits,
        batchers: Batchers,
        departed: Departed,
        clock: Clock,
    ) -> None:
        self._site_key = site_key
        self._calls = calls
        self._visits = visits
        self._batchers = batchers
        self._departed = departed
        self._clock = clock

    def routes(self) -> Mapping[str, Mapping[str, Handler]]:
        """Return the handlers by path and method."""
        return {
            "/api/v1/gate/return": {"GET": self.check_return},
            "/api/v1/gate/walk-in": {"POST": self.walk_in},
            "/api/v1/gate/slide": {"POST": self.slide},
            "/api/v1/gate/claim": {"POST": self.claim},
            "/api/v1/gate/left": {"POST": self.leave},
            "/api/v1/protection/revoked": {"GET": self.revoked},
        }

    async def check_return(self, request: Request) -> Answer:
        """Answer with the address that a signed return holds.

        Raises:
            ReturnRefused: It is not signed for the room, or no longer valid.
        """
        room = request.parameter("room")
        given = request.raw_parameter("return")
        if given is None:
            raise InputInvalid("return", MISSING)
        url = self.verified(decode_parameter("return", given), RoomId(room))
        return success(request, texts.RETURN, ReturnView(url))

    def verified(self, text: str, room: RoomId) -> str:
        """Return the address that a signed return holds.

        Raises:
            ReturnRefused: It is not signed for the room, or no longer valid.
        """
        return verify_return(self._site_key, text, room, self._clock.now_ms() // 1_000)

    async def walk_in(self, request: Request) -> Answer:
        """Admit a new visitor of a site without a line, with the site key.

        Raises:
            SiteKeyRefused: The caller is no protected site.
            LineFormed: The room needs a line now, or does not stand by.
        """
        if not is_site_key(self._site_key, request.headers.get(SITE_KEY_HEADER, b"")):
            raise SiteKeyRefused
        body = request.json(_room_body)
        room = RoomId(checked_name("concertId", str(body.concertId)))
        visitor, slot, token = await self._visits.walk_in(room, None)
        view = slot_status(room, visitor, token, slot.state, slot.expires_ms, slot.extensions)
        return success(request, texts.WALKED_IN, view, 201)

    async def slide(self, request: Request) -> Answer:
        """Move the end of an active visitor's stay forward; answer as extend does.

        The pass in the answer is the one of the call, unless another one lasts longer.

        Raises:
            TimeRanOut: The stay is over.
            TokenRejected: The token is not the visitor's, or the visitor is not active.
        """
        room, visitor = names_in(request.json(_visitor_body))
        proof = self._calls.prove_write(request, room, visitor)
        try:
            slot, token = await self._visits.slide(
                room,
                claim_of(visitor, proof),
                expires_ms=proof.expires_ms,
                account=proof.account,
            )
        except VisitorUnknown:
            if proof.genuine:
                raise TokenRejected from None
            raise
        token = token or given_token(request, room)
        view = slot_status(room, visitor, token, slot.state, slot.expires_ms, slot.extensions)
        return success(request, texts.SLID, view)

    async def claim(self, request: Request) -> Answer:
        """Keep a visitor's stay for the browser that claims it first; repeats are fine.

        Raises:
            PassUsed: Another browser has claimed it.
            TimeRanOut: The stay is over.
            TokenRejected: The token is not the visitor's, or the visitor is not admitted.
        """
        body = request.json(_claim_body)
        room, visitor = names_in(body)
        proof = self._calls.prove_write(request, room, visitor)
        try:
            await self._visits.claim(room, claim_of(visitor, proof), body.browser)
        except VisitorUnknown:
            if proof.genuine:
                raise TokenRejected from None
            raise
        return success(request, texts.CLAIMED, None)

    async def leave(self, request: Request) -> Answer:
        """Free the slot of a visitor who is done at the site: a signed webhook; repeats are fine.

        Raises:
            SiteSignatureRefused: The site has not signed it.
        """
        signature = request.headers.get(SIGNATURE_HEADER, b"")
        verify_webhook(self._site_key, signature, request.body, self._clock.now_ms() // 1_000)
        room, visitor = names_in(request.json(_visitor_body))
        await self._batchers.leave.enqueue(room, (visitor, 0))
        return success(request, texts.REMOVED, None)

    async def revoked(self, request: Request) -> Answer:
        """Answer with the departed places of a room."""
        room = RoomId(request.parameter("room"))
        body = msgspec.json.encode(DepartedPlaces(room, await self._departed.places(room)))
        etag = b'W/"' + blake2b(body, digest_size=8).hexdigest().encode("ascii") + b'"'
        headers = (
            (b"content-type", b"application/json"),
            (b"cache-control", b"public, max-age=1"),
            (b"etag", etag),
        )
        if etag_matches(request.headers.get(b"if-none-match", b""), etag):
            return Answer(304, headers, b"")
        return Answer(200, headers, body)
