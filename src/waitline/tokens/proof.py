"""Result of a token's verification: whose it is, and a pass's expiry. Pure."""

from typing import Final, NamedTuple


class Proof(NamedTuple):
    """What a token proves about its visitor.

    Attributes:
        place: The visitor's number in the line; 0 in `FORGED` and nowhere else.
        expires_ms: When a pass expires, in ms since the epoch, possibly in the past; 0 for a
            ticket, which has no expiry.
        joined_ms: When the place was taken, in ms since the epoch. With the place it names one
            stay: rooms that are created again count places from 1 again.
        account: Whether the visitor came with a statement of the shop, so that the stay belongs to
            the account.
        issued_ms: When a pass was issued, in ms since the epoch; 0 for a ticket.
    """

    place: int
    expires_ms: int
    joined_ms: int
    account: bool = False
    issued_ms: int = 0

    @property
    def genuine(self) -> bool:
        """Whether the token is ours, for this room and visitor."""
        return self.place > 0

    @property
    def holder(self) -> str:
        """Owner of the visitor's actions with the token, together with room and visitor.

        The stay, since any client may claim a visitor's name; `ACCOUNT` where the shop vouched for
        the visitor.
        """
        assert self.genuine
        return ACCOUNT if self.account else self.stay

    @property
    def stay(self) -> str:
        """The stay that the token belongs to, as the line's scripts compare it."""
        return f"{self.place}-{self.joined_ms}"

    def belongs_to(self, place: int, joined_ms: int) -> bool:
        """Return whether the token belongs to the stay of a place."""
        return self.place == place and self.joined_ms == joined_ms


ACCOUNT: Final = "account"
"""The `holder` of every token that proves an account."""

FORGED: Final = Proof(place=0, expires_ms=0, joined_ms=0)
"""The token proves nothing: not ours, altered, another visitor's, or of a dropped key."""
