"""Listening sockets of a host name or address: IPv4, IPv6 or both, on one port."""

import errno
import socket
from collections.abc import Sequence
from typing import Any

FREE_PORT_TRIES = 5
"""Tries to find a port that is free on every address of a name. Another program may take it on one
of them in between, which is rare once and next to impossible five times."""

UNACKNOWLEDGED_MS = 30_000
"""How long, in ms, a client may leave sent data unacknowledged; then the system closes the
connection. One that vanished without a word (a phone in a tunnel, an empty battery) would otherwise
hold its event stream, which counts as its visitor's contact, for a quarter of an hour."""

_ABSENT = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


def bind(host: str, port: int) -> list[socket.socket]:
    """Bind a socket to each address of a host, all on one port.

    `::` is every address of the machine, IPv4 ones included. An address that the machine lacks
    (`localhost` names `::1` on some without IPv6) is skipped if there is another.

    Args:
        host: IPv4 or IPv6 address, or a name.
        port: 0 for any free one.

    Raises:
        OSError: The host is not known, or the port is taken.
    """
    for left in reversed(range(FREE_PORT_TRIES)):
        try:
            return _bound(host, port)
        except OSError as error:
            if port or error.errno != errno.EADDRINUSE or not left:
                raise
    raise AssertionError("the last try returns or raises")


def _bound(host: str, port: int) -> list[socket.socket]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    made: list[socket.socket] = []
    absent: OSError | None = None
    for family, address in dict.fromkeys((family, address) for family, *_, address in found):
        try:
            one = _bound_to(family, (address[0], port, *address[2:]))
        except OSError as error:
            if error.errno in _ABSENT:
                absent = error
                continue
            for other in made:
                other.close()
            raise
        made.append(one)
        port = one.getsockname()[1]
    if not made and absent is not None:
        raise absent
    return made


def _bound_to(family: int, address: tuple[Any, ...]) -> socket.socket:
    made = socket.socket(family)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            # Linux alone has it. Accepted sockets inherit it. Source: RFC 5482.
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_MS)
        if family == socket.AF_INET6:
            # Python, uvicorn and systems differ in the default.
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, address[0] != "::")
        made.bind(address)
    except OSError:
        made.close()
        raise
    return made


def urls(sockets: Sequence[socket.socket]) -> list[str]:
    """Return the addresses of bound sockets, as clients write them."""
    shown = []
    for one in sockets:
        host, port = one.getsockname()[:2]
        shown.append(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")
        if host == "::":
            shown.append(f"http://0.0.0.0:{port}")
    return shown
