"""uvicorn server: its options and limits, and the start of a service's workers."""

import resource
import socket
import sys
from contextlib import suppress
from typing import Any

import uvicorn
from uvicorn.config import STARTUP_FAILURE

from waitline.http.draining import DrainingConfig, DrainingServer, DrainingWorkers

PROTOCOL = "waitline.http.protocol:Protocol"
"""Our protocol class, as uvicorn loads it."""

BACKLOG = 4_096
"""Connections that may wait to be accepted; the operating system may lower this."""

FINISH_S = 5
"""Graceful shutdown: how long open requests and streams may take to end, after draining."""

UVICORN_OPTIONS: dict[str, Any] = {
    "loop": "uvloop",
    "ws": "none",
    "lifespan": "on",
    "interface": "asgi3",
    # The client's address is not used, so no header is trusted for it.
    "proxy_headers": False,
    "server_header": False,
    "access_log": False,
    "log_level": "warning",
    # Its lines become lines of our log: in one format, and limited (`kernel/process.py`).
    "log_config": None,
}
"""Options of uvicorn, also for the servers that benchmarks compare with."""


def serve(factory: str, listeners: list[socket.socket], *, workers: int, drain_s: float) -> None:
    """Run the workers of a service until they are stopped.

    Args:
        factory: `module:function` that builds the application, in each worker's process.
        listeners: Bound sockets, which all workers share.
        workers: Processes.
        drain_s: Connection draining at SIGTERM.
    """
    _raise_file_limit()
    config = DrainingConfig(
        factory,
        drain_s=drain_s,
        factory=True,
        workers=workers,
        backlog=BACKLOG,
        timeout_graceful_shutdown=FINISH_S,
        http=PROTOCOL,
        **UVICORN_OPTIONS,
    )
    if workers > 1:
        # Not uvicorn.run, which binds one socket: for `localhost` only one of its two addresses.
        DrainingWorkers(config, listeners).run()
        return
    only = DrainingServer(config, only=True)
    with suppress(KeyboardInterrupt):
        only.run(listeners)
    if not only.started:
        sys.exit(STARTUP_FAILURE)


def serve_sockets(application: Any, listeners: list[socket.socket]) -> None:  # noqa: ANN401 - as uvicorn
    """Serve an application in this process, on sockets that are already listening."""
    _raise_file_limit()
    config = uvicorn.Config(
        application,
        timeout_graceful_shutdown=FINISH_S,
        http=PROTOCOL,
        **UVICORN_OPTIONS,
    )
    uvicorn.Server(config).run(sockets=listeners)


def _raise_file_limit() -> None:
    """Raise the limit of open files to the system's maximum: each connection is an open file.

    The default is 1 024, for the sake of programs that use `select`.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
