"""Metric files: each process of a service writes a snapshot; the scraped one adds them up.

A process has a slot, which it holds by a lock on a file. When it ends, in whatever way, the process
that takes its place takes the lowest free slot, and continues its counts. So counters do not fall
when a worker dies, and there are never more files than processes.

A snapshot is a whole file, written beside and renamed. Nothing is mapped into memory: a file that
is truncated, or a full disk, would end a process that writes to a mapping (SIGBUS), and here costs
one snapshot (decision 0022).
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from waitline.kernel.instruments import Instruments, Snapshot

SLOTS_MAX = 1_024
"""Slots of a role in a folder: four times the most workers of a service."""

FILE_BYTES_MAX = 16 * 1024**2
"""Longest snapshot that is read; a worker's has some 50 kB, an admitter's with `ROOMS_TIMED_MAX`
rooms 200 kB. Longer files are rejected."""

STALE_S = 10.0
"""Age above which the snapshot of a live process is stale: ten writes were missed."""

_decode = msgspec.json.Decoder(Snapshot)


class ReadSnapshot(NamedTuple):
    """The snapshot of one process, as read.

    Attributes:
        name: The role and slot of the process.
        snapshot: What it counted; `None` if the file could not be used.
        alive: Whether the process runs.
        stale: Whether it runs and has not written for `STALE_S`.
        failure: Why the file could not be used; empty if it could.
    """

    name: str
    snapshot: Snapshot | None
    alive: bool
    stale: bool
    failure: str


class MetricFile:
    """The snapshot file of this process.

    Args:
        folder: Folder of the service's metrics.
        role: What this process is; processes of one role continue each other's counts.
        instruments: Its instruments.
    """

    def __init__(self, folder: Path, role: str, instruments: Instruments) -> None:
        self.folder = folder
        self._role = role
        self._instruments = instruments
        self._lock: int | None = None
        self.name = ""

    def encode(self) -> bytes:
        """Return the current snapshot."""
        return msgspec.json.encode(self._instruments.snapshot())

    def claim(self) -> None:
        """Take the lowest free slot, unless one is held, and continue its counts.

        Raises:
            OSError: The folder cannot be used.
        """
        resumes = self._lock is None
        if self._lock is not None:
            if os.fstat(self._lock).st_nlink:
                return
            # The folder was deleted: the lock protects nothing, and the counts are in memory.
            os.close(self._lock)
            self._lock = None
        self.folder.mkdir(parents=True, exist_ok=True)
        for slot in range(SLOTS_MAX):
            name = f"{self._role}-{slot}"
            lock = os.open(self.folder / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(lock)
                continue
            self._lock, self.name = lock, name
            if resumes:
                # A damaged file costs the counts of the process that ended.
                with suppress(OSError, ValueError):
                    self._instruments.resume(_load(self.folder / f"{name}.json"))
            return
        raise OSError(f"no slot is free in {self.folder}")

    def write(self, encoded: bytes) -> None:
        """Replace the file by a snapshot.

        Raises:
            OSError: The disk is full, the folder has gone, or no file can be opened.
        """
        assert self.name
        self.folder.mkdir(parents=True, exist_ok=True)
        draft = self.folder / f".{self.name}.json"
        draft.write_bytes(encoded)
        draft.replace(self.folder / f"{self.name}.json")


def forget(folder: Path, role: str) -> None:
    """Delete the snapshots of a role's processes that have ended: its counts begin at zero."""
    for path in folder.glob(f"{role}-*.json"):
        if not _is_locked(path.with_suffix(".lock")):
            with suppress(OSError):
                path.unlink()


def read_all(folder: Path, now_s: float) -> Iterator[ReadSnapshot]:
    """Read the snapshots of all processes; an unusable file loses only its own figures.

    Args:
        folder: Folder of the service's metrics.
        now_s: The present time, in s since the Unix epoch.

    Raises:
        OSError: The folder cannot be listed.
    """
    for name in sorted(os.listdir(folder)):  # noqa: PTH208 - iterdir hides a missing folder
        if not name.endswith(".json") or name.startswith("."):
            continue
        path = folder / name
        alive = _is_locked(path.with_suffix(".lock"))
        try:
            snapshot = _load(path)
            # A clock that is set back makes files fresh, not stale.
            stale = alive and now_s - path.stat().st_mtime > STALE_S
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            yield ReadSnapshot(path.stem, None, alive, alive, f"{name}: {error}")
        else:
            yield ReadSnapshot(path.stem, snapshot, alive, stale, "")


def _load(path: Path) -> Snapshot:
    """Load a snapshot.

    Raises:
        OSError: It cannot be read.
        ValueError: It is damaged.
    """
    with path.open("rb") as file:
        text = file.read(FILE_BYTES_MAX + 1)
    if len(text) > FILE_BYTES_MAX:
        raise ValueError("too long for a snapshot")
    return _decode.decode(text)


def _is_locked(path: Path) -> bool:
    """Return whether a live process holds a lock; if that cannot be determined, it is alive."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False
