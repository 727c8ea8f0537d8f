"""Who may enter now: the arithmetic of `queue/lua/admit.lua` and `sweep.lua`, in counts. Pure.

A test holds it against the scripts on a real server.
"""

from heapq import heappop, heappush
from math import floor

from waitline.queue.model import CHUNK_MAX, Moved
from waitline.queue.settings import Limits


class Gate:
    """One room's slots and admission bucket.

    Args:
        tokens: What the bucket holds at first.
        at_ms: When it did.

    Attributes:
        admitted: Visitors who hold a slot.
    """

    def __init__(self, tokens: float, at_ms: int = 0) -> None:
        self.admitted = 0
        self._tokens = tokens
        self._at_ms = at_ms
        self._lapsing: list[tuple[int, int]] = []

    def admit(self, now_ms: int, waiting: int, limits: Limits) -> Moved:
        """Let the next in: as many as slots and rate allow, at most one chunk.

        Invariant:
            Q4, Q5.
        """
        free = max(limits.active_max - self.admitted, 0)
        gained = max(now_ms - self._at_ms, 0) * limits.admit_per_s / 1000
        tokens = min(float(limits.admit_burst), self._tokens + gained)
        moved = min(CHUNK_MAX, free, floor(tokens), waiting)
        if moved > 0:
            tokens -= moved
            self._tokens, self._at_ms = tokens, now_ms
            self.admitted += moved
        return Moved(moved, 0, waiting - moved, free - moved, floor(tokens))

    def lapse(self, at_ms: int, visitors: int) -> None:
        """Let the time of some of the admitted run out then, unless they leave before."""
        if visitors:
            heappush(self._lapsing, (at_ms, visitors))

    def sweep(self, now_ms: int) -> None:
        """Collect the slots whose time ran out."""
        while self._lapsing and self._lapsing[0][0] <= now_ms:
            self.leave(heappop(self._lapsing)[1])

    def leave(self, visitors: int) -> None:
        """Give slots back."""
        self.admitted -= visitors
        assert self.admitted >= 0
