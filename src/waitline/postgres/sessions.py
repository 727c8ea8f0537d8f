"""Sessions: opens connections to the primary, directly or through a pooler such as PgBouncer.

Where the address names several hosts, they are tried in turn, beginning with the last primary, so
that the one that took over is found (failover).

A pooler refuses session settings at the start of a connection, or ignores them, and in transaction
mode two transactions of one connection may reach two servers. So behind a pooler each statement
runs in a transaction that begins with the settings, and no statement is kept prepared. A pooler is
recognised by its refusal, or by a process id that is not the server's.
"""

import asyncio
from collections import deque
from typing import Any, NamedTuple

import asyncpg

from waitline.kernel.addresses import shown_address
from waitline.kernel.backoff import Backoff
from waitline.kernel.errors import Misconfigured, Unavailable
from waitline.postgres.driver_errors import translate
from waitline.postgres.hosts import each_host, name_of
from waitline.postgres.name_lookups import NameLookups
from waitline.postgres.sqlstates import STARTUP_REFUSED

OPENING_S = 10.0
"""Timeout of opening a connection: name lookup, TLS, start of a server process. No statement waits
that long: the attempt continues for later statements."""

HOST_S = 3.0
"""Timeout of one host, in s, where there are others to try: a primary that hangs must not hide the
one that took over."""

SESSION = {
    "application_name": "waitline",
    # A sale begins with empty tables, and cached plans last until the next ANALYZE. Without this,
    # statements would scan whole growing tables for a minute or more. All statements use a key, so
    # an index is always right.
    "enable_seqscan": "off",
    # No statement runs long enough to benefit, but without sequential scans the planner's cost
    # estimates are high enough to trigger it.
    "jit": "off",
    # For what SKIP LOCKED does not cover: table locks, and unique values of an open transaction.
    # Such a failure has changed nothing, and the items of a batch are retried one by one (decision
    # 0033).
    "lock_timeout": "500",
    # The best plan does not depend on the values. The default plans each statement five times
    # first.
    "plan_cache_mode": "force_generic_plan",
}
"""Session settings of each connection (decision 0015)."""

_OF_POOLED = {
    **{name: SESSION[name] for name in ("enable_seqscan", "jit", "lock_timeout")},
    # A process that hangs between two statements of a transaction must not hold its locks.
    "idle_in_transaction_session_timeout": "5s",
}

BEGIN_POOLED = "; ".join(
    ["BEGIN", *(f"SET LOCAL {name} = '{value}'" for name, value in _OF_POOLED.items())]
)
"""Begins a transaction behind a pooler, with the settings that matter there, in one round trip. A
statement that is not kept is planned with its values, so `plan_cache_mode` has no effect."""


class MarkStatement(NamedTuple):
    """A query that identifies the data of a database.

    Attributes:
        query: Returns one value; NULL for a new database, which is accepted.
        value: Its value in a database that is ours.
    """

    query: str
    value: str


class Sessions:
    """Opens the connections of a database, with backoff while it cannot be reached.

    Args:
        url: `postgresql://user:password@host:port,host:port/name`; names are looked up at each
            attempt.
        array_types: A statement that uses every array type of the statements to come.
        mark: Checked whenever a connection is opened, so that no statement reaches a database that
            has replaced ours; `None` for no check.

    Attributes:
        pooled: Whether a pooler is in front of the server.
        refusal: Why no connection is opened; empty if they may be.
    """

    def __init__(self, url: str, array_types: str, mark: MarkStatement | None = None) -> None:
        # The last primary comes first.
        self._url = url
        self._hosts = each_host(url)
        self._mark = mark
        self.refusal = ""
        # The driver looks up each array type on first use, with queries slower than most of our
        # statements. Do that when a connection is opened, not while a visitor waits.
        checks = "pg_backend_pid() AS pid, pg_is_in_recovery() AS standby, "
        if mark is not None:
            checks += f"({mark.query}) AS mark, "
        self._check = array_types.replace("SELECT ", f"SELECT {checks}", 1)
        self._backoff = Backoff()
        self._lookups = NameLookups()
        self._attempts: set[asyncio.Task[asyncpg.Connection]] = set()
        # Attempts whose statements have timed out; later statements take them over.
        self._abandoned: deque[asyncio.Task[asyncpg.Connection]] = deque()
        self.pooled = False

    async def connect(self, *_arguments: object, **_options: object) -> asyncpg.Connection:
        """Return a new connection, for the driver's pool.

        Raises:
            Unavailable: It cannot be opened for now, or a pause after a failure is not over.
            NeedsOperator: The server refuses us.
            Misconfigured: The URL is wrong.
        """
        if self.refusal:
            raise Unavailable(self.refusal)
        attempt = self._taken() or await self._begun()
        try:
            return await asyncio.shield(attempt)
        except asyncio.CancelledError:
            self._abandoned.append(attempt)
            raise

    def _taken(self) -> "asyncio.Task[asyncpg.Connection] | None":
        """Take over an attempt that is in progress or has succeeded."""
        while self._abandoned:
            attempt = self._abandoned.popleft()
            if not attempt.done():
                return attempt
            failed = attempt.cancelled() or attempt.exception() is not None
            if not failed and not attempt.result().is_closed():
                return attempt
        return None

    async def _begun(self) -> "asyncio.Task[asyncpg.Connection]":
        loop = asyncio.get_running_loop()
        if self._backoff.failures and self._attempts:
            # While the server cannot be reached, one attempt speaks for all.
            await asyncio.wait(self._attempts, return_when=asyncio.FIRST_COMPLETED)
        if not self._backoff.allows(loop.time()):
            raise Unavailable(self._backoff.reason)
        attempt = loop.create_task(self._opened())
        self._attempts.add(attempt)
        attempt.add_done_callback(self._ended)
        return attempt

    def _ended(self, attempt: "asyncio.Task[asyncpg.Connection]") -> None:
        self._attempts.discard(attempt)
        # Retrieve the exception, or asyncio logs it as never retrieved.
        if not attempt.cancelled():
            attempt.exception()

    async def _opened(self) -> asyncpg.Connection:
        try:
            async with asyncio.timeout(OPENING_S):
                connection = await self._found()
        except asyncpg.exceptions.ClientConfigurationError as error:
            raise Misconfigured(f"the database's address cannot be read: {error}") from None
        except Exception as error:  # noqa: BLE001 - translated, whatever it is
            raises = translate(error, self._url, closed=True).raises
            if isinstance(raises, Unavailable):
                self._backoff.failed(asyncio.get_running_loop().time(), str(raises))
            raise raises from None
        self._backoff.succeeded()
        return connection

    async def _found(self) -> asyncpg.Connection:
        """Open a session on the first host that is a primary."""
        hosts = self._hosts
        if len(hosts) == 1:
            return await self._made(hosts[0])
        failures = []
        for host in hosts:
            try:
                async with asyncio.timeout(HOST_S):
                    if name := name_of(host):
                        await self._lookups.wait(name)
                    connection = await self._made(host)
            except asyncpg.exceptions.ClientConfigurationError:
                raise
            except Exception as error:  # noqa: BLE001 - translated, whatever it is
                raises = translate(error, None, closed=True).raises
                failures.append(f"{shown_address(host)}: {raises}")
            else:
                self._hosts = [host, *(other for other in hosts if other != host)]
                return connection
        raise Unavailable(f"no host is a primary that answers: {'; '.join(failures)}")

    async def _made(self, url: str) -> asyncpg.Connection:
        for _ in range(3):
            try:
                connection = await self._dialled(url)
            except asyncpg.ProtocolViolationError as error:
                if self.pooled or STARTUP_REFUSED not in str(error):
                    raise
                self.pooled = True
                continue
            try:
                if await self._is_right(connection):
                    return connection
                await connection.close()
            except BaseException:
                connection.terminate()
                raise
        raise Unavailable("the database or a pooler refuses every kind of session")

    async def _dialled(self, url: str) -> asyncpg.Connection:
        more: dict[str, Any] = {"server_settings": SESSION}
        if self.pooled:
            name = {"application_name": SESSION["application_name"]}
            more = {"server_settings": name, "statement_cache_size": 0}
        return await asyncpg.connect(url, timeout=OPENING_S, **more)

    async def _is_right(self, connection: asyncpg.Connection) -> bool:
        """Check the server, and return whether the session suits it, or the pooler in front of it.

        In a transaction: behind a pooler a statement and its values could reach two servers.

        Raises:
            Unavailable: The server is a standby, or holds other data.
        """
        try:
            await connection.execute("BEGIN")
            row = await connection.fetchrow(self._check)
            await connection.execute("COMMIT")
        except (asyncpg.InvalidSQLStatementNameError, asyncpg.DuplicatePreparedStatementError):
            # A pooler that accepts session settings shares prepared statements between clients.
            if self.pooled:
                raise
            self.pooled = True
            return False
        assert row is not None
        if row["standby"]:
            raise Unavailable("it is a standby (read-only); a failover may be in progress")
        if self._mark is not None and row["mark"] not in (None, self._mark.value):
            raise Unavailable(
                f"the database holds the data of {row['mark']} mode, and this is "
                f"{self._mark.value} mode"
            )
        if self.pooled or row["pid"] == connection.get_server_pid():
            return True
        self.pooled = True
        return False

    async def close(self) -> None:
        """End all attempts, and close the connections that no statement has taken over."""
        self._lookups.close()
        for attempt in self._attempts:
            attempt.cancel()
        if self._attempts:
            await asyncio.wait(self._attempts)
        while (left := self._taken()) is not None:
            left.result().terminate()
