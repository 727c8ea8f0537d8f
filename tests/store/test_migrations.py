"""Migrations: on an empty database, again, two at once, and never past what is known."""

import asyncio
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from alembic import command

from tests.command_line import Run
from tests.databases import TestDatabase
from tests.processes import environment
from waitline.booking.migrations import migrate, steps
from waitline.kernel.errors import Misconfigured, Unavailable
from waitline.trial.machine import free_port

SQL = Path(steps.__file__).parent

# Every step, the first first.
STEPS = sorted(path.name[:4] for path in SQL.glob("0*.sql"))


@pytest.fixture
def fresh(postgres: TestDatabase) -> Iterator[str]:
    """The address of an empty database beside that of the other tests."""
    postgres.wait(postgres.sql("CREATE DATABASE fresh"))
    yield postgres.url.replace("/waitline?", "/fresh?")
    postgres.wait(postgres.sql("DROP DATABASE fresh WITH (FORCE)"))


async def fetch(url: str, statement: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(url)
    try:
        rows: list[asyncpg.Record] = await connection.fetch(statement)
        return rows
    finally:
        await connection.close()


async def execute(url: str, statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statements)
    finally:
        await connection.close()


def tables(url: str) -> set[str]:
    rows = asyncio.run(
        fetch(url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
    )
    return {row["tablename"] for row in rows}


def test_an_empty_database_gets_every_step_and_then_none(fresh: str) -> None:
    assert tables(fresh) == set()
    assert asyncio.run(migrate(fresh)) == STEPS
    made = tables(fresh)
    assert {"concert", "schedule", "seat", "reservation", "payment", "outbox"} < made
    assert asyncio.run(migrate(fresh)) == []
    assert tables(fresh) == made


def booking_started(fresh: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Start a booking service on a database; it ends, because of the tables or of its port."""
    words = ["--mode", "trial", "--valkey-url", "unix:///nowhere", "--database-url", fresh]
    words += ["--data-dir", str(folder)]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        return subprocess.run(  # noqa: S603 - our own command
            [sys.executable, "-m", "waitline", "booking", "--booking-port", port, *words],
            env={
                **environment(),
                "WAITLINE_PAYMENT_URL": "http://127.0.0.1:1",
                "WAITLINE_PAYMENT_KEY": "a-key-of-the-sandbox",
                "WAITLINE_WEBHOOK_SECRET": "a-secret-of-the-sandbox",
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        (None, "the database has no tables of the box office"),
        ("0003", "the tables are at migration 0003, and this version needs"),
        (STEPS[-1], "cannot listen on"),
        ("9999", "cannot listen on"),
        ("9999 from 9998", "the tables are at migration 9999 and serve versions from migration"),
    ],
    ids=["none", "behind", "these", "ahead", "too far ahead"],
)
def test_the_box_office_starts_on_tables_that_it_can_use(
    fresh: str, tmp_path: Path, stored: str | None, said: str
) -> None:
    if stored is not None:
        asyncio.run(migrate(fresh))
        step, _, oldest = stored.partition(" from ")
        asyncio.run(execute(fresh, f"UPDATE alembic_version SET version_num = '{step}'"))  # noqa: S608
        if oldest:
            asyncio.run(execute(fresh, f"UPDATE schema_works_from SET step = '{oldest}'"))  # noqa: S608
    done = booking_started(fresh, tmp_path)
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"waitline: {said}"), done.stderr
    assert ("run `waitline migrate`" in last) == (stored in (None, "0003"))
    assert ("install a newer version" in last) == ("9998" in str(stored))
    assert ('"event": "schema_newer"' in done.stderr) == (stored == "9999")


# What a version from before the step could not work with.
CONTRACTS = re.compile(
    r"\b(DROP\s+(TABLE|COLUMN)|RENAME\s+(TO|COLUMN)|ALTER\s+COLUMN\s+\w+\s+(SET\s+DATA\s+)?TYPE"
    r"|SET\s+NOT\s+NULL)\b",
    re.IGNORECASE,
)


def raises_the_oldest(text: str) -> bool:
    return re.search(r"\bUPDATE\s+schema_works_from\b", text) is not None


@pytest.mark.parametrize("path", sorted(SQL.glob("0*.sql")), ids=lambda path: path.stem)
def test_a_step_that_older_versions_cannot_work_with_says_so(path: Path) -> None:
    """From the step on that made it possible to say so."""
    text = path.read_text("utf-8")
    assert path.stem <= "0015" or not CONTRACTS.search(text) or raises_the_oldest(text)


@pytest.mark.parametrize(
    ("text", "contracts"),
    [
        ("ALTER TABLE payment ADD COLUMN currency text;", False),
        ("ALTER TABLE payment DROP COLUMN currency;", True),
        ("ALTER TABLE payment RENAME COLUMN a TO b;", True),
        ("ALTER TABLE payment ALTER COLUMN a TYPE text;", True),
        ("ALTER TABLE payment ALTER COLUMN a SET NOT NULL;", True),
        ("DROP TABLE payment;", True),
        ("DROP INDEX reservation_by_age;", False),
    ],
)
def test_such_steps_are_recognised(text: str, contracts: bool) -> None:  # noqa: FBT001
    assert (CONTRACTS.search(text) is not None) == contracts


def test_what_is_there_stays_there(fresh: str) -> None:
    asyncio.run(migrate(fresh))
    asyncio.run(fetch(fresh, "INSERT INTO concert (title, venue, room) VALUES ('a', 'b', 'c')"))
    asyncio.run(migrate(fresh))
    assert len(asyncio.run(fetch(fresh, "SELECT * FROM concert"))) == 1


# As the earlier version wrote them.
OLD_ROWS = """
    INSERT INTO concert (title, venue, room) VALUES ('a', 'b', 'c');
    INSERT INTO schedule (concert_id, starts_at) VALUES (1, now());
    INSERT INTO seat (schedule_id, section, row_name, row_position, seat_number, grade, price)
    VALUES (1, 's', 'r', 1, 's-r-1', 'VIP', 100);
    INSERT INTO reservation (schedule_id, user_id, state, amount, expires_at)
    VALUES (1, 7, 'CONFIRMED', 100, now());
    INSERT INTO reserved_seat (reservation_id, seat_id, price) VALUES (1, 1, 100);
    INSERT INTO visitor_seats (schedule_id, user_id, seats) VALUES (1, 7, 1);
    INSERT INTO payment (reservation_id, user_id, amount, method, state, look_at, paid_at)
    VALUES (1, 7, 100, 'CARD', 'COMPLETED', now(), now());
    INSERT INTO idempotency (user_id, idempotency_key, request, status, answer)
    VALUES (7, 'done', decode(repeat('00', 32), 'hex'), 201, 'x'),
        (7, 'running', decode(repeat('00', 32), 'hex'), NULL, NULL);
"""


def test_rows_from_before_holders_are_kept(fresh: str, monkeypatch: pytest.MonkeyPatch) -> None:
    upgrade = command.upgrade
    with monkeypatch.context() as patch:
        patch.setattr(command, "upgrade", lambda config, _: upgrade(config, "0003"))
        asyncio.run(migrate(fresh))
    asyncio.run(execute(fresh, OLD_ROWS))
    asyncio.run(migrate(fresh))

    def rows(table: str, columns: str) -> list[tuple[object, ...]]:
        statement = f"SELECT {columns} FROM {table}"  # noqa: S608 - ours
        return [tuple(row) for row in asyncio.run(fetch(fresh, statement))]

    assert rows("reservation", "reservation_id, user_id, holder, state") == [
        (1, "7", "", "CONFIRMED")
    ]
    assert rows("payment", "payment_id, user_id, state") == [(1, "7", "COMPLETED")]
    assert rows("visitor_seats", "user_id, holder, seats") == [("7", "", 1)]
    # A claim without an answer would stay for a day: its request was given up with the service.
    assert rows("idempotency", "user_id, holder, idempotency_key, status, answer") == [
        ("7", "", "done", 201, b"x")
    ]


def test_ids_are_random(fresh: str) -> None:
    asyncio.run(migrate(fresh))
    drawn = asyncio.run(fetch(fresh, "SELECT random_id() AS id FROM generate_series(1, 4000)"))
    numbers = [row["id"] for row in drawn]
    assert len(set(numbers)) == len(numbers)
    assert all(0 < number < 2**53 for number in numbers)
    # Each bit is set in half of them; four standard deviations.
    for bit in range(53):
        assert abs(sum(number >> bit & 1 for number in numbers) - 2_000) < 130, bit
    defaults = asyncio.run(
        fetch(
            fresh,
            "SELECT table_name FROM information_schema.columns "
            "WHERE column_default = 'random_id()' ORDER BY 1",
        )
    )
    assert [row["table_name"] for row in defaults] == ["payment", "reservation"]


def test_of_several_at_once_one_does_it(fresh: str) -> None:
    async def at_once() -> list[list[str]]:
        return await asyncio.gather(*(migrate(fresh) for _ in range(4)))

    assert sorted(asyncio.run(at_once())) == [[], [], [], STEPS]


def test_a_step_of_a_newer_version_is_refused(fresh: str) -> None:
    asyncio.run(migrate(fresh))
    asyncio.run(fetch(fresh, "UPDATE alembic_version SET version_num = '9999'"))
    before = tables(fresh)
    with pytest.raises(Misconfigured, match=r"9999.*newer version"):
        asyncio.run(migrate(fresh))
    assert tables(fresh) == before


def test_a_step_that_fails_leaves_nothing(fresh: str) -> None:
    """Here because its last table is there already, with other columns."""
    asyncio.run(fetch(fresh, "CREATE TABLE idempotency (n integer)"))
    with pytest.raises(asyncpg.DuplicateTableError):
        asyncio.run(migrate(fresh))
    assert tables(fresh) == {"idempotency"}


def test_locked_tables_delay_a_migration_up_to_its_timeout(
    fresh: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "LOCK_S", 0.05)

    async def meanwhile() -> None:
        holder = await asyncpg.connect(fresh)
        try:
            await holder.fetch(f"SELECT pg_advisory_lock({steps._LOCK})")  # noqa: SLF001 - what is waited for
            with pytest.raises(Unavailable, match="nothing was changed"):
                await migrate(fresh)
        finally:
            await holder.close()

    asyncio.run(meanwhile())
    assert asyncio.run(migrate(fresh)) == STEPS


def test_a_database_that_is_not_there(postgres: TestDatabase) -> None:
    with pytest.raises(Unavailable):
        asyncio.run(migrate(f"postgresql://waitline@127.0.0.1:{free_port()}/waitline"))
    with pytest.raises(Misconfigured, match="nowhere"):
        asyncio.run(migrate(postgres.url.replace("/waitline?", "/nowhere?")))


def test_the_command_says_what_it_did(fresh: str, tmp_path: Path, run: Run) -> None:
    def printed(*words: str) -> str:
        ended = run("migrate", "--data-dir", tmp_path, *words)
        return f"{ended.code} {ended.out}{ended.err}"

    applied = "".join(f"applied migration {step}\n" for step in STEPS)
    assert printed("--database-url", fresh) == f"0 {applied}"
    assert printed("--database-url", fresh).startswith("0 The tables are up to date")
    assert "no database" in printed()
    # As a running `up` notes it.
    (tmp_path / "postgres.url").write_text(fresh, "utf-8")
    assert printed().startswith("0 ")


def test_squawk_has_nothing_against_the_steps() -> None:
    squawk = Path(sys.executable).with_name("squawk")
    files = sorted(map(str, SQL.glob("*.sql")))
    done = subprocess.run([squawk, *files], capture_output=True, text=True, check=False, timeout=60)  # noqa: S603 - of our own environment
    assert done.returncode == 0, done.stdout


def test_a_user_who_may_not_migrate_gets_one_line(fresh: str, postgres: TestDatabase) -> None:
    """On an empty database, and on one whose tables belong to somebody else."""
    limited = fresh.replace("waitline@", "limited@")
    postgres.wait(postgres.sql("CREATE ROLE limited LOGIN"))
    try:
        with pytest.raises(Misconfigured, match="may not migrate") as refused:
            asyncio.run(migrate(limited))
        assert "\n" not in str(refused.value)
        asyncio.run(migrate(fresh))
        asyncio.run(fetch(fresh, "UPDATE alembic_version SET version_num = '0001'"))
        asyncio.run(fetch(fresh, "GRANT ALL ON ALL TABLES IN SCHEMA public TO limited"))
        with pytest.raises(Misconfigured, match="may not migrate"):
            asyncio.run(migrate(limited))
    finally:
        asyncio.run(fetch(fresh, "REVOKE ALL ON ALL TABLES IN SCHEMA public FROM limited"))
        postgres.wait(postgres.sql("DROP ROLE limited"))
