"""Slow disk: a cgroup in which a process gets few writes per second from the block device.

Needs root and the cgroup controller `blkio` of cgroup v1. It limits what a process forces to the
disk itself, as an append-only file with `appendfsync always` does. Source:
https://docs.kernel.org/admin-guide/cgroup-v1/blkio-controller.html.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from waitline.kernel.errors import Misconfigured

_GROUPS = Path("/sys/fs/cgroup/blkio")


@contextmanager
def slow_disk(pid: int, folder: Path, writes_per_s: int) -> Iterator[None]:
    """Let a process force so many writes per second to the disk of a folder.

    Raises:
        Misconfigured: The controller is missing, or this user may not make groups.
    """
    device = folder.stat().st_dev
    group = _GROUPS / f"waitline-bench-{os.getpid()}"
    limit = f"{os.major(device)}:{os.minor(device)} {writes_per_s}"
    try:
        group.mkdir()
        (group / "blkio.throttle.write_iops_device").write_text(limit)
        (group / "cgroup.procs").write_text(str(pid))
    except OSError as error:
        with suppress(OSError):
            group.rmdir()
        raise Misconfigured(
            f"a slow disk needs root and the cgroup controller blkio, version 1: {error}"
        ) from None
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            (_GROUPS / "cgroup.procs").write_text(str(pid))
        group.rmdir()
