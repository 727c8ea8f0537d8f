"""The PostgreSQL connection pool: limits, and errors of an unreachable server."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import pytest

from tests.databases import TestDatabase, processes_of
from tests.processes import halted
from tests.until import until_async
from waitline.kernel.errors import NeedsOperator, Unavailable
from waitline.postgres import pool, sessions
from waitline.postgres.driver_errors import Duplicate
from waitline.postgres.pool import CALL_TIMEOUT_S, Database
from waitline.trial import PostgresServer

T = TypeVar("T")

# Seconds for what takes well under one, on a machine that others use too.
SOON_S = 20.0

STATEMENTS = """
-- name: add(number)^
SELECT :number::bigint + 1 AS answer;

-- name: rows(count)
SELECT generate_series(1, :count::bigint) AS number;

-- name: largest(numbers)^
SELECT max(number) AS largest FROM unnest(:numbers::bigint[]) AS number;

-- name: planned()^
SELECT sum(custom_plans)::int AS anew, sum(generic_plans)::int AS kept FROM pg_prepared_statements
WHERE statement LIKE 'SELECT $1%';

-- name: sleep(seconds)^
SELECT pg_sleep(:seconds::float8) IS NULL AS slept;

-- name: asleep()^
SELECT count(*) AS number FROM pg_stat_activity
WHERE state = 'active' AND query LIKE '%pg_sleep($1%' AND pid <> pg_backend_pid();

-- name: twice()^
INSERT INTO concert (concert_id, title, venue, room) VALUES (1, 'a', 'a', 'a'), (1, 'a', 'a', 'a')
RETURNING concert_id;

-- name: missing()^
SELECT * FROM no_such_table;
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A package with statements of our own."""
    folder = tmp_path_factory.mktemp("packages")
    (folder / "statements_of_a_test" / "sql").mkdir(parents=True)
    (folder / "statements_of_a_test" / "__init__.py").touch()
    (folder / "statements_of_a_test" / "sql" / "all.sql").write_text(STATEMENTS, "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield "statements_of_a_test"


async def answers(db: Database) -> bool:
    with suppress(Unavailable):
        return await db.fetch_one("add", number=1) is not None
    return False


def run(call: Coroutine[Any, Any, T]) -> T:
    async def timed() -> T:
        async with asyncio.timeout(SOON_S):
            return await call

    return asyncio.run(timed())


@asynccontextmanager
async def opened(url: str, package: str, **options: Any) -> AsyncIterator[Database]:  # noqa: ANN401 - its own
    opened = Database(url, package, **options)
    try:
        yield opened
    finally:
        await opened.close()


async def asleep(on: Database, count: int) -> None:
    """Wait until so many statements sleep."""
    row: Mapping[str, Any] | None = None
    while row is None or row["number"] != count:
        row = await on.fetch_one("asleep")


def test_statements_answer_by_name_and_are_measured(postgres: TestDatabase, package: str) -> None:
    measured: list[tuple[str, float, float]] = []

    def note(name: str, seconds: float, within_s: float) -> None:
        measured.append((name, seconds, within_s))

    async def call() -> None:
        async with opened(postgres.url, package, on_statement=note, connections_max=2) as db:
            assert db.connections == (0, 0)
            row = await db.fetch_one("add", number=2)
            assert row is not None
            assert row["answer"] == 3
            assert [row["number"] for row in await db.fetch_all("rows", count=3)] == [1, 2, 3]
            assert await db.fetch_all("rows", within_s=SOON_S, count=0) == []
            assert db.connections == (1, 0)
        assert db.connections == (0, 0)

    run(call())
    assert [name for name, *_ in measured] == ["add", "rows", "rows"]
    assert all(0 < seconds < SOON_S for _, seconds, _ in measured)
    assert [within_s for *_, within_s in measured] == [CALL_TIMEOUT_S, CALL_TIMEOUT_S, SOON_S]


def test_connections_that_are_wanted_are_there_before_many_come(
    postgres: TestDatabase, package: str
) -> None:
    async def call() -> None:
        async with opened(postgres.url, package, connections_max=4, connections_min=3) as db:
            assert await db.fetch_one("add", number=1)
            assert db.connections == (3, 0)

    run(call())


def test_a_new_connection_knows_the_types_that_statements_use(
    postgres: TestDatabase, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the driver asks the server about each while a visitor waits, in slow statements."""
    asked: list[tuple[object, ...]] = []
    ask = asyncpg.Connection._introspect_types  # noqa: SLF001 - what the driver does unasked

    async def noted(self: asyncpg.Connection, *types: object) -> object:
        asked.append(types)
        return await ask(self, *types)

    monkeypatch.setattr(asyncpg.Connection, "_introspect_types", noted)

    async def call() -> None:
        async with opened(postgres.url, package) as db:
            assert await db.fetch_one("add", number=1)
            known = len(asked)
            assert known
            row = await db.fetch_one("largest", numbers=[1, 3, 2])
            assert row is not None
            assert row["largest"] == 3
            assert len(asked) == known

    run(call())


def test_a_statement_is_planned_once(postgres: TestDatabase, package: str) -> None:
    async def call() -> None:
        async with opened(postgres.url, package, connections_max=1) as db:
            for number in range(3):
                assert await db.fetch_one("add", number=number)
            row = await db.fetch_one("planned")
            assert row is not None
            assert dict(row) == {"anew": 0, "kept": 3}

    run(call())


def test_nobody_waits_longer_for_the_first_connections_than_for_one(
    tmp_path: Path, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has been opened when a statement loses patience is there for the next."""
    monkeypatch.setattr(pool, "PATIENCE_S", 0.05)
    monkeypatch.setattr(sessions, "OPENING_S", SOON_S)
    begun: list[str] = []
    connect = asyncpg.connect

    def noted(url: str, **options: Any) -> Any:  # noqa: ANN401 - the driver's
        begun.append(url)
        return connect(url, **options)

    monkeypatch.setattr(asyncpg, "connect", noted)
    server = PostgresServer(tmp_path / "pg", fsync=False)
    server.start()

    async def call() -> None:
        async with opened(server.url, package, connections_max=3, connections_min=3) as db:
            with halted(processes_of(tmp_path / "pg")):
                for _ in range(2):
                    with pytest.raises(Unavailable):
                        await db.fetch_one("add", number=1)
                assert db.connections == (0, 0)
            await until_async(lambda: answers(db), SOON_S)
            assert db.connections[0] == 3
            assert begun == [server.url] * 3
        # One that is closed meanwhile leaves nothing behind.
        async with opened(server.url, package) as db:
            with halted(processes_of(tmp_path / "pg")), pytest.raises(Unavailable):
                await db.fetch_one("add", number=1)
        assert db.connections == (0, 0)

    try:
        run(call())
    finally:
        server.stop()


def test_a_server_that_is_stopped_is_unavailable_and_found_again(
    tmp_path: Path, package: str
) -> None:
    server = PostgresServer(tmp_path / "pg", fsync=False)
    server.start()

    async def call() -> None:
        async with opened(server.url, package) as db:
            await until_async(lambda: answers(db), SOON_S)
            await asyncio.to_thread(server.kill)
            for _ in range(3):
                with pytest.raises(Unavailable, match="the database does not answer at postgres"):
                    await db.fetch_one("add", number=1)
            await asyncio.to_thread(server.start)
            await until_async(lambda: answers(db), SOON_S)
            assert db.waiting == 0

    try:
        run(call())
    finally:
        server.stop()


def test_shutdown_ends_although_the_server_hangs(tmp_path: Path, package: str) -> None:
    """A job that takes silence for a reason to try again must not take this for one."""
    server = PostgresServer(tmp_path / "pg", fsync=False)
    server.start()

    async def again_and_again(db: Database) -> None:
        while True:
            await answers(db)

    async def call() -> None:
        async with opened(server.url, package) as db:
            await until_async(lambda: answers(db), SOON_S)
            with halted(processes_of(tmp_path / "pg")):
                jobs = [asyncio.create_task(again_and_again(db)) for _ in range(3)]
                await asyncio.wait(jobs, timeout=0.1)
                for job in jobs:
                    job.cancel()
                ended, still = await asyncio.wait(jobs, timeout=SOON_S)
                assert not still
                assert all(job.cancelled() for job in ended)

    try:
        run(call())
    finally:
        server.stop()


def test_a_server_that_never_was_is_unavailable_and_may_come_later(
    tmp_path: Path, package: str
) -> None:
    server = PostgresServer(tmp_path / "pg", fsync=False)

    async def call() -> None:
        async with opened(server.url, package) as db:
            with pytest.raises(Unavailable):
                await db.fetch_one("add", number=1)
            await asyncio.to_thread(server.start)
            await until_async(lambda: answers(db), SOON_S)

    try:
        run(call())
    finally:
        server.stop()


def test_a_statement_that_takes_too_long_is_given_up_on_both_sides(
    postgres: TestDatabase, package: str
) -> None:
    async def call() -> None:
        async with opened(postgres.url, package, connections_max=2) as db:
            with pytest.raises(Unavailable):
                await db.fetch_one("sleep", within_s=0.05, seconds=SOON_S)
            # The server has stopped it too, and the connections are as good as new.
            await asleep(db, 0)
            assert await asyncio.gather(*(db.fetch_one("add", number=n) for n in range(8)))
            assert db.connections[1] == 0

    run(call())


def test_a_cancelled_call_cancels_its_statement(postgres: TestDatabase, package: str) -> None:
    async def call() -> None:
        async with opened(postgres.url, package, connections_max=2) as db:
            sleeping = asyncio.create_task(db.fetch_one("sleep", within_s=SOON_S, seconds=SOON_S))
            await asleep(db, 1)
            sleeping.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sleeping
            await asleep(db, 0)
            assert await asyncio.gather(*(db.fetch_one("add", number=n) for n in range(8)))

    run(call())


def test_nobody_waits_for_a_connection_without_end(
    postgres: TestDatabase, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "PATIENCE_S", 0.05)

    async def call() -> None:
        async with opened(postgres.url, package, connections_max=1) as db:
            await until_async(lambda: answers(db), SOON_S)
            sleeping = asyncio.create_task(db.fetch_one("sleep", within_s=SOON_S, seconds=SOON_S))
            while db.connections != (1, 1):
                await asyncio.wait([sleeping], timeout=0.01)
            with pytest.raises(Unavailable):
                await db.fetch_one("add", number=1)
            assert db.waiting == 0
            sleeping.cancel()
            await asyncio.wait([sleeping])

    run(call())


def test_more_than_may_wait_are_refused_at_once(
    postgres: TestDatabase, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "WAITING_MAX", 3)
    # The others must still be waiting when the last one comes.
    monkeypatch.setattr(pool, "PATIENCE_S", SOON_S)

    async def call() -> None:
        async with opened(postgres.url, package, connections_max=1) as db:
            await db.fetch_one("add", number=1)
            sleeping = asyncio.create_task(db.fetch_one("sleep", within_s=SOON_S, seconds=SOON_S))
            while db.connections != (1, 1):
                await asyncio.wait([sleeping], timeout=0.01)
            waiting = [asyncio.create_task(db.fetch_one("add", number=n)) for n in range(3)]
            while db.waiting < 3:
                await asyncio.wait(waiting, timeout=0.01)
            with pytest.raises(Unavailable, match="too many"):
                await db.fetch_one("add", number=1)
            sleeping.cancel()
            answers = await asyncio.gather(*waiting)
            assert [row["answer"] for row in answers if row] == [1, 2, 3]
            assert db.waiting == 0

    run(call())


def test_a_database_that_does_not_let_us_in_is_a_matter_for_the_operator(
    postgres: TestDatabase, package: str
) -> None:
    async def call(url: str, statement: str = "asleep") -> None:
        async with opened(url, package) as db:
            await db.fetch_one(statement)

    with pytest.raises(NeedsOperator, match="nowhere"):
        run(call(postgres.url.replace("/waitline?", "/nowhere?")))
    with pytest.raises(NeedsOperator, match="nobody"):
        run(call(postgres.url.replace("waitline@", "nobody@")))
    with pytest.raises(NeedsOperator, match="waitline migrate"):
        run(call(postgres.url, "missing"))


def test_a_duplicate_names_its_constraint(postgres: TestDatabase, package: str) -> None:
    async def call() -> None:
        async with opened(postgres.url, package) as db:
            with pytest.raises(Duplicate, match="concert_id"):
                await db.fetch_one("twice")

    run(call())
    assert postgres.wait(postgres.sql("SELECT FROM concert")) == []


@pytest.mark.parametrize(
    ("statement", "values"),
    [
        pytest.param("add", {"number": "one"}, id="not-a-number"),
        pytest.param("add", {"number": 2**63}, id="too-big"),
    ],
)
def test_a_bug_is_not_taken_for_a_silent_server(
    postgres: TestDatabase, package: str, statement: str, values: dict[str, Any]
) -> None:
    async def call() -> None:
        async with opened(postgres.url, package) as db:
            await db.fetch_one(statement, **values)

    with pytest.raises(Exception) as failed:  # noqa: PT011 - whatever it is, but not this
        run(call())
    assert not isinstance(failed.value, Unavailable | TimeoutError)
