"""A pool of connections to PostgreSQL, and SQL statements by name; the only importer of the driver.

Every statement is one round trip and one transaction: there is none that is opened here and ended
there, so a process that dies leaves nothing half done.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from importlib.resources import files
from typing import Any, NamedTuple

import aiosql
import asyncpg
from aiosql.adapters.asyncpg import AsyncPGAdapter
from aiosql.queries import Queries
from aiosql.types import SQLOperationType

from waitline.kernel.errors import Misconfigured, Unavailable

CALL_TIMEOUT_S = 2.0
"""How long one statement may take. The longest of ours takes milliseconds; a lock that is held for
longer than this is held by a machine that hangs."""

CONNECTIONS_MAX = 12
"""Per process. Two cores run few statements at once, and the others wait for the disk: commits that
wait together are written together."""

WAITING_MAX = 500
"""Statements that may wait for a connection, per process: half a second's worth. More are refused
at once."""

PATIENCE_S = 1.0
"""How long a statement may wait for a connection."""

OPENING_S = 5.0
"""How long the first connections may take to be opened, though no statement waits for them longer
than for one. All of them take a third of a second of processor time, on a machine on which a
service starts."""

SESSION = {
    "application_name": "waitline",
    # A sale begins with empty tables, and a plan is kept until the server has looked at a table
    # anew: for a minute or more, every statement would read whole tables that grow with each sale.
    # Ours go by a key, so they are planned as if tables were large from the beginning.
    "enable_seqscan": "off",
    # None of ours runs long enough for it, and plans that may not read a whole table look costly.
    "jit": "off",
    # Whatever is asked for, the plan is the same: else each connection makes it five times more.
    "plan_cache_mode": "force_generic_plan",
}
"""What a connection asks of the server (decision 0015)."""

Row = Mapping[str, Any]

# What ends a statement without telling whether it was carried out, or before it was.
_SILENCE = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
    asyncpg.QueryCanceledError,
    asyncpg.ReadOnlySQLTransactionError,
)


def _nothing(_query: str, _seconds: float, _within_s: float) -> None:
    """Measure nothing."""


class Duplicate(Exception):  # noqa: N818 - reads as the outcome it is
    """A row would be there twice; nothing was written. The message names it."""


class _Statement(NamedTuple):
    """One statement of a `sql` folder.

    Attributes:
        text: As the server reads it.
        names: Its values' names, in the order of their numbers.
        one: Whether one row is expected at most.
    """

    text: str
    names: Sequence[str]
    one: bool


def prepared(queries: Queries) -> dict[str, _Statement]:
    """Return statements by name: aiosql reads their files, they are run in fewer steps here."""
    adapter = queries.driver_adapter
    assert isinstance(adapter, AsyncPGAdapter)
    names = adapter.var_sorted
    found = {name: getattr(queries, name) for name in queries.available_queries}
    return {
        name: _Statement(query.sql, names[name], query.operation is SQLOperationType.SELECT_ONE)
        for name, query in found.items()
        if not name.endswith("_cursor")
    }


async def _as_it_is(_connection: object) -> None:
    """Give a connection back as it is: a single statement leaves nothing behind in it."""


def _arrays(statements: Iterable[_Statement]) -> str:
    """Return a statement that names every type of array that the others do."""
    named = {name for each in statements for name in re.findall(r"::(\w+\[\])", each.text)}
    return "SELECT " + ", ".join(f"NULL::{name}" for name in sorted(named))


class Database:
    """A PostgreSQL server (15 or newer), reached by URL.

    Args:
        url: `postgresql://user:password@host:port/name`.
        package: Whose `sql` folder holds the statements.
        measure: Told of each statement its name, the seconds that it took and those it was given.
        connections_max: Most connections.
        connections_min: Opened with the first statement and kept open. Where many come at once,
            none of them then waits for a connection to be made.
    """

    def __init__(
        self,
        url: str,
        package: str,
        *,
        measure: Callable[[str, float, float], None] = _nothing,
        connections_max: int = CONNECTIONS_MAX,
        connections_min: int = 1,
    ) -> None:
        self._url = url
        queries = aiosql.from_path(str(files(package).joinpath("sql")), "asyncpg")
        self._statements = prepared(queries)
        self._measure = measure
        self._arrays = _arrays(self._statements.values())
        self._connections_max = connections_max
        self._connections_min = connections_min
        self._pool: asyncpg.Pool | None = None
        self._opening: asyncio.Task[asyncpg.Pool] | None = None
        self.waiting = 0

    @property
    def connections(self) -> tuple[int, int]:
        """Connections that are open, and how many of them are in use."""
        if self._pool is None:
            return 0, 0
        size = self._pool.get_size()
        return size, size - self._pool.get_idle_size()

    @property
    def demand(self) -> float:
        """Statements that run or wait, as a share of the connections that there may be."""
        return (self.connections[1] + self.waiting) / self._connections_max

    async def one(
        self, statement: str, *, within_s: float = CALL_TIMEOUT_S, **values: object
    ) -> Row | None:
        """Run a statement that answers with one row at most.

        Args:
            statement: Its name.
            within_s: How long it may take.
            values: What it asks for, by name.

        Raises:
            Duplicate: A unique constraint says no.
            Unavailable: No answer in time, or no connection. It may have been carried out.
        """
        row: Row | None = await self._run(statement, values, within_s)
        return row

    async def many(
        self, statement: str, *, within_s: float = CALL_TIMEOUT_S, **values: object
    ) -> Sequence[Row]:
        """Run a statement that answers with any number of rows, as few as it says.

        Args:
            statement: Its name.
            within_s: How long it may take.
            values: What it asks for, by name.

        Raises:
            Duplicate: A unique constraint says no.
            Unavailable: No answer in time, or no connection. It may have been carried out.
        """
        rows: Sequence[Row] = await self._run(statement, values, within_s)
        return rows

    async def _run(self, statement: str, values: Mapping[str, object], within_s: float) -> Any:  # noqa: ANN401
        text, names, one = self._statements[statement]
        wanted = [values[name] for name in names]
        try:
            async with self._connection() as connection:
                started = time.perf_counter()
                async with asyncio.timeout(within_s):
                    answer = await (connection.fetchrow if one else connection.fetch)(text, *wanted)
        except asyncpg.UniqueViolationError as error:
            raise Duplicate(error.detail or str(error)) from None
        except asyncpg.ForeignKeyViolationError as error:
            # Somebody deletes what another has just begun to use; the next attempt sees that.
            raise Unavailable(f"others changed the same rows: {_told(error)}") from None
        except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError) as error:
            raise Misconfigured(
                f"the database has other tables than it should ({error}): run `waitline migrate`"
            ) from None
        except _SILENCE as error:
            # Of these, it is a value of ours that does not fit the statement.
            if isinstance(error, ValueError):
                raise
            # Whoever is to end must not take the server's silence for a reason to try again.
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise asyncio.CancelledError from None
            raise Unavailable(f"the database does not answer: {_told(error)}") from None
        self._measure(statement, time.perf_counter() - started, within_s)
        return answer

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
            # The pool closes what cannot be given back in time; what it answered is known by now.
            with suppress(*_SILENCE):
                await pool.release(connection, timeout=PATIENCE_S)

    async def _opened(self) -> asyncpg.Pool:
        # The pool opens its first connections with the first statement, not with the process: a
        # database that comes up later is found then. In a task of its own, and shielded: a
        # statement that loses patience leaves what has been opened to the next.
        if self._opening is None or self._opening.done():
            self._opening = asyncio.create_task(self._open())
            # Whoever still waits is told; that nobody does is no news.
            self._opening.add_done_callback(lambda task: task.cancelled() or task.exception())
        return await asyncio.shield(self._opening)

    async def _open(self) -> asyncpg.Pool:
        try:
            async with asyncio.timeout(OPENING_S):
                self._pool = await asyncpg.create_pool(
                    self._url,
                    min_size=self._connections_min,
                    max_size=self._connections_max,
                    timeout=OPENING_S,
                    init=self._introduce,
                    reset=_as_it_is,
                    server_settings=SESSION,
                )
        except (
            asyncpg.InvalidAuthorizationSpecificationError,
            asyncpg.InvalidCatalogNameError,
        ) as error:
            raise Misconfigured(f"the database does not let us in: {error}") from None
        return self._pool

    async def _introduce(self, connection: asyncpg.Connection) -> None:
        # The driver asks the server about each type of array that it meets, in statements that are
        # slower than most of ours: on a new connection, and not while a visitor waits.
        await connection.fetchrow(self._arrays)

    async def close(self) -> None:
        """Close the connections, after what is under way."""
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


def _told(error: BaseException) -> str:
    return str(error) or type(error).__name__
