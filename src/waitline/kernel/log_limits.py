"""Rate limiting of the log by kind of event, so that no client can fill it."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

import structlog
from structlog.typing import EventDict, WrappedLogger

LINES_MAX = 20
"""Most lines of one kind in an interval: enough to diagnose a fault."""

INTERVAL_S = 10.0
"""Length of an interval, in s. With `LINES_MAX` a kind takes at most 170 000 lines a day and
process, some 50 MB."""

KINDS_MAX = 256
"""Most kinds with a count of their own, several times the number there are; the rest share one."""

_OTHERS = "others"
_SUMMARY = "log_limited"

log = structlog.get_logger()


@dataclass(slots=True)
class _Count:
    since_s: float
    lines: int = 0
    left_out: int = 0


class LogLimit:
    """A structlog processor that drops lines beyond the limit of their kind.

    A kind is an event's name, with the name of the library for lines of libraries, and the problem
    for refusals. At the end of an interval a line `log_limited` says how many were dropped.
    Thread-safe.

    Args:
        now_s: Returns the monotonic time.
        later: Calls a function once after some seconds, in another thread.
    """

    def __init__(
        self,
        now_s: Callable[[], float] = monotonic,
        later: Callable[[float, Callable[[], None]], None] | None = None,
    ) -> None:
        self._now_s = now_s
        self._later = later or _in_a_thread
        self._counts: dict[str, _Count] = {}
        self._lock = threading.Lock()
        self._scheduled = False

    def __call__(self, _logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
        """Return the line.

        Raises:
            structlog.DropEvent: It exceeds the limit.
        """
        event = str(line.get("event"))
        part = line.get("logger") or line.get("problem", "")
        if event != _SUMMARY and not self._counted(f"{event} {part}".strip()):
            raise structlog.DropEvent
        return line

    def _counted(self, kind: str) -> bool:
        now_s = self._now_s()
        with self._lock:
            if kind not in self._counts and len(self._counts) >= KINDS_MAX:
                kind = _OTHERS
            count = self._counts.setdefault(kind, _Count(now_s))
            if now_s - count.since_s >= INTERVAL_S and not count.left_out:
                count.since_s, count.lines = now_s, 0
            if count.lines < LINES_MAX:
                count.lines += 1
                return True
            count.left_out += 1
            if not self._scheduled:
                self._scheduled = True
                self._later(max(0.0, count.since_s + INTERVAL_S - now_s), self.report)
            return False

    def report(self) -> None:
        """Log how many lines were dropped, and begin new intervals."""
        now_s = self._now_s()
        with self._lock:
            self._scheduled = False
            left_out = {kind: one.left_out for kind, one in self._counts.items() if one.left_out}
            self._counts = {
                kind: one
                for kind, one in self._counts.items()
                if not one.left_out and now_s - one.since_s < INTERVAL_S
            }
        for kind, count in left_out.items():
            log.warning("log_limited", kind=kind, left_out=count)


def _in_a_thread(after_s: float, call: Callable[[], None]) -> None:
    timer = threading.Timer(after_s, call)
    timer.daemon = True
    timer.start()
