"""What the commands share: options, a store to talk to, the log's form."""

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import structlog
import typer

from waitline.settings import ServeMode, Settings
from waitline.valkey.client import OPERATOR_TIMEOUT_S, ValkeyClient

DataDir = Annotated[
    Path | None,
    typer.Option(help="Folder of keys and data; default .waitline", show_default=False),
]
ValkeyUrl = Annotated[
    str | None,
    typer.Option(
        help="Valkey or Redis >= 7 of your own: unix:///…, redis://…, rediss://…",
        show_default=False,
    ),
]
Host = Annotated[
    str | None, typer.Option(help="Address to listen on; default 127.0.0.1", show_default=False)
]
QueuePort = Annotated[
    int | None, typer.Option(help="Port of the queue service; default 8081", show_default=False)
]
Workers = Annotated[
    int | None,
    typer.Option(help="Processes of the queue service; default: one per core", show_default=False),
]
BoxOffice = Annotated[
    bool | None,
    typer.Option(
        "--box-office/--no-box-office",
        help="Open the box office too, or a waiting room alone; default: both",
        show_default=False,
    ),
]
BookingPort = Annotated[
    int | None, typer.Option(help="Port of the booking service; default 8080", show_default=False)
]
BookingWorkers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        help="Processes of the booking service; default: one per core",
        show_default=False,
    ),
]
DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        help="PostgreSQL >= 15 of your own: postgresql://user@host:port/name. A password belongs "
        "in WAITLINE_DATABASE_URL, where other users of the machine cannot read it",
        show_default=False,
    ),
]
Mode = Annotated[
    ServeMode | None,
    typer.Option(
        help="trial trusts whoever names a visitor, production asks for its ticket",
        show_default=False,
    ),
]
UntilStdinEnds = Annotated[
    bool, typer.Option("--until-stdin-ends", help="Stop with whoever started this", hidden=True)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs")]

T = TypeVar("T")


def with_store(settings: Settings, use: Callable[[ValkeyClient], Awaitable[T]]) -> T:
    """Open the store, use it and close it.

    Raises:
        Misconfigured: No store is known.
        Unavailable: It does not answer.
    """

    async def run() -> T:
        store = ValkeyClient(settings.store_url(), timeout_s=OPERATOR_TIMEOUT_S)
        try:
            return await use(store)
        finally:
            await store.close()

    return asyncio.run(run())


def log_to_stderr() -> None:
    """Write the log to standard error: for people on a terminal, as JSON lines elsewhere."""
    pretty = sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([] if pretty else [structlog.processors.format_exc_info]),
            structlog.dev.ConsoleRenderer() if pretty else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    # It tells at each attempt, with a traceback, what whoever needs the database tells once.
    logging.getLogger("asyncpg").setLevel(logging.ERROR)
