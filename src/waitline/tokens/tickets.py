"""Tickets: proof that a visitor holds a place, as five fields with a keyed MAC. Pure.

`t1.<kid>.<place>.<issued_ms>.<mac>` is cheap enough for every visitor who enters. It is
deterministic: every worker mints the same text for the same visitor, as long as the signing key is
in the ring. `a1.` begins the ticket of a visitor who came with a statement of the shop.
"""

import hashlib
import hmac

from waitline.kernel.ids import RoomId, VisitorId
from waitline.tokens.encoding import base64url
from waitline.tokens.keyring import ACCOUNT_TICKET_VERSION, TICKET_VERSION, Keyring
from waitline.tokens.proof import FORGED, Proof


def mint_ticket(
    ring: Keyring,
    room: RoomId,
    visitor: VisitorId,
    place: int,
    issued_ms: int,
    *,
    account: bool = False,
) -> str:
    """Return the proof that a visitor holds a place.

    Args:
        ring: The keys; the one active at `issued_ms` signs.
        room: The room of the place.
        visitor: The visitor who holds it.
        place: 1 or more.
        issued_ms: When the place was taken, in ms since the epoch; not the time of a later request,
            or each answer would have a different ticket.
        account: Whether the shop vouched for the visitor, so that the ticket proves the account.

    Raises:
        ValueError: The room or the visitor is not Unicode text (a lone surrogate).

    Invariant:
        Q9.
    """
    assert place > 0
    key = ring.signing(issued_ms)
    place_text, issued_text = str(place), str(issued_ms)
    if account:
        version, state = ACCOUNT_TICKET_VERSION, key.account_ticket_state
    else:
        version, state = TICKET_VERSION, key.ticket_state
    mac = _mac(state, room, visitor, place_text, issued_text)
    return f"{version}.{key.kid}.{place_text}.{issued_text}.{mac}"


def verify_ticket(ring: Keyring, room: RoomId, visitor: VisitorId, fields: list[str]) -> Proof:
    """Return what a ticket proves, given its five fields; `FORGED` if nothing."""
    version, kid, place, issued_ms, mac = fields
    key = ring.by_kid.get(kid)
    if key is None:
        return FORGED
    if version == TICKET_VERSION:
        account, state = False, key.ticket_state
    elif version == ACCOUNT_TICKET_VERSION:
        account, state = True, key.account_ticket_state
    else:
        return FORGED
    # The MAC covers the numbers as text, so they are parsed only once authenticated.
    try:
        expected = _mac(state, room, visitor, place, issued_ms)
    except UnicodeEncodeError:
        return FORGED
    if not hmac.compare_digest(expected, mac):
        return FORGED
    return Proof(int(place), 0, int(issued_ms), account)


def names_our_key(ring: Keyring, token: str) -> bool:
    """Return whether a text has the form of a ticket, and names a key of the ring."""
    fields = token.split(".")
    return len(fields) == 5 and fields[1] in ring.by_kid  # noqa: PLR2004 - as the form has


def _mac(shared: hashlib.blake2b, room: str, visitor: str, place: str, issued_ms: str) -> str:
    """Return the MAC over version, kid, room, visitor, place and issue time.

    Each field is a netstring, `<bytes>:<text>,`, so that different fields never encode the same.

    Source:
        RFC 7693 (keyed BLAKE2b); https://cr.yp.to/proto/netstrings.txt.
    """
    room_bytes = len(room) if room.isascii() else len(room.encode())
    visitor_bytes = len(visitor) if visitor.isascii() else len(visitor.encode())
    state = shared.copy()
    state.update(
        f"{room_bytes}:{room},{visitor_bytes}:{visitor},"
        f"{len(place)}:{place},{len(issued_ms)}:{issued_ms},".encode()
    )
    return base64url(state.digest()).decode()
