"""Circuit breaker: stop calling a dependency that does not answer. Pure: time is passed in.

It opens after several failures in a row. While it is open, one call per pause goes through as a
probe (half-open); the first that succeeds closes it.
"""

FAILURES_MAX = 5
"""Consecutive failures that open it. One or two may be a network glitch; each failure keeps a
visitor waiting for a timeout, so not more than five."""

PAUSE_S = 1.0
"""Interval of probes while it is open, in s: the longest delay until a recovery is noticed."""


class CircuitBreaker:
    """Let all calls through until it opens; then one per pause, until one succeeds.

    Args:
        failures_max: Consecutive failures after which it opens.
        pause_s: Interval of probes while it is open, in s.
    """

    def __init__(self, failures_max: int = FAILURES_MAX, pause_s: float = PAUSE_S) -> None:
        self._failures_max = failures_max
        self._pause_s = pause_s
        self._failures = 0
        self._next_s = 0.0

    @property
    def open(self) -> bool:
        """Whether only probes go through."""
        return self._failures >= self._failures_max

    def allows(self, now_s: float) -> bool:
        """Return whether to call now. While it is open, a caller that gets `True` is the probe.

        If a probe reports no result, because its caller was cancelled, another follows.

        Args:
            now_s: The time on a monotonic clock.
        """
        if not self.open:
            return True
        if now_s < self._next_s:
            return False
        self._next_s = now_s + self._pause_s
        return True

    def record_success(self) -> None:
        """Record an answer of any kind: close the breaker."""
        self._failures = 0

    def record_failure(self, now_s: float) -> None:
        """Record that there was no answer in time."""
        self._failures += 1
        self._next_s = now_s + self._pause_s
