"""Stays that slide forward while their visitors use a protected site (decision 0064)."""

from collections.abc import Sequence

from waitline.kernel.ids import RoomId
from waitline.queue import keys
from waitline.queue.model import BATCH_MAX
from waitline.queue.store import EXTENDED, StayClaim, Store, Turn
from waitline.valkey import scripts

SLIDE = scripts.load("waitline.queue", "slide")

# A stay that cannot slide is refused as one that cannot be extended; only slides are not counted.
SLID = {word: outcome for word, outcome in EXTENDED.items() if word != "spent"}


class Slides:
    """Moves the ends of stays.

    Args:
        confirming: Runs the script, and answers once the change is confirmed (decision 0041).
    """

    def __init__(self, confirming: Store) -> None:
        self._confirming = confirming

    async def slide(self, room: RoomId, claims: Sequence[StayClaim]) -> list[Turn]:
        """Move the end of each of 1 to `BATCH_MAX` active visitors' stays forward.

        Returns:
            An ACTIVE slot, whose end may be the same as before; or `TimeRanOut`, `TokenRejected`
            (not active yet, or the token is for another place), `VisitorUnknown`.

        Invariant:
            Q4, Q8, Q9.
        """
        assert 1 <= len(claims) <= BATCH_MAX
        k = keys.of(room)
        where = (k.room, k.waiting, k.admitted, k.slots)
        words = [word for claim in claims for word in claim]
        rows = await self._confirming.run(SLIDE, where, words)
        return [SLID[row[0]](*row[1:]) for row in rows]
