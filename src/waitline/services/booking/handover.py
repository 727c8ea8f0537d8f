"""Hand-over from the waiting page: exchanges the pass in a URL for a cookie, once.

docs/handover.md describes the protocol to shops; this is its reference implementation.
"""

from enum import StrEnum
from hashlib import blake2b
from typing import Final, NamedTuple

from starlette.requests import Request as FrameworkRequest

from waitline.booking.buyer import Buyer
from waitline.booking.idempotency import IdempotencyKeys, StoredAnswer
from waitline.booking.idempotency_key import IdempotencyKey
from waitline.http.requests import Request
from waitline.kernel.clock import Clock
from waitline.kernel.ids import RoomId, VisitorId
from waitline.queue.model import TimeRanOut, TokenRejected, VisitorUnknown
from waitline.services.booking.doorman import Doorman
from waitline.services.booking.session_cookie import session_token
from waitline.tokens.passes import named_in_pass
from waitline.tokens.verification import TOKEN_MAX

PARAMETER: Final = "waitline"
"""Query parameter with the pass, in the address that the waiting page redirects to."""


class HandoverFault(StrEnum):
    """Why a pass is refused."""

    FORGED = "forged"  # no pass of ours, or an altered one
    OTHER_ROOM = "other-room"  # a pass of another waiting room
    EXPIRED = "expired"  # the time is over, or the visitor has left
    USED = "used"  # exchanged before, by another browser


class HandoverRefused(Exception):  # noqa: N818 - the fault inside says what is wrong
    """A pass is not exchanged.

    Attributes:
        fault: Why.
    """

    def __init__(self, fault: HandoverFault) -> None:
        super().__init__(fault)
        self.fault = fault


class Session(NamedTuple):
    """A visitor whom the waiting page has sent.

    Attributes:
        room: The waiting room.
        visitor: The visitor, by the name that the waiting room knows.
        token: The pass.
        expires_ms: When it expires, in ms since the epoch.
        joined_ms: When the visitor joined the line, in ms since the epoch.
    """

    room: RoomId
    visitor: VisitorId
    token: str
    expires_ms: int
    joined_ms: int


class Handover:
    """Exchanges passes.

    Args:
        doorman: Verifies passes, and checks admission.
        used: Remembers which were exchanged.
        clock: The present time.
        trusting: Whether this is trial mode.
    """

    def __init__(
        self, doorman: Doorman, used: IdempotencyKeys, clock: Clock, *, trusting: bool
    ) -> None:
        self._doorman = doorman
        self._used = used
        self._clock = clock
        self._trusting = trusting

    def session(self, request: FrameworkRequest, room: RoomId) -> Session | None:
        """Return the visitor whom the cookie of a room proves, or `None`."""
        ours = Request.of(request.scope)
        token = session_token(ours, room, trusting=self._trusting)
        try:
            return None if token is None else self._proven(token, room)
        except HandoverRefused:
            return None

    async def exchange(self, request: FrameworkRequest, token: str, room: RoomId) -> Session:
        """Accept the pass in an address, once.

        Args:
            request: The request with the address.
            token: The pass.
            room: The room that it must be for.

        Raises:
            HandoverRefused: It is not accepted.
            Unavailable: A store does not answer; the pass may be tried again.

        Invariant:
            Q9.
        """
        session = self._proven(token, room)
        if session.expires_ms <= self._clock.now_ms():
            raise HandoverRefused(HandoverFault.EXPIRED)
        before = self.session(request, room)
        if before is not None and before.token == token:
            # The same browser returns, for example through its history.
            return session
        try:
            await self._doorman.admit(room, session.visitor, token)
        except (TimeRanOut, TokenRejected, VisitorUnknown):
            raise HandoverRefused(HandoverFault.EXPIRED) from None
        if not await self._first(session):
            raise HandoverRefused(HandoverFault.USED)
        return session

    def _proven(self, token: str, room: RoomId) -> Session:
        """Return the session that a pass is for, whether its time is over or not.

        Raises:
            HandoverRefused: It is not a pass, or one of another room.
        """
        named = named_in_pass(token) if len(token) <= TOKEN_MAX else None
        if named is None:
            raise HandoverRefused(HandoverFault.FORGED)
        try:
            proof = self._doorman.prove(*named, token)
        except TokenRejected:
            raise HandoverRefused(HandoverFault.FORGED) from None
        if named[0] != room:
            raise HandoverRefused(HandoverFault.OTHER_ROOM)
        return Session(room, named[1], token, proof.expires_ms, proof.joined_ms)

    async def _first(self, session: Session) -> bool:
        """Record that a pass is exchanged; return whether it was not before."""
        digest = blake2b(session.token.encode(), digest_size=32)
        # The blank cannot occur in the key of a request.
        key = IdempotencyKey(f"handover {digest.hexdigest()}", digest.digest(), "en")
        buyer = Buyer(session.visitor, "handover")
        return await self._used.store_answer(key, buyer, StoredAnswer(303, b""))
