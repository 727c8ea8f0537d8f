"""Thread utilisation: the share of time in which the event loop's thread ran or waited for a core.

Waiting counts: on a machine whose cores are all busy, a loop is late long before it has used a
whole core.
"""

import os
import time
from collections.abc import Callable
from typing import Final

SAMPLE_S: Final = 0.05
"""Shortest time between two samples, in s. A sample takes 3 us, which is negligible at this
interval; a shorter interval would show single requests rather than the load."""

SMOOTHING: Final = 0.5
"""Weight of a new sample. The average follows a change of load within 0.2 s."""

NS_PER_S: Final = 1e9


def thread_seconds() -> Callable[[], float]:
    """Return a function that reads how long the main thread has run or waited for a core, in s.

    Source: /proc/self/schedstat (nanoseconds on a core, nanoseconds runnable); where the kernel
    does not keep it, the CPU time of the calling thread alone.
    """
    try:
        file = os.open("/proc/self/schedstat", os.O_RDONLY | os.O_CLOEXEC)
        os.pread(file, 64, 0).split()[1]
    except (OSError, IndexError):
        return time.thread_time

    def busy_s() -> float:
        ran_ns, waited_ns, _ = os.pread(file, 64, 0).split()
        return (int(ran_ns) + int(waited_ns)) / NS_PER_S

    return busy_s


class Utilisation:
    """The moving average of this thread's utilisation, from 0 to 1.

    Args:
        busy_s: Returns the thread's busy time so far, in s; it never falls.
    """

    def __init__(self, busy_s: Callable[[], float] | None = None) -> None:
        self._busy_s = busy_s or thread_seconds()
        self._sampled_s = float("-inf")
        self._last_busy_s = 0.0
        self._share = 0.0

    def share(self, now_s: float) -> float:
        """Return the average utilisation up to now.

        Args:
            now_s: A clock that never falls, in s.
        """
        elapsed_s = now_s - self._sampled_s
        if elapsed_s >= SAMPLE_S:
            busy_s = self._busy_s()
            sample = min(1.0, (busy_s - self._last_busy_s) / elapsed_s)
            if elapsed_s != float("inf"):
                # After a pause the old average says nothing about the present.
                weight = SMOOTHING if elapsed_s < 4 * SAMPLE_S else 1.0
                self._share += weight * (sample - self._share)
            self._sampled_s, self._last_busy_s = now_s, busy_s
        return self._share
