"""Keyrings for tests of tokens: keys made from a number, and their rotation."""

from tests.vectors.generate import ROOM, VISITOR
from waitline.tokens.keyring import Key, Keyring, rotate
from waitline.tokens.passes import mint_pass
from waitline.tokens.tickets import mint_ticket


def secret(n: int) -> bytes:
    return n.to_bytes(4, "big") * 8


def key(n: int, active_from_ms: int = 0) -> Key:
    return Key(f"k{n}", secret(n), secret(100_000 + n), active_from_ms)


def rotated(ring: Keyring, n: int, now_ms: int) -> Keyring:
    return rotate(
        ring, kid=f"k{n}", ticket_secret=secret(n), pass_seed=secret(100_000 + n), now_ms=now_ms
    )


def both(ring: Keyring, at_ms: int, place: int = 5) -> tuple[str, str]:
    return (
        mint_ticket(ring, ROOM, VISITOR, place, at_ms),
        mint_pass(
            ring,
            ROOM,
            VISITOR,
            place,
            joined_ms=at_ms,
            admitted_ms=at_ms,
            expires_ms=at_ms + 1_000,
        ),
    )
