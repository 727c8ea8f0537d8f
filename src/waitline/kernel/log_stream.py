"""Log stream: standard error that never fails or holds up the process that logs.

A closed pipe (EPIPE), a full disk (ENOSPC) and a slow reader lose log lines, which are counted.
Otherwise a log line in an error handler could end the loop that it reports on, and a log collector
that hangs could block every request.
"""

import io
import os
import select
from typing import Final

from typing_extensions import override

PIECE_BYTES: Final = 4_096
"""Bytes that a pipe which is ready takes without blocking. Source: pipe(7), PIPE_BUF."""

PATIENCE_MS: Final = 20
"""How long a line waits for a slow reader, in ms. A pipe holds 64 KiB, some hundreds of lines."""


class LogStream(io.TextIOBase):
    """A stream of lines to a file descriptor.

    Args:
        descriptor: Where lines are written.

    Attributes:
        lost: Lines that could not be written since the last `take_lost`.
    """

    def __init__(self, descriptor: int = 2) -> None:
        self._descriptor = descriptor
        self._ready = select.poll()
        self._ready.register(descriptor, select.POLLOUT)
        self._stuck = False
        self.lost = 0

    @override
    def write(self, text: str) -> int:
        """Write a line, or count it as lost."""
        rest = text.encode("utf-8", "backslashreplace")
        try:
            while rest:
                # Once a line was lost, the next ones do not wait for the same reader.
                if not self._ready.poll(0 if self._stuck else PATIENCE_MS):
                    raise BlockingIOError
                rest = rest[os.write(self._descriptor, rest[:PIECE_BYTES]) :]
        except OSError:
            self._stuck = True
            self.lost += 1
        else:
            self._stuck = False
        return len(text)

    @override
    def flush(self) -> None:
        """Do nothing: nothing is buffered."""

    def take_lost(self) -> int:
        """Return how many lines were lost since the last call."""
        lost, self.lost = self.lost, 0
        return lost


STREAM: Final = LogStream()
"""The log of this process."""
