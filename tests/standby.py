"""A PostgreSQL primary with a standby in streaming replication."""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg
import psutil

from tests.until import until_async
from waitline.trial import PostgresServer
from waitline.trial.postgres_server import embedded_binaries

SOON_S = 20.0

_REPLICATION = ("wal_level=replica", "max_wal_senders=4", "hot_standby=on")


class Pair:
    """Both servers.

    Attributes:
        primary: The primary of the beginning.
        standby: Its standby.
        url: Address that names both, the primary first.
    """

    def __init__(self, primary: PostgresServer, standby: PostgresServer) -> None:
        self.primary = primary
        self.standby = standby
        self.url = f"postgresql://waitline@/waitline?host={_socket(primary)},{_socket(standby)}"
        self.reversed_url = (
            f"postgresql://waitline@/waitline?host={_socket(standby)},{_socket(primary)}"
        )

    async def caught_up(self) -> None:
        """Wait until the standby has all that the primary has."""
        end = (await sql(self.primary, "SELECT pg_current_wal_lsn()::text AS lsn"))[0]["lsn"]

        async def has_all() -> bool:
            found = await sql(
                self.standby,
                "SELECT coalesce(pg_last_wal_replay_lsn() >= $1::text::pg_lsn, false) AS has",
                end,
            )
            return bool(found[0]["has"])

        await until_async(has_all, SOON_S, "the standby has caught up")

    async def synchronous(self) -> None:
        """Let commits wait for the standby from now on."""
        await sql(self.primary, "ALTER SYSTEM SET synchronous_standby_names = '*'")
        await sql(self.primary, "SELECT pg_reload_conf()")

        async def waited_for() -> bool:
            rows = await sql(self.primary, "SELECT sync_state FROM pg_stat_replication")
            return [row["sync_state"] for row in rows] == ["sync"]

        await until_async(waited_for, SOON_S, "the standby is synchronous")

    async def cut(self) -> None:
        """Let the standby receive nothing from now on."""
        await sql(self.standby, "ALTER SYSTEM SET primary_conninfo = ''")
        await sql(self.standby, "SELECT pg_reload_conf()")

        async def alone() -> bool:
            return not await sql(self.primary, "SELECT FROM pg_stat_replication")

        await until_async(alone, SOON_S, "the standby is cut off")

    @contextmanager
    def halted(self) -> Iterator[None]:
        """Halt the primary meanwhile: it accepts connections, and never answers."""
        leader = psutil.Process(self.primary.pid)
        processes = [leader, *leader.children(recursive=True)]
        for process in processes:
            process.suspend()
        try:
            yield
        finally:
            for process in processes:
                with suppress(psutil.NoSuchProcess):
                    process.resume()

    async def promote(self) -> None:
        """Make the standby the primary."""
        await sql(self.standby, "SELECT pg_promote()")


async def sql(server: PostgresServer, statement: str, *values: object) -> Sequence[Any]:
    """Run any statement on one of them."""
    connection = await asyncpg.connect(server.url, timeout=SOON_S)
    try:
        rows: Sequence[Any] = await connection.fetch(statement, *values)
        return rows
    finally:
        await connection.close()


@contextmanager
def paired(folder: Path, *, connections_max: int = 100) -> Iterator[Pair]:
    """Run a primary and its standby in a folder."""
    primary = PostgresServer(
        folder / "primary", connections_max=connections_max, fsync=False, args=_REPLICATION
    )
    # Replaying, it has to have room for all that the primary had.
    standby = PostgresServer(
        folder / "standby", connections_max=connections_max, fsync=False, args=_REPLICATION
    )
    try:
        primary.start()
        _copy(primary, folder / "standby")
        standby.start()
        yield Pair(primary, standby)
    finally:
        for server in (standby, primary):
            with suppress(ProcessLookupError):
                server.stop()


def _copy(primary: PostgresServer, folder: Path) -> None:
    """Make a standby's data folder from the primary, with what it needs to follow it."""
    folder.mkdir(mode=0o700)
    command = [str(embedded_binaries() / "pg_basebackup"), "--host", _socket(primary)]
    command += ["--username=waitline", "--pgdata", str(folder / "data"), "--checkpoint=fast"]
    command += ["--wal-method=stream", "--write-recovery-conf", "--no-sync"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603 - our own binary
    assert done.returncode == 0, done.stderr
    os.chmod(folder / "data", 0o700)  # noqa: PTH101 - as PostgreSQL demands


def _socket(server: PostgresServer) -> str:
    return parse_qs(urlsplit(server.url).query)["host"][0]
