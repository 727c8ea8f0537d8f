"""Answers to requests, and their encoding for the socket."""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from http import HTTPStatus
from typing import Any

import msgspec

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


STATUS_LINE = {
    status.value: b"HTTP/1.1 %d %b\r\n" % (status.value, status.phrase.encode("ascii"))
    for status in HTTPStatus
}
"""Status lines. The version is the server's, also towards HTTP/1.0 (RFC 9110, section 6.2)."""

BODILESS = frozenset((HTTPStatus.NO_CONTENT.value, HTTPStatus.NOT_MODIFIED.value))
"""Statuses without a body, and without its length: a 304 would need that of the body that it omits
(RFC 9110, section 8.6)."""


class Answer(msgspec.Struct, frozen=True):
    """What a handler returns.

    Attributes:
        status: HTTP status.
        headers: Without `content-length`.
        body: Empty where the status allows none.
        fields: The same headers as the lines of a response, of an answer that is kept and sent
            often (`kept_answer`); otherwise empty.
    """

    status: int
    headers: Headers
    body: bytes
    fields: bytes = b""


def kept_answer(answer: Answer) -> Answer:
    """Return an answer whose headers are packed once; the caller keeps it."""
    return Answer(answer.status, answer.headers, answer.body, _lines(answer.headers))


async def send_answer(send: Send, answer: Answer) -> None:
    """Send an answer as ASGI messages."""
    headers = list(answer.headers)
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


class ResponsePacker:
    """Packs answers into bytes; caches the head, which repeats from one answer to the next."""

    def __init__(self) -> None:
        self._heads: dict[tuple[int, Headers], bytes] = {}
        self._server_headers: list[tuple[bytes, bytes]] = []
        self._server_fields = b""

    def pack(
        self,
        answer: Answer,
        server_headers: list[tuple[bytes, bytes]],
        connection: bytes = b"",
        *,
        bodiless: bool = False,
    ) -> bytes:
        """Return the whole response.

        Args:
            answer: Its headers are trusted to have no line breaks.
            server_headers: The server's own headers; a new list each second, because of the date.
            connection: The line of the Connection field, if there is one.
            bodiless: Whether the request is HEAD: then the body is omitted, but not its length.
        """
        status, headers, body = answer.status, answer.headers, answer.body
        if server_headers is not self._server_headers or len(self._heads) > HEADS_CACHED:
            self._heads.clear()
            self._server_headers = server_headers
            self._server_fields = _lines(server_headers)
        fields = answer.fields
        head = (
            STATUS_LINE[status] + self._server_fields + fields
            if fields
            else self._heads.get((status, headers))
        )
        if head is None:
            head = STATUS_LINE[status] + self._server_fields + _lines(headers)
            self._heads[status, headers] = head
        if status in BODILESS:
            return b"%b%b\r\n" % (head, connection)
        if bodiless:
            return b"%b%bcontent-length: %d\r\n\r\n" % (head, connection, len(body))
        return b"%b%bcontent-length: %d\r\n\r\n%b" % (head, connection, len(body), body)


def _lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    return b"".join(b"%b: %b\r\n" % header for header in headers)
