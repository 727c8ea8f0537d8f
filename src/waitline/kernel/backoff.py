"""Exponential backoff with jitter for reconnecting. Pure: time and chance are passed in.

The first failure has no pause, since most are a connection that broke once. From the second on the
pause doubles, and everybody who asks meanwhile is refused at once with the last reason.
"""

import random

FIRST_S = 0.05
"""Pause after the second failure in a row, in s: as long as a process takes to listen again."""

MOST_S = 0.5
"""Longest pause, in s: what a recovery may go unnoticed for. Two attempts a second from each
process are nothing even to a server that has just started."""

STABLE_S = 5.0
"""A connection that lasted this long, in s, was good: the failure that ended it is the first."""


class Backoff:
    """Consecutive failures of one connection, and when the next attempt may begin.

    Args:
        rng: Random generator of the jitter; processes that lost a server together must not come
            back in step.

    Attributes:
        failures: Consecutive failures.
        reason: The last one, for those who ask during the pause.
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
