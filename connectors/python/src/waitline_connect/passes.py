"""Passes: proof that a visitor was admitted, verified with the queue's public keys. Pure."""

import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from enum import StrEnum
from threading import Lock
from typing import Any, Final, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

TOKEN_MAX: Final = 2_560
"""Longest pass, in characters; longer ones are refused unparsed. The queue's longest has 2 406."""

LEEWAY_S: Final = 5
"""Clock skew, in seconds, for which a pass counts beyond its end."""

KEPT_MAX: Final = 10_000
"""Most verified passes kept in memory, some 1 KiB each: more than a process has visitors inside."""

_FORM: Final = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{86})")


class Refusal(StrEnum):
    """Why a pass does not count."""

    MALFORMED = "malformed"
    KEY_UNKNOWN = "key-unknown"
    FORGED = "forged"
    ROOM = "room"
    EXPIRED = "expired"
    REVOKED = "revoked"
    OTHER_BROWSER = "other-browser"


class Pass(NamedTuple):
    """What a genuine pass proves.

    Attributes:
        room: The room that admitted the visitor.
        visitor: The visitor's id, the queue's `userId`.
        place: The visitor's place in the line.
        joined_ms: When it was taken, in ms since the epoch. Both together identify one stay.
        issued_s: When the visitor was admitted, in s since the epoch.
        expires_s: When the turn ends, in s since the epoch.
        token: The pass itself.
    """

    room: str
    visitor: str
    place: int
    joined_ms: int
    issued_s: int
    expires_s: int
    token: str


class KeySet:
    """The queue's public keys by name, and the passes that they have verified.

    Verifying takes some 100 µs, and a visitor sends the same pass with every request.
    """

    def __init__(self, keys: Mapping[str, Ed25519PublicKey]) -> None:
        self.keys = keys
        self._verified: dict[str, Pass] = {}
        self._lock = Lock()

    def genuine(self, token: str) -> Pass | Refusal:
        """Return what a pass proves, expired or not, or why it proves nothing."""
        found = self._verified.get(token)
        if found is not None:
            return found
        verified = verify(self.keys, token)
        if isinstance(verified, Pass):
            with self._lock:
                if len(self._verified) >= KEPT_MAX:
                    del self._verified[next(iter(self._verified))]
                self._verified[token] = verified
        return verified


def parse_jwks(document: object) -> KeySet:
    """Read the queue's key set; keys of kinds that we do not know are ignored.

    Raises:
        ValueError: It is not a key set.
    """
    if not isinstance(document, dict) or not isinstance(document.get("keys"), list):
        raise ValueError('a key set is {"keys": […]}')  # noqa: TRY004 - the document's fault
    keys = {}
    for one in document["keys"]:
        match one:
            case {"kty": "OKP", "crv": "Ed25519", "kid": str(kid), "x": str(x)}:
                keys[kid] = Ed25519PublicKey.from_public_bytes(_decoded(x))
            case _:
                pass
    return KeySet(keys)


def verify(keys: Mapping[str, Ed25519PublicKey], token: str) -> Pass | Refusal:
    """Verify the form, the signature and the claims of a pass, but not its time.

    Source:
        RFC 8725: one algorithm, an explicit type, no header that chooses either.
    """
    parts = _FORM.fullmatch(token) if len(token) <= TOKEN_MAX else None
    if parts is None:
        return Refusal.MALFORMED
    try:
        header = json.loads(_decoded(parts[1]))
        claims = json.loads(_decoded(parts[2]))
        signature = _decoded(parts[3])
    except (ValueError, RecursionError):
        # A thousand brackets fit into a token, and exhaust the stack of the parser.
        return Refusal.MALFORMED
    match header:
        case {"alg": "EdDSA", "typ": "waitline-pass+jwt", "kid": str(kid)} if "crit" not in header:
            key = keys.get(kid)
        case _:
            return Refusal.MALFORMED
    if key is None:
        return Refusal.KEY_UNKNOWN
    try:
        key.verify(signature, token.rpartition(".")[0].encode())
    except InvalidSignature:
        return Refusal.FORGED
    return _proven(claims, token)


def _proven(claims: Any, token: str) -> Pass | Refusal:  # noqa: ANN401 - JSON
    match claims:
        case {
            "iss": "waitline",
            "aud": str(room),
            "sub": str(visitor),
            "place": int(place),
            "joined": int(joined_ms),
            "iat": int(issued_s),
            "exp": int(expires_s),
        } if place > 0 and joined_ms >= 0:
            return Pass(room, visitor, place, joined_ms, issued_s, expires_s, token)
        case _:
            return Refusal.MALFORMED


def _decoded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
