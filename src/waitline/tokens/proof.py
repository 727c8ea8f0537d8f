"""Result of a token's verification: a place in the line, and a pass's expiry. Pure."""

from typing import Final, NamedTuple


class Proof(NamedTuple):
    """What a token proves about its visitor.

    Attributes:
        place: The visitor's number in the line; 0 in `FORGED` and nowhere else.
        expires_ms: When a pass expires, in ms since the epoch, possibly in the past; 0 for a
            ticket, which has no expiry.
    """

    place: int
    expires_ms: int

    @property
    def genuine(self) -> bool:
        """Whether the token is ours, for this room and visitor."""
        return self.place > 0


FORGED: Final = Proof(place=0, expires_ms=0)
"""The token proves nothing: not ours, altered, another visitor's, or of a dropped key."""
