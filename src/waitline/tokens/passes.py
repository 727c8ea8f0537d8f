"""Tickets and passes: mint them, read them, rotate their keys. Pure: time and dice are arguments.

A *ticket* proves that a visitor holds a place. It is five fields with dots between,
`t1.<kid>.<place>.<issued_ms>.<mac>`, cheap enough to give to everybody who enters.
A *pass* proves that a visitor was admitted. It is a JWT signed with Ed25519, so that anybody
with the public key can check it without asking us.

A token proves who, the slot says what: whether the visitor still waits, has run out of time
or has left is the store's to say, never this module's.

Both are deterministic: the same visitor gets the same text from every worker, as long as the
key that signed it is in the ring.
"""

import hashlib
import hmac
from binascii import b2a_base64
from dataclasses import dataclass, field
from functools import cached_property
from json import JSONEncoder
from string import ascii_letters, digits
from typing import Any, Final, NamedTuple

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from waitline.kernel.errors import WaitlineError
from waitline.kernel.ids import RoomId, VisitorId

TICKET_VERSION: Final = "t1"
"""First field of a ticket. A change of what the MAC covers needs another one."""

ISSUER: Final = "waitline"
"""The `iss` of every pass."""

JWT_TYPE: Final = "waitline-pass+jwt"
"""The `typ` of every pass, so that no other JWT can be taken for one. Source: RFC 8725 §3.11."""

SECRET_BYTES: Final = 32
"""Bytes of a ticket secret and of a pass seed: a BLAKE2b key of 256 bits, and the length that
RFC 8032 §5.1.5 fixes for Ed25519."""

MAC_BYTES: Final = 16
"""Bytes of a ticket's MAC. 128 bits cannot be guessed online, and double the length would only
fatten the header that every poll carries."""

KID_MAX: Final = 16
"""Characters of a key's name, which every token carries."""

_KID_CHARS: Final = frozenset(ascii_letters + digits + "-_")

TOKEN_MAX: Final = 2_560
"""Characters of the longest text worth reading; more is refused unread. The longest pass has
2 351: a room and a visitor of 128 bytes each of which JSON must escape. Any less than that, and
such a visitor's own pass would be refused; much more, and strangers could make us work."""

KEYS_MAX: Final = 8
"""Keys in a ring. Each more makes the public key set longer; each less makes an operator who
rotates often turn away visitors who still hold an old token."""

PUBLISH_MS: Final = 5_000
"""How long, in ms, a key is in the ring before it signs. Workers read the ring each second; the
other four are for clocks that differ. With less, one worker signs what another cannot verify."""

KEEP_MS: Final = 7 * 24 * 3_600_000
"""How long, in ms, a superseded key still verifies: 7 days, longer than any line waits. With
less, whoever waits longest is turned away at the front."""


class RotatedTooSoon(WaitlineError):  # noqa: N818 - reads as the outcome it is
    """The newest key does not sign yet, so another would push out keys that are in use."""

    def __init__(self, wait_ms: int) -> None:
        super().__init__(f"the newest key is not in use yet: rotate again in {wait_ms} ms")
        self.wait_ms = wait_ms


@dataclass(frozen=True)
class Key:
    """One generation of secrets. Verifies from the moment it is in a ring, signs later.

    Attributes:
        kid: Name of the key, 1 to `KID_MAX` of `A-Z a-z 0-9 - _`; public.
        ticket_secret: `SECRET_BYTES` bytes that key the MAC of tickets.
        pass_seed: `SECRET_BYTES` bytes, the private seed of Ed25519, for passes.
        active_from_ms: Signs what is issued from here on, in ms since the epoch.
    """

    kid: str
    ticket_secret: bytes = field(repr=False)
    pass_seed: bytes = field(repr=False)
    active_from_ms: int

    def __post_init__(self) -> None:
        if not (1 <= len(self.kid) <= KID_MAX and _KID_CHARS.issuperset(self.kid)):
            raise ValueError(f"a kid must be 1 to {KID_MAX} of A-Z a-z 0-9 - _")
        if len(self.ticket_secret) != SECRET_BYTES or len(self.pass_seed) != SECRET_BYTES:
            raise ValueError(f"the secrets of key {self.kid} must be {SECRET_BYTES} bytes each")

    @cached_property
    def ticket_state(self) -> hashlib.blake2b:
        """The MAC after the fields that all tickets of this key share: copy it, never feed it.

        Copying saves the set-up and one of two compressions, about half of the MAC's cost.
        """
        shared = f"{len(TICKET_VERSION)}:{TICKET_VERSION},{len(self.kid)}:{self.kid},"
        return hashlib.blake2b(shared.encode(), key=self.ticket_secret, digest_size=MAC_BYTES)

    @cached_property
    def pass_private(self) -> Ed25519PrivateKey:
        """What signs passes."""
        return Ed25519PrivateKey.from_private_bytes(self.pass_seed)

    @cached_property
    def pass_header(self) -> bytes:
        """The first part of every pass of this key, and the dot after it."""
        header = {"alg": "EdDSA", "kid": self.kid, "typ": JWT_TYPE}
        return _base64url(_json(header).encode()) + b"."

    @cached_property
    def pass_public(self) -> Ed25519PublicKey:
        """What verifies passes."""
        return self.pass_private.public_key()


@dataclass(frozen=True)
class Keyring:
    """The keys that are good now, oldest first.

    Attributes:
        keys: 1 to `KEYS_MAX` keys with different names, in the order in which they sign.
    """

    keys: tuple[Key, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.keys) <= KEYS_MAX:
            raise ValueError(f"a keyring holds 1 to {KEYS_MAX} keys, not {len(self.keys)}")
        if len(self.by_kid) != len(self.keys):
            raise ValueError("every key of a keyring must have its own kid")
        starts = [key.active_from_ms for key in self.keys]
        if starts != sorted(starts):
            raise ValueError("the keys of a keyring must be ordered by active_from_ms")

    @cached_property
    def by_kid(self) -> dict[str, Key]:
        """The keys by name."""
        return {key.kid: key for key in self.keys}

    def signing(self, at_ms: int) -> Key:
        """Return the newest key active at `at_ms`, or the oldest if none was: a ring always signs.

        Args:
            at_ms: When the token is issued, in ms since the epoch.
        """
        for key in reversed(self.keys):
            if key.active_from_ms <= at_ms:
                return key
        return self.keys[0]


def rotate(
    ring: Keyring, *, kid: str, ticket_secret: bytes, pass_seed: bytes, now_ms: int
) -> Keyring:
    """Add a key that signs `PUBLISH_MS` from now, and drop those that are no longer needed.

    Dropped are keys superseded for more than `KEEP_MS`, and the oldest beyond `KEYS_MAX`. The
    key that signs now is never dropped.

    Raises:
        RotatedTooSoon: The key added last does not sign yet.
        ValueError: The name is taken or malformed, or a secret has the wrong length.
    """
    newest = ring.keys[-1]
    if now_ms < newest.active_from_ms:
        raise RotatedTooSoon(newest.active_from_ms - now_ms)
    added = Key(kid, ticket_secret, pass_seed, now_ms + PUBLISH_MS)
    if kid in ring.by_kid:
        raise ValueError(f"the keyring has a key {kid} already")
    successors = (*ring.keys[1:], added)
    kept = [
        key
        for key, successor in zip(ring.keys, successors, strict=True)
        if now_ms - successor.active_from_ms <= KEEP_MS
    ]
    return Keyring((*kept[-(KEYS_MAX - 1) :], added))


class Claim(NamedTuple):
    """What a token proves about its visitor.

    Attributes:
        place: The visitor's number in the line; 0 in `FORGED` and nowhere else.
        expires_ms: When a pass runs out, in ms since the epoch, perhaps long ago; 0 for a
            ticket, which does not.
    """

    place: int
    expires_ms: int

    @property
    def genuine(self) -> bool:
        """Whether we minted the token, for this room and visitor."""
        return self.place > 0


FORGED: Final = Claim(place=0, expires_ms=0)
"""The token proves nothing: not ours, altered, of a dropped key, or somebody else's."""


def mint_ticket(ring: Keyring, room: RoomId, visitor: VisitorId, place: int, issued_ms: int) -> str:
    """Return the proof that a visitor holds a place.

    Args:
        ring: The keys; the one active at `issued_ms` signs.
        room: Where the place is.
        visitor: Whose it is.
        place: 1 or more.
        issued_ms: When the place was given, in ms since the epoch; not when the visitor asks
            again, or each answer would hold another ticket.

    Raises:
        ValueError: The room or the visitor is not Unicode text (a lone surrogate).

    Invariant:
        Q9.
    """
    assert place > 0
    key = ring.signing(issued_ms)
    place_text, issued_text = str(place), str(issued_ms)
    mac = _mac(key, room, visitor, place_text, issued_text)
    return f"{TICKET_VERSION}.{key.kid}.{place_text}.{issued_text}.{mac}"


def mint_pass(
    ring: Keyring,
    room: RoomId,
    visitor: VisitorId,
    place: int,
    *,
    admitted_ms: int,
    expires_ms: int,
) -> str:
    """Return the signed proof that a visitor was admitted.

    Costs as much as twenty tickets, and reading one as much as eighty (measured): whoever
    answers often keeps the text, which is the same until the slot's expiry moves. Three parts
    with dots between need no library, which would add a fifth for each visitor that is let in;
    reading, where mistakes let strangers in, is the library's.

    Args:
        ring: The keys; the one active at `admitted_ms` signs.
        room: The room, which becomes `aud`.
        visitor: The visitor, who becomes `sub`.
        place: 1 or more.
        admitted_ms: When the visitor was admitted, in ms since the epoch; `iat`, rounded down.
        expires_ms: When the slot runs out, in ms since the epoch; `exp`, rounded up, since a
            pass must not end before its slot.

    Invariant:
        Q9.

    Source:
        RFC 7515 §3.1 (the form), RFC 7519 (claims), RFC 8037 (EdDSA in JOSE).
    """
    assert place > 0
    key = ring.signing(admitted_ms)
    claims = {
        "iss": ISSUER,
        "aud": room,
        "sub": visitor,
        "place": place,
        "iat": admitted_ms // 1_000,
        "exp": -(-expires_ms // 1_000),
    }
    signed = key.pass_header + _base64url(_json(claims).encode())
    return (signed + b"." + _base64url(key.pass_private.sign(signed))).decode()


def read_token(ring: Keyring, room: RoomId, visitor: VisitorId, token: str) -> Claim:
    """Return what a ticket or a pass proves, or `FORGED`. Never raises, whatever the text.

    A token proves who, the slot says what: a genuine pass that ran out is still a genuine
    pass, and only the slot in the store knows whether the visitor's time has run out.

    Invariant:
        Q9.
    """
    # Beyond ASCII nothing is ours, and `compare_digest` would raise. Padding is refused because
    # the JWT library forgives it, and one pass would have several spellings.
    if len(token) > TOKEN_MAX or not token.isascii() or "=" in token:
        return FORGED
    fields = token.split(".")
    if len(fields) == 5 and fields[0] == TICKET_VERSION:  # noqa: PLR2004 - as the form has
        return _read_ticket(ring, room, visitor, fields)
    return _read_pass(ring, room, visitor, token)


def jwks(ring: Keyring) -> dict[str, list[dict[str, str]]]:
    """Return the public keys of passes as a JWK set, with those that do not sign yet.

    Whoever caches it for less than `PUBLISH_MS` never meets a pass of a key it does not know.

    Source:
        RFC 7517 §5, RFC 8037 §2.
    """
    return {
        "keys": [
            {
                "kty": "OKP",
                "crv": "Ed25519",
                "x": _base64url(key.pass_public.public_bytes_raw()).decode(),
                "kid": key.kid,
                "use": "sig",
                "alg": "EdDSA",
            }
            for key in ring.keys
        ]
    }


_URLSAFE: Final = bytes.maketrans(b"+/", b"-_")
_json: Final = JSONEncoder(separators=(",", ":")).encode


def _base64url(data: bytes) -> bytes:
    """Encode without padding. Source: RFC 7515 §2."""
    # A third cheaper than `urlsafe_b64encode`, which wraps the same two calls in checks.
    return b2a_base64(data, newline=False).rstrip(b"=").translate(_URLSAFE)


def _mac(key: Key, room: str, visitor: str, place: str, issued_ms: str) -> str:
    """Return the MAC over version, kid, room, visitor, place and issue time.

    Each field is a netstring, `<bytes>:<text>,`, so that no two sets of fields read the same.

    Source:
        RFC 7693 (keyed BLAKE2b); https://cr.yp.to/proto/netstrings.txt.
    """
    room_bytes = len(room) if room.isascii() else len(room.encode())
    visitor_bytes = len(visitor) if visitor.isascii() else len(visitor.encode())
    state = key.ticket_state.copy()
    state.update(
        f"{room_bytes}:{room},{visitor_bytes}:{visitor},"
        f"{len(place)}:{place},{len(issued_ms)}:{issued_ms},".encode()
    )
    return _base64url(state.digest()).decode()


def _read_ticket(ring: Keyring, room: RoomId, visitor: VisitorId, fields: list[str]) -> Claim:
    _, kid, place, issued_ms, mac = fields
    key = ring.by_kid.get(kid)
    if key is None:
        return FORGED
    # The MAC covers the figures as they are written, so a genuine one vouches for their form
    # too, and no figure of a stranger is ever parsed.
    try:
        expected = _mac(key, room, visitor, place, issued_ms)
    except UnicodeEncodeError:
        return FORGED
    return Claim(int(place), 0) if hmac.compare_digest(expected, mac) else FORGED


def _read_pass(ring: Keyring, room: RoomId, visitor: VisitorId, token: str) -> Claim:
    try:
        header = jwt.get_unverified_header(token)
        key = ring.by_kid.get(header.get("kid", ""))
        if key is None or header.get("typ") != JWT_TYPE:
            return FORGED
        # The list of algorithms has one entry, so the header cannot choose: neither `none` nor
        # an HMAC keyed with the public key. Times are not judged here.
        claims: dict[str, Any] = jwt.decode(
            token,
            key.pass_public,
            algorithms=["EdDSA"],
            audience=room,
            issuer=ISSUER,
            subject=visitor,
            options={
                "require": ["iss", "aud", "sub", "iat", "exp", "place"],
                "strict_aud": True,
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
            },
        )
    except (jwt.PyJWTError, ValueError):
        return FORGED
    match claims:
        case {"place": int(place), "exp": int(expires_s)} if place > 0:
            return Claim(place, expires_s * 1_000)
        case _:
            return FORGED
