"""The log of a process: its level, its format, and what a traceback shows."""

import io
import json
import logging
import sys
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import structlog

from waitline.kernel.errors import Misconfigured
from waitline.kernel.process import LogFormat, LogLevel, is_text, log_to_stderr
from waitline.kernel.tracing import require_tracing

TOKEN = "token-that-nobody-may-read"


class Terminal(io.StringIO):
    """Standard error on a terminal, or not."""

    def __init__(self, *, is_terminal: bool) -> None:
        super().__init__()
        self.isatty = lambda: is_terminal  # type: ignore[method-assign]


@pytest.fixture
def written(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    stream = Terminal(is_terminal=request.param)
    # Not `sys.stderr` itself, which pytest sets anew for each test.
    monkeypatch.setattr("waitline.kernel.process.sys", SimpleNamespace(stderr=stream))
    monkeypatch.setattr("waitline.kernel.process.STREAM", stream)
    before = logging.root.handlers[:]
    yield stream
    structlog.reset_defaults()
    logging.root.handlers[:] = before


def fail(token: str) -> None:
    """Fail as a bug does, with something confidential in a variable."""
    raise KeyError(len(token))


@pytest.mark.parametrize("written", [False, True], indirect=True, ids=["pipe", "terminal"])
@pytest.mark.parametrize(("log_format", "text"), [("auto", None), ("json", False), ("text", True)])
def test_the_format_follows_the_terminal_unless_it_is_chosen(
    written: Terminal, log_format: LogFormat, *, text: bool | None
) -> None:
    log_to_stderr("info", log_format)
    log = structlog.get_logger()
    log.info("room_opened", room="a")
    expected = written.isatty() if text is None else text
    assert is_text(log_format) == expected
    line = written.getvalue()
    if expected:
        assert "room_opened" in line
        assert not line.startswith("{")
    else:
        assert json.loads(line)["event"] == "room_opened"


@pytest.mark.parametrize("written", [False], indirect=True)
@pytest.mark.parametrize(
    ("level", "shown"),
    [("info", ["a", "b", "c"]), ("warning", ["b", "c"]), ("error", ["c"])],
)
def test_lines_below_the_level_are_left_out(
    written: Terminal, level: LogLevel, shown: list[str]
) -> None:
    log_to_stderr(level)
    log = structlog.get_logger()
    log.info("room_opened", room="a")
    log.warning("store_unfit", room="b")
    log.error("shutdown_timed_out", room="c")
    assert [json.loads(line)["room"] for line in written.getvalue().splitlines()] == shown


@pytest.mark.parametrize("written", [False, True], indirect=True, ids=["pipe", "terminal"])
@pytest.mark.parametrize("log_format", ["json", "text"])
def test_a_traceback_shows_lines_and_no_variables(written: Terminal, log_format: LogFormat) -> None:
    log_to_stderr("info", log_format)
    log = structlog.get_logger()
    try:
        fail(TOKEN)
    except KeyError as error:
        log.error("request_failed", reason=repr(error), exc_info=error)  # noqa: TRY400
    assert "in fail" in written.getvalue()
    assert TOKEN not in written.getvalue()


def test_traces_without_their_library_are_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    require_tracing(None)
    require_tracing("http://collector:4318/v1/traces")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    require_tracing(None)
    with pytest.raises(
        Misconfigured, match=r"WAITLINE_TRACES_URL.*pip install 'waitline\[traces\]'"
    ):
        require_tracing("http://collector:4318/v1/traces")
