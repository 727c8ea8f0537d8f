"""Marks: digests of visitors' keys, stored beside their places. Pure.

A client that generates a secret (the visitor key) and sends it with every enter is recognised by
it, also after a lost answer. The room stores only a digest.
"""

import re
from hashlib import blake2b
from typing import Final

from waitline.kernel.ids import RoomId, VisitorId
from waitline.tokens.encoding import base64url

VISITOR_KEY: Final = re.compile(rb"[!-~]{16,128}")
"""Form of a visitor key: visible ASCII, so that every proxy forwards it as it is. 16 random
characters of base64 are 96 bits; 128 are more than any client needs."""

MARK_CHARS: Final = 8
"""Characters of a mark, of 7 bits each. A guess costs one request, and each place has to be
attacked separately: at 100 000 requests a second, 56 bits last for 20 000 years. Offline search is
no concern: it needs access to the store, which allows worse. One character more would take 16 bytes
more for every waiting visitor: the allocator's next size."""

EARLIER_MARK_CHARS: Final = 11
"""Characters of a mark as earlier versions stored it, base64url of 64 bits. Places that were taken
before an upgrade have one until their stays are over."""

_ASCII: Final = bytes(range(128)) * 2

_PERSON: Final = b"wl-visitor-key"


def key_mark(room: RoomId, visitor: VisitorId, key: bytes) -> str:
    """Return the mark of a visitor key: 8 characters of ASCII, any of them.

    Room and visitor are part of it, so a client has different marks in different rooms, and the
    mark of one place reveals nothing about another.

    Args:
        room: The room.
        visitor: The visitor.
        key: Of the form `VISITOR_KEY`.

    Source:
        RFC 7693 (BLAKE2b); https://cr.yp.to/proto/netstrings.txt for the fields.
    """
    return _digest(room, visitor, key).translate(_ASCII).decode("ascii")


def earlier_mark(room: RoomId, visitor: VisitorId, key: bytes) -> str:
    """Return the mark of a visitor key as earlier versions stored it."""
    return base64url(_digest(room, visitor, key)).decode("ascii")


def _digest(room: RoomId, visitor: VisitorId, key: bytes) -> bytes:
    room_bytes, visitor_bytes = room.encode(), visitor.encode()
    fields = b"%d:%s,%d:%s," % (len(room_bytes), room_bytes, len(visitor_bytes), visitor_bytes)
    return blake2b(fields + key, digest_size=MARK_CHARS, person=_PERSON).digest()
