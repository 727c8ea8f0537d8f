"""Connections to one service of an installation: at most so many, each lent for one request."""

import asyncio
import re
import ssl
from collections import deque
from typing import NamedTuple
from urllib.parse import urlsplit

from waitline.kernel.errors import Misconfigured, Unavailable
from waitline.sales.http_client import Wire

CONNECTIONS_MAX = 256
"""Requests under way at once, per service. At 50 ms each they are 5 000 a second, more than one
process sends. Who comes on top of that waits, and the wait counts as the service's: it has as many
to answer as it could want."""

ANSWER_S = 30.0
"""How long an answer may take before it counts as lost."""

_GZIPPED = re.compile(rb"\r\ncontent-encoding: *gzip", re.IGNORECASE)
_RETRY_AFTER = re.compile(rb"\r\nretry-after: *(\d+)", re.IGNORECASE)


class Answer(NamedTuple):
    """What a service said.

    Attributes:
        status: Of HTTP.
        body: As it came.
        gzipped: Whether the body is compressed.
        retry_after_s: When to ask again, in s; 0 where it does not say.
    """

    status: int
    body: bytes
    gzipped: bool
    retry_after_s: int


class _Lent(Wire):
    """A connection, and who waits for the answer on it."""

    def __init__(self, service: "Endpoint") -> None:
        super().__init__(service)
        self.asked: asyncio.Future[bytes] | None = None


class Endpoint:
    """One service, reached by its URL.

    Args:
        url: `http://host:port` or `https://…`, without a path.

    Raises:
        Misconfigured: It is no such URL.
    """

    def __init__(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise Misconfigured(f"{url!r} is no URL of a service") from None
        plain = parts.path in ("", "/") and not (parts.query or parts.fragment or parts.username)
        if parts.scheme not in ("http", "https") or not parts.hostname or not plain:
            raise Misconfigured(f"{url!r} is no URL of a service: as https://queue.example:8081")
        secure = parts.scheme == "https"
        self.url = url.rstrip("/")
        self._host = parts.hostname
        self._port = port or (443 if secure else 80)
        self._tls = ssl.create_default_context() if secure else None
        self._head = f"Host: {parts.netloc}\r\nUser-Agent: waitline-rehearse\r\n"
        self._free: deque[_Lent] = deque()
        self._waiting: deque[asyncio.Future[_Lent | None]] = deque()
        self._open = 0

    async def ask(
        self, method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        """Send a request and return the answer, whatever it is.

        Raises:
            Unavailable: There was none: no connection, a broken one, or not in time.
        """
        more = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        if body:
            more += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        request = f"{method} {path} HTTP/1.1\r\n{self._head}{more}\r\n".encode("latin-1") + body
        try:
            async with asyncio.timeout(ANSWER_S):
                wire = await self._borrowed()
                wire.asked = asyncio.get_running_loop().create_future()
                wire.write(request)
                try:
                    told = await wire.asked
                except BaseException:
                    # Whatever comes on it now would be taken for the next answer.
                    wire.drop()
                    raise
        except TimeoutError:
            raise Unavailable(f"{self.url} does not answer in time") from None
        except OSError as error:
            raise Unavailable(f"{self.url} cannot be reached: {error.strerror or error}") from None
        head, _, content = told.partition(b"\r\n\r\n")
        after = _RETRY_AFTER.search(head)
        return Answer(
            status=int(head[9:12]),
            body=content,
            gzipped=_GZIPPED.search(head) is not None,
            retry_after_s=int(after[1]) if after else 0,
        )

    async def _borrowed(self) -> _Lent:
        while True:
            if self._free:
                return self._free.pop()
            if self._open < CONNECTIONS_MAX:
                return await self._opened()
            turn: asyncio.Future[_Lent | None] = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                wire = await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled() and (given := turn.result()):
                    self._give(given)
                raise
            if wire is not None:
                return wire

    async def _opened(self) -> _Lent:
        self._open += 1
        try:
            _, wire = await asyncio.get_running_loop().create_connection(
                lambda: _Lent(self), self._host, self._port, ssl=self._tls
            )
        except BaseException:
            self._closed()
            raise
        return wire

    def opened(self, wire: Wire) -> None:
        """Nothing: whoever had it opened has it."""

    def answered(self, wire: Wire, answer: bytes) -> None:
        """Hand an answer to whoever asked, and the connection to the next."""
        assert isinstance(wire, _Lent)
        asked, wire.asked = wire.asked, None
        if asked is None or asked.done():
            wire.drop()
            return
        asked.set_result(answer)
        self._give(wire)

    def lost(self, wire: Wire) -> None:
        """Tell whoever asked; somebody else may open another."""
        assert isinstance(wire, _Lent)
        if wire.asked is not None and not wire.asked.done():
            wire.asked.set_exception(ConnectionResetError("the connection was closed"))
        elif wire in self._free:
            self._free.remove(wire)
        self._closed()

    def _give(self, wire: _Lent) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(wire)
                return
        self._free.append(wire)

    def _closed(self) -> None:
        self._open -= 1
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    def close(self) -> None:
        """Close what is open and not in use."""
        for wire in list(self._free):
            wire.drop()
