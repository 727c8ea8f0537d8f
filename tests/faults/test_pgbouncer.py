"""A pooler in front of the database: PgBouncer in both modes, with and without what it refuses."""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from tests.booking.sale import Sale, begin, cancel, reserve
from tests.databases import TestDatabase
from tests.processes import started
from tests.servers import IN_CI
from tests.until import until_async
from waitline.booking.migrations import migrate
from waitline.kernel.errors import Unavailable
from waitline.postgres.pool import Database, Row
from waitline.postgres.sessions import Sessions
from waitline.trial.machine import free_port

SOON_S = 20.0

# It refuses to run as root; in a user namespace this user has another number.
NOT_ROOT = ("unshare", "--user", "--map-user=1000", "--map-group=1000", "--")

MODES = [
    pytest.param("session", "", id="session"),
    pytest.param("transaction", "", id="transaction"),
    # As some operators set it, so that other drivers can connect: it looks like a server.
    pytest.param(
        "transaction",
        "enable_seqscan,jit,lock_timeout,plan_cache_mode",
        id="transaction, ignoring settings",
    ),
]


def binary() -> str:
    """Find Debian's PgBouncer. Missing locally: skip. Missing in CI: fail."""
    found = shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin:/usr/local/bin:/usr/bin")
    if found is None:
        missing = pytest.fail if IN_CI else pytest.skip
        missing("pgbouncer is not installed")
    return str(found)


@contextmanager
def pooled(postgres: TestDatabase, mode: str, ignored: str, size: int = 0) -> Iterator[str]:
    """Run a PgBouncer in front of the server, with fewer connections than its clients open."""
    folder = parse_qs(urlsplit(postgres.url).query)["host"][0]
    port = free_port()
    config = [
        "[databases]",
        f"waitline = host={folder} dbname=waitline user=waitline",
        "[pgbouncer]",
        "listen_addr = 127.0.0.1",
        f"listen_port = {port}",
        "unix_socket_dir =",
        "auth_type = any",
        f"pool_mode = {mode}",
        f"default_pool_size = {size or (2 if mode == 'transaction' else 20)}",
        f"ignore_startup_parameters = {ignored}",
    ]
    with tempfile.TemporaryDirectory(prefix="wl-") as name:
        file = Path(name) / "pgbouncer.ini"
        file.write_text("\n".join(config), "utf-8")
        argv = [*NOT_ROOT, binary(), str(file)]
        url = f"postgresql://waitline@127.0.0.1:{port}/waitline?sslmode=disable"
        with started(argv, {}, lambda: asyncio.run(_listens(port)), SOON_S):
            yield url


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


def names_of(row: Row | None) -> set[str]:
    return set(row.keys()) if row is not None else set()


async def answers(database: Database) -> bool:
    try:
        return await database.fetch_one("ping") is not None
    except Unavailable:
        return False


@pytest.mark.parametrize(("mode", "ignored"), MODES)
def test_statements_run_behind_a_pooler(mode: str, ignored: str, postgres: TestDatabase) -> None:
    """Many clients on few connections: each statement gets its own answer, with our settings."""

    async def call(url: str) -> None:
        database = Database(url, "waitline.booking", connections_max=6, connections_min=6)
        try:
            await until_async(lambda: answers(database), SOON_S)
            for _ in range(10):
                events, rows = await asyncio.gather(
                    asyncio.gather(
                        *(database.fetch_all("unsent_events", rows_max=5) for _ in range(6))
                    ),
                    asyncio.gather(
                        *(database.fetch_one("ping") for _ in range(6)),
                        *(database.fetch_one("backlog", counted_max=10) for _ in range(6)),
                    ),
                )
                assert events == [[]] * 6
                assert all(row is not None for row in rows)
                assert [("up" in row, "events_dead" in row) for row in map(names_of, rows)] == [
                    *[(True, False)] * 6,
                    *[(False, True)] * 6,
                ]
        finally:
            await database.close()

    with pooled(postgres, mode, ignored) as url:
        asyncio.run(call(url))


def test_a_pooler_that_has_few_connections_for_us(postgres: TestDatabase) -> None:
    """In session mode each of ours takes one of its connections for as long as it is open."""

    async def call(url: str) -> None:
        # As the booking service opens it where WAITLINE_DATABASE_CONNECTIONS is 3.
        database = Database(url, "waitline.booking", connections_max=3, connections_min=3)
        try:
            await until_async(lambda: answers(database), SOON_S)
            for _ in range(20):
                rows = await asyncio.gather(*(database.fetch_one("ping") for _ in range(60)))
                assert all(row is not None for row in rows)
        finally:
            await database.close()

    with pooled(postgres, "session", "", size=3) as url:
        asyncio.run(call(url))


@pytest.mark.parametrize(("mode", "ignored"), MODES)
def test_a_pooler_is_recognised(mode: str, ignored: str, postgres: TestDatabase) -> None:
    async def found(url: str) -> bool:
        sessions = Sessions(url, "SELECT NULL::bigint[]")
        connection = await sessions.connect()
        await connection.close()
        return sessions.pooled

    with pooled(postgres, mode, ignored) as url:
        assert asyncio.run(found(url))
    assert not asyncio.run(found(postgres.url))


def test_settings_last_for_the_transaction_only(postgres: TestDatabase) -> None:
    """Other clients of the pooler get the same connections after us."""

    async def call(url: str) -> Sequence[str]:
        database = Database(url, "waitline.booking", connections_max=2)
        await until_async(lambda: answers(database), SOON_S)
        with pytest.raises(asyncpg.DataError):
            await database.fetch_one("backlog", counted_max=2**63)
        assert await answers(database)
        await database.close()
        other = await asyncpg.connect(url, statement_cache_size=0)
        try:
            return [await other.fetchval(f"SHOW {name}") for name in ("enable_seqscan", "jit")]
        finally:
            await other.close()

    with pooled(postgres, "transaction", "", size=1) as url:
        assert asyncio.run(call(url))[0] == "on"


@pytest.mark.parametrize(("mode", "ignored"), MODES[:2])
def test_migrations_run_through_a_pooler(mode: str, ignored: str, postgres: TestDatabase) -> None:
    with pooled(postgres, mode, ignored) as url:
        assert asyncio.run(migrate(url)) == []


@pytest.mark.parametrize(("mode", "ignored"), MODES)
def test_seats_are_sold_through_a_pooler(mode: str, ignored: str, postgres: TestDatabase) -> None:
    """What the box office needs of types, arrays and transactions works there too."""

    async def call(url: str) -> None:
        database = Database(url, "waitline.booking", connections_max=4)
        sale = Sale(postgres)
        try:
            await until_async(lambda: answers(database), SOON_S)
            await sale.open(seats=20)
            held = await asyncio.gather(
                *(database.fetch_all("reserve", **reserve(n, n)) for n in range(1, 13))
            )
            assert [row["outcome"] for (row,) in held] == ["reserved"] * 12
            ids = [row["reservation_id"] for (row,) in held]
            begun = await asyncio.gather(
                *(database.fetch_all("begin_payment", **begin(ids[n - 1], n)) for n in (1, 2))
            )
            assert [row["outcome"] for (row,) in begun] == ["begun"] * 2
            gone = await database.fetch_one("cancel", **cancel(ids[4], 5))
            assert gone is not None
            assert gone["outcome"] == "cancelled"
            assert await sale.findings() == []
        finally:
            await database.close()

    with pooled(postgres, mode, ignored) as url:
        postgres.wait(call(url))
