"""Claims of stays by browsers: whose pass it is, where a site binds passes (decision 0063)."""

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import NamedTuple

from waitline.kernel.errors import Refused, Unavailable
from waitline.kernel.ids import RoomId, VisitorId
from waitline.queue import keys
from waitline.queue.model import (
    BATCH_MAX,
    StoreFull,
    TimeRanOut,
    TokenRejected,
    VisitorUnknown,
)
from waitline.queue.store import Store
from waitline.valkey import scripts

CLAIM = scripts.load("waitline.queue", "claim")


class BrowserClaim(NamedTuple):
    """A browser's claim of a visitor's stay.

    Attributes:
        visitor: The visitor.
        stay: The stay that the visitor's token proves; 0 where no token is required.
        browser: The browser's secret; only a digest of it is stored.
    """

    visitor: VisitorId
    stay: str | int
    browser: str


class PassUsed(Refused):
    """Another browser has claimed the stay."""


# The outcome of each word that the script returns; `None` if the stay is the browser's.
CLAIMED: Mapping[str, Callable[..., Refused | Unavailable | None]] = {
    "claimed": lambda: None,
    "used": PassUsed,
    "expired": lambda _: TimeRanOut(),
    "queued": lambda _: TokenRejected(),
    "unknown": VisitorUnknown,
    "stranger": TokenRejected,
    "no_memory": StoreFull,
}


class Claims:
    """The claims of all rooms.

    Args:
        confirming: Runs the script, and answers once the change is confirmed (decision 0041).
    """

    def __init__(self, confirming: Store) -> None:
        self._confirming = confirming

    async def claim(
        self, room: RoomId, claims: Sequence[BrowserClaim]
    ) -> list[Refused | Unavailable | None]:
        """Claim the stays of 1 to `BATCH_MAX` visitors for browsers, the first one each.

        Returns:
            `None` if the stay is the browser's; or `PassUsed`, `TimeRanOut`, `TokenRejected` (still
            waiting, or the token is for another place), `VisitorUnknown`, `StoreFull`.

        Invariant:
            Q9.
        """
        assert 1 <= len(claims) <= BATCH_MAX
        k = keys.of(room)
        where = (k.room, k.waiting, k.slots, k.claims)
        words: list[str | int] = []
        for visitor, stay, browser in claims:
            words += (visitor, stay, sha256(browser.encode()).hexdigest()[:32])
        rows = await self._confirming.run(CLAIM, where, words)
        return [CLAIMED[row[0]](*row[1:]) for row in rows]
