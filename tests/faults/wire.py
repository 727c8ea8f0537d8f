"""A proxy on the wire to a store that spoils chosen exchanges.

It takes one request after the other, so each fault hits the request or the reply that it is meant
for. `resp.py` and `pgwire.py` say where requests and replies of their protocol begin and end.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Protocol

from typing_extensions import override

BYTES_MAX = 64 * 1024**2

Reader = asyncio.StreamReader
Writer = asyncio.StreamWriter


class Ended(Exception):  # noqa: N818 - no error
    """One side has closed the connection."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request of the client.

    Attributes:
        name: What it is; a statement, a script, a command.
        data: Its bytes.
        answered: Whether a reply belongs to it.
    """

    name: str
    data: bytes
    answered: bool = True


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to one exchange.

    Attributes:
        name: For people.
        carried_out: Whether the request reaches the store.
        says: An error that the client gets in place of the reply, in the store's protocol.
        bytes_max: Bytes of the reply that the client gets; `None` for all.
        late_s: How late the reply comes.
        once: When the reply comes; `None` if it waits for nothing.
        closes: Whether the connection is closed then.
        half: Whether only the proxy's half of it is.
    """

    name: str
    carried_out: bool = True
    says: str | None = None
    bytes_max: int | None = None
    late_s: float = 0.0
    once: asyncio.Event | None = None
    closes: bool = False
    half: bool = False

    @override
    def __str__(self) -> str:
        return self.name


# Faults that need no error text: what networks and dying servers do.
LOST = Fault("lost", carried_out=False, bytes_max=0, closes=True)
UNANSWERED = Fault("unanswered", bytes_max=0, closes=True)
CUT = Fault("cut", bytes_max=3, closes=True)
HALF_CLOSED = Fault("half-closed", half=True)
CLOSED = Fault("closed after", closes=True)
SILENT = Fault("silent", bytes_max=0, late_s=3.0, closes=True)
LATE = Fault("late", late_s=0.1)

OF_NETWORKS = (LOST, UNANSWERED, CUT, HALF_CLOSED, CLOSED, LATE)


class Framing(Protocol):
    """One connection's protocol."""

    async def greet(
        self, client: Reader, store: Reader, to_client: Writer, to_store: Writer
    ) -> None:
        """Pass on what comes before the first request."""
        ...

    async def request(self, client: Reader) -> Request:
        """Read one request."""
        ...

    async def reply(self, store: Reader) -> bytes:
        """Read one reply."""
        ...

    def error(self, text: str) -> bytes:
        """Return the reply that says an error."""
        ...


class Wire:
    """The proxy. Give clients its `port`.

    Args:
        framing: Makes the framing of a connection.
        connect: Connects to the store.

    Attributes:
        plan: Returns the fault of a request, or `None`.
        port: Its port on 127.0.0.1.
        connections: Connections that it has accepted.
        seen: Names of the requests that came, the last 10 000.
    """

    def __init__(self, framing: Callable[[], Framing], path: str) -> None:
        self._framing = framing
        self._path = path
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.plan: Callable[[Request], Fault | None] = lambda _request: None
        self.first_words: bytes = b""
        self.port = 0
        self.connections = 0
        self.seen: list[str] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Wire"]:
        """Listen until the block ends."""
        await self.listen()
        try:
            yield self
        finally:
            await self.refuse()

    async def listen(self) -> None:
        """Accept connections, on the same port as before."""
        self._server = await asyncio.start_server(
            self._accepted, "127.0.0.1", self.port, limit=BYTES_MAX
        )
        self.port = self._server.sockets[0].getsockname()[1]

    def retarget(self, path: str) -> None:
        """Let new connections reach another store; those that are open stay where they are."""
        self._path = path

    async def refuse(self) -> None:
        """Accept no connection, and break those that are open."""
        assert self._server is not None
        self._server.close()
        await self.break_all()
        await self._server.wait_closed()

    async def break_all(self) -> None:
        """Break every open connection."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accepted(self, client: Reader, to_client: Writer) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        to_store: Writer | None = None
        try:
            if self.first_words:
                to_client.write(self.first_words)
                return
            store, to_store = await asyncio.open_unix_connection(self._path, limit=BYTES_MAX)
            framing = self._framing()
            await framing.greet(client, store, to_client, to_store)
            while await self._exchange(framing, client, store, to_client, to_store):
                pass
        except (Ended, OSError, EOFError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            for writer in (to_client, to_store):
                if writer is not None:
                    writer.close()

    async def _exchange(
        self, framing: Framing, client: Reader, store: Reader, to_client: Writer, to_store: Writer
    ) -> bool:
        request = await framing.request(client)
        self.seen[10_000:] = []
        self.seen.append(request.name)
        fault = self.plan(request)
        reply = b""
        if fault is None or fault.carried_out:
            to_store.write(request.data)
            if not request.answered:
                return True
            reply = await framing.reply(store)
        if fault is None:
            to_client.write(reply)
            return True
        if fault.says is not None:
            reply = framing.error(fault.says)
        if fault.late_s:
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.Event().wait(), fault.late_s)
        if fault.once is not None:
            await fault.once.wait()
        to_client.write(reply[: fault.bytes_max])
        with suppress(OSError):
            await to_client.drain()
        if fault.half:
            to_client.write_eof()
            # The other half stays open until the client closes it.
            await client.read()
        return not (fault.closes or fault.half)


class Nth:
    """A plan that spoils the nth request of those that match, once."""

    def __init__(self, fault: Fault, matches: Callable[[Request], bool], number: int = 1) -> None:
        self._fault = fault
        self._matches = matches
        self._left = number

    @property
    def done(self) -> bool:
        """Whether the fault has happened."""
        return self._left <= 0

    def __call__(self, request: Request) -> Fault | None:
        if not self._matches(request):
            return None
        self._left -= 1
        return self._fault if self._left == 0 else None
