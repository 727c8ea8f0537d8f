"""Closed-loop load generator of bounded bursts over persistent connections.

Joins at full load would grow a line of 1 000 to 10 000 within a second. So joins come in bursts,
and those who joined leave before the next one. wrk cannot pause, and new connections per burst
would cost more than the burst.
"""

import asyncio
from collections.abc import Iterator, Sequence
from urllib.parse import quote

import msgspec

from waitline.kernel.errors import Unavailable
from waitline.kernel.ids import RoomId, VisitorId
from waitline.kernel.plurals import counted
from waitline.sales.http_client import HttpConnection

ANSWER_S = 30.0
"""Timeout of a burst."""

REFUSED_SHARE_MAX = 0.05
"""Share of refused requests at which a burst still counts: on a busy machine the store may time out
on a batch."""


class BurstClient:
    """Sends bursts of requests over connections to one server.

    Args:
        port: Port on 127.0.0.1.
        count: Connections, and so concurrent requests.
    """

    def __init__(self, port: int, count: int) -> None:
        self._port = port
        self._count = count
        self._connections: list[HttpConnection] = []
        self._requests: Iterator[bytes] = iter(())
        self._open = 0
        self._refused = 0
        self._done: asyncio.Future[None] | None = None

    async def connect(self) -> None:
        """Open the connections, including those that the server closed as idle."""
        loop = asyncio.get_running_loop()
        while len(self._connections) < self._count:
            await loop.create_connection(lambda: HttpConnection(self), "127.0.0.1", self._port)

    async def send_burst(self, requests: Sequence[bytes]) -> None:
        """Send a burst of requests; return once all are answered.

        Raises:
            Unavailable: Too many were refused, or not answered.
        """
        self._requests = iter(requests)
        self._done = asyncio.get_running_loop().create_future()
        self._open, self._refused = len(requests), 0
        for connection in self._connections:
            self._send(connection)
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._done
        except TimeoutError:
            unanswered = counted(self._open, "request was", "requests were")
            raise Unavailable(f"{unanswered} not answered") from None
        finally:
            self._done = None
        if self._refused > REFUSED_SHARE_MAX * len(requests):
            sent = counted(len(requests), "request was", "requests were")
            raise Unavailable(f"{self._refused} of {sent} refused")

    def connection_opened(self, connection: HttpConnection) -> None:
        """Use a connection for the next burst."""
        self._connections.append(connection)

    def answer_received(self, connection: HttpConnection, answer: bytes) -> None:
        """Count an answer, and send the next request in its place."""
        self._refused += not answer.startswith(b"HTTP/1.1 2")
        self._open -= 1
        if self._open == 0 and self._done is not None and not self._done.done():
            self._done.set_result(None)
        self._send(connection)

    def connection_closed(self, connection: HttpConnection) -> None:
        """Fail the burst that is in flight, if there is one."""
        self._connections.remove(connection)
        if self._done is not None and not self._done.done():
            self._done.set_exception(Unavailable("the server closed a connection"))

    def close(self) -> None:
        """Close the connections."""
        for connection in self._connections:
            connection.abort()

    def _send(self, connection: HttpConnection) -> None:
        request = next(self._requests, None)
        if request is not None:
            connection.write(request)


def enter(room: RoomId, visitor: VisitorId) -> bytes:
    """Return the request to enter a room."""
    body = msgspec.json.encode({"concertId": room, "userId": visitor})
    head = (
        "POST /api/v1/queue/enter HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def status(room: RoomId, visitor: VisitorId) -> bytes:
    """Return the request for a visitor's status."""
    query = f"concertId={quote(room)}&userId={quote(visitor)}"
    return f"GET /api/v1/queue/status?{query} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
