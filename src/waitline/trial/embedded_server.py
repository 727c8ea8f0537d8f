"""What the embedded servers share: the folder's lock, start errors, the wait for readiness."""

import fcntl
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from waitline.kernel.errors import WaitlineError

# Bytes of a socket's path without the closing zero, where the system allows least: macOS has
# 104 with it, Linux 108. Source: unix(7), unix(4). A longer path cannot be bound at all.
SOCKET_PATH_BYTES_MAX = 103

# Seconds between two readiness checks of a starting server, which takes about 30 ms.
_POLL_S = 0.01


class StartError(WaitlineError):
    """The server did not start; the message is one line for the operator."""


class FolderInUseError(StartError):
    """Another process uses this data folder."""


def open_lock(path: Path) -> int:
    """Open a lock file, created for this user alone if missing."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def locked(lock: int) -> bool:
    """Take the lock unless another process has it; return whether it is ours."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def holders(lock: int, binary_name: str) -> list[int]:
    """Return the processes of that executable which have the lock's file open.

    The open file identifies them, not a recorded process id: ids are reused. Without /proc none is
    found, and the folder stays refused.
    """
    wanted = os.fstat(lock)
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        # Processes of other users are closed to us, and any may exit meanwhile.
        with suppress(OSError):
            executable = process.joinpath("exe").readlink().name.removesuffix(" (deleted)")
            if executable == binary_name and any(
                os.path.samestat(fd.stat(), wanted) for fd in process.joinpath("fd").iterdir()
            ):
                found.append(int(process.name))
    return found


def until(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Poll until the condition holds or the timeout is over; return whether it held."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)  # noqa: TID251 - no event loop runs here
    return True


def last_line(path: Path, offset: int) -> str:
    """Return the last line of a log after an offset in bytes; empty if there is none."""
    with path.open("rb") as log:
        log.seek(offset)
        lines = log.read().decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
