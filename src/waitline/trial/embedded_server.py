"""What the embedded servers share: locks, errors, and waiting for a server to come up."""

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

# Seconds between two looks at a starting server: it takes about 30 ms, and each look is cheap.
_LOOK_S = 0.01


class StartError(WaitlineError):
    """The server did not come up; the message is one line for whoever typed the command."""


class FolderInUseError(StartError):
    """Somebody else's server has this folder."""


def open_lock(path: Path) -> int:
    """Open a lock's file for this user alone, making it if missing."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def locked(lock: int) -> bool:
    """Whether the lock is ours, now or already."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def holders(lock: int, binary_name: str) -> list[int]:
    """Return the processes of that executable which have the lock's file open.

    The open file, not a recorded id, is what identifies them: ids are used again. Without a
    /proc nobody is found, and the folder stays refused.
    """
    wanted = os.fstat(lock)
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        # Others' processes are closed to us, and any of them may vanish while we look.
        with suppress(OSError):
            executable = process.joinpath("exe").readlink().name.removesuffix(" (deleted)")
            if executable == binary_name and any(
                os.path.samestat(fd.stat(), wanted) for fd in process.joinpath("fd").iterdir()
            ):
                found.append(int(process.name))
    return found


def until(condition: Callable[[], bool], patience_s: float) -> bool:
    """Look until the condition holds or patience ends, and return whether it held."""
    deadline = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK_S)  # noqa: TID251 - starting is no request: nobody else waits here
    return True


def last_line(path: Path, offset: int) -> str:
    """Return the last words of a log since an offset in bytes; empty if there are none."""
    with path.open("rb") as log:
        log.seek(offset)
        lines = log.read().decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
