"""Whether it is worth asking somebody who did not answer lately. Pure: time is an argument."""

FAILURES_MAX = 5
"""Silences in a row after which nobody asks. One or two are an accident of the network; of five,
each has kept a visitor waiting, and the sixth would be no different."""

PAUSE_S = 1.0
"""Between two attempts while nobody asks: how long it takes at most until an answer is noticed."""


class Breaker:
    """Lets everybody ask, until nobody is answered; then one in a while, until one is answered.

    Args:
        failures_max: Silences in a row after which it opens.
        pause_s: Between two attempts while it is open.
    """

    def __init__(self, failures_max: int = FAILURES_MAX, pause_s: float = PAUSE_S) -> None:
        self._failures_max = failures_max
        self._pause_s = pause_s
        self._failures = 0
        self._next_s = 0.0

    @property
    def open(self) -> bool:
        """Whether only one in a while may ask."""
        return self._failures >= self._failures_max

    def allows(self, now_s: float) -> bool:
        """Return whether to ask now. While it is open, whoever is told so is the one attempt.

        An attempt that never ends, because who made it has gone, is followed by another.

        Args:
            now_s: Of any clock that does not go back.
        """
        if not self.open:
            return True
        if now_s < self._next_s:
            return False
        self._next_s = now_s + self._pause_s
        return True

    def answered(self) -> None:
        """Note an answer, whatever it said: everybody may ask."""
        self._failures = 0

    def silent(self, now_s: float) -> None:
        """Note that there was no answer in time."""
        self._failures += 1
        self._next_s = now_s + self._pause_s
