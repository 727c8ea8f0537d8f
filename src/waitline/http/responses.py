"""Answers to requests, and their encoding for the socket."""

from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any

import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = tuple[tuple[bytes, bytes], ...]

JSON: Headers = (
    (b"content-type", b"application/json"),
    # Responses carry tickets, so no cache may store them.
    (b"cache-control", b"no-store"),
)
PROBLEM: Headers = (
    (b"content-type", b"application/problem+json"),
    (b"cache-control", b"no-store"),
)

HEADS_CACHED = 1_024
"""Response heads cached by `ResponsePacker`: about ten of ours, and one per room's document."""


_UNMODIFIED = HTTPStatus.NOT_MODIFIED.value


class Answer(msgspec.Struct, frozen=True):
    """What a handler returns.

    Attributes:
        status: HTTP status.
        headers: Without `content-length`.
        body: Empty where the status allows none.
    """

    status: int
    headers: Headers
    body: bytes


async def send_answer(send: Send, answer: Answer) -> None:
    """Send an answer as ASGI messages."""
    headers, body = answer.headers, answer.body
    if answer.status != _UNMODIFIED:
        # A 304 would need the length of the body that it leaves out (RFC 9110, section 8.6).
        headers = (*headers, (b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class ResponsePacker:
    """Packs answers into bytes; caches the head, which repeats from one answer to the next."""

    def __init__(self) -> None:
        self._heads: dict[tuple[int, Headers], bytes] = {}
        self._server_headers: list[tuple[bytes, bytes]] = []

    def pack(self, answer: Answer, server_headers: list[tuple[bytes, bytes]]) -> bytes:
        """Return the whole response.

        Args:
            answer: Its headers are trusted to have no line breaks.
            server_headers: The server's own headers; a new list each second, because of the date.
        """
        status, headers, body = answer.status, answer.headers, answer.body
        if server_headers is not self._server_headers or len(self._heads) > HEADS_CACHED:
            self._heads.clear()
            self._server_headers = server_headers
        head = self._heads.get((status, headers))
        if head is None:
            lines = (b"%b: %b\r\n" % header for header in (*server_headers, *headers))
            head = self._heads[status, headers] = STATUS_LINE[status] + b"".join(lines)
        if status == _UNMODIFIED:
            return head + b"\r\n"
        return b"%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body)
