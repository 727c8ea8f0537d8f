"""Back-up folders: one for each run of `waitline backup`, named by the time of its start."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from waitline.kernel.errors import Misconfigured, WaitlineError

_FILE = "backup.json"
_VERSION = 1


class BackupEnded(WaitlineError):  # noqa: N818 - reads as the outcome it is
    """The back-up cannot continue; what it has so far can be restored."""


class Span(NamedTuple):
    """The points in time to which a back-up can restore, in s since the epoch, both included."""

    first_s: int
    last_s: int


class Backup(NamedTuple):
    """A back-up that can be restored.

    Attributes:
        folder: Its folder.
        span: When it can restore to.
        box_office: Whether it has a box office.
    """

    folder: Path
    span: Span
    box_office: bool

    @property
    def line(self) -> Path:
        """Folder of the line's append-only files."""
        return self.folder / "line"

    @property
    def postgres(self) -> Path:
        """Folder of the box office: `base` and `wal`."""
        return self.folder / "postgres"


def new_folder(parent: Path, now_s: int) -> Path:
    """Create the folder of a back-up that begins now, for this user only."""
    folder = parent / f"{datetime.fromtimestamp(now_s, UTC):%Y%m%dT%H%M%SZ}"
    folder.mkdir(mode=0o700, parents=True)
    return folder


def describe(backup: Backup) -> None:
    """Write down to which points in time a back-up can restore; atomic."""
    document = {"version": _VERSION, "boxOffice": backup.box_office, **backup.span._asdict()}
    draft = backup.folder / f".{_FILE}"
    with draft.open("w", encoding="utf-8") as file:
        json.dump(document, file)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(backup.folder / _FILE)


def chosen(parent: Path, at_s: int | None) -> tuple[Backup, int]:
    """Return the back-up for a point in time, and that time, by default the latest possible.

    Args:
        parent: Folder with back-ups, or one of them.
        at_s: Point in time, in s since the epoch; `None` for the latest.

    Raises:
        Misconfigured: There is no back-up, or none of that time.
    """
    folders = [parent, *sorted(path for path in parent.glob("*") if path.is_dir())]
    found = [_load(folder) for folder in folders if (folder / _FILE).exists()]
    if not found:
        raise Misconfigured(
            f"FOLDER: there is no back-up in {parent}; `waitline backup {parent}` makes one"
        )
    if at_s is None:
        latest = max(found, key=lambda one: one.span.last_s)
        return latest, latest.span.last_s
    # The latest one has the shortest log to play.
    for one in reversed(found):
        if one.span.first_s <= at_s <= one.span.last_s:
            return one, at_s
    spans = ", ".join(f"{iso(one.span.first_s)} to {iso(one.span.last_s)}" for one in found)
    raise Misconfigured(f"--to: {iso(at_s)} is in no back-up; they have {spans}")


def iso(at_s: int) -> str:
    """Return a second in ISO 8601, in UTC."""
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _load(folder: Path) -> Backup:
    stored = json.loads((folder / _FILE).read_text("utf-8"))
    if stored["version"] != _VERSION:
        raise Misconfigured(
            f"FOLDER: {folder} was made by another version of waitline; restore it with that one"
        )
    return Backup(folder, Span(stored["first_s"], stored["last_s"]), stored["boxOffice"])
