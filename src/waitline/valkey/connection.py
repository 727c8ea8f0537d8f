"""A connection to one server: opened on first use, reopened after it broke, with a handshake.

`pipe.py` has what happens on an open connection.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

from waitline.kernel import telemetry
from waitline.kernel.backoff import Backoff
from waitline.kernel.errors import NeedsOperator, Unavailable
from waitline.kernel.folders import reason_of
from waitline.valkey import transport
from waitline.valkey.address import Address
from waitline.valkey.durability import fence_of, require_confirmed
from waitline.valkey.following import Follower
from waitline.valkey.pipe import SHOWN_CHARS, Pipe
from waitline.valkey.replies import CommandError

CONNECT_S = 5.0
"""Timeout of one attempt to connect, in s: name lookup, TLS and handshake over a long distance. No
caller waits that long: the attempt continues for later callers. With the timeout of a call, a
server that takes longer to accept could never be reached."""


TLS_S = 2.0
"""Timeout of a TLS handshake, in s: two round trips. A plain server never answers to it."""

_ACCESS = dict.fromkeys(
    ("WRONGPASS", "NOAUTH"),
    "check the user and the password in --valkey-url or WAITLINE_VALKEY_URL",
)
"""What to do about errors of the handshake, by code."""

_PRIMARY = "give the address of the primary"

_NOT_PRIMARY = {"slave": "replica", "sentinel": "Sentinel"}
"""Roles of servers that take no writes, as ROLE names them, and their names in messages."""


class NotPrimary(NeedsOperator):
    """The server takes no writes."""


class Mark(NamedTuple):
    """A key that identifies the data of a server.

    Attributes:
        key: The key.
        value: Its value on a server of ours. A server without the key is new, and is accepted.
    """

    key: str
    value: str


class Connection:
    """A connection that opens on first use, and reopens after it broke.

    It leads to the primary: a replica is rejected, and so is a server that becomes one, since the
    name then belongs to another server. There is one attempt at a time, with backoff; during a
    pause, calls fail at once.

    Args:
        where: The server. Its name is looked up at each attempt.
        mark: Checked whenever a connection is opened, so that no command reaches a server that has
            replaced ours; `None` for no check.
        locate: Finds the server at each attempt, where its address may change; `None` if `where` is
            its address.
        shown: Its name in messages; empty for its address.
        any_role: Whether it leads to a certain node of a cluster, or to a Sentinel, whatever its
            role.
    """

    def __init__(
        self,
        where: Address,
        mark: Mark | None = None,
        *,
        locate: Callable[[], Awaitable[Address]] | None = None,
        shown: str = "",
        any_role: bool = False,
    ) -> None:
        self._where = self._located = where
        self._shown = shown or str(where)
        self._mark = mark
        self._locate = locate
        self._any_role = any_role
        self._refusal = ""
        self._pipe: Pipe | None = None
        self._opening: asyncio.Task[Pipe] | None = None
        self._follower = Follower(locate)
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

    async def call_asking(self, words: Sequence[str | float], timeout_s: float) -> Any:  # noqa: ANN401
        """Send one command on a slot that is being migrated to this server (ASKING).

        Raises:
            Unavailable: As for `call`.
            CommandError: The server refused it.
        """
        pipe = self._pipe
        if pipe is None or not pipe.open:
            pipe = await self._open(timeout_s)
        calls = pipe.send((("ASKING",), words), timeout_s)
        asked, reply = await asyncio.gather(
            *(call.answer for call in calls), return_exceptions=True
        )
        for found in (reply, asked):
            if isinstance(found, BaseException):
                raise found
        return reply

    async def call_confirmed(
        self,
        wait: Sequence[str | float],
        key: str,
        words: Sequence[str | float],
        timeout_s: float,
    ) -> Any:  # noqa: ANN401
        """Send one command, and return its reply once its writes are confirmed.

        The server carries out no later command of this connection before that.

        Args:
            wait: The command that confirms, of `durability.CONFIRMATIONS`.
            key: A key in the slot of the command.
            words: The command.
            timeout_s: As for `call`.

        Raises:
            Unconfirmed: The command was carried out, but was not confirmed in time.
            Unavailable: As for `call`.
            CommandError: The server refused it.
        """
        pipe = self._pipe
        if pipe is None or not pipe.open:
            started_s = asyncio.get_running_loop().time()
            pipe = await self._open(timeout_s)
            timeout_s += started_s - asyncio.get_running_loop().time()
        calls = pipe.send((words, fence_of(key), wait), timeout_s)
        replies = await asyncio.gather(*(call.answer for call in calls), return_exceptions=True)
        for reply in replies:
            if isinstance(reply, BaseException) and not (
                isinstance(reply, CommandError) and reply is not replies[0]
            ):
                raise reply
        require_confirmed(replies[1:])
        return replies[0]

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
        # Queued commands can still fail in EXEC; the others have been executed then.
        for result in results:
            if isinstance(result, Exception):
                error = CommandError(str(result))
                if error.verdict.reconnect:
                    self.drop(str(error))
                raise error
        return results

    async def call_at(self, _key: str, words: Sequence[str | float], timeout_s: float) -> Any:  # noqa: ANN401
        """Send one command to the server that holds a key: this one; raises as `call`."""
        return await self.call(words, timeout_s)

    async def each(self, words: Sequence[str | float], timeout_s: float) -> dict[str, Any]:
        """Send one command to every primary, which is this one; return the reply or failure."""
        try:
            reply = await self.call(words, timeout_s)
        except CommandError as error:
            reply = error
        return {self._shown: reply}

    async def keys_everywhere(self, name: str, _timeout_s: float) -> dict[str, str]:
        """Return a key for each primary, which is this one."""
        return {self._shown: name}

    def drop(self, reason: str) -> None:
        """Close the connection because of what came over it; a later call opens another."""
        if self._pipe is not None:
            self._pipe.close(reason)

    def refuse(self, reason: str) -> None:
        """Refuse all calls from now on with a reason; an empty one allows them again."""
        self._refusal = reason
        if reason:
            self.drop(reason)

    async def _open(self, timeout_s: float) -> Pipe:
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

    async def _opened(self) -> Pipe:
        cut = False
        try:
            async with asyncio.timeout(CONNECT_S):
                pipe = await self._connect()
                try:
                    await self._shake_hands(pipe)
                except BaseException:
                    cut = not pipe.open
                    pipe.close("refused")
                    raise
        except TimeoutError:
            raise self._failed("not in time") from None
        except OSError as error:
            # Without a connection there is nothing to find out.
            broke = isinstance(error, ssl.SSLError | ConnectionAbortedError | ConnectionResetError)
            remedy = await transport.remedy(self._where, error) if broke else ""
            raise self._failed(reason_of(error), remedy) from None
        except CommandError as error:
            raise self._failed(str(error), _ACCESS.get(error.code, "")) from None
        except NotPrimary as error:
            # Behind Sentinels the primary may be about to be promoted.
            raise self._failed(str(error), "" if self._locate else _PRIMARY, NotPrimary) from None
        except Unavailable as error:
            # The server has closed the connection instead of a reply.
            remedy = await transport.remedy(self._where, error) if cut else ""
            raise self._failed(str(error), remedy) from None
        else:
            self._pipe = pipe
            self._follower.follow(pipe, self._located)
            return pipe
        finally:
            self._opening = None

    def _failed(
        self, reason: str, remedy: str = "", refused: type[NeedsOperator] = NeedsOperator
    ) -> Unavailable:
        reason = f"{reason.rstrip('.')}; {remedy}" if remedy else reason
        self._backoff.failed(asyncio.get_running_loop().time(), reason)
        kind = refused if remedy else Unavailable
        return kind(self._unreachable(reason))

    def _unreachable(self, reason: str) -> str:
        return unreachable(self._shown, reason)

    async def _connect(self) -> Pipe:
        loop = asyncio.get_running_loop()
        where = self._located = await self._locate() if self._locate else self._where
        make = partial(Pipe, to_node=self._any_role)
        if where.path:
            _, pipe = await loop.create_unix_connection(make, where.path)
            return pipe
        if where.tls and self._tls is None:
            self._tls = ssl.create_default_context()
        found = await loop.getaddrinfo(where.host, where.port, type=socket.SOCK_STREAM)
        # Begin with the next address after a failure: the first may lead nowhere or to a replica.
        first = self._backoff.failures % len(found)
        failure = OSError("its name has no address")
        for *_, address in (*found[first:], *found[:first]):
            try:
                transport, pipe = await loop.create_connection(
                    make,
                    str(address[0]),
                    where.port,
                    ssl=self._tls,
                    server_hostname=where.host if self._tls else None,
                    ssl_handshake_timeout=TLS_S if self._tls else None,
                )
            except OSError as error:
                failure = error
            else:
                _record_certificate(transport)
                return pipe
        raise failure

    async def _shake_hands(self, pipe: Pipe) -> None:
        """Authenticate, choose the database, and check that the server is ours and a primary.

        Raises:
            CommandError: The server refuses access.
            NotPrimary: It is a replica or a Sentinel.
            Unavailable: It holds other data, or does not answer.
        """
        marks = [("GET", self._mark.key)] if self._mark else []
        calls = pipe.send([*_handshake(self._where), *marks, ("ROLE",)], CONNECT_S)
        *replies, role = await asyncio.gather(
            *(call.answer for call in calls), return_exceptions=True
        )
        for reply in replies:
            if isinstance(reply, BaseException):
                raise reply
        if self._mark:
            require(self._mark, replies[-1])
        if isinstance(role, CommandError) and not role.verdict.reconnect:
            # Some users and managed services lack this command; the first write shows it then.
            return
        if isinstance(role, BaseException):
            raise role
        kind = role[0] if isinstance(role, list) and role else role
        if kind in _NOT_PRIMARY and not self._any_role:
            raise NotPrimary(f"it is a {_NOT_PRIMARY[kind]}")

    def close(self) -> None:
        """Close the connection; a later call opens it again."""
        if self._opening is not None:
            self._opening.cancel()
        self._follower.stop()
        if self._pipe is not None:
            self._pipe.close("closed by the client")
            self._pipe = None


def _handshake(where: Address) -> list[Sequence[str | float]]:
    """Return the commands with which a connection begins."""
    commands: list[Sequence[str | float]] = []
    if where.password:
        user = (where.username,) if where.username else ()
        commands.append(("AUTH", *user, where.password))
    if where.database:
        commands.append(("SELECT", where.database))
    return commands


def unreachable(shown: str, reason: str) -> str:
    """Return that a server, or a cluster, cannot be reached, and why."""
    return f"the store at {shown} cannot be reached: {reason}"


def require(mark: Mark, found: Any) -> None:  # noqa: ANN401 - a reply
    """Check the mark of a server.

    Raises:
        Unavailable: It is that of other data.
    """
    if found not in (None, mark.value):
        raise Unavailable(
            f"it holds the data of {str(found)[:SHOWN_CHARS]} mode, and this is {mark.value} mode"
        )


def _record_certificate(transport: asyncio.BaseTransport) -> None:
    """Record when the server's certificate expires; a connection without TLS has none."""
    certificate = transport.get_extra_info("peercert")
    if certificate:
        telemetry.CERTIFICATE_EXPIRY.set(ssl.cert_time_to_seconds(str(certificate["notAfter"])))


def _retrieve(opening: asyncio.Task[Pipe]) -> None:
    """Retrieve the exception, or asyncio logs it as never retrieved when all callers are gone."""
    if not opening.cancelled():
        opening.exception()
