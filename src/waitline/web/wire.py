"""Writes a whole answer to the socket in one piece.

ASGI sends a response as two messages, and the server checks and copies each header of the first:
about a fifth of a hot call's time (measured, decision 0006). Our headers are constants and known
to be good, so where the server is uvicorn, and nothing is unusual about the connection, their
bytes are put together once and written with the body. In any other case the two messages are sent.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from functools import lru_cache
from http import HTTPStatus
from typing import Any, NamedTuple

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = tuple[tuple[bytes, bytes], ...]

HEADS_CACHED = 1_024
"""Sets of headers whose bytes are kept: a handful of ours, and one per room's document."""


class Answer(NamedTuple):
    """What is sent back.

    Attributes:
        status: HTTP status.
        headers: Without the body's length.
        body: Empty where the status allows none.
    """

    status: int
    headers: Headers
    body: bytes


async def write(send: Send, answer: Answer) -> None:
    """Send an answer, in one piece if the server allows."""
    cycle = getattr(send, "__self__", None)
    if (
        type(cycle) is RequestResponseCycle
        and cycle.keep_alive
        and cycle.scope["method"] != "HEAD"
        and not (cycle.flow.write_paused or cycle.disconnected or cycle.response_started)
    ):
        _write_at_once(cycle, answer)
        return
    status, headers, body = answer
    if status != HTTPStatus.NOT_MODIFIED:
        # There it would be the length of what is not sent (RFC 9110, section 8.6).
        headers = (*headers, (b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _write_at_once(cycle: RequestResponseCycle, answer: Answer) -> None:
    """Do what uvicorn's `send` does for a response of two messages, in one step."""
    status, headers, body = answer
    # The server's own headers change with the second, so hardly ever.
    first = STATUS_LINE[status] + _lines(tuple(cycle.default_headers)) + _lines(headers)
    if status == HTTPStatus.NOT_MODIFIED:
        text = b"%b\r\n" % first
    else:
        text = b"%bcontent-length: %d\r\n\r\n%b" % (first, len(body), body)
    cycle.response_started = cycle.response_complete = True
    cycle.waiting_for_100_continue = False
    cycle.transport.write(text)
    cycle.message_event.set()
    cycle.on_response()


@lru_cache(maxsize=HEADS_CACHED)
def _lines(headers: Headers) -> bytes:
    return b"".join(b"%b: %b\r\n" % header for header in headers)
