"""Event loop lag: how late the loop runs its timers, which is how long requests wait for it."""

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

SAMPLE_S: Final = 0.05
"""Interval of the timer, in s: a stall of more than this is always seen. It takes 2 us."""

RECENT: Final = 5
"""Samples that describe the present: a quarter of a second."""


class LoopLag:
    """Samples the lag of one event loop while it is watched."""

    def __init__(self) -> None:
        self._recent: deque[float] = deque([0.0], maxlen=RECENT)
        self._most_s = 0.0
        self._due_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Sample in the running loop until the block ends."""
        loop = asyncio.get_running_loop()
        self._schedule(loop)
        try:
            yield
        finally:
            assert self._timer is not None
            self._timer.cancel()

    @property
    def recent_s(self) -> float:
        """The highest lag of the last `RECENT` samples, in s."""
        return max(self._recent)

    def take_most_s(self) -> float:
        """Return the highest lag since the last call, in s."""
        most_s, self._most_s = self._most_s, 0.0
        return most_s

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        self._due_s = loop.time() + SAMPLE_S
        self._timer = loop.call_at(self._due_s, self._sample, loop)

    def _sample(self, loop: asyncio.AbstractEventLoop) -> None:
        lag_s = max(0.0, loop.time() - self._due_s)
        self._recent.append(lag_s)
        self._most_s = max(self._most_s, lag_s)
        self._schedule(loop)
