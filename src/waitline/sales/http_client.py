"""HTTP client of the load generators: a bare connection, and a connection pool on top of it.

A full HTTP parser would cost a generator more than the service spends on the answer. This one
relies on `Content-Length` in every answer that has a body, and closes the connection where it is
missing. `HttpConnection` is for a generator that schedules its own connections, `HttpClient` for
one that awaits an answer. `bench/waitline_bench/carry/sockets.py` has none of either: for 100 000
connections even these objects are too large.
"""

import asyncio
import re
import ssl
from collections import deque
from typing import NamedTuple, Protocol, cast
from urllib.parse import urlsplit

from typing_extensions import override

from waitline.kernel.errors import Misconfigured, Unavailable
from waitline.kernel.folders import reason_of
from waitline.settings.checks import root_path_fault

CONNECTIONS_MAX = 256
"""Requests in flight at once, per service. At 50 ms each this is 5 000 a second, more than one
process sends. Further requests wait for a connection, and the wait counts as the service's time."""

ANSWER_S = 30.0
"""How long an answer may take before it counts as lost."""

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_BODILESS = (b"204", b"304")
_GZIPPED = re.compile(rb"\r\ncontent-encoding: *gzip", re.IGNORECASE)
_RETRY_AFTER = re.compile(rb"\r\nretry-after: *(\d+)", re.IGNORECASE)


class ConnectionOwner(Protocol):
    """Receives the events of a connection."""

    def connection_opened(self, connection: "HttpConnection") -> None:
        """The connection is open and idle."""
        ...

    def answer_received(self, connection: "HttpConnection", answer: bytes) -> None:
        """The answer to the request that was sent is complete: head and body."""
        ...

    def connection_closed(self, connection: "HttpConnection") -> None:
        """The connection is closed or broken."""
        ...


class HttpConnection(asyncio.Protocol):
    """One connection with at most one request in flight.

    Args:
        owner: Receives its events.
    """

    def __init__(self, owner: ConnectionOwner) -> None:
        self._owner = owner
        self._parts: list[bytes] = []
        self._missing = 0
        self._transport: asyncio.Transport | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the interface of asyncio's, and do not inherit from them.
        self._transport = cast("asyncio.Transport", transport)
        self._owner.connection_opened(self)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._owner.connection_closed(self)

    def write(self, request: bytes) -> None:
        """Send a request."""
        assert self._transport is not None
        self._transport.write(request)

    def abort(self) -> None:
        """Close the connection at once."""
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
                self.abort()
                return
            self._missing = int(length[1]) - len(body) if length else 0
        else:
            self._missing -= len(data)
        if not self._missing:
            answer = b"".join(self._parts)
            self._parts = []
            self._owner.answer_received(self, answer)


class HttpAnswer(NamedTuple):
    """An answer.

    Attributes:
        status: HTTP status.
        body: As received.
        gzipped: Whether the body is compressed.
        retry_after_s: Value of `Retry-After`; 0 without one.
    """

    status: int
    body: bytes
    gzipped: bool
    retry_after_s: int


class _PooledConnection(HttpConnection):
    """A connection, and the future of the answer that it awaits."""

    def __init__(self, pool: "HttpClient") -> None:
        super().__init__(pool)
        self.pending: asyncio.Future[bytes] | None = None


class HttpClient:
    """A pool of at most `CONNECTIONS_MAX` connections to one service.

    Args:
        url: `http://host:port` or `https://…`, with the path below which a proxy serves it, if any.

    Raises:
        Misconfigured: The URL has another form.
    """

    def __init__(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise Misconfigured(f"{url!r} is not the URL of a service") from None
        self._root = parts.path.rstrip("/")
        plain = not (parts.query or parts.fragment or parts.username) and (
            not self._root or root_path_fault(self._root) is None
        )
        if parts.scheme not in ("http", "https") or not parts.hostname or not plain:
            raise Misconfigured(
                f"{url!r} is not the URL of a service; an example: https://queue.example:8081"
            )
        secure = parts.scheme == "https"
        self.url = url.rstrip("/")
        self._host = parts.hostname
        self._port = port or (443 if secure else 80)
        self._tls = ssl.create_default_context() if secure else None
        self._head = f"Host: {parts.netloc}\r\nUser-Agent: waitline-rehearse\r\n"
        self._idle: deque[_PooledConnection] = deque()
        self._waiters: deque[asyncio.Future[_PooledConnection | None]] = deque()
        self._open = 0

    async def request(
        self, method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b""
    ) -> HttpAnswer:
        """Send a request and return the answer, whatever its status.

        Raises:
            Unavailable: There was none: no connection, a broken one, or a timeout.
        """
        more = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        if body:
            more += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        packet = (
            f"{method} {self._root}{path} HTTP/1.1\r\n{self._head}{more}\r\n".encode("latin-1")
            + body
        )
        try:
            async with asyncio.timeout(ANSWER_S):
                connection = await self._acquire()
                connection.pending = asyncio.get_running_loop().create_future()
                connection.write(packet)
                try:
                    answer = await connection.pending
                except BaseException:
                    # What still arrives on it would be taken for the next answer.
                    connection.abort()
                    raise
        except TimeoutError:
            raise Unavailable(f"{self.url} does not answer in time") from None
        except OSError as error:
            raise Unavailable(f"{self.url} cannot be reached: {reason_of(error)}") from None
        head, _, content = answer.partition(b"\r\n\r\n")
        after = _RETRY_AFTER.search(head)
        return HttpAnswer(
            status=int(head[9:12]),
            body=content,
            gzipped=_GZIPPED.search(head) is not None,
            retry_after_s=int(after[1]) if after else 0,
        )

    async def _acquire(self) -> _PooledConnection:
        while True:
            if self._idle:
                return self._idle.pop()
            if self._open < CONNECTIONS_MAX:
                return await self._connect()
            turn: asyncio.Future[_PooledConnection | None]
            turn = asyncio.get_running_loop().create_future()
            self._waiters.append(turn)
            try:
                connection = await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled() and (given := turn.result()):
                    self._release(given)
                raise
            if connection is not None:
                return connection

    async def _connect(self) -> _PooledConnection:
        self._open += 1
        try:
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: _PooledConnection(self), self._host, self._port, ssl=self._tls
            )
        except BaseException:
            self._allow_another()
            raise
        return connection

    def connection_opened(self, connection: HttpConnection) -> None:
        """Do nothing: `_connect` returns it to the caller that opened it."""

    def answer_received(self, connection: HttpConnection, answer: bytes) -> None:
        """Resolve the pending request, and release the connection."""
        assert isinstance(connection, _PooledConnection)
        pending, connection.pending = connection.pending, None
        if pending is None or pending.done():
            connection.abort()
            return
        pending.set_result(answer)
        self._release(connection)

    def connection_closed(self, connection: HttpConnection) -> None:
        """Fail the pending request; another connection may be opened."""
        assert isinstance(connection, _PooledConnection)
        if connection.pending is not None and not connection.pending.done():
            connection.pending.set_exception(ConnectionResetError("the connection was closed"))
        elif connection in self._idle:
            self._idle.remove(connection)
        self._allow_another()

    def _release(self, connection: _PooledConnection) -> None:
        while self._waiters:
            turn = self._waiters.popleft()
            if not turn.done():
                turn.set_result(connection)
                return
        self._idle.append(connection)

    def _allow_another(self) -> None:
        self._open -= 1
        while self._waiters:
            turn = self._waiters.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    def close(self) -> None:
        """Close the idle connections."""
        for connection in list(self._idle):
            connection.abort()
