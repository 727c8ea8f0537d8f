"""One pipelined connection to Valkey or Redis; the only importer of the driver.

hiredis packs commands and parses replies. This module does the I/O: a call is written at once, and
replies are matched in order, so many calls share the connection and none waits for the reply of
another. A general client takes about 95 µs of processor time per call, more than the rest of a
request when batches are small; this one takes 25 µs (measured, one call after the other).
"""

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, cast

import hiredis
from typing_extensions import override

from waitline.kernel.backoff import Backoff
from waitline.kernel.errors import Unavailable
from waitline.kernel.folders import reason_of
from waitline.valkey.address import Address
from waitline.valkey.replies import CommandError

PENDING_MAX = 1_024
"""Most calls that wait for replies. The batchers have at most a dozen under way; the rest is for
operators' calls and health checks."""

WRITE_BUFFER_BYTES_MAX = 16 * 1024**2
"""Backpressure: with more unsent bytes than this, further calls are refused."""

SHOWN_CHARS = 200
"""Most characters of a reply in an error message."""

GRACE_S = 0.01
"""Grace period after a missed deadline, in s. If this process itself was stalled, its timers fire
before it has read the replies that came meanwhile."""

CONNECT_S = 5.0
"""Timeout of one attempt to connect, in s: name lookup, TLS and greeting over a long distance. No
caller waits that long: the attempt goes on for the callers after it. With the timeout of a call, a
server that takes longer to accept would be connected to for ever."""


_NOT_PRIMARY = {"slave": "replica", "sentinel": "Sentinel"}
"""Roles of servers that take no writes, as ROLE names them, and what people call them."""


class Mark(NamedTuple):
    """A key that says whose data a server holds.

    Attributes:
        key: The key.
        value: Its value on a server that is ours. A server without the key is new, and may be ours.
    """

    key: str
    value: str


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
        self.opened_s = self._loop.time()
        self.ended = ""

    @property
    def open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the interface of asyncio's, but do not inherit from them.
        self._transport = cast("asyncio.Transport", transport)

    @override
    def data_received(self, data: bytes) -> None:
        reply: Any = None
        try:
            self._reader.feed(data)
            # RESP2 has no boolean, so `False` can only mean an incomplete reply.
            while (reply := self._reader.gets()) is not False:
                answer = self._calls.popleft().answer
                if isinstance(reply, hiredis.ReplyError):
                    error = CommandError(str(reply))
                    if not answer.done():
                        answer.set_exception(error)
                    if error.verdict.reconnect:
                        return self.close(str(error))
                elif not answer.done():
                    answer.set_result(reply)
        except IndexError:
            # Nothing was asked: a server that takes no more clients says so and hangs up.
            self.close(f"it says {str(reply)[:SHOWN_CHARS]!r} unasked")
        except (hiredis.ProtocolError, UnicodeError) as error:
            self.close(f"it does not speak the protocol: {error}")

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self.close(str(exc) if exc else "the connection was closed")

    def send(self, commands: Iterable[Sequence[str | float]], timeout_s: float) -> list[_Call]:
        """Send commands in one write; their replies come in the same order."""
        # It may have ended while its caller waited for it to open.
        if self._transport is None or self._transport.is_closing():
            raise Unavailable(f"the store does not answer: {self.ended or 'it hung up'}")
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
        self.ended = self.ended or reason
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

    It is made to the primary: a server that says that it is a replica is refused, and so is one
    that becomes one, since the name is then another server's. There is one attempt at a time, with
    backoff; during a pause, calls fail at once.

    Args:
        where: The server. Its name is looked up at each attempt.
        mark: Checked whenever a connection is opened, so that no command reaches a server that was
            put in the place of ours; `None` for no check.
    """

    def __init__(self, where: Address, mark: Mark | None = None) -> None:
        self._where = where
        self._mark = mark
        self._refusal = ""
        self._pipe: _Pipe | None = None
        self._opening: asyncio.Task[_Pipe] | None = None
        self._backoff = Backoff()
        self._tls: ssl.SSLContext | None = None

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
            pipe = await self._open(timeout_s)
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
            pipe = await self._open(timeout_s)
        calls = pipe.send([("MULTI",), *commands, ("EXEC",)], timeout_s)
        replies = await asyncio.gather(*(call.answer for call in calls), return_exceptions=True)
        # Raise the first failure: a refused command makes EXEC fail too, with a less exact reason.
        for reply in replies:
            if isinstance(reply, BaseException):
                raise reply
        results = replies[-1]
        if not isinstance(results, list):
            self.drop("a transaction was not carried out")
            raise Unavailable("the store did not carry out a transaction")
        # Commands that were accepted can fail when they are carried out; the others are done then.
        for result in results:
            if isinstance(result, hiredis.ReplyError):
                error = CommandError(str(result))
                if error.verdict.reconnect:
                    self.drop(str(error))
                raise error
        return results

    def drop(self, reason: str) -> None:
        """Close the connection because of what came over it; a later call opens another."""
        if self._pipe is not None:
            self._pipe.close(reason)

    def refuse(self, reason: str) -> None:
        """Refuse all calls from now on with a reason; an empty one allows them again."""
        self._refusal = reason
        if reason:
            self.drop(reason)

    async def _open(self, timeout_s: float) -> _Pipe:
        if self._refusal:
            raise Unavailable(self._refusal)
        # Single flight: concurrent callers share one attempt. In turn, each would wait for the
        # attempts before it.
        if self._opening is None:
            now_s = asyncio.get_running_loop().time()
            if self._pipe is not None:
                self._backoff.failed(now_s, self._pipe.ended, now_s - self._pipe.opened_s)
                self._pipe = None
            if not self._backoff.allows(now_s):
                raise Unavailable(self._unreachable(self._backoff.reason))
            self._opening = asyncio.get_running_loop().create_task(self._opened())
            self._opening.add_done_callback(_retrieve)
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.shield(self._opening)
        except TimeoutError:
            raise Unavailable(self._unreachable("not in time")) from None

    async def _opened(self) -> _Pipe:
        try:
            async with asyncio.timeout(CONNECT_S):
                pipe = await self._connect()
                try:
                    await self._greet(pipe)
                except BaseException:
                    pipe.close("refused")
                    raise
        except TimeoutError:
            raise self._failed("not in time") from None
        except OSError as error:
            raise self._failed(reason_of(error)) from None
        except (CommandError, Unavailable) as error:
            raise self._failed(str(error)) from None
        else:
            self._pipe = pipe
            return pipe
        finally:
            self._opening = None

    def _failed(self, reason: str) -> Unavailable:
        self._backoff.failed(asyncio.get_running_loop().time(), reason)
        return Unavailable(self._unreachable(reason))

    def _unreachable(self, reason: str) -> str:
        return f"the store at {self._where} cannot be reached: {reason}"

    async def _connect(self) -> _Pipe:
        loop = asyncio.get_running_loop()
        where = self._where
        if where.path:
            _, pipe = await loop.create_unix_connection(_Pipe, where.path)
            return pipe
        if where.tls and self._tls is None:
            self._tls = ssl.create_default_context()
        found = await loop.getaddrinfo(where.host, where.port, type=socket.SOCK_STREAM)
        # Begin with the next address after a failure: the first may lead nowhere or to a replica.
        first = self._backoff.failures % len(found)
        failure = OSError("its name has no address")
        for *_, address in (*found[first:], *found[:first]):
            try:
                _, pipe = await loop.create_connection(
                    _Pipe,
                    str(address[0]),
                    where.port,
                    ssl=self._tls,
                    server_hostname=where.host if self._tls else None,
                )
            except OSError as error:
                failure = error
            else:
                return pipe
        raise failure

    async def _greet(self, pipe: _Pipe) -> None:
        """Authenticate, choose the database, and check that the server is ours and a primary.

        Raises:
            CommandError: The server refuses access.
            Unavailable: It is a replica or a Sentinel, holds other data, or does not answer.
        """
        marks = [("GET", self._mark.key)] if self._mark else []
        calls = pipe.send([*_greetings(self._where), *marks, ("ROLE",)], CONNECT_S)
        *replies, role = await asyncio.gather(
            *(call.answer for call in calls), return_exceptions=True
        )
        for reply in replies:
            if isinstance(reply, BaseException):
                raise reply
        if self._mark:
            _require(self._mark, replies[-1])
        if isinstance(role, CommandError) and not role.verdict.reconnect:
            # Some users and managed services lack this command; the first write shows it then.
            return
        if isinstance(role, BaseException):
            raise role
        kind = role[0] if isinstance(role, list) and role else role
        if kind in _NOT_PRIMARY:
            raise Unavailable(f"it is a {_NOT_PRIMARY[kind]}; give the address of the primary")

    def close(self) -> None:
        """Close the connection; a later call opens it again."""
        if self._opening is not None:
            self._opening.cancel()
        if self._pipe is not None:
            self._pipe.close("closed by the client")
            self._pipe = None


def _greetings(where: Address) -> list[Sequence[str | float]]:
    """Return the commands with which a connection begins."""
    greetings: list[Sequence[str | float]] = []
    if where.password:
        user = (where.username,) if where.username else ()
        greetings.append(("AUTH", *user, where.password))
    if where.database:
        greetings.append(("SELECT", where.database))
    return greetings


def _require(mark: Mark, found: Any) -> None:  # noqa: ANN401 - a reply
    """Check the mark of a server.

    Raises:
        Unavailable: It is that of other data.
    """
    if found not in (None, mark.value):
        raise Unavailable(
            f"it holds the data of {str(found)[:SHOWN_CHARS]} mode, and this is {mark.value} mode"
        )


def _retrieve(opening: asyncio.Task[_Pipe]) -> None:
    """Retrieve the exception, or asyncio logs it as never retrieved when all callers are gone."""
    if not opening.cancelled():
        opening.exception()
