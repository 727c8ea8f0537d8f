"""Authentication of visitors by ticket or pass, from a header or a cookie.

In trial mode a visitor's name is enough, and a token is checked only if it is given. In production
the visitor's own token is required.
"""

from functools import lru_cache
from hashlib import blake2b
from hmac import compare_digest
from typing import NamedTuple

from waitline.http.problems import InputInvalid
from waitline.http.requests import BLANK, Request
from waitline.http.texts import Text
from waitline.kernel.errors import Refused
from waitline.kernel.ids import RoomId, VisitorId
from waitline.queue.model import Slot, State, TimeRanOut, TokenRejected, VisitorUnknown
from waitline.queue.store import Turn
from waitline.tokens.keyring import KEEP_MS, Keyring
from waitline.tokens.keyring_file import Keys
from waitline.tokens.marks import EARLIER_MARK_CHARS, VISITOR_KEY, earlier_mark, key_mark
from waitline.tokens.passes import named_in_pass, room_of_pass
from waitline.tokens.proof import FORGED, Proof
from waitline.tokens.tickets import names_our_key
from waitline.tokens.verification import TICKET_PREFIXES, TOKEN_MAX, verify_token

TOKEN_HEADER = b"x-queue-token"
VISITOR_KEY_HEADER = b"x-visitor-key"

PASSES_CACHED = 16_384
"""Verified passes cached per worker: verifying a signature takes about 250 µs, and the shop
validates every step of a visitor. The keyring is part of the cache key: a removed key has no
entries."""

COOKIE_S = KEEP_MS // 1_000
"""How long, in s, a browser keeps a ticket: as long as its key verifies, 400 days, which is also
the most that browsers allow. The ticket proves a reservation until it can no longer be refunded."""

NO_KEY = Text(
    "공백 없는 ASCII 문자 16자 이상 128자 이하여야 합니다.",
    "must be 16 to 128 visible ASCII characters",
)

NO_PROOF = FORGED
"""Proof of a visitor without a token, where none is required."""


class UserMissing(Refused):
    """The request does not name its user."""


class TokenMissing(Refused):
    """The request has no token of the queue."""


COOKIE_PREFIX = b"__Host-waitline-"
"""Prefix of our cookies' names."""


def cookie_name(room: RoomId) -> bytes:
    """Return the name of the cookie with a visitor's ticket for one room.

    The prefix makes browsers require HTTPS, this exact host and the path `/`. The room's name is
    hashed, because it may contain characters that a cookie's name may not.
    Source: RFC 6265bis, section 4.1.3.2.
    """
    return COOKIE_PREFIX + blake2b(room.encode(), digest_size=8).hexdigest().encode("ascii")


def ticket_cookie(room: RoomId, ticket: str) -> tuple[bytes, bytes]:
    """Return the header that stores the ticket in the visitor's browser.

    It outlives the browser's session: phones close browsers, and the visitor must keep the place.
    """
    value = cookie_name(room) + b"=" + ticket.encode("ascii")
    attributes = b"; Path=/; Max-Age=%d; Secure; HttpOnly; SameSite=Lax" % COOKIE_S
    return (b"set-cookie", value + attributes)


def given_token(request: Request, room: RoomId) -> str | None:
    """Return the request's token, from its header or cookie, or `None`.

    Raises:
        InputInvalid: The header is present and empty.
    """
    header = request.headers.get(TOKEN_HEADER)
    if header is not None:
        if not header.strip():
            raise InputInvalid("X-Queue-Token", BLANK)
        return header.decode("latin-1")
    cookies = request.headers.get(b"cookie")
    if cookies is None:
        return None
    wanted = cookie_name(room)
    for pair in cookies.split(b";"):
        name, _, value = pair.strip().partition(b"=")
        if name == wanted:
            return value.decode("latin-1")
    return None


def given_mark(request: Request, room: RoomId, visitor: VisitorId) -> str:
    """Return the mark of the visitor key that the request has; empty if it has none.

    Raises:
        InputInvalid: It is not a visitor key.
    """
    key = request.headers.get(VISITOR_KEY_HEADER)
    if key is None:
        return ""
    if VISITOR_KEY.fullmatch(key) is None:
        raise InputInvalid("X-Visitor-Key", NO_KEY)
    return key_mark(room, visitor, key)


def has_mark(request: Request, room: RoomId, visitor: VisitorId, *, mark: str, stored: str) -> bool:
    """Return whether a request has the mark of a place.

    Args:
        request: The request.
        room: Its room.
        visitor: Its visitor.
        mark: The mark that a new place would get; empty for none.
        stored: The mark of the place; empty for none.
    """
    key = request.headers.get(VISITOR_KEY_HEADER)
    if len(stored) == EARLIER_MARK_CHARS and key is not None:
        mark = earlier_mark(room, visitor, key)
    return mark != "" and compare_digest(mark, stored)


class Presented(NamedTuple):
    """A genuine pass for a room.

    Attributes:
        visitor: Whose it is.
        place: The visitor's place.
        stay: As in `Proof.stay`.
        expires_ms: When it expires, in ms since the epoch, possibly in the past.
        account: As in `Proof.account`.
        half_ms: When half of the pass's time is over, in ms since the epoch.
    """

    visitor: VisitorId
    place: int
    stay: str
    expires_ms: int
    account: bool
    half_ms: int


class Identity:
    """Authenticates visitors.

    Args:
        keys: The keys that tickets and passes are made with.
        trusting: Whether a visitor may be named without proof (trial mode).
    """

    def __init__(self, keys: Keys, *, trusting: bool) -> None:
        self._keys = keys
        self._passes = lru_cache(maxsize=PASSES_CACHED)(verify_token)
        self._presented = lru_cache(maxsize=PASSES_CACHED)(_presented_pass)
        self.trusting = trusting

    def prove(self, request: Request, room: RoomId, visitor: VisitorId) -> Proof:
        """Return what the request's token proves, or `NO_PROOF` in trial mode without a token.

        Raises:
            TokenRejected: The token is not this visitor's, or is missing in production.
            InputInvalid: The header is present and empty.

        Invariant:
            Q9.
        """
        token = given_token(request, room)
        if token is None:
            if self.trusting:
                return NO_PROOF
            raise TokenRejected
        return self.proof_of(token, room, visitor)

    def proven(self, request: Request, room: RoomId, visitor: VisitorId) -> Proof:
        """Return what the request's token proves; `FORGED` if it has none, or it is not a token."""
        token = given_token(request, room)
        return FORGED if token is None else self._verify(token, room, visitor)

    def presented(self, token: str, room: RoomId) -> Presented | None:
        """Return whose pass for a room this is, expired or not; `None` if it is no such pass.

        Invariant:
            Q9.
        """
        # As in `_verify`.
        return self._presented(self._keys.current, room, token) if len(token) <= TOKEN_MAX else None

    def proof_of(self, token: str, room: RoomId, visitor: VisitorId) -> Proof:
        """Return what a token proves.

        Raises:
            TokenRejected: It is not this visitor's for this room.
        """
        proof = self._verify(token, room, visitor)
        if not proof.genuine:
            raise TokenRejected
        return proof

    def proof_in(self, token: str, room: RoomId, visitor: VisitorId) -> Proof | None:
        """Return what a token proves, or `None` if it is for another room.

        A token is verified once, whatever the room, and refused for reasons that do not depend on
        the room. A ticket's MAC covers the room, so a forged one counts as one of another room, if
        it names a key of ours.

        Raises:
            TokenRejected: It is not ours, or another visitor's pass.

        Invariant:
            Q9, B8.
        """
        if token.startswith(TICKET_PREFIXES):
            if not names_our_key(self._keys.current, token):
                raise TokenRejected
            proof = self._verify(token, room, visitor)
            return proof if proof.genuine else None
        own = room_of_pass(token) if len(token) <= TOKEN_MAX else None
        if own is None:
            raise TokenRejected
        proof = self.proof_of(token, own, visitor)
        return proof if own == room else None

    def _verify(self, token: str, room: RoomId, visitor: VisitorId) -> Proof:
        # No token of ours is longer, and caching it would let strangers fill the memory.
        if len(token) > TOKEN_MAX:
            return FORGED
        verify = verify_token if token.startswith(TICKET_PREFIXES) else self._passes
        return verify(self._keys.current, room, visitor, token)


def _presented_pass(ring: Keyring, room: RoomId, token: str) -> Presented | None:
    """Return what a pass proves, and for whom, or `None`."""
    named = named_in_pass(token)
    if named is None or named[0] != room:
        return None
    proof = verify_token(ring, room, named[1], token)
    if not proof.genuine or not proof.expires_ms:
        return None
    half_ms = (proof.issued_ms + proof.expires_ms) // 2
    return Presented(named[1], proof.place, proof.stay, proof.expires_ms, proof.account, half_ms)


def judge(turn: Turn, proof: Proof) -> Slot:
    """Return the visitor's slot if the token entitles the visitor to it. Pure.

    The identity rule of the contract. Without a token, an unknown visitor is refused as unknown. A
    token for another stay, or of an unknown visitor, is rejected. A slot whose time is over is
    refused as such.

    Args:
        turn: The visitor's slot in the store, or its refusal.
        proof: What the visitor's token proves, or `NO_PROOF`.

    Raises:
        VisitorUnknown, TokenRejected, TimeRanOut, ExtensionsSpent: By the rule.

    Invariant:
        Q9.
    """
    if isinstance(turn, VisitorUnknown) and proof.genuine:
        raise TokenRejected
    if isinstance(turn, Refused):
        raise turn
    if proof.genuine and not proof.belongs_to(turn.place, turn.joined_ms):
        raise TokenRejected
    if turn.state is State.EXPIRED:
        raise TimeRanOut
    return turn
