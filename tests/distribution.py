"""Work-stealing scheduler with affinity, for pytest-xdist: a worker keeps to a folder.

Tests of a folder share running installations, and so do some folders (`OFFICES`). Each worker that
runs one of them starts its own, and runs it to the end. So a worker takes the files of one folder,
then of those that share the same, first of one that no other has begun, and only then helps others.
What takes longest begins first, or one worker would run it alone at the end.
"""

from collections.abc import Container, Iterable
from pathlib import PurePath

from typing_extensions import override
from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

LONGEST_FIRST = (
    "faults", "browser", "booking_web", "bench", "model", "web", "store", "booking", "cli", "race",
    "payments",
)  # fmt: skip
"""Folders by the time that they take, as `--durations` shows it; the others take less. Of the first
four, with which the workers begin, only two use the shared installations."""

OFFICES = frozenset(("booking_web", "browser", "edge", "journey", "web"))
"""Folders whose tests use the shared installations of `conftest.py`. An idle one takes 5 % of a
processor, and its start 9 s of one."""


class ByFolder(LoadFileScheduling):  # type: ignore[misc]  # its library has no types
    """Distributes whole files."""

    @override
    def _assign_work_unit(self, node: object) -> None:
        begun = {folder_of(file) for files in self.assigned_work.values() for file in files}
        latest = [folder_of(file) for file in self.assigned_work[node]][-1:]
        chosen = next_file(self.workqueue, latest[0] if latest else None, begun)
        self.workqueue.move_to_end(chosen, last=False)
        super()._assign_work_unit(node)


def next_file(files: Iterable[str], own: str | None, begun: Container[str]) -> str:
    """Return the file that a worker runs next.

    Args:
        files: The files that no worker has.
        own: Folder of the worker's last file; `None` at the beginning.
        begun: Folders of the files that any worker has had.
    """

    def cost(file: str) -> tuple[bool, bool, bool, int]:
        folder = folder_of(file)
        shares = own is None or (folder in OFFICES) == (own in OFFICES)
        known = folder in LONGEST_FIRST
        rank = LONGEST_FIRST.index(folder) if known else len(LONGEST_FIRST)
        return folder != own, not shares, folder in begun, rank

    return min(files, key=cost)


def folder_of(file: str) -> str:
    return PurePath(file).parent.name
