"""Buyer: owner of a reservation. Pure."""

from typing import NamedTuple

from waitline.kernel.ids import VisitorId

ANYBODY = ""
"""Holder in trial mode, where the user's name is enough. Never used in production."""


class Buyer(NamedTuple):
    """A user, and the holder that the user's token proves. Owns reservations and payments (B8).

    Attributes:
        user_id: Name of the user in the waiting room.
        holder: The place of the user, or the account, as in `waitline.tokens.proof`; `ANYBODY` in
            trial mode. A different visitor with the same name has a different holder.
    """

    user_id: VisitorId
    holder: str
