"""What a ticket or a pass proves: a place in the line, and when a pass expires."""

from typing import Final, NamedTuple


class Proof(NamedTuple):
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


FORGED: Final = Proof(place=0, expires_ms=0)
"""The token proves nothing: not ours, altered, of a dropped key, or somebody else's."""
