"""Copy of the line: Valkey's append-only file, followed while it grows (log shipping).

A rewrite of the file begins a new one and removes the earlier ones when it has ended. They are kept
open meanwhile, so their ends are read too: the first base and all that was appended since remain
one unbroken log. A timestamp in the log, once a second, is what a restore stops at.
"""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from waitline.kernel.errors import WaitlineError
from waitline.trial.backup.folder import BackupEnded

MANIFEST = "appendonly.aof.manifest"
CHUNK_BYTES = 1 << 20
"""Bytes copied at once, which bounds memory."""

OPENS_MAX = 10
"""Attempts to open the files while rewrites end; one in a row is likely."""

CHECK_S = 600.0
"""Timeout of cutting the log at a point in time, in s: it reads some 100 MB a second."""

_TOOL = "valkey-check-aof"

_LINE = re.compile(r"file (\S+) seq (\d+) type ([bhi])")
_TIME = re.compile(rb"#TS:(\d+)\r\n")
_TIME_BYTES_MAX = 40
"""Longest timestamp in the log, in bytes, which may be cut by the end of a chunk."""


class _Part(NamedTuple):
    """One file of the log."""

    name: str
    seq: int
    kind: str


class LineCopy:
    """Follows the append-only files of a running server.

    Args:
        source: Their folder.
        into: Folder of the copy; created.
    """

    def __init__(self, source: Path, into: Path) -> None:
        self._source = source
        self._into = into
        self._open: dict[_Part, tuple[int, int]] = {}
        self._last = 0

    def begin(self) -> None:
        """Copy the base and what was appended to it."""
        self._into.mkdir(mode=0o700)
        parts = self._opened()
        bases = [part for part in parts if part.kind == "b"]
        self.copy()
        for part in bases:
            self._drop(part)
        names = [*bases, *(part for part in parts if part.kind == "i")]
        (self._into / MANIFEST).write_text("".join(map(_line, names)), "utf-8")

    def _opened(self) -> list[_Part]:
        """Open the files that the manifest names now."""
        for _ in range(OPENS_MAX):
            parts = self._parts()
            try:
                for part in parts:
                    self._follow(part)
            except FileNotFoundError:
                # A rewrite has just ended; its manifest names the new files.
                self.close()
            else:
                return parts
        raise BackupEnded("the line's log is rewritten again and again")

    def copy(self) -> None:
        """Copy what was appended since the last call, and force it to the disk.

        Raises:
            BackupEnded: The log has a gap, or was cut by a restart of the server.
        """
        try:
            current = {part for part in self._parts() if part.kind == "i"}
            for part in sorted(current, key=lambda one: one.seq):
                if part.seq > self._last:
                    self._add(part)
        except FileNotFoundError:
            # A rewrite has just ended; the next call sees its files.
            current = set(self._open)
        for part in list(self._open):
            self._append(part)
            if part not in current and part.kind == "i":
                self._drop(part)

    def close(self) -> None:
        """Stop following."""
        for part in list(self._open):
            self._drop(part)

    def _parts(self) -> list[_Part]:
        text = (self._source / MANIFEST).read_text("utf-8")
        found = [_Part(name, int(seq), kind) for name, seq, kind in _LINE.findall(text)]
        return [part for part in found if part.kind != "h"]

    def _add(self, part: _Part) -> None:
        if part.seq != self._last + 1:
            raise BackupEnded(
                "the line's log was rewritten twice within a second, which left a gap"
            )
        self._follow(part)
        with (self._into / MANIFEST).open("a", encoding="utf-8") as manifest:
            manifest.write(_line(part))

    def _follow(self, part: _Part) -> None:
        self._open[part] = (os.open(self._source / part.name, os.O_RDONLY | os.O_CLOEXEC), 0)
        if part.kind == "i":
            self._last = max(self._last, part.seq)

    def _append(self, part: _Part) -> None:
        file, done = self._open[part]
        if os.fstat(file).st_size < done:
            raise BackupEnded("Valkey has cut its log, as after a crash")
        with (self._into / part.name).open("ab") as copy:
            while chunk := os.pread(file, CHUNK_BYTES, done):
                copy.write(chunk)
                done += len(chunk)
            copy.flush()
            os.fsync(copy.fileno())
        self._open[part] = (file, done)

    def _drop(self, part: _Part) -> None:
        file, _ = self._open.pop(part)
        os.close(file)


def restore(copied: Path, into: Path, at_s: int, binary: Path) -> None:
    """Make the append-only files of a server from a copy, up to the end of a second.

    Args:
        copied: The copy.
        into: Folder of the server's append-only files; created.
        at_s: The second, in s since the epoch.
        binary: The server, which is its own tool for this.

    Raises:
        WaitlineError: The tool does not accept the copy.
    """
    into.mkdir(mode=0o700, parents=True)
    parts = [
        _Part(name, int(seq), kind)
        for name, seq, kind in _LINE.findall((copied / MANIFEST).read_text("utf-8"))
    ]
    used, later = [], False
    for part in parts:
        if later or (part.kind == "i" and _begins_after(copied / part.name, at_s)):
            break
        _copy(copied / part.name, into / part.name)
        used.append(part)
        later = part.kind == "i" and any(time > at_s for time in _times(copied / part.name))
    (into / MANIFEST).write_text("".join(map(_line, used)), "utf-8")
    if not later:
        return
    # The server is this tool, too, when it is called by its name. It is given the last file alone:
    # of Valkey 9.1 it takes the base for damaged, whose signature is newer than the tool.
    done = subprocess.run(  # noqa: S603 - our own binary
        [_TOOL, "--truncate-to-timestamp", str(at_s), str(into / used[-1].name)],
        executable=binary,
        capture_output=True,
        text=True,
        check=False,
        timeout=CHECK_S,
    )
    if done.returncode != 0:
        said = " ".join((done.stdout + done.stderr).split())
        raise WaitlineError(f"the line cannot be restored: {said or 'no reason'}")


def _copy(source: Path, into: Path) -> None:
    with source.open("rb") as file, into.open("wb") as copy:
        while chunk := file.read(CHUNK_BYTES):
            copy.write(chunk)


def _begins_after(path: Path, at_s: int) -> bool:
    """Return whether a log begins with a timestamp after a second, so that nothing of it is used.

    The tool refuses to cut such a file.
    """
    with path.open("rb") as file:
        first = _TIME.match(file.read(_TIME_BYTES_MAX))
    return first is not None and int(first[1]) > at_s


def _times(path: Path) -> Iterator[int]:
    """Yield the timestamps of a log. Texts in it have no line ends, so none looks like one."""
    rest = b""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            chunk = rest + chunk
            yield from (int(found) for found in _TIME.findall(chunk))
            rest = chunk[-_TIME_BYTES_MAX:]


def _line(part: _Part) -> str:
    return f"file {part.name} seq {part.seq} type {part.kind}\n"
