"""Copy of the box office, by PostgreSQL's own tools: a base back-up, and the stream of its log.

Source:
    PostgreSQL's documentation, "Continuous Archiving and Point-in-Time Recovery (PITR)".
"""

import asyncio
import shutil
from asyncio.subprocess import DEVNULL, PIPE, Process
from pathlib import Path
from shlex import quote
from urllib.parse import parse_qs, urlsplit

from waitline.kernel.errors import WaitlineError
from waitline.trial.backup.folder import BackupEnded, iso
from waitline.trial.embedded_server import last_error
from waitline.trial.postgres_server import PostgresServer, embedded_binaries

RECEIVED_S = 30.0
"""Timeout, in s, until the copy has what was committed: a disk that hangs for longer is a fault."""

POLL_S = 0.1
RECOVER_S = 1_800.0
"""Timeout of playing the log at a restore, in s: it plays some 20 MB a second."""

END_S = 5.0
"""Timeout of ending the stream, in s."""


class DatabaseCopy:
    """Follows the log of a running server.

    Args:
        url: Its address: a socket's folder.
        into: Folder of the copy; created.
    """

    def __init__(self, url: str, into: Path) -> None:
        self._into = into
        self._where = ("--host", parse_qs(urlsplit(url).query)["host"][0], "--username=waitline")
        self._binaries = embedded_binaries()
        self._receiver: Process | None = None

    async def begin(self) -> None:
        """Begin to receive the log, then make a base back-up.

        Raises:
            BackupEnded: One of the tools failed.
        """
        (self._into / "wal").mkdir(mode=0o700, parents=True)
        self._receiver = await self._tool(
            "pg_receivewal", "--directory", str(self._into / "wal"), "--synchronous", "--no-loop"
        )
        base = ("--pgdata", str(self._into / "base"), "--wal-method=stream", "--checkpoint=fast")
        copied = await self._tool("pg_basebackup", *base)
        _, said = await copied.communicate()
        if copied.returncode != 0:
            raise BackupEnded(f"the database cannot be copied: {last_error(said.decode())}")

    async def mark(self) -> None:
        """Commit a mark, and wait until the copy has it, and with it all that came before.

        A restore to a point in time needs a commit after that point.

        Raises:
            BackupEnded: The stream has ended, or the mark did not arrive in time.
        """
        position = await self._ask("SELECT pg_logical_emit_message(true, 'waitline', 'back-up')")
        arrived = (
            "SELECT count(*) FROM pg_stat_replication "  # noqa: S608 - the server's own number
            f"WHERE application_name = 'pg_receivewal' AND flush_lsn >= '{position}'"
        )
        assert self._receiver is not None, "not begun"
        try:
            async with asyncio.timeout(RECEIVED_S):
                while await self._ask(arrived) == "0":
                    if self._receiver.returncode is not None:
                        _, said = await self._receiver.communicate()
                        raise BackupEnded(f"the database's log ended: {last_error(said.decode())}")
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise BackupEnded("the database's log did not arrive in time") from None

    async def close(self) -> None:
        """Stop receiving."""
        if self._receiver is None or self._receiver.returncode is not None:
            return
        self._receiver.terminate()
        try:
            async with asyncio.timeout(END_S):
                await self._receiver.communicate()
        except TimeoutError:
            self._receiver.kill()
            await self._receiver.wait()

    async def _tool(self, name: str, *words: str) -> Process:
        program = str(self._binaries / name)
        return await asyncio.create_subprocess_exec(
            program, *self._where, *words, stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE
        )

    async def _ask(self, statement: str) -> str:
        words = ("--no-psqlrc", "--quiet", "--tuples-only", "--dbname=waitline")
        psql = await asyncio.create_subprocess_exec(
            str(self._binaries / "psql"), *self._where, *words, "--command", statement,
            stdin=DEVNULL, stdout=PIPE, stderr=PIPE,
        )  # fmt: skip
        out, said = await psql.communicate()
        if psql.returncode != 0:
            raise BackupEnded(f"the database does not answer: {last_error(said.decode())}")
        return out.decode().strip()


def restored(copied: Path, folder: Path, at_s: int) -> PostgresServer:
    """Make the data folder of a server from a copy, and play the log to the end of a second.

    Args:
        copied: The copy.
        folder: The server's folder; created.
        at_s: The second, in s since the epoch.

    Returns:
        The server, which runs.

    Raises:
        WaitlineError: The log cannot be played.
    """
    folder.mkdir(mode=0o700, parents=True)
    data = folder / "data"
    shutil.copytree(copied / "base", data)
    data.chmod(0o700)
    (data / "recovery.signal").touch()
    # A percent sign is special in the command.
    wal = str(copied.absolute() / "wal").replace("%", "%%")
    fetch = " || ".join(f"cp {quote(wal)}/%f{end} %p 2>/dev/null" for end in ("", ".partial"))
    recovery = (
        f"restore_command={fetch}",
        f"recovery_target_time={iso(at_s + 1).replace('T', ' ').replace('Z', '+00')}",
        "recovery_target_inclusive=off",
        "recovery_target_action=promote",
        # Nobody is answered before the end.
        "hot_standby=off",
    )
    server = PostgresServer(folder, args=recovery)
    try:
        server.start(RECOVER_S)
    except WaitlineError as error:
        raise WaitlineError(f"the box office cannot be restored: {error}") from None
    return server
