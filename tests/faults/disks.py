"""Small disks of a test's own (tmpfs), which can be filled."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.faults.network import run

PIECE = b"\0" * 65_536


@contextmanager
def mounted(folder: Path, size_mb: int) -> Iterator[None]:
    """Mount an empty disk on a folder."""
    folder.mkdir(mode=0o700)
    run("mount", "-t", "tmpfs", "-o", f"size={size_mb}m,mode=0700", "waitline-test", folder)
    try:
        yield
    finally:
        # At once, whatever still has a file open here.
        run("umount", "--lazy", folder)


@contextmanager
def full(folder: Path) -> Iterator[None]:
    """Fill the disk of a folder to the last byte."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(PIECE)
    try:
        yield
    finally:
        filler.unlink()
