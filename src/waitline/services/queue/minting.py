"""Mints the tokens that the queue service answers with: tickets and passes."""

from functools import lru_cache

from waitline.kernel.ids import RoomId, VisitorId
from waitline.queue.model import Slot
from waitline.tokens.keyring_file import Keys
from waitline.tokens.passes import mint_pass
from waitline.tokens.tickets import mint_ticket

PASSES_CACHED = 16_384
"""Passes cached per worker: signing takes about 50 µs, and an admitted visitor polls every few
seconds. An evicted pass is signed again, to the same text."""


class Tokens:
    """Mints tickets and passes.

    Args:
        keys: Signing keys.
    """

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._passes = lru_cache(maxsize=PASSES_CACHED)(mint_pass)

    def ticket(
        self, room: RoomId, visitor: VisitorId, place: int, joined_ms: int, *, account: bool
    ) -> str:
        """Return the proof of a place."""
        return mint_ticket(self._keys.current, room, visitor, place, joined_ms, account=account)

    def entry_pass(
        self, room: RoomId, visitor: VisitorId, slot: Slot, *, account: bool, issued_ms: int = 0
    ) -> str:
        """Return the proof of admission, until the slot runs out.

        Once the slot's end has moved, it says when it was issued, so that sites can see when half
        of its time is over. One that does is not cached: it is returned once.
        """
        mint = mint_pass if issued_ms else self._passes
        return mint(
            self._keys.current,
            room,
            visitor,
            slot.place,
            joined_ms=slot.joined_ms,
            admitted_ms=slot.admitted_ms,
            expires_ms=slot.expires_ms,
            issued_ms=issued_ms,
            account=account,
        )
