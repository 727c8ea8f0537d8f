"""Connection pool for PostgreSQL, with backpressure; the only module that imports the driver.

Every statement is one round trip and one transaction, so a process that dies leaves no transaction
open.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncpg

from waitline.kernel.errors import Unavailable
from waitline.postgres import statements
from waitline.postgres.driver_errors import translate
from waitline.postgres.sessions import BEGIN_POOLED, MarkStatement, Sessions

CALL_TIMEOUT_S = 2.0
"""Timeout of one statement. The longest takes milliseconds. A lock held for longer means that its
holder hangs."""

CONNECTIONS_MAX = 12
"""Most connections of a process. Two cores run few statements at once. The others wait for the
disk, where concurrent commits are written together (group commit)."""

WAITING_MAX = 500
"""Backpressure: most statements of a process that wait for a connection, half a second's worth.
More are rejected at once."""

PATIENCE_S = 1.0
"""Timeout of waiting for a connection."""

EXPIRE_S = 1.0
"""Shortest time, in s, between two replacements of all connections: while a server refuses writes,
not every write may open a new connection."""

Row = Mapping[str, Any]


def _ignore(_statement: str, _seconds: float, _within_s: float) -> None:
    """Observe nothing."""


async def _reset(connection: asyncpg.Connection) -> None:
    """Skip the driver's reset: a single statement leaves no state in a connection.

    Behind a pooler a failed or cancelled statement leaves its transaction open.
    """
    if connection.is_in_transaction():
        await connection.execute("ROLLBACK")


class Database:
    """A PostgreSQL server (15 or newer), or a primary and its standbys, reached by URL.

    Args:
        url: `postgresql://user:password@host:port/name`, perhaps with several hosts.
        package: Package whose `sql` folder holds the statements.
        on_statement: Called after each statement with its name, its duration and its timeout, in
            seconds.
        connections_max: Most connections.
        connections_min: Connections opened with the first statement and kept open, so that a burst
            does not wait for new ones.
        mark: As in `Sessions`.
    """

    def __init__(
        self,
        url: str,
        package: str,
        *,
        on_statement: Callable[[str, float, float], None] = _ignore,
        connections_max: int = CONNECTIONS_MAX,
        connections_min: int = 1,
        mark: MarkStatement | None = None,
    ) -> None:
        self._url = url
        self._statements = statements.load(package)
        self._on_statement = on_statement
        array_types = statements.naming_array_types(self._statements.values())
        self._sessions = Sessions(url, array_types, mark)
        self._connections_max = connections_max
        self._connections_min = connections_min
        self._pool: asyncpg.Pool | None = None
        self._opening: asyncio.Task[asyncpg.Pool] | None = None
        self._expired_s = float("-inf")
        self.waiting = 0

    @property
    def connections(self) -> tuple[int, int]:
        """How many connections are open, and how many of them are in use."""
        if self._pool is None:
            return 0, 0
        size = self._pool.get_size()
        return size, size - self._pool.get_idle_size()

    @property
    def demand(self) -> float:
        """Statements that run or wait, as a share of `connections_max`."""
        return (self.connections[1] + self.waiting) / self._connections_max

    @property
    def exchanges(self) -> int:
        """Most round trips to the server within the duration of a statement.

        Its own, and one to prepare it on a connection that has not run it yet; behind a pooler also
        those that begin and end its transaction.
        """
        return 4 if self._sessions.pooled else 2

    async def fetch_one(
        self, statement: str, *, within_s: float = CALL_TIMEOUT_S, **values: object
    ) -> Row | None:
        """Run a statement that returns at most one row.

        Args:
            statement: Its name.
            within_s: Its timeout.
            values: Its values, by name.

        Raises:
            Duplicate: A unique constraint rejects it.
            Unavailable: No answer in time, or no connection. It may have been carried out.
        """
        row: Row | None = await self._run(statement, values, within_s)
        return row

    async def fetch_all(
        self, statement: str, *, within_s: float = CALL_TIMEOUT_S, **values: object
    ) -> Sequence[Row]:
        """Run a statement that returns several rows; its SQL limits their number.

        Args:
            statement: Its name.
            within_s: Its timeout.
            values: Its values, by name.

        Raises:
            Duplicate: A unique constraint rejects it.
            Unavailable: No answer in time, or no connection. It may have been carried out.
        """
        rows: Sequence[Row] = await self._run(statement, values, within_s)
        return rows

    async def _run(self, statement: str, values: Mapping[str, object], within_s: float) -> Any:  # noqa: ANN401
        arguments = [values[name] for name in self._statements[statement].names]
        connection: asyncpg.Connection | None = None
        try:
            async with self._connection() as connection:
                started = time.perf_counter()
                async with asyncio.timeout(within_s):
                    answer = await self._answer(connection, self._statements[statement], arguments)
        except Exception as error:  # noqa: BLE001 - translated, whatever it is
            # A cancelled task must end, not retry.
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise asyncio.CancelledError from None
            raise translate(error, self._url).raises from None
        self._on_statement(statement, time.perf_counter() - started, within_s)
        return answer

    async def _answer(
        self,
        connection: asyncpg.Connection,
        statement: statements.Statement,
        arguments: Sequence[object],
    ) -> Any:  # noqa: ANN401
        """Run a statement on a connection; close the connection if the error requires it."""
        try:
            fetch = connection.fetchrow if statement.one else connection.fetch
            if not self._sessions.pooled:
                return await fetch(statement.text, *arguments)
            await connection.execute(BEGIN_POOLED)
            answer = await fetch(statement.text, *arguments)
            await connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - translated, whatever it is
            raises, reconnect = translate(error, self._url, closed=_is_closed(connection))
            if reconnect:
                if not _is_closed(connection):
                    connection.terminate()
                await self._expire()
            elif isinstance(error, asyncpg.DataError):
                # The server has parsed the statement when the driver refuses a value, and keeps its
                # locks until it gets the rest.
                await connection.execute("ROLLBACK")
            raise raises from None
        else:
            return answer

    async def _expire(self) -> None:
        """Replace all connections: what broke one may have broken the others."""
        now_s = asyncio.get_running_loop().time()
        if self._pool is not None and now_s - self._expired_s >= EXPIRE_S:
            self._expired_s = now_s
            await self._pool.expire_connections()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[asyncpg.Connection]:
        """Lend a connection.

        Raises:
            Unavailable: Too many wait for one already.
        """
        if self.waiting >= WAITING_MAX:
            raise Unavailable("too many requests wait for the database")
        self.waiting += 1
        try:
            async with asyncio.timeout(PATIENCE_S):
                pool = self._pool or await self._opened()
                connection = await pool.acquire()
        finally:
            self.waiting -= 1
        try:
            yield connection
        finally:
            # The pool closes a connection that it cannot release in time. The statement's result is
            # not affected.
            with suppress(Exception):
                await pool.release(connection, timeout=PATIENCE_S)

    async def _opened(self) -> asyncpg.Pool:
        # The pool is opened by the first statement, so that the database may start after the
        # process. The task is shielded: if this statement times out, the next one awaits the same
        # task.
        if self._opening is None or self._opening.done():
            self._opening = asyncio.create_task(self._open())
            # Retrieve the exception, or asyncio logs it as never retrieved.
            self._opening.add_done_callback(lambda task: task.cancelled() or task.exception())
        return await asyncio.shield(self._opening)

    async def _open(self) -> asyncpg.Pool:
        self._pool = await asyncpg.create_pool(
            self._url,
            min_size=self._connections_min,
            max_size=self._connections_max,
            connect=self._sessions.connect,
            reset=_reset,
        )
        return self._pool

    async def refuse(self, reason: str) -> None:
        """Refuse all statements from now on with a reason; an empty one allows them again."""
        self._sessions.refusal = reason
        if reason and self._pool is not None:
            # Connections that are free or come back are closed, and no others are opened.
            await self._pool.expire_connections()

    async def close(self) -> None:
        """Close the connections once the statements in progress are done."""
        if self._opening is not None and not self._opening.done():
            self._opening.cancel()
            await asyncio.wait([self._opening])
        if self._pool is not None:
            try:
                async with asyncio.timeout(CALL_TIMEOUT_S):
                    await self._pool.close()
            except TimeoutError:
                self._pool.terminate()
            self._pool = None
        await self._sessions.close()


def _is_closed(connection: asyncpg.Connection) -> bool:
    """Return whether the connection is closed; the pool has taken back one that broke."""
    try:
        return bool(connection.is_closed())
    except asyncpg.InterfaceError:
        return True
