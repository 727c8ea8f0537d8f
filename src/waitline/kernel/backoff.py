"""Exponential backoff with jitter for reconnecting. Pure: time and chance are passed in.

The first failure causes no pause: most are a single broken connection. From the second on the pause
doubles, and calls during a pause fail at once with the last reason.
"""

import random

FIRST_S = 0.05
"""Pause after the second consecutive failure, in s: about as long as a server takes to restart."""

MOST_S = 0.5
"""Longest pause, in s: the longest delay until a recovery is noticed. Two attempts a second from
each process are negligible even for a server that has just started."""

STABLE_S = 5.0
"""A connection that lasted this long, in s, resets the count: its failure is the first."""


class Backoff:
    """Consecutive failures of one connection, and when the next attempt may begin.

    Args:
        rng: Random generator of the jitter; processes that lost the same server must not reconnect
            in step.

    Attributes:
        failures: Consecutive failures.
        reason: Reason of the last one, for calls during the pause.
    """

    def __init__(self, rng: random.Random | None = None) -> None:
        self._rng = rng or random.Random()  # noqa: S311 - only jitter
        self._next_s = float("-inf")
        self.failures = 0
        self.reason = ""

    def allows(self, now_s: float) -> bool:
        """Return whether the next attempt may begin."""
        return now_s >= self._next_s

    def failed(self, now_s: float, reason: str, lasted_s: float = 0.0) -> None:
        """Record that an attempt failed, or that a connection ended after `lasted_s`."""
        if lasted_s >= STABLE_S:
            self.failures = 0
        self.reason = reason
        pause_s = 0.0
        if self.failures:
            doubled_s = FIRST_S * 2 ** min(self.failures - 1, 16)
            pause_s = min(MOST_S, doubled_s) * self._rng.uniform(0.5, 1.0)
        self.failures += 1
        self._next_s = now_s + pause_s

    def succeeded(self) -> None:
        """Record that an attempt succeeded, where that is enough to trust the server again."""
        self.failures = 0
