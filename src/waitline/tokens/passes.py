"""Passes: proof that a visitor was admitted, as a JWT signed with Ed25519. Pure.

Shops can verify a pass offline with the public keys (`jwks`). It is deterministic: every worker
mints the same text for the same admission, as long as the signing key is in the ring.
"""

from typing import Any, Final

import jwt

from waitline.kernel.ids import RoomId, VisitorId
from waitline.tokens.encoding import base64url, compact_json
from waitline.tokens.keyring import JWT_TYPE, PUBLIC_MS, Keyring
from waitline.tokens.proof import FORGED, Proof

ISSUER: Final = "waitline"
"""The `iss` of every pass."""


def mint_pass(
    ring: Keyring,
    room: RoomId,
    visitor: VisitorId,
    place: int,
    *,
    joined_ms: int,
    admitted_ms: int,
    expires_ms: int,
    issued_ms: int = 0,
    account: bool = False,
) -> str:
    """Return the signed proof that a visitor was admitted.

    Minting costs as much as twenty tickets, verifying as much as eighty (measured), so callers
    cache the text, which is the same until the slot's expiry changes. Minting uses no library,
    which would cost a fifth more. Verifying uses one, because a mistake there would accept forged
    passes.

    Args:
        ring: The keys; the one active at `admitted_ms` signs.
        room: The room, which becomes `aud`.
        visitor: The visitor, who becomes `sub`.
        place: 1 or more.
        joined_ms: When the place was taken, in ms since the epoch.
        admitted_ms: When the visitor was admitted, in ms since the epoch.
        expires_ms: When the slot expires, in ms since the epoch; `exp`, rounded up, since a pass
            must not expire before its slot.
        issued_ms: When the pass was issued, in ms since the epoch; `iat`, rounded down. 0: with the
            admission.
        account: Whether the shop vouched for the visitor, so that the pass proves the account.

    Invariant:
        Q9.

    Source:
        RFC 7515 §3.1 (the form), RFC 7519 (claims), RFC 8037 (EdDSA in JOSE).
    """
    assert place > 0
    key = ring.signing(admitted_ms)
    claims: dict[str, str | int] = {
        "iss": ISSUER,
        "aud": room,
        "sub": visitor,
        "place": place,
        "joined": joined_ms,
        "iat": (issued_ms or admitted_ms) // 1_000,
        "exp": -(-expires_ms // 1_000),
    }
    if account:
        claims["account"] = True
    signed = key.pass_header + base64url(compact_json(claims).encode())
    return (signed + b"." + base64url(key.pass_private.sign(signed))).decode()


def verify_pass(ring: Keyring, room: RoomId, visitor: VisitorId, token: str) -> Proof:
    """Return what a pass proves, expired or not; `FORGED` if nothing."""
    try:
        header = jwt.get_unverified_header(token)
        key = ring.by_kid.get(header.get("kid", ""))
        if key is None or header.get("typ") != JWT_TYPE:
            return FORGED
        # One algorithm only: the header can choose neither `none` nor an HMAC keyed with the public
        # key. Expiry is checked elsewhere.
        claims: dict[str, Any] = jwt.decode(
            token,
            key.pass_public,
            algorithms=["EdDSA"],
            audience=room,
            issuer=ISSUER,
            subject=visitor,
            options={
                "require": ["iss", "aud", "sub", "iat", "exp", "place", "joined"],
                "strict_aud": True,
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
            },
        )
    except (jwt.PyJWTError, ValueError):
        return FORGED
    match claims:
        case {
            "place": int(place),
            "joined": int(joined_ms),
            "iat": int(issued_s),
            "exp": int(expires_s),
        } if place > 0 and joined_ms >= 0 and claims.get("account", True) is True:
            account = "account" in claims
            return Proof(place, expires_s * 1_000, joined_ms, account, issued_s * 1_000)
        case _:
            return FORGED


def room_of_pass(token: str) -> RoomId | None:
    """Return the room that a pass names, unverified, or `None` if it is not a pass."""
    room = _unverified(token).get("aud")
    return RoomId(room) if isinstance(room, str) else None


def named_in_pass(token: str) -> tuple[RoomId, VisitorId] | None:
    """Return a pass's room and visitor, unverified, or `None` if it is not a pass."""
    claims = _unverified(token)
    room, visitor = claims.get("aud"), claims.get("sub")
    if not isinstance(room, str) or not isinstance(visitor, str):
        return None
    return RoomId(room), VisitorId(visitor)


def _unverified(token: str) -> dict[str, Any]:
    if not token.isascii():
        return {}
    try:
        claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError):
        return {}
    return claims


def jwks(ring: Keyring, now_ms: int) -> dict[str, list[dict[str, str]]]:
    """Return the public keys of passes as a JWK set, including keys that do not sign yet.

    A verifier that caches it for less than `PUBLISH_MS` always knows the signing key. Keys
    superseded for longer than `PUBLIC_MS` are omitted.

    Source:
        RFC 7517 §5, RFC 8037 §2.
    """
    return {
        "keys": [
            {
                "kty": "OKP",
                "crv": "Ed25519",
                "x": base64url(key.pass_public.public_bytes_raw()).decode(),
                "kid": key.kid,
                "use": "sig",
                "alg": "EdDSA",
            }
            for key in ring.kept(now_ms, PUBLIC_MS)
        ]
    }
