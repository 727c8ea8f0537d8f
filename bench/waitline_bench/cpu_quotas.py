"""CPU bandwidth control: a cgroup with a CPU quota for each group of processes.

Gives processes on one machine the CPU time of a smaller machine each, so that they are the limit of
a measurement, and not the cores that they share. Needs root and the cgroup controller `cpu`, of
cgroup v1 or v2. Source: https://docs.kernel.org/scheduler/sched-bwc.html.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from waitline.kernel.errors import Misconfigured

PERIOD_US = 10_000
"""Period of the quotas. Processes that have used up their quota stop until the next period, so a
period bounds the pauses, which are part of the latency: with the kernel's default of 100 ms, one
pause would be most of the p99. Shorter periods make no shorter pauses: the kernel detects that a
quota is used up at a timer tick, every 4 ms where CONFIG_HZ is 250, and deducts the excess from the
next periods."""

SHARE_LEAST = 0.1
"""Least quota, as a share of a core: the kernel accepts no quota below 1 ms."""

_PREFIX = "waitline-bench-"


class Throttling(NamedTuple):
    """What a quota did.

    Attributes:
        periods: Periods in which the group ran.
        throttled: Those in which it used up its quota.
    """

    periods: int
    throttled: int


class CpuQuotas:
    """Groups of processes with a CPU quota each. They are removed at the end.

    Args:
        root: Folder of the controller; by default where it is mounted.

    Raises:
        Misconfigured: The controller is missing, or this user may not make groups.
    """

    def __init__(self, root: Path | None = None) -> None:
        self._root = root or mounted(Path("/proc/self/mounts").read_text("utf-8"))
        # The unified hierarchy (v2) has one file for quota and period.
        self._unified = (self._root / "cgroup.controllers").exists()
        self._prefix = f"{_PREFIX}{os.getpid()}-"
        self._remove_left_over()

    def __enter__(self) -> Self:
        """Check that groups can be made."""
        try:
            self._make("probe").rmdir()
        except OSError as error:
            raise Misconfigured(
                f"CPU quotas cannot be set in {self._root} ({error.strerror}): run this as root, "
                "on a machine or in a container that may write there"
            ) from None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove the groups; processes still in one continue without a quota."""
        for group in self._root.glob(f"{self._prefix}*"):
            self._remove(group)

    def limit(self, name: str, pids: Iterable[int], share: float) -> None:
        """Put processes, with all their threads and later children, into a group.

        Args:
            name: Name of the group.
            pids: Process ids.
            share: CPU time of all of them together, as a share of a core.
        """
        assert share >= SHARE_LEAST, "the kernel accepts no quota below 1 ms"
        group, quota_us = self._make(name), round(share * PERIOD_US)
        if self._unified:
            (group / "cpu.max").write_text(f"{quota_us} {PERIOD_US}", "ascii")
        else:
            (group / "cpu.cfs_period_us").write_text(str(PERIOD_US), "ascii")
            (group / "cpu.cfs_quota_us").write_text(str(quota_us), "ascii")
        for pid in pids:
            (group / "cgroup.procs").write_text(str(pid), "ascii")

    def lift(self, name: str) -> None:
        """Remove a group; its processes continue without a quota."""
        self._remove(self._root / (self._prefix + name))

    def throttling(self, name: str) -> Throttling:
        """Return what the quota of a group has done so far."""
        lines = (self._root / (self._prefix + name) / "cpu.stat").read_text("ascii").splitlines()
        stat = dict(line.split() for line in lines)
        return Throttling(int(stat["nr_periods"]), int(stat["nr_throttled"]))

    def _make(self, name: str) -> Path:
        group = self._root / (self._prefix + name)
        group.mkdir(exist_ok=True)
        return group

    def _remove(self, group: Path) -> None:
        # A group with processes cannot be removed. Those that have just ended may still be listed.
        for pid in (group / "cgroup.procs").read_text("ascii").split():
            with suppress(ProcessLookupError):
                (self._root / "cgroup.procs").write_text(pid, "ascii")
        group.rmdir()

    def _remove_left_over(self) -> None:
        """Remove the groups of commands that were killed."""
        for group in self._root.glob(f"{_PREFIX}*"):
            owner = group.name.removeprefix(_PREFIX).partition("-")[0]
            if not Path(f"/proc/{owner}").exists():
                # Not ours to end: processes that a killed command left may still run in it.
                with suppress(OSError):
                    group.rmdir()


def mounted(mounts: str) -> Path:
    """Return the folder of the controller `cpu`.

    Args:
        mounts: Content of /proc/self/mounts.

    Raises:
        Misconfigured: It is not mounted.
    """
    for folder, kind, options in _cgroups(mounts):
        if kind == "cgroup" and "cpu" in options.split(","):
            return folder
        enabled = folder / "cgroup.subtree_control"
        if kind == "cgroup2" and enabled.exists() and "cpu" in enabled.read_text("ascii").split():
            return folder
    raise Misconfigured(
        "CPU quotas need the cgroup controller cpu, which is not mounted here: on a machine with "
        "cgroup v1, run mount -t cgroup -o cpu cpu /sys/fs/cgroup/cpu; with cgroup v2, "
        "echo +cpu > /sys/fs/cgroup/cgroup.subtree_control"
    )


def _cgroups(mounts: str) -> Iterator[tuple[Path, str, str]]:
    for line in mounts.splitlines():
        _, folder, kind, options, *_ = line.split()
        if kind in ("cgroup", "cgroup2"):
            yield Path(folder), kind, options
