"""Access log: a line for each answered request, or for a share of them.

Lines bypass structlog, which takes ten times as long, and are written together. They name the
route, not the path, and neither address nor visitor: nothing in them is about a person.
"""

import asyncio
import random
from datetime import UTC, datetime

import msgspec
import structlog

from waitline.kernel.clock import Clock
from waitline.kernel.log_stream import PIECE_BYTES, LogStream

LINES_PER_S = 2_000
"""Most lines of a worker in a second, some 400 kB: a reader of the log keeps up with that, and a
pipe holds the lines of an interval (`FLUSH_S`). A sampled log of any rate stays below it."""

FLUSH_S = 0.1
"""How long a line may wait to be written with others, in s."""

EVENT = "request_answered"

log = structlog.get_logger()
_encode = msgspec.json.Encoder().encode


class AccessLine(msgspec.Struct):
    """One line; its fields are the keys.

    Attributes:
        method: HTTP method.
        route: Path template, or `unknown`.
        status: HTTP status.
        ms: Time from the request's arrival to its response, in ms.
        request_id: The request's id, if one is in use.
        trace_id: Id of its trace, if that is recorded.
        event: Name of the event.
        level: As of all lines.
        timestamp: As of all lines.
    """

    method: str
    route: str
    status: int
    ms: float
    request_id: str | msgspec.UnsetType
    trace_id: str | msgspec.UnsetType
    event: str
    level: str
    timestamp: str


class AccessLog:
    """The access log of a worker.

    Args:
        stream: Where lines are written.
        share: Share of the requests that are logged; server errors always are.
        clock: For timestamps.
        text: Whether lines are text instead of JSON.
        rng: Chooses the requests.
    """

    def __init__(
        self, stream: LogStream, share: float, clock: Clock, *, text: bool, rng: random.Random
    ) -> None:
        self._stream = stream
        self._share = share
        self._clock = clock
        self._text = text
        self._rng = rng
        self._lines: list[bytes] = []
        self._flushing: asyncio.TimerHandle | None = None
        self._second = -1
        self._second_text = ""
        self._in_second = 0
        self._left_out = 0

    def record(
        self,
        method: str,
        route: str,
        status: int,
        seconds: float,
        *,
        request_id: str | None,
        trace_id: str | None,
    ) -> None:
        """Log an answered request, if it is chosen and the limit allows it."""
        if self._share < 1.0 and self._rng.random() >= self._share and status < 500:  # noqa: PLR2004
            return
        timestamp = self._timestamp()
        if self._in_second >= LINES_PER_S:
            self._left_out += 1
            return
        self._in_second += 1
        line = AccessLine(
            method,
            route,
            status,
            round(seconds * 1e3, 2),
            msgspec.UNSET if request_id is None else request_id,
            msgspec.UNSET if trace_id is None else trace_id,
            EVENT,
            "info",
            timestamp,
        )
        self._lines.append(_as_text(line) if self._text else _encode(line))
        if self._flushing is None:
            self._flushing = asyncio.get_running_loop().call_later(FLUSH_S, self.flush)

    def flush(self) -> None:
        """Write the lines that wait, as many at once as a pipe takes whole."""
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        lines, self._lines = self._lines, []
        block: list[bytes] = []
        size = 0
        for line in lines:
            if block and size + len(line) + 1 > PIECE_BYTES:
                self._write(block)
                block, size = [], 0
            block.append(line)
            size += len(line) + 1
        if block:
            self._write(block)

    def _write(self, lines: list[bytes]) -> None:
        self._stream.write(b"\n".join((*lines, b"")).decode("ascii"))

    def _timestamp(self) -> str:
        """Return the time as text; at the begin of a second, start to count its lines."""
        second, ms = divmod(self._clock.now_ms(), 1_000)
        if second != self._second:
            self._second, self._in_second = second, 0
            self._second_text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
            if self._left_out:
                log.warning("log_limited", kind=EVENT, left_out=self._left_out)
                self._left_out = 0
        return f"{self._second_text}.{ms:03d}Z"


def _as_text(line: AccessLine) -> bytes:
    pairs = (
        f"{name}={value}"
        for name in AccessLine.__struct_fields__[:-3]
        if (value := getattr(line, name)) is not msgspec.UNSET
    )
    return f"{line.timestamp} [{line.level}] {line.event} {' '.join(pairs)}".encode("ascii")
