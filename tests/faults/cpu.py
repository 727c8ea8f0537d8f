"""CPU quotas for processes, by control groups (version 1)."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup/cpu")

_PERIOD_US = 100_000


@contextmanager
def limited(pids: Sequence[int], percent: int) -> Iterator[None]:
    """Let processes have so much of one processor together."""
    group = _GROUPS / f"waitline-test-{os.getpid()}"
    group.mkdir()
    (group / "cpu.cfs_period_us").write_text(str(_PERIOD_US))
    (group / "cpu.cfs_quota_us").write_text(str(_PERIOD_US * percent // 100))
    _move(pids, group)
    try:
        yield
    finally:
        _move([int(pid) for pid in (group / "cgroup.procs").read_text().split()], _GROUPS)
        group.rmdir()


def _move(pids: Sequence[int], group: Path) -> None:
    for pid in pids:
        # It may have ended.
        with suppress(ProcessLookupError):
            (group / "cgroup.procs").write_text(str(pid))
