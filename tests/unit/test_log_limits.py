"""Rate limits of the log: a flood of one kind leaves room for the others, and is summed up."""

import io
import json
import logging
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

import pytest
import structlog

from waitline.kernel.log_limits import INTERVAL_S, KINDS_MAX, LINES_MAX, LogLimit
from waitline.kernel.process import log_to_stderr


class Log:
    """A log in memory, with a clock and a timer of the test's own."""

    def __init__(self) -> None:
        self.now_s = 1_000.0
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.limit = LogLimit(
            lambda: self.now_s, lambda after_s, call: self.timers.append((after_s, call))
        )
        self.lines: list[MutableMapping[str, Any]] = []
        structlog.configure(processors=[self.limit, self._kept])
        self.write = structlog.get_logger()

    def _kept(self, _logger: Any, _method: str, line: MutableMapping[str, Any]) -> str:  # noqa: ANN401
        self.lines.append(line)
        raise structlog.DropEvent

    def flood(self, event: str, count: int, **keys: object) -> int:
        """Write lines and return how many were kept."""
        before = len(self.lines)
        for _ in range(count):
            self.write.warning(event, **keys)
        return len(self.lines) - before

    def fire(self) -> None:
        """Let time pass until the next timer, and call it."""
        after_s, call = self.timers.pop()
        self.now_s += after_s
        call()


@pytest.fixture
def log() -> Iterator[Log]:
    yield Log()
    structlog.reset_defaults()


@pytest.mark.parametrize("count", [LINES_MAX - 1, LINES_MAX])
def test_up_to_the_limit_every_line_is_kept(log: Log, count: int) -> None:
    assert log.flood("request_failed", count) == count
    assert log.timers == []


def test_lines_beyond_the_limit_are_counted_and_summed_up(log: Log) -> None:
    assert log.flood("request_failed", 10_000) == LINES_MAX
    assert log.flood("charge_unknown", 3) == 3, "another kind is not concerned"
    assert len(log.timers) == 1
    log.fire()
    assert log.lines[-1] == {
        "event": "log_limited", "kind": "request_failed", "left_out": 10_000 - LINES_MAX,
    }  # fmt: skip
    assert log.flood("request_failed", 10_000) == LINES_MAX, "a new interval"


def test_an_interval_ends_without_a_flood(log: Log) -> None:
    log.flood("request_failed", LINES_MAX)
    log.now_s += INTERVAL_S
    assert log.flood("request_failed", LINES_MAX) == LINES_MAX


def test_libraries_are_counted_apart(log: Log) -> None:
    assert log.flood("library_message", 100, logger="uvicorn.error") == LINES_MAX
    assert log.flood("library_message", 100, logger="asyncio") == LINES_MAX


def test_the_memory_is_bounded(log: Log) -> None:
    kept = sum(log.flood(f"kind_{number}", 1) for number in range(10 * KINDS_MAX))
    assert kept == KINDS_MAX + LINES_MAX
    assert len(log.limit._counts) == KINDS_MAX + 1  # noqa: SLF001 - its memory


@pytest.mark.parametrize("pretty", [False, True])
def test_lines_of_libraries_are_lines_of_the_log(
    monkeypatch: pytest.MonkeyPatch, *, pretty: bool
) -> None:
    printed = io.StringIO()
    monkeypatch.setattr(printed, "isatty", lambda: pretty)
    monkeypatch.setattr("sys.stderr", printed)
    monkeypatch.setattr("waitline.kernel.process.STREAM", printed)
    # The summary would come in the middle of another test.
    monkeypatch.setattr("waitline.kernel.log_limits._in_a_thread", lambda _after_s, _call: None)
    before = logging.root.handlers[:]
    logging.root.handlers.clear()
    try:
        log_to_stderr()
        for _ in range(100):
            logging.getLogger("a.library").warning("Invalid\nrequest %s", "\x1b[2J")
    finally:
        structlog.reset_defaults()
        logging.root.handlers[:] = before
    lines = printed.getvalue().splitlines()
    assert len(lines) == LINES_MAX
    if not pretty:
        line = json.loads(lines[0])
        assert (line["logger"], line["text"]) == ("a.library", "Invalid\nrequest \x1b[2J")
