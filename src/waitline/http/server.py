"""uvicorn server: its options and limits, and the start of a service's workers."""

import resource
import socket
from typing import Any

import uvicorn

PROTOCOL = "waitline.http.protocol:Protocol"
"""Our protocol class, as uvicorn loads it."""

BACKLOG = 4_096
"""Connections that may wait to be accepted; the operating system may lower this."""

DRAIN_S = 5
"""Graceful shutdown: how long open requests and streams may take to end."""

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
"""Options of uvicorn, here and in the servers that benchmarks compare with."""


def serve(factory: str, *, host: str, port: int, workers: int) -> None:
    """Run the workers of a service until they are stopped.

    Args:
        factory: `module:function` that builds the application, in each worker's process.
        host: Address to listen on.
        port: Port that all workers share.
        workers: Processes.
    """
    _raise_file_limit()
    uvicorn.run(
        factory,
        factory=True,
        host=host,
        port=port,
        workers=workers,
        backlog=BACKLOG,
        timeout_graceful_shutdown=DRAIN_S,
        http=PROTOCOL,
        **UVICORN_OPTIONS,
    )


def serve_socket(application: Any, listener: socket.socket) -> None:  # noqa: ANN401 - as uvicorn
    """Serve an application in this process, on a socket that listens already."""
    _raise_file_limit()
    config = uvicorn.Config(
        application,
        timeout_graceful_shutdown=DRAIN_S,
        http=PROTOCOL,
        **UVICORN_OPTIONS,
    )
    uvicorn.Server(config).run(sockets=[listener])


def _raise_file_limit() -> None:
    """Raise the limit of open files to the system's maximum: each connection is an open file.

    Processes start with a limit of 1 024, for programs that use `select`.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
