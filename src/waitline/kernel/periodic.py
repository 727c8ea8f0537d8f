"""Supervised loop: repeat a step at an interval, with one failure policy for all of them.

* A step that fails is logged once, as `NAME_failed`, and once as `NAME_recovered` when it works
  again: `Unavailable` as a warning, anything else as a bug with its traceback.
* It is retried with exponential backoff and jitter, and never ends the loop.
* A flapping step logs at most `LINES_MAX` lines a minute; the last line always has its current
  state.
* Cancellation passes through.
"""

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, Never

import structlog

from waitline.kernel.errors import Unavailable
from waitline.kernel.log_events import EVENTS

RETRY_S: Final = 0.5
"""First pause after a failure, in s; it doubles at each further one. Most failures come after a
timeout, so shorter pauses would recover no sooner."""

UNAVAILABLE_MAX_S: Final = 1.0
"""Longest pause while a store does not answer, in s, unless the interval is longer: the longest
delay until its recovery is noticed. B3 (a lapsed seat is back within 2 s) depends on it."""

BUG_MAX_S: Final = 5.0
"""Longest pause after a bug, in s, unless the interval is longer. The bug stays until it is fixed,
but its trigger may pass."""

LINES_MAX: Final = 6
LINES_WITHIN_S: Final = 60.0
"""Most log lines of one loop within this many seconds: a flapping store must not fill the disk. A
process has about ten loops, so an outage is a line a second at worst."""

log = structlog.get_logger()


async def periodic(
    name: str,
    step: Callable[[], Awaitable[bool | None]],
    every_s: float,
    *,
    now_s: Callable[[], float] | None = None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    rng: random.Random | None = None,
) -> Never:
    """Run a step every `every_s`, from start to start, until cancelled.

    Args:
        name: Name of the step; `kernel/log_events.py` lists its two events.
        step: Does one round. Returns `True` if there is more to do at once.
        every_s: Interval of rounds, in s. After a round that takes longer, the next starts at once.
        now_s: A monotonic clock; `None` for the event loop's.
        sleep: Waits for a number of seconds.
        rng: Random generator of the jitter.
    """
    assert {f"{name}_failed", f"{name}_recovered"} <= EVENTS.keys(), name
    now_s = now_s or asyncio.get_running_loop().time
    failures = _Failures(name, every_s, now_s, rng or random.Random())  # noqa: S311 - only jitter
    while True:
        started_s = now_s()
        try:
            more = await step()
        except Exception as error:  # noqa: BLE001 - logged, whatever it is
            pause_s = failures.add(error)
        else:
            failures.clear()
            pause_s = 0.0 if more else max(0.0, started_s + every_s - now_s())
        await sleep(pause_s)


class _Failures:
    """Consecutive failures of one step: what to log, and how long to pause."""

    def __init__(
        self, name: str, every_s: float, now_s: Callable[[], float], rng: random.Random
    ) -> None:
        self._name = name
        self._every_s = every_s
        self._now_s = now_s
        self._rng = rng
        self._in_a_row = 0
        # The state that the log shows: the kind of failure, or `None`.
        self._kind: type[Exception] | None = None
        self._logged_s: deque[float] = deque(maxlen=LINES_MAX)

    def add(self, error: Exception) -> float:
        """Log a failure unless the one before was of the same kind; return the pause in seconds."""
        unavailable = _unavailable(error)
        max_s = max(self._every_s, BUG_MAX_S if unavailable is None else UNAVAILABLE_MAX_S)
        doubled_s: float = min(max_s, RETRY_S * 2 ** min(self._in_a_row, 16))
        pause_s = doubled_s * self._rng.uniform(0.5, 1.0)
        self._in_a_row += 1
        kind = type(unavailable or error)
        if kind is not self._kind and self._may_log():
            self._kind = kind
            event, retry_in_s = f"{self._name}_failed", round(pause_s, 2)
            if unavailable is None:
                log.error(event, reason=repr(error), retry_in_s=retry_in_s, exc_info=error)
            else:
                log.warning(event, reason=str(unavailable), retry_in_s=retry_in_s)
        return pause_s

    def clear(self) -> None:
        """Log the recovery if the last round failed."""
        self._in_a_row = 0
        if self._kind is not None and self._may_log():
            self._kind = None
            event = f"{self._name}_recovered"
            log.info(event)

    def _may_log(self) -> bool:
        """Return whether a line is within the limit, and count it."""
        now_s = self._now_s()
        if len(self._logged_s) == LINES_MAX and now_s - self._logged_s[0] < LINES_WITHIN_S:
            return False
        self._logged_s.append(now_s)
        return True


def _unavailable(error: Exception) -> Unavailable | None:
    """Return the `Unavailable` that a step raised, or `None` if anything else failed too."""
    if isinstance(error, ExceptionGroup):
        _, others = error.split(Unavailable)
        return None if others else _unavailable(error.exceptions[0])
    return error if isinstance(error, Unavailable) else None
