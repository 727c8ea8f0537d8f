"""Buyer: whose a reservation is. Pure."""

from typing import NamedTuple

from waitline.kernel.ids import VisitorId

ANYBODY = ""
"""Holder in trial mode, where the user's name is proof enough. Nobody has it in production."""


class Buyer(NamedTuple):
    """A user, and the holder that the user's token proves. Owns reservations and payments (B8).

    Attributes:
        user_id: The user, by the name that the waiting room knows.
        holder: The place of the user, or the account, as in `waitline.tokens.proof`; `ANYBODY` in
            trial mode. Another visitor under the same name has another one.
    """

    user_id: VisitorId
    holder: str
