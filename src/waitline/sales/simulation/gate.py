"""Slots and token bucket: the arithmetic of `queue/lua/admit.lua` and `sweep.lua`, in counts. Pure.

A test compares it with the scripts on a real server.
"""

from heapq import heappop, heappush
from math import floor

from waitline.queue.limits import Limits
from waitline.queue.model import CHUNK_MAX, Moved


class Gate:
    """Slots and token bucket of one room.

    Args:
        tokens: Initial tokens of the bucket.
        at_ms: Time at which it holds them.

    Attributes:
        admitted: Visitors who hold a slot.
    """

    def __init__(self, tokens: float, at_ms: int = 0) -> None:
        self.admitted = 0
        self._tokens = tokens
        self._at_ms = at_ms
        self._lapsing: list[tuple[int, int]] = []

    def admit(self, now_ms: int, waiting: int, limits: Limits) -> Moved:
        """Admit the next visitors: as many as slots and rate allow, at most one chunk.

        Invariant:
            Q4, Q5.
        """
        free = max(limits.active_max - self.admitted, 0)
        gained = max(now_ms - self._at_ms, 0) * limits.admit_per_s / 1000
        tokens = min(limits.burst, self._tokens + gained)
        moved = min(CHUNK_MAX, free, floor(tokens), waiting)
        if moved > 0:
            tokens -= moved
            self._tokens, self._at_ms = tokens, now_ms
            self.admitted += moved
        return Moved(moved, 0, waiting - moved, free - moved, floor(tokens))

    def lapse(self, at_ms: int, visitors: int) -> None:
        """Schedule the lapse of some admitted visitors' slots."""
        if visitors:
            heappush(self._lapsing, (at_ms, visitors))

    def sweep(self, now_ms: int) -> None:
        """Free the slots that have lapsed."""
        while self._lapsing and self._lapsing[0][0] <= now_ms:
            self.leave(heappop(self._lapsing)[1])

    def leave(self, visitors: int) -> None:
        """Free the slots of visitors who leave."""
        self.admitted -= visitors
        assert self.admitted >= 0
