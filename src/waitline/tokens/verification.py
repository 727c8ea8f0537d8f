"""Verify a token, whichever of the two it is. Pure.

A token proves who its visitor is. Whether that visitor still waits, has run out of time or has
left is in the store.
"""

from typing import Final

from waitline.kernel.ids import RoomId, VisitorId
from waitline.tokens.keyring import TICKET_VERSION, Keyring
from waitline.tokens.passes import verify_pass
from waitline.tokens.proof import FORGED, Proof
from waitline.tokens.tickets import verify_ticket

TOKEN_MAX: Final = 2_560
"""Characters of the longest text worth reading; more is refused unread. The longest pass has
2 351: a room and a visitor of 128 bytes each of which JSON must escape. Any less than that, and
such a visitor's own pass would be refused; much more, and strangers could make us work."""


def verify_token(ring: Keyring, room: RoomId, visitor: VisitorId, token: str) -> Proof:
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
        return verify_ticket(ring, room, visitor, fields)
    return verify_pass(ring, room, visitor, token)
