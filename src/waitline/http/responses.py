"""What an answer is, and how it is put on the wire."""

from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any

import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = tuple[tuple[bytes, bytes], ...]

JSON: Headers = (
    (b"content-type", b"application/json"),
    # Responses carry tickets: no cache on the way may keep them.
    (b"cache-control", b"no-store"),
)
PROBLEM: Headers = (
    (b"content-type", b"application/problem+json"),
    (b"cache-control", b"no-store"),
)

HEADS_CACHED = 1_024
"""ResponsePacker whose bytes are kept: a handful of ours, and one per room's document."""


_UNMODIFIED = HTTPStatus.NOT_MODIFIED.value


class Answer(msgspec.Struct, frozen=True):
    """What is sent back.

    Attributes:
        status: HTTP status.
        headers: Without the body's length.
        body: Empty where the status allows none.
    """

    status: int
    headers: Headers
    body: bytes


async def send_answer(send: Send, answer: Answer) -> None:
    """Send an answer as the messages of ASGI."""
    headers, body = answer.headers, answer.body
    if answer.status != _UNMODIFIED:
        # There it would be the length of what is not sent (RFC 9110, section 8.6).
        headers = (*headers, (b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class ResponsePacker:
    """Puts answers together as bytes; what comes before the body is kept from one to the next."""

    def __init__(self) -> None:
        self._kept: dict[tuple[int, Headers], bytes] = {}
        self._server_headers: list[tuple[bytes, bytes]] = []

    def pack(self, answer: Answer, server_headers: list[tuple[bytes, bytes]]) -> bytes:
        """Return the whole response.

        Args:
            answer: Its headers are ours, and known to be good.
            server_headers: The server's own headers; another list each second, with the date.
        """
        status, headers, body = answer.status, answer.headers, answer.body
        if server_headers is not self._server_headers or len(self._kept) > HEADS_CACHED:
            self._kept.clear()
            self._server_headers = server_headers
        head = self._kept.get((status, headers))
        if head is None:
            lines = (b"%b: %b\r\n" % header for header in (*server_headers, *headers))
            head = self._kept[status, headers] = STATUS_LINE[status] + b"".join(lines)
        if status == _UNMODIFIED:
            return head + b"\r\n"
        return b"%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body)
