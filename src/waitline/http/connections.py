"""The open connections of a worker: how many there may be, and the sweep that ends slow ones.

One sweep a second looks at every connection's deadline. A timer for each request would cost more
than parsing it.
"""

import asyncio
import resource
from abc import ABC, abstractmethod
from math import inf

import structlog

from waitline.http.limits import EdgeLimits
from waitline.http.texts import Text

SWEEP_S = 1.0
"""Interval of the sweep, and how late a deadline may be noticed. A sweep takes about 50 ns for each
connection."""

FILES_KEPT = 128
"""File descriptors kept for everything but connections: stores, metrics, logs, listening sockets.
Otherwise many connections could keep the worker from reconnecting to its store."""

READ_AHEAD_MAX = 65_536
"""Bytes read ahead of the request being answered; then reading pauses. As much as one read."""

LINGER_S = 2.0
"""How long a refused client may go on sending: one whose connection is reset while it sends may
never read the refusal. Source: RFC 9112, section 9.6."""

LINGER_BYTES_MAX = 1_048_576
"""Most bytes that are read and dropped in that time."""

PROGRESS_BYTES_MIN = 16_384
"""Least part of its answer that a slow reader must take within `write_s`: about 500 bytes/s."""

TURN_REQUESTS_MAX = 32
"""Requests of one connection that are begun before the others get their turn: about a millisecond's
work, where each is answered at once. A client can send thousands ahead."""

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

INCOMPLETE = Text("요청이 완전하지 않습니다.", "the request is incomplete")

log = structlog.get_logger()


class SweptConnection(ABC):
    """A connection, as the sweep sees it.

    Attributes:
        deadline_s: When `on_deadline` is called, on the loop's clock; may be infinite.
    """

    __slots__ = ("deadline_s",)

    def __init__(self) -> None:
        self.deadline_s = inf

    @abstractmethod
    def on_deadline(self, now_s: float) -> None:
        """Act on the deadline: end the connection, or set the next."""


class Connections:
    """Counts and sweeps the connections of a worker.

    Args:
        limits: Of the worker.
    """

    def __init__(self, limits: EdgeLimits) -> None:
        self._open: set[SweptConnection] = set()
        self._sweeping: asyncio.TimerHandle | None = None
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.most = min(limits.connections, files - min(FILES_KEPT, files // 2))

    def __len__(self) -> int:
        return len(self._open)

    def add(self, connection: SweptConnection) -> bool:
        """Add a connection; return whether the worker has room for it."""
        self._open.add(connection)
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().call_later(SWEEP_S, self._sweep)
        return len(self._open) <= self.most

    def discard(self, connection: SweptConnection) -> None:
        """Remove a connection that is closed."""
        self._open.discard(connection)

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        for connection in [one for one in self._open if one.deadline_s <= now_s]:
            try:
                connection.on_deadline(now_s)
            except Exception as error:
                log.exception("connection_sweep_failed", reason=repr(error))
                self._open.discard(connection)
        # Without a connection there is nothing to sweep until the next one.
        self._sweeping = loop.call_later(SWEEP_S, self._sweep) if self._open else None
