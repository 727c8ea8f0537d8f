"""Start-up of long-running processes: log configuration, and exit when the parent dies."""

import contextlib
import logging
import os
import signal
import sys
import threading
from typing import Literal

import structlog
from structlog.typing import EventDict, WrappedLogger
from typing_extensions import override

from waitline.kernel.escapes import visible
from waitline.kernel.log_limits import LogLimit
from waitline.kernel.log_stream import STREAM

log = structlog.get_logger()


LogLevel = Literal["info", "warning", "error"]

LogFormat = Literal["auto", "json", "text"]


def is_text(log_format: LogFormat) -> bool:
    """Return whether the log is text for people; `auto` means on a terminal, else JSON."""
    return log_format == "text" or (log_format == "auto" and sys.stderr.isatty())


def log_to_stderr(level: LogLevel = "info", log_format: LogFormat = "auto") -> None:
    """Write the log to standard error, one line for each event.

    Args:
        level: Lowest level of our events. Libraries log warnings and errors alone.
        log_format: As in `is_text`.
    """
    text = is_text(log_format)
    console = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(),
        # The default shows the variables of each frame, tokens and keys among them.
        exception_formatter=structlog.dev.plain_traceback,
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            LogLimit(),
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _written_out if text else structlog.processors.format_exc_info,
            console if text else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(STREAM),  # type: ignore[arg-type]  # writes text
    )
    logging.basicConfig(level=logging.WARNING, handlers=[_LibraryLines()])
    # asyncpg logs every failed connection attempt with a traceback; our own log has one line.
    logging.getLogger("asyncpg").setLevel(logging.ERROR)


class _LibraryLines(logging.Handler):
    """Passes log records of libraries to our log: one line each, rate limited like the others."""

    @override
    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler`."""
        try:
            text = record.getMessage()
        except (TypeError, ValueError):
            text = str(record.msg)
        if record.levelno >= logging.ERROR:
            log.error("library_message", logger=record.name, text=text, exc_info=record.exc_info)
        else:
            log.warning("library_message", logger=record.name, text=text)


def _written_out(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """Escape control characters, which a terminal would obey. JSON escapes them itself."""
    for key, value in line.items():
        if isinstance(value, str):
            line[key] = visible(value)
    return line


def stop_when_stdin_ends() -> None:
    """Send this process SIGTERM when its standard input is closed: its parent has ended."""

    def watch() -> None:
        # If it cannot be read, the parent has gone too.
        with contextlib.suppress(OSError):
            while os.read(0, 1024):
                pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()
