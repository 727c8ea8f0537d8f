"""Event loop lag: how late the loop runs its timers, and how long an instant answer takes in it.

Both are how long requests wait for the loop. An answer from a server waits for more turns than a
timer does: the loop sends the request at the end of one turn, sees the answer in a later one, and
resumes the reader after everything that became ready earlier.
"""

import asyncio
import socket
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

SAMPLE_S: Final = 0.05
"""Interval of the samples, in s: a stall of more than this is always seen. One takes 20 us."""

RECENT: Final = 5
"""Samples that describe the present: a quarter of a second."""

ECHOES: Final = 2
"""Bytes that a sample sends to itself, one after the other: a real answer never arrives in the turn
that sends the request, but a byte of our own does."""


class LoopLag:
    """Samples the lag of one event loop while it is watched."""

    def __init__(self) -> None:
        self._exchanges: deque[float] = deque([0.0], maxlen=RECENT)
        self._most_s = 0.0

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Sample in the running loop until the block ends."""
        sampler = _Sampler(asyncio.get_running_loop(), self)
        try:
            yield
        finally:
            sampler.close()

    @property
    def exchange_s(self) -> float:
        """The longest of the last `RECENT` exchanges with an instant answer, in s."""
        return max(self._exchanges)

    def take_most_s(self) -> float:
        """Return the highest lag since the last call, in s."""
        most_s, self._most_s = self._most_s, 0.0
        return most_s

    def record_lag(self, lag_s: float) -> None:
        """Record how late a timer ran."""
        self._most_s = max(self._most_s, lag_s)

    def record_exchange(self, exchange_s: float) -> None:
        """Record the duration of an exchange whose answer was ready at once."""
        self._exchanges.append(exchange_s)


class _Sampler:
    """Runs a timer and then an exchange with itself, again and again."""

    def __init__(self, loop: asyncio.AbstractEventLoop, found: LoopLag) -> None:
        self._loop = loop
        self._found = found
        self._ours, self._echo = socket.socketpair()
        self._echoes = 0
        self._sent_s = 0.0
        for end in (self._ours, self._echo):
            end.settimeout(0)
        loop.add_reader(self._echo, self._answered)
        self._wait()

    def close(self) -> None:
        self._next.cancel()
        self._loop.remove_reader(self._echo)
        self._ours.close()
        self._echo.close()

    def _wait(self) -> None:
        self._due_s = self._loop.time() + SAMPLE_S
        self._next: asyncio.Handle = self._loop.call_at(self._due_s, self._exchange)

    def _exchange(self) -> None:
        self._found.record_lag(max(0.0, self._loop.time() - self._due_s))
        self._echoes = 0
        self._sent_s = time.monotonic()
        self._ours.send(b"?")

    def _answered(self) -> None:
        self._echo.recv(1)
        # Drivers deliver an answer in the same way.
        self._next = self._loop.call_soon(self._handed_over)

    def _handed_over(self) -> None:
        self._echoes += 1
        if self._echoes < ECHOES:
            self._ours.send(b"?")
            return
        self._found.record_exchange(time.monotonic() - self._sent_s)
        self._wait()
