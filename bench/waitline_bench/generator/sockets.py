"""Raw connections for the load generators: bare file descriptors.

100 000 Python socket objects would take more memory than the visitors themselves.
"""

import os
import resource
import socket
import struct
from contextlib import suppress

FILES_SPARE = 500
"""File descriptors reserved in a process: store, listening sockets, libraries."""

ADDRESS_SOCKETS = 10_000
"""Connections per source address. An address has 28 000 ephemeral ports, and closed ones stay in
TIME_WAIT for a minute."""

PIECE_BYTES = 65_536
"""Buffer size of a read: larger than any answer."""

_NO_PORT_YET = getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24)
_RESET = struct.pack("ii", 1, 0)


def raise_file_limit() -> int:
    """Raise the limit of open files, inherited by children, as far as allowed; return it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Without a limit, take the kernel's maximum per process.
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def source(network: int, process: int, number: int) -> str:
    """Return the loopback address that a process's connection of this number comes from."""
    return f"127.{network}.{process + 1}.{1 + number // ADDRESS_SOCKETS}"


def connect(address: tuple[str, int], source_host: str) -> int:
    """Start a connection and return its descriptor, which becomes writable when it is established.

    Raises:
        OSError: No port or no descriptor is left.
    """
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        # The port is chosen when the other end is known, so one can serve several.
        made.setsockopt(socket.IPPROTO_IP, _NO_PORT_YET, 1)
        made.bind((source_host, 0))
        with suppress(BlockingIOError):
            made.connect(address)
    except OSError:
        made.close()
        raise
    return made.detach()


def receive(descriptor: int) -> bytes | None:
    """Return the bytes received, empty at the end of the stream; `None` if nothing has arrived."""
    try:
        return os.read(descriptor, PIECE_BYTES)
    except BlockingIOError:
        return None
    except OSError:
        return b""


def send(descriptor: int, request: bytes) -> bool:
    """Send a request, which fits into an empty buffer; return whether the connection took it."""
    try:
        return os.write(descriptor, request) == len(request)
    except OSError:
        return False


def reset(descriptor: int) -> None:
    """Reset a connection, so that its port is free at once."""
    with socket.socket(fileno=descriptor) as given_up:
        given_up.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
