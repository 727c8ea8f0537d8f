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

from waitline.kernel.errors import Contended, Misconfigured, Unavailable
from waitline.postgres import statements

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

OPENING_S = 5.0
"""Timeout of opening the first connections. They take a third of a second of processor time, on a
machine that is starting services. A statement waits for them at most `PATIENCE_S`."""

SESSION = {
    "application_name": "waitline",
    # A sale begins with empty tables, and cached plans last until the next ANALYZE. Without this,
    # statements would scan whole growing tables for a minute or more. All statements use a key, so
    # an index is always right.
    "enable_seqscan": "off",
    # No statement runs long enough to gain, but without sequential scans the planner's costs are so
    # high that they would trigger it.
    "jit": "off",
    # The net under statements that skip locked rows: table locks, and unique values of a
    # transaction that has not ended. Such a failure has changed nothing, and a batch is repeated
    # one by one (decision 0020).
    "lock_timeout": "500",
    # The best plan does not depend on the values. The default plans each statement five times
    # first.
    "plan_cache_mode": "force_generic_plan",
}
"""Session settings of each connection (decision 0015)."""

Row = Mapping[str, Any]

# Failures after which the outcome of a statement is unknown.
_OUTCOME_UNKNOWN = (
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


def _ignore(_statement: str, _seconds: float, _within_s: float) -> None:
    """Observe nothing."""


# Failures after which nothing was changed, because other transactions were in the way.
_CONTENDED = (
    asyncpg.ForeignKeyViolationError,
    asyncpg.LockNotAvailableError,
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
)


class Duplicate(Exception):  # noqa: N818 - reads as the outcome it is
    """A unique constraint rejected a row; nothing was written. The message identifies the row."""


async def _no_reset(_connection: object) -> None:
    """Skip the driver's reset: a single statement leaves no state in a connection."""


class Database:
    """A PostgreSQL server (15 or newer), reached by URL.

    Args:
        url: `postgresql://user:password@host:port/name`.
        package: Package whose `sql` folder holds the statements.
        on_statement: Called after each statement with its name, its duration and its timeout, in
            seconds.
        connections_max: Most connections.
        connections_min: Connections opened with the first statement and kept open, so that a burst
            does not wait for new ones.
    """

    def __init__(
        self,
        url: str,
        package: str,
        *,
        on_statement: Callable[[str, float, float], None] = _ignore,
        connections_max: int = CONNECTIONS_MAX,
        connections_min: int = 1,
    ) -> None:
        self._url = url
        self._statements = statements.load(package)
        self._on_statement = on_statement
        self._array_types = statements.naming_array_types(self._statements.values())
        self._connections_max = connections_max
        self._connections_min = connections_min
        self._pool: asyncpg.Pool | None = None
        self._opening: asyncio.Task[asyncpg.Pool] | None = None
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
        """Run a statement that returns any number of rows; each bounds that itself.

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
        text, names, one = self._statements[statement]
        arguments = [values[name] for name in names]
        try:
            async with self._connection() as connection:
                started = time.perf_counter()
                async with asyncio.timeout(within_s):
                    answer = await (connection.fetchrow if one else connection.fetch)(
                        text, *arguments
                    )
        except asyncpg.UniqueViolationError as error:
            raise Duplicate(error.detail or str(error)) from None
        except _CONTENDED as error:
            # A concurrent transaction has locked or deleted a row; a retry sees that.
            raise Contended(f"concurrent change of the same rows: {_text_of(error)}") from None
        except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError) as error:
            raise Misconfigured(
                f"the database's tables are out of date ({error}): run `waitline migrate`"
            ) from None
        except _OUTCOME_UNKNOWN as error:
            # asyncpg's DataError is an InterfaceError too, but a wrong argument is a bug.
            if isinstance(error, ValueError):
                raise
            # A cancelled task must end, not retry.
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise asyncio.CancelledError from None
            raise Unavailable(f"the database does not answer: {_text_of(error)}") from None
        self._on_statement(statement, time.perf_counter() - started, within_s)
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
            # The pool closes a connection that it cannot release in time. The statement's result is
            # not affected.
            with suppress(*_OUTCOME_UNKNOWN):
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
        try:
            async with asyncio.timeout(OPENING_S):
                self._pool = await asyncpg.create_pool(
                    self._url,
                    min_size=self._connections_min,
                    max_size=self._connections_max,
                    timeout=OPENING_S,
                    init=self._load_array_types,
                    reset=_no_reset,
                    server_settings=SESSION,
                )
        except (
            asyncpg.InvalidAuthorizationSpecificationError,
            asyncpg.InvalidCatalogNameError,
        ) as error:
            raise Misconfigured(f"the database refuses the connection: {error}") from None
        return self._pool

    async def _load_array_types(self, connection: asyncpg.Connection) -> None:
        # The driver looks up each array type on first use, with queries slower than most of our
        # statements. Do that when a connection is opened, not while a visitor waits.
        await connection.fetchrow(self._array_types)

    async def close(self) -> None:
        """Close the connections once the statements under way are done."""
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


def _text_of(error: BaseException) -> str:
    return str(error) or type(error).__name__
