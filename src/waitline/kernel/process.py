"""Start-up of long-running processes: log configuration, and exit when the parent dies."""

import logging
import os
import signal
import sys
import threading

import structlog
from structlog.typing import EventDict, WrappedLogger

from waitline.kernel.escapes import visible


def log_to_stderr() -> None:
    """Write the log to standard error: for people on a terminal, as JSON lines elsewhere."""
    pretty = sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _written_out if pretty else structlog.processors.format_exc_info,
            structlog.dev.ConsoleRenderer() if pretty else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    # asyncpg logs every failed connection attempt with a traceback; our own log has one line.
    logging.getLogger("asyncpg").setLevel(logging.ERROR)


def _written_out(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """Write out control characters: a terminal would obey those in a name. JSON escapes them."""
    for key, value in line.items():
        if isinstance(value, str):
            line[key] = visible(value)
    return line


def stop_when_stdin_ends() -> None:
    """Send this process SIGTERM when its standard input is closed: its parent has ended."""

    def watch() -> None:
        while os.read(0, 1024):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()
