"""Copies of both stores' logs: unbroken across rewrites, and cut at the end of a second."""

import asyncio
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from tests.command_line import Ended, Run
from tests.servers import Server
from tests.until import until, until_async
from waitline.kernel.clock import SystemClock
from waitline.kernel.errors import Misconfigured
from waitline.trial import PostgresServer, ValkeyServer, embedded_binary
from waitline.trial.backup import database_copy, folder, line_copy
from waitline.trial.backup.database_copy import DatabaseCopy
from waitline.trial.backup.folder import Backup, BackupEnded, Span
from waitline.trial.backup.line_copy import LineCopy

SOON_S = 30.0
AOF = "appendonlydir"


@pytest.fixture
def short() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="wl-") as name:
        yield Path(name)


@pytest.fixture
def running(short: Path) -> Iterator[Server]:
    valkey = ValkeyServer(short / "valkey")
    valkey.start()
    server = Server(valkey.url)
    try:
        yield server
    finally:
        server.close()
        valkey.stop()


def now_s() -> int:
    return SystemClock().now_ms() // 1000


def set_in_the_next_second(server: Server, key: str) -> int:
    """Set a key in a second in which nothing was set before, by the server's own word."""
    before_s = now_s()
    until(lambda: now_s() > before_s, SOON_S, "the next second")
    server.wait(server.command("SET", key, "x"))
    return now_s()


def rewritten(server: Server) -> None:
    server.wait(server.command("BGREWRITEAOF"))

    def done() -> bool:
        info = server.wait(server.command("INFO", "persistence"))
        return not info["aof_rewrite_in_progress"] and not info["aof_rewrite_scheduled"]

    until(done, SOON_S, "the rewrite ends")


def keys_at(copied: Path, short: Path, at_s: int) -> set[str]:
    """The keys of a server that was restored to a second."""
    into = short / f"at-{at_s}"
    line_copy.restore(copied, into / AOF, at_s, embedded_binary())
    valkey = ValkeyServer(into)
    valkey.start()
    server = Server(valkey.url)
    try:
        return set(server.wait(server.command("KEYS", "*")))
    finally:
        server.close()
        valkey.stop()


def test_the_line_is_restored_to_the_end_of_a_second_across_a_rewrite(
    running: Server, short: Path
) -> None:
    running.wait(running.command("SET", "before", "x"))
    copy = LineCopy(short / "valkey" / AOF, short / "copy")
    copy.begin()
    first_s = set_in_the_next_second(running, "first")
    rewritten(running)
    copy.copy()
    second_s = set_in_the_next_second(running, "second")
    set_in_the_next_second(running, "third")
    copy.copy()
    copy.close()
    assert keys_at(short / "copy", short, first_s) == {"before", "first"}
    assert keys_at(short / "copy", short, second_s) == {"before", "first", "second"}
    later = {"before", "first", "second", "third"}
    assert keys_at(short / "copy", short, second_s + 100) == later


def test_a_gap_in_the_lines_log_ends_the_back_up(running: Server, short: Path) -> None:
    copy = LineCopy(short / "valkey" / AOF, short / "copy")
    copy.begin()
    for _ in range(2):
        # The second one removes a file that was never seen.
        rewritten(running)
    with pytest.raises(BackupEnded, match="left a gap"):
        copy.copy()
    copy.close()


def test_the_database_is_restored_to_the_end_of_a_second(short: Path) -> None:
    source = PostgresServer(short / "source")
    source.start()

    async def call() -> int:
        copy = DatabaseCopy(source.url, short / "copy")
        connection = await asyncpg.connect(source.url)
        try:
            await connection.execute("CREATE TABLE seen (name text)")
            await copy.begin()
            await connection.execute("INSERT INTO seen VALUES ('early')")
            at_s = now_s()
            await until_async(lambda: now_s() > at_s, SOON_S)
            await connection.execute("INSERT INTO seen VALUES ('late')")
            await copy.mark()
        finally:
            await connection.close()
            await copy.close()
        return at_s

    try:
        at_s = asyncio.run(call())
    finally:
        source.stop()
    server = database_copy.restored(short / "copy", short / "restored", at_s)
    try:

        async def names() -> list[str]:
            connection = await asyncpg.connect(server.url)
            try:
                return [row["name"] for row in await connection.fetch("SELECT name FROM seen")]
            finally:
                await connection.close()

        assert asyncio.run(names()) == ["early"]
    finally:
        server.stop()


@pytest.mark.parametrize(("at_s", "name"), [(None, "b"), (15, "a"), (25, "b"), (30, "b")])
def test_the_back_up_of_a_point_in_time_is_chosen(
    at_s: int | None, name: str, tmp_path: Path
) -> None:
    for each, span in (("a", Span(10, 20)), ("b", Span(18, 30))):
        (tmp_path / each).mkdir()
        folder.describe(Backup(tmp_path / each, span, box_office=True))
    found, found_s = folder.chosen(tmp_path, at_s)
    assert (found.folder.name, found_s) == (name, at_s or 30)
    with pytest.raises(Misconfigured, match=r"--to: .* is in no back-up; they have .* to .*"):
        folder.chosen(tmp_path, 31)


def one_line(ended: Ended) -> str:
    assert ended.code in (1, 2)
    (line,) = ended.err.splitlines()
    return line


def test_what_cannot_be_restored_is_one_line(run: Run, tmp_path: Path) -> None:
    where = ("--data-dir", tmp_path / "new")
    assert "there is no back-up in" in one_line(run("restore", tmp_path / "none", *where))
    (tmp_path / "a").mkdir()
    folder.describe(Backup(tmp_path / "a", Span(10, 20), box_office=False))
    assert "--to: 'soon' is not a time" in one_line(
        run("restore", tmp_path, "--to", "soon", *where)
    )
    outside = run("restore", tmp_path, "--to", "2030-01-01T00:00Z", *where)
    assert "--to: 2030-01-01T00:00:00Z is in no back-up" in one_line(outside)
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").touch()
    used = run("restore", tmp_path, "--data-dir", tmp_path / "used")
    assert "is not empty; restore into a new folder" in one_line(used)
    assert not (tmp_path / "new").exists()
    assert not list(tmp_path.glob("*.restoring"))


def test_what_cannot_be_backed_up_is_one_line(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("backup", tmp_path / "backups", "--data-dir", tmp_path / "data")
    assert "no address" in one_line(run(*words)) or "waitline up" in one_line(run(*words))
    (tmp_path / "data" / "valkey-cluster").mkdir(parents=True)
    assert "is in a cluster, which this cannot back up" in one_line(run(*words))
    monkeypatch.setenv("WAITLINE_VALKEY_URL", "redis://127.0.0.1:1")
    assert "back up your own servers" in one_line(run(*words))
    assert not list((tmp_path / "backups").iterdir())


def test_the_line_alone_is_backed_up_once_and_restored(
    run: Run, running: Server, short: Path
) -> None:
    running.wait(running.command("SET", "wl:mode", "trial"))
    (short / "valkey.url").write_text(running.url)
    (short / "keys").mkdir()
    (short / "keys" / "keys.json").write_text("the keys")
    made = run("backup", short / "backups", "--once", "--json", "--data-dir", short)
    assert made.code == 0, made.err
    restored = run("restore", short / "backups", "--data-dir", short / "new", "--json")
    assert restored.code == 0, restored.err
    assert json.loads(restored.out)["restoredTo"] == json.loads(made.out)["last"]
    kept = short / "new" / "keys" / "keys.json"
    assert kept.read_text() == "the keys"
    assert kept.stat().st_mode & 0o077 == 0, "nobody else may read them"
