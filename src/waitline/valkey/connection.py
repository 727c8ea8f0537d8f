"""One pipelined connection to Valkey or Redis; the only importer of the driver.

hiredis packs commands and parses replies. This module does the I/O: a call is written at once, and
replies are matched in order, so many calls share the connection and none waits for the reply of
another. A general client takes about 95 µs of processor time per call, more than the rest of a
request when batches are small; this one takes 25 µs (measured, one call after the other).
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast
from urllib.parse import SplitResult, unquote, urlsplit

import hiredis
from typing_extensions import override

from waitline.kernel.errors import Misconfigured, Unavailable

PENDING_MAX = 1_024
"""Most calls that wait for replies. The batchers have at most a dozen under way; the rest is for
operators' calls and health checks."""

WRITE_BUFFER_BYTES_MAX = 16 * 1024**2
"""Backpressure: with more unsent bytes than this, further calls are refused."""

DEFAULT_PORT = 6_379

GRACE_S = 0.01
"""Grace period after a missed deadline, in s. If this process itself was stalled, its timers fire
before it has read the replies that came meanwhile."""


class CommandError(Exception):
    """The server refused a command: a bug here, or the server cannot serve at present.

    Attributes:
        code: The error code; the first word of the reply.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.code = text.partition(" ")[0]


@dataclass(frozen=True, slots=True)
class Address:
    """Address and credentials of a server.

    Attributes:
        path: Path of its unix socket; empty for TCP.
        host: Host name or IP address, for TCP.
        port: Port, for TCP.
        username: User of its access control list; empty for the default user.
        password: Password; empty for none.
        database: Database number.
        tls: Whether to use TLS, for TCP.
    """

    path: str
    host: str
    port: int
    username: str
    password: str
    database: int
    tls: bool

    @override
    def __repr__(self) -> str:
        """Show the address without credentials."""
        return self.path or f"{self.host}:{self.port}"


def address(url: str) -> Address:
    """Parse `unix:///path`, `redis://[user:password@]host[:port][/database]` or `rediss://…`.

    Raises:
        Misconfigured: The URL has none of these forms.
    """
    try:
        parts = urlsplit(url)
        port, database = parts.port or DEFAULT_PORT, _database(parts)
    except ValueError as error:
        raise Misconfigured(f"the store's address cannot be read: {error}") from None
    is_socket = parts.scheme == "unix"
    if parts.scheme not in ("unix", "redis", "rediss") or not (
        parts.path if is_socket else parts.hostname
    ):
        raise Misconfigured(
            "the store's address must be unix:///path, redis://host:port or rediss://host:port"
        )
    return Address(
        path=unquote(parts.path) if is_socket else "",
        host=parts.hostname or "",
        port=port,
        username=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        database=database,
        tls=parts.scheme == "rediss",
    )


def _database(parts: SplitResult) -> int:
    name = parts.path.strip("/") if parts.scheme != "unix" else ""
    return int(name) if name else 0


class _Call(NamedTuple):
    answer: asyncio.Future[Any]
    deadline_s: float


class _Pipe(asyncio.Protocol):
    """One open connection and its pending calls, in order."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader(encoding="utf-8", errors="surrogateescape")
        self._calls: deque[_Call] = deque()
        self._transport: asyncio.Transport | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._overdue: _Call | None = None

    @property
    def open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the interface of asyncio's, but do not inherit from them.
        self._transport = cast("asyncio.Transport", transport)

    @override
    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        # RESP2 has no boolean, so `False` can only mean an incomplete reply.
        while (reply := self._reader.gets()) is not False:
            answer = self._calls.popleft().answer
            if answer.done():
                continue
            if isinstance(reply, hiredis.ReplyError):
                answer.set_exception(CommandError(str(reply)))
            else:
                answer.set_result(reply)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self.close(str(exc) if exc else "the connection was closed")

    def send(self, commands: Iterable[Sequence[str | float]], timeout_s: float) -> list[_Call]:
        """Send commands in one write; their replies come in the same order."""
        assert self._transport is not None
        if len(self._calls) >= PENDING_MAX or (
            self._transport.get_write_buffer_size() > WRITE_BUFFER_BYTES_MAX
        ):
            raise Unavailable("the store does not answer: too many calls wait for it")
        deadline_s = self._loop.time() + timeout_s
        calls, packed = [], []
        for words in commands:
            calls.append(_Call(self._loop.create_future(), deadline_s))
            # hiredis declares its argument as a tuple of one element.
            packed.append(hiredis.pack_command(tuple(words)))  # type: ignore[arg-type]
        self._calls.extend(calls)
        self._transport.write(packed[0] if len(packed) == 1 else b"".join(packed))
        if self._watch is None:
            self._watch = self._loop.call_at(deadline_s, self._check_deadline)
        return calls

    def _check_deadline(self) -> None:
        """Close the connection once the oldest call has missed its deadline.

        Replies come in order, so all other calls wait behind that one. One timer serves all calls.
        """
        self._watch = None
        if not self._calls:
            return
        first = self._calls[0]
        if first.deadline_s > self._loop.time():
            self._watch = self._loop.call_at(first.deadline_s, self._check_deadline)
        elif first is not self._overdue:
            self._overdue = first
            self._watch = self._loop.call_later(GRACE_S, self._check_deadline)
        else:
            self.close("no reply in time")

    def close(self, reason: str) -> None:
        """Close the connection; pending calls fail with the reason."""
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        if self._transport is not None:
            self._transport.abort()
        while self._calls:
            answer = self._calls.popleft().answer
            if not answer.done():
                answer.set_exception(Unavailable(f"the store does not answer: {reason}"))


class Connection:
    """A connection that opens on first use, and again after it broke.

    Args:
        where: The server.
        connect_timeout_s: Timeout of opening it, in s.
    """

    def __init__(self, where: Address, connect_timeout_s: float) -> None:
        self._where = where
        self._connect_timeout_s = connect_timeout_s
        self._pipe: _Pipe | None = None
        self._opening: asyncio.Task[_Pipe] | None = None

    async def call(self, words: Sequence[str | float], timeout_s: float) -> Any:  # noqa: ANN401
        """Send one command and return its reply.

        Raises:
            Unavailable: No reply in time, or no connection. The command may have been executed.
            CommandError: The server refused it.
        """
        pipe = self._pipe
        if pipe is None or not pipe.open:
            # The time of opening counts against the caller's timeout.
            started_s = asyncio.get_running_loop().time()
            pipe = await self._open()
            timeout_s += started_s - asyncio.get_running_loop().time()
        return await pipe.send((words,), timeout_s)[0].answer

    async def transaction(
        self, commands: Iterable[Sequence[str | float]], timeout_s: float
    ) -> list[Any]:
        """Run several commands as one transaction (MULTI, EXEC) and return their replies.

        Raises:
            Unavailable: No reply in time, or no connection.
            CommandError: The server refused one of them.
        """
        pipe = self._pipe
        if pipe is None or not pipe.open:
            pipe = await self._open()
        calls = pipe.send([("MULTI",), *commands, ("EXEC",)], timeout_s)
        replies = await asyncio.gather(*(call.answer for call in calls), return_exceptions=True)
        # Raise the first failure: a refused command makes EXEC fail too, with a less exact reason.
        results: list[Any] = []
        for reply in replies:
            if isinstance(reply, BaseException):
                raise reply
            results.append(reply)
        return list(results[-1])

    async def _open(self) -> _Pipe:
        # Single flight: concurrent callers share one attempt. In turn, each would wait for the
        # attempts before it.
        if self._opening is None:
            self._opening = asyncio.get_running_loop().create_task(self._opened())
        return await asyncio.shield(self._opening)

    async def _opened(self) -> _Pipe:
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                pipe = await self._connect()
                await self._greet(pipe)
        except TimeoutError:
            raise Unavailable(f"the store at {self._where} cannot be reached in time") from None
        except OSError as error:
            raise Unavailable(
                f"the store at {self._where} cannot be reached: {error.strerror or error}"
            ) from None
        else:
            self._pipe = pipe
            return pipe
        finally:
            self._opening = None

    async def _connect(self) -> _Pipe:
        loop = asyncio.get_running_loop()
        where = self._where
        if where.path:
            _, pipe = await loop.create_unix_connection(_Pipe, where.path)
            return pipe
        context = ssl.create_default_context() if where.tls else None
        _, pipe = await loop.create_connection(_Pipe, where.host, where.port, ssl=context)
        return pipe

    async def _greet(self, pipe: _Pipe) -> None:
        where = self._where
        greetings: list[Sequence[str | float]] = []
        if where.password:
            user = (where.username,) if where.username else ()
            greetings.append(("AUTH", *user, where.password))
        if where.database:
            greetings.append(("SELECT", where.database))
        if greetings:
            try:
                for call in pipe.send(greetings, self._connect_timeout_s):
                    await call.answer
            except CommandError as error:
                pipe.close("authentication failed")
                raise Unavailable(f"the store at {where} refuses access: {error}") from None

    def close(self) -> None:
        """Close the connection; a later call opens it again."""
        if self._pipe is not None:
            self._pipe.close("closed by the client")
