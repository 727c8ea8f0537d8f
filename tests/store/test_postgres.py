"""The embedded PostgreSQL: it keeps what it acknowledged, and a folder has one server."""

import asyncio
import os
import signal
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from tests.processes import started
from tests.until import until, until_async
from waitline.trial import FolderInUseError, PostgresServer, StartError

# Seconds for what takes well under one, on a machine that others use too.
SOON_S = 20.0

# Seconds of work that nobody waits for: the test ends it.
LONG_S = 60

# Starts a server and waits to be killed.
STARTER = """
import signal, sys
from pathlib import Path
from waitline.trial import PostgresServer
postgres = PostgresServer(Path(sys.argv[1]), fsync=False)
postgres.start()
print(postgres.pid, flush=True)
signal.pause()
"""

# Keeps its process busy: it does not look up to see that its server has died.
BUSY = f"""
DO $$
DECLARE until_at timestamptz := clock_timestamp() + interval '{LONG_S} s';
BEGIN
    LOOP EXIT WHEN clock_timestamp() > until_at; END LOOP;
END
$$
"""


def ask(postgres: PostgresServer, statement: str, *values: object) -> object:
    async def asked() -> object:
        connection = await asyncpg.connect(postgres.url)
        try:
            answer: object = await connection.fetchval(statement, *values)
            return answer
        finally:
            await connection.close()

    return asyncio.run(asked())


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    """A folder with a database in it: making one takes most of the time."""
    with tempfile.TemporaryDirectory(prefix="wl-pg-") as name:
        postgres = PostgresServer(Path(name) / "made", fsync=False)
        postgres.start()
        postgres.stop()
        yield Path(name) / "made"


@pytest.fixture
def own(made: Path) -> Iterator[PostgresServer]:
    postgres = PostgresServer(made, fsync=False)
    postgres.start()
    yield postgres
    postgres.stop()


def test_it_starts_where_nothing_was_and_again_on_the_same_folder(tmp_path: Path) -> None:
    postgres = PostgresServer(tmp_path / "new" / "folder", connections_max=40)
    try:
        postgres.start()
        assert postgres.alive
        assert ask(postgres, "SHOW fsync") == "on"
        assert ask(postgres, "SHOW server_encoding") == "UTF8"
        assert ask(postgres, "SHOW max_connections") == "40"
        ask(postgres, "CREATE TABLE kept AS SELECT 7 AS n")
        postgres.stop()
        assert not postgres.alive
        postgres.start()
        assert ask(postgres, "SELECT n FROM kept") == 7
    finally:
        postgres.stop()


def test_only_this_user_can_open_it(own: PostgresServer, made: Path) -> None:
    assert ask(own, "SHOW listen_addresses") == ""
    for path in (made, made / "data", made / ".s.PGSQL.5432"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_it_keeps_every_acknowledged_write_over_a_kill(own: PostgresServer) -> None:
    ask(own, "DROP TABLE IF EXISTS written")
    ask(own, "CREATE TABLE written (n integer)")
    url = own.url
    for n in range(5):
        ask(own, "INSERT INTO written VALUES ($1)", n)
        own.kill()
        assert not own.alive
        own.start()
        assert own.url == url
        assert ask(own, "SELECT count(*) FROM written") == n + 1


def test_a_kill_ends_the_processes_of_its_connections_too(own: PostgresServer) -> None:
    async def kill() -> int:
        connection = await asyncpg.connect(own.url)
        try:
            serving: int = connection.get_server_pid()
            # Or else it may notice by itself before this test looks.
            os.kill(serving, signal.SIGSTOP)
            own.kill()
            return serving
        finally:
            connection.terminate()

    assert not _runs(asyncio.run(kill())), "it may have answered once more"
    own.start()


@pytest.mark.parametrize("hangs", [False, True])
def test_it_starts_again_while_a_process_of_the_killed_one_is_busy(
    own: PostgresServer, *, hangs: bool
) -> None:
    async def kill_at_work() -> int:
        connection = await asyncpg.connect(own.url)
        try:
            busy: int = connection.get_server_pid()
            working = asyncio.create_task(connection.execute(BUSY))
            watching = await asyncpg.connect(own.url)
            seen = "SELECT state = 'active' FROM pg_stat_activity WHERE pid = $1"
            await until_async(lambda: watching.fetchval(seen, busy), SOON_S, "it is busy")
            # The leader alone: `kill` takes all of them.
            os.kill(own.pid, signal.SIGKILL)
            until(lambda: not own.alive, SOON_S, "it is dead")
            if hangs:
                os.kill(busy, signal.SIGSTOP)
            with pytest.raises((OSError, asyncpg.PostgresError, asyncpg.InterfaceError)):
                # Its connection is open for as long as the process works.
                async with asyncio.timeout(SOON_S):
                    await asyncio.gather(asyncio.to_thread(own.start), working)
            watching.terminate()
            return busy
        finally:
            connection.terminate()

    busy = asyncio.run(kill_at_work())
    assert not _runs(busy)
    assert own.alive
    assert ask(own, "SELECT 1") == 1


def test_a_folder_has_one_server(own: PostgresServer, made: Path) -> None:
    other = PostgresServer(made)
    with pytest.raises(FolderInUseError, match=str(made)):
        other.start()
    assert not other.alive
    assert ask(own, "SELECT 1") == 1


def test_a_server_left_by_a_killed_process_is_stopped(made: Path) -> None:
    argv = [sys.executable, "-c", STARTER, str(made)]
    postgres = PostgresServer(made, fsync=False)
    with started(argv, {}, lambda: True, SOON_S) as program:
        until(lambda: bool(program.output.strip()), SOON_S, "it says the server's id")
        left = int(program.output)
        os.kill(program.pid, signal.SIGKILL)
        program.process.wait()
        assert _runs(left)
        postgres.start()
        try:
            assert not _runs(left)
            assert ask(postgres, "SELECT 1") == 1
        finally:
            postgres.stop()


def test_a_process_that_only_has_the_same_id_is_left_alone(made: Path) -> None:
    """As after a restart of a container, where ids are few and used again."""
    lock = f"{os.getpid()}\n{made / 'data'}\n0\n5432\n{made}\n\n"
    (made / "data" / "postmaster.pid").write_text(lock, "utf-8")
    (made / ".s.PGSQL.5432.lock").write_text(lock, "utf-8")
    postgres = PostgresServer(made, fsync=False)
    postgres.start()
    try:
        assert ask(postgres, "SELECT 1") == 1
    finally:
        postgres.stop()


def test_a_path_too_long_for_a_socket_is_no_obstacle(tmp_path: Path) -> None:
    postgres = PostgresServer(tmp_path / ("long" * 30), fsync=False)
    postgres.start()
    try:
        assert ask(postgres, "SELECT 1") == 1
    finally:
        postgres.stop()


def test_a_database_that_was_half_made_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "data.new").mkdir()
    (tmp_path / "data.new" / "PG_VERSION").write_text("18\n", "utf-8")
    postgres = PostgresServer(tmp_path, fsync=False)
    postgres.start()
    try:
        assert ask(postgres, "SELECT 1") == 1
    finally:
        postgres.stop()


def test_a_death_at_start_tells_its_reason_in_one_line(made: Path) -> None:
    config = made / "data" / "postgresql.auto.conf"
    before = config.read_bytes()
    config.write_text("no_such_setting = 1\n", "utf-8")
    try:
        with pytest.raises(
            StartError, match=r"PostgreSQL died at start: .*postgres\.log\)"
        ) as died:
            PostgresServer(made).start()
    finally:
        config.write_bytes(before)
    assert "\n" not in str(died.value)


def test_a_server_that_cannot_run_is_an_error_not_a_crash(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="cannot"):
        PostgresServer(tmp_path, binaries=tmp_path / "missing").start()


def _runs(pid: int) -> bool:
    try:
        received = Path(f"/proc/{pid}/stat").read_text("utf-8")
    except OSError:
        return False
    return received.rpartition(")")[2].split()[0] != "Z"
