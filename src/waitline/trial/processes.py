"""Process statistics by psutil: CPU time, memory, files, children; and CPU affinity.

Three things are read from /proc instead:
- CPU time in ns (`schedstat`): psutil has a resolution of 10 ms;
- children (`task/*/children`): psutil reads every process of the machine, 2 ms per call, and an
  installation under load is sampled once a second;
- sockets among the open files (`fd`): psutil searches the connections of the whole machine.
"""

import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import psutil

_PROCESSES_MAX = 4_096
"""Process objects in the cache; each saves reading the process's start time at every sample."""


class MachineTimes(NamedTuple):
    """CPU time of the whole machine since it started.

    Attributes:
        busy_s: Time of all processes, inside this container and outside it.
        stolen_s: Steal time: taken by the host for other virtual machines.
    """

    busy_s: float
    stolen_s: float


def machine_times() -> MachineTimes:
    """Return the CPU time of the whole machine."""
    times = psutil.cpu_times()
    # The fields before `steal`; the later ones (guest) are included in user and nice.
    # Source: proc_stat(5).
    return MachineTimes(sum(times[:7]) - times.idle - times.iowait, times.steal)


def cpu_s(pid: int) -> float:
    """Return the CPU time of a process in s, with a resolution of 10 ms.

    Raises:
        ProcessLookupError: It has ended.
    """
    try:
        times = _process(pid).cpu_times()
    except psutil.Error:
        raise ProcessLookupError(pid) from None
    # User and system time of the process itself; the later fields are its children's.
    return float(sum(times[:2]))


def cpu_us(pid: int) -> float:
    """Return the CPU time of a process in us, with the kernel's resolution.

    Raises:
        ProcessLookupError: It has ended.
    """
    total_ns = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            total_ns += int((task / "schedstat").read_text("ascii").split()[0])
        except FileNotFoundError:
            # Either the thread has ended, or the kernel has no schedstat.
            if not Path("/proc/self/schedstat").exists():
                return cpu_s(pid) * 1e6
    return total_ns / 1e3


def memory_bytes(pid: int) -> int:
    """Return the private memory of a process in bytes; 0 if it has ended.

    Source: proc_pid_statm(5): resident pages without those backed by files or shared memory.
    """
    try:
        memory = _process(pid).memory_info()
    except psutil.Error:
        return 0
    return int(memory.rss - memory.shared)


def open_files(pid: int) -> int:
    """Return the number of open files and sockets of a process; 0 if it has ended."""
    try:
        return int(_process(pid).num_fds())
    except psutil.Error:
        return 0


def open_sockets(pid: int) -> int:
    """Return the number of open sockets of a process; 0 if it has ended."""
    try:
        files = list(Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return 0
    return sum(map(_is_socket, files))


def children(pid: int) -> list[int]:
    """Return the child processes that a process has not reaped; none if it has ended."""
    found: list[int] = []
    # Each thread has its own list of children, and may end meanwhile.
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += map(int, listed.read_text("ascii").split())
        except OSError:
            continue
    return found


def command_line(pid: int) -> str:
    """Return the command line of a process; empty if it has ended."""
    try:
        return " ".join(psutil.Process(pid).cmdline())
    except psutil.Error:
        return ""


def set_affinity(pid: int, cores: Sequence[int]) -> None:
    """Restrict a process and all its threads to some cores."""
    for thread in psutil.Process(pid).threads():
        os.sched_setaffinity(thread.id, cores)


@lru_cache(_PROCESSES_MAX)
def _process(pid: int) -> psutil.Process:
    # psutil reads statistics by the id alone, so an object may outlive its process.
    return psutil.Process(pid)


def _is_socket(file: Path) -> bool:
    # The file may have been closed since it was listed.
    try:
        return str(file.readlink()).startswith("socket:")
    except OSError:
        return False
