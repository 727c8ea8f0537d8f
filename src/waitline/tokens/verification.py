"""Verification of tickets and passes. Pure.

A token authenticates its visitor. Only the store knows whether that visitor waits, is admitted or
has left.
"""

from typing import Final

from waitline.kernel.ids import RoomId, VisitorId
from waitline.tokens.keyring import ACCOUNT_TICKET_VERSION, TICKET_VERSION, Keyring
from waitline.tokens.passes import verify_pass
from waitline.tokens.proof import FORGED, Proof
from waitline.tokens.tickets import verify_ticket

TOKEN_MAX: Final = 2_560
"""Longest token, in characters; longer ones are refused unparsed, which bounds the work for
unauthenticated clients. The longest pass has 2 406: room and visitor of 128 bytes each, all escaped
in JSON."""

TICKET_PREFIXES: Final = (TICKET_VERSION + ".", ACCOUNT_TICKET_VERSION + ".")
"""Prefixes of tickets; a JWT begins with an encoded brace."""


def verify_token(ring: Keyring, room: RoomId, visitor: VisitorId, token: str) -> Proof:
    """Return what a ticket or a pass proves, or `FORGED`. Never raises.

    An expired pass is genuine: whether the visitor's time is over depends on the slot in the store.

    Invariant:
        Q9.
    """
    # Our tokens are ASCII, and `compare_digest` raises for other characters. The JWT library
    # accepts padding, which would give one pass several forms.
    if len(token) > TOKEN_MAX or not token.isascii() or "=" in token:
        return FORGED
    if token.startswith(TICKET_PREFIXES):
        fields = token.split(".")
        return verify_ticket(ring, room, visitor, fields) if len(fields) == 5 else FORGED  # noqa: PLR2004 - as the form has
    return verify_pass(ring, room, visitor, token)
