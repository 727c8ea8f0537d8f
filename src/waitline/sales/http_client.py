"""One HTTP connection of a generator: a request is written as bytes, its answer read as bytes.

A full reader of HTTP would cost the generator more than the service spends on the answer. This one
relies on a length in every answer that has a body, and gives the connection up where there is none.
"""

import asyncio
import re
from typing import Protocol, cast

from typing_extensions import override

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_BODILESS = (b"204", b"304")


class Owner(Protocol):
    """Who is told what happens on a connection."""

    def opened(self, wire: "Wire") -> None:
        """It is made, and free."""
        ...

    def answered(self, wire: "Wire", answer: bytes) -> None:
        """The answer to what was sent is here, head and body."""
        ...

    def lost(self, wire: "Wire") -> None:
        """It is closed or broken."""
        ...


class Wire(asyncio.Protocol):
    """One connection, with one request under way at most.

    Args:
        owner: Who is told.
    """

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._parts: list[bytes] = []
        self._missing = 0
        self._transport: asyncio.Transport | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are what asyncio's are, and do not inherit from them.
        self._transport = cast("asyncio.Transport", transport)
        self._owner.opened(self)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._owner.lost(self)

    def write(self, request: bytes) -> None:
        """Send a request."""
        assert self._transport is not None
        self._transport.write(request)

    def drop(self) -> None:
        """Close the connection without waiting for anything."""
        assert self._transport is not None
        self._transport.abort()

    @override
    def data_received(self, data: bytes) -> None:
        self._parts.append(data)
        if not self._missing:
            head, end, body = b"".join(self._parts).partition(b"\r\n\r\n")
            if not end:
                return
            length = _LENGTH.search(head)
            if length is None and head[9:12] not in _BODILESS:
                self.drop()
                return
            self._missing = int(length[1]) - len(body) if length else 0
        else:
            self._missing -= len(data)
        if not self._missing:
            answer = b"".join(self._parts)
            self._parts = []
            self._owner.answered(self, answer)
