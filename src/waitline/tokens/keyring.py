"""Keyring: the keys that sign and verify tickets and passes, and their rotation. Pure.

A ring holds several generations of keys. A new key is published before it signs. It still verifies
for a while after its successor signs.
"""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from string import ascii_letters, digits
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from typing_extensions import override

from waitline.kernel.errors import WaitlineError
from waitline.tokens.encoding import base64url, compact_json

TICKET_VERSION: Final = "t1"
"""First field of a ticket. It must change whenever the fields under the MAC change."""

ACCOUNT_TICKET_VERSION: Final = "a1"
"""First field of a ticket that proves an account. The MAC covers it, so one kind cannot be changed
into the other."""

JWT_TYPE: Final = "waitline-pass+jwt"
"""The `typ` of every pass, so that no other JWT is accepted as one. Source: RFC 8725 §3.11."""

SECRET_BYTES: Final = 32
"""Bytes of a ticket secret and of a pass seed: a BLAKE2b key of 256 bits, and the length that
RFC 8032 §5.1.5 fixes for Ed25519."""

MAC_BYTES: Final = 16
"""Bytes of a ticket's MAC. 128 bits cannot be guessed online; more would only lengthen the header
of every poll."""

KID_MAX: Final = 16
"""Most characters of a key's name, which is in every token."""

_KID_CHARS: Final = frozenset(ascii_letters + digits + "-_")

KEYS_MAX: Final = 512
"""Most keys in a ring: one a day for all of `KEEP_MS`, plus a fifth. Each takes 200 bytes of
the file. Further rotations are refused, because the oldest key may still prove a reservation."""

PUBLISH_MS: Final = 5_000
"""How long, in ms, a key is in the ring before it signs. Workers read the ring each second; the
other four seconds are for clock skew. With less, a worker could sign with a key that another
lacks."""

DAY_MS: Final = 24 * 3_600_000

KEEP_MS: Final = 400 * DAY_MS
"""How long, in ms, a superseded key still verifies: 400 days. A ticket proves a reservation for as
long as it can be refunded, and sales open up to a year before the show. No browser keeps a cookie
for longer than 400 days (RFC 6265bis, section 4.1.2.2). With less, buyers could no longer
cancel."""

PUBLIC_MS: Final = 7 * DAY_MS
"""How long, in ms, a superseded key stays in the public key set: 7 days. Shops verify the passes of
visitors inside with it, and a stay takes hours. With 400 days and weekly rotation the set would be
eight times as long, without benefit."""


class RotatedTooSoon(WaitlineError):  # noqa: N818 - reads as the outcome it is
    """The newest key does not sign yet; another rotation could drop keys in use."""

    def __init__(self, wait_ms: int) -> None:
        super().__init__(f"the newest key is not in use yet: rotate again in {wait_ms} ms")
        self.wait_ms = wait_ms


class KeyringFull(WaitlineError):  # noqa: N818 - reads as the outcome it is
    """The ring holds `KEYS_MAX` keys, each of which may prove a reservation."""

    def __init__(self, wait_ms: int) -> None:
        super().__init__(
            f"the keyring holds {KEYS_MAX} keys, and reservations made with the oldest can still "
            f"be refunded: rotate again in {wait_ms / DAY_MS:.1f} days, or revoke a key"
        )
        self.wait_ms = wait_ms


class KeyInUse(WaitlineError):  # noqa: N818 - reads as the outcome it is
    """The key signs now or later, so it cannot be revoked."""

    def __init__(self, kid: str) -> None:
        super().__init__(f"key {kid} is not superseded yet: rotate first")


class KeyUnknown(WaitlineError):  # noqa: N818 - reads as the outcome it is
    """The ring has no key of that name."""

    def __init__(self, kid: str) -> None:
        super().__init__(f"there is no key {kid}")


@dataclass(frozen=True)
class Key:
    """One generation of secrets: verifies as soon as it is in a ring, signs later.

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
        """MAC state after the fields that all tickets of this key share: copy it, never update it.

        Copying saves the set-up and one of two compressions, about half of the MAC's cost.
        """
        return self._state(TICKET_VERSION)

    @cached_property
    def account_ticket_state(self) -> hashlib.blake2b:
        """As `ticket_state`, for tickets that prove an account."""
        return self._state(ACCOUNT_TICKET_VERSION)

    def _state(self, version: str) -> hashlib.blake2b:
        shared = f"{len(version)}:{version},{len(self.kid)}:{self.kid},"
        return hashlib.blake2b(shared.encode(), key=self.ticket_secret, digest_size=MAC_BYTES)

    @cached_property
    def pass_private(self) -> Ed25519PrivateKey:
        """The private key that signs passes."""
        return Ed25519PrivateKey.from_private_bytes(self.pass_seed)

    @cached_property
    def pass_header(self) -> bytes:
        """The first part of every pass of this key, and the dot after it."""
        header = {"alg": "EdDSA", "kid": self.kid, "typ": JWT_TYPE}
        return base64url(compact_json(header).encode()) + b"."

    @cached_property
    def pass_public(self) -> Ed25519PublicKey:
        """The public key that verifies passes."""
        return self.pass_private.public_key()


@dataclass(frozen=True)
class Keyring:
    """The valid keys, oldest first.

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

    # Callers cache by ring, and hashing hundreds of keys would cost more than the cache saves.
    @override
    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash(self.keys)

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

    def kept(self, now_ms: int, superseded_ms: int) -> tuple[Key, ...]:
        """Return the keys that were superseded at most `superseded_ms` ago, or not yet."""
        successors = self.keys[1:]
        return (
            *(
                key
                for key, successor in zip(self.keys, successors, strict=False)
                if now_ms - successor.active_from_ms <= superseded_ms
            ),
            self.keys[-1],
        )


def rotate(
    ring: Keyring, *, kid: str, ticket_secret: bytes, pass_seed: bytes, now_ms: int
) -> Keyring:
    """Add a key that signs `PUBLISH_MS` from now, and drop keys that are no longer needed.

    These are the keys superseded for more than `KEEP_MS`. The key that signs now is never dropped.

    Raises:
        KeyringFull: There would be more than `KEYS_MAX` keys.
        RotatedTooSoon: The key added last does not sign yet.
        ValueError: The name is taken or malformed, or a secret has the wrong length.
    """
    newest = ring.keys[-1]
    if now_ms < newest.active_from_ms:
        raise RotatedTooSoon(newest.active_from_ms - now_ms)
    added = Key(kid, ticket_secret, pass_seed, now_ms + PUBLISH_MS)
    if kid in ring.by_kid:
        raise ValueError(f"the keyring has a key {kid} already")
    kept = ring.kept(now_ms, KEEP_MS)
    if len(kept) == KEYS_MAX:
        raise KeyringFull(kept[1].active_from_ms + KEEP_MS + 1 - now_ms)
    return Keyring((*kept, added))


def revoke(ring: Keyring, kid: str, now_ms: int) -> Keyring:
    """Revoke a superseded key, whose secrets may have leaked; its tokens become invalid.

    Raises:
        KeyUnknown: There is no such key.
        KeyInUse: It signs now, or will.
    """
    if kid not in ring.by_kid:
        raise KeyUnknown(kid)
    if ring.by_kid[kid].active_from_ms >= ring.signing(now_ms).active_from_ms:
        raise KeyInUse(kid)
    return Keyring(tuple(key for key in ring.keys if key.kid != kid))
