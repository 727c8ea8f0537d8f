"""A PostgreSQL of the tests' own, one process for the whole run, with the box office's tables."""

import asyncio
import atexit
import shutil
import subprocess
import tempfile
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import pytest
from typing_extensions import override

from waitline.booking import batches
from waitline.booking.migrations import migrate
from waitline.postgres import pool
from waitline.postgres.pool import Database
from waitline.trial import PostgresServer

T = TypeVar("T")

# A busy machine is no failure here.
DEADLINE_S = 20.0

# Ids of reservations and payments are random. These tests number them from 1 instead, so that they
# can name them; `EMPTY` starts again.
NUMBERED = """
CREATE SEQUENCE {table}_numbers OWNED BY {table}.{table}_id;
ALTER TABLE {table} ALTER COLUMN {table}_id SET DEFAULT nextval('{table}_numbers');
"""

# Deleting some rows takes 1 ms, truncating all tables 45 ms. Many dead rows would slow later tests,
# so large tables are truncated. What migrations record stays.
EMPTY = """
DO $$
DECLARE one regclass;
BEGIN
  PERFORM set_config('session_replication_role', 'replica', true);
  FOR one IN
    SELECT oid::regclass FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
      AND relname NOT IN ('alembic_version', 'schema_works_from')
  LOOP
    IF pg_relation_size(one) > 1000000 THEN
      EXECUTE format('TRUNCATE %s CASCADE', one);
    ELSE
      EXECUTE format('DELETE FROM %s', one);
    END IF;
  END LOOP;
  PERFORM setval(seqrelid::regclass, seqstart, false) FROM pg_sequence;
END $$
"""


# New tables: also without the space of rows that are gone, by which plans are made.
RENEW = """
DO $$
BEGIN
  EXECUTE (
    SELECT format('TRUNCATE %s RESTART IDENTITY CASCADE', string_agg(oid::regclass::text, ', '))
    FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
      AND relname NOT IN ('alembic_version', 'schema_works_from')
  );
END $$
"""


def processes_of(folder: Path) -> list[int]:
    """Return the server of a folder, and all that serve its connections."""
    noted = folder / "data" / "postmaster.pid"
    leader = int(noted.read_text("ascii").split()[0])
    children = Path(f"/proc/{leader}/task/{leader}/children").read_text("ascii").split()
    return [leader, *map(int, children)]


class Patient(Database):
    """A database with all the time that a busy machine needs."""

    @override
    async def _run(self, statement: str, values: Mapping[str, object], within_s: float) -> Any:
        return await super()._run(statement, values, max(within_s, DEADLINE_S))


def be_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let requests wait for connections, batches and locked rows as long as it takes."""
    monkeypatch.setattr(pool, "PATIENCE_S", DEADLINE_S)
    monkeypatch.setattr(batches, "LIMITS", replace(batches.LIMITS, patience_s=DEADLINE_S))
    monkeypatch.setattr(batches, "LOCK_PATIENCE_S", DEADLINE_S)


class TestDatabase:
    """The server, with an event loop to call it from synchronous test code."""

    __test__ = False

    def __init__(self, url: str) -> None:
        self.url = url
        self._runner = asyncio.Runner()
        self.database = Patient(url, "waitline.booking")

    def wait(self, call: Coroutine[Any, Any, T]) -> T:
        """Run on this server's own loop; connections made in one call live on in the next."""
        return self._runner.run(call)

    async def sql(self, statement: str, *values: object) -> Sequence[asyncpg.Record]:
        """Run any statement, past all that the box office would check."""
        connection = await asyncpg.connect(self.url)
        try:
            rows: Sequence[asyncpg.Record] = await connection.fetch(statement, *values)
            return rows
        finally:
            await connection.close()

    def empty(self) -> None:
        """Forget all rows; numbers begin at 1 again."""
        self.wait(self.sql(EMPTY))

    def renew(self) -> None:
        """Forget all rows and what the server knows of them, as if the tables were new."""
        self.wait(self.sql(RENEW))

    def close(self) -> None:
        self.wait(self.database.close())
        self._runner.close()


async def _prepare(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        # An autovacuum in the middle of a test would change the plans that the test looks at.
        await connection.execute("ALTER SYSTEM SET autovacuum = off")
        await connection.execute("SELECT pg_reload_conf()")
        for table in ("reservation", "payment"):
            await connection.execute(NUMBERED.format(table=table))
    finally:
        await connection.close()


@cache
def _template() -> Path:
    """Make a database with the tables, once in each process; return its folder."""
    folder = Path(tempfile.mkdtemp(prefix="wl-pg-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    postgres = PostgresServer(folder, fsync=False)
    postgres.start()
    try:
        # In a thread: a browser of the tests may have an event loop open in this one.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, migrate(postgres.url)).result()
    finally:
        postgres.stop()
    return folder / "data"


def prepare(folder: Path) -> None:
    """Put a database with the tables into the folder of a server that has not started yet.

    A copy takes a third of the CPU time of making it. The first start of an installation makes its
    own in `booking_web/test_readme.py`.
    """
    folder.mkdir(mode=0o700, parents=True)
    subprocess.run(["cp", "--archive", _template(), folder / "data"], check=True)  # noqa: S603, S607


@contextmanager
def running() -> Iterator[TestDatabase]:
    """Start a server in a folder of its own, with the tables."""
    # pytest's own temporary folders are too deep for a socket, and longer to look at.
    with tempfile.TemporaryDirectory(prefix="wl-pg-") as folder:
        # Nothing here outlives the server, so nothing need be forced to the disk.
        prepare(Path(folder) / "server")
        postgres = PostgresServer(Path(folder) / "server", fsync=False)
        postgres.start()
        try:
            asyncio.run(_prepare(postgres.url))
            started = TestDatabase(postgres.url)
            try:
                yield started
            finally:
                started.close()
        finally:
            postgres.stop()
