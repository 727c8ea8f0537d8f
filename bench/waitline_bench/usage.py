"""Processor time and memory of a measurement, by what the processes do."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from waitline.trial import machine

Roles = Mapping[str, Sequence[int]]
"""Process ids by what they do."""

_KIB = 1024


class Reading(NamedTuple):
    """Processor time used until one instant.

    Attributes:
        at_s: When, by the monotonic clock.
        roles_s: By role.
        machine_s: Of everything on the machine, in this container or beside it.
        stolen_s: What other virtual machines took of it.
    """

    at_s: float
    roles_s: dict[str, float]
    machine_s: float
    stolen_s: float


def read(roles: Roles) -> Reading:
    """Read the processor time of all processes; those that have ended count as nothing."""
    machine_s, stolen_s = _machine_s()
    return Reading(
        at_s=monotonic(),
        roles_s={role: sum(map(_cpu_s, pids)) for role, pids in roles.items()},
        machine_s=machine_s,
        stolen_s=stolen_s,
    )


def cores_between(first: Reading, last: Reading) -> dict[str, float]:
    """Return how many cores each role kept busy.

    `others` is what other processes here did, `stolen` what other virtual machines did.
    """
    took_s = last.at_s - first.at_s
    cores = {role: (last.roles_s[role] - used_s) / took_s for role, used_s in first.roles_s.items()}
    cores["others"] = max(0.0, (last.machine_s - first.machine_s) / took_s - sum(cores.values()))
    cores["stolen"] = (last.stolen_s - first.stolen_s) / took_s
    return cores


def cores() -> int:
    """Return how many cores the machine has."""
    return os.cpu_count() or 1


def memory_bytes(pids: Sequence[int]) -> int:
    """Return the memory that is these processes' own; those that have ended have none."""
    return sum(map(_memory_bytes, pids))


def keep_on(pid: int, cores: Sequence[int]) -> None:
    """Keep a process and all its threads on some cores."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), cores)


def open_files(pids: Sequence[int]) -> int:
    """Return how many files and sockets these processes have open; those that ended have none."""
    return sum(map(_open_files, pids))


def open_sockets(pid: int) -> int:
    """Return how many sockets a process has open; none if it has ended."""
    try:
        files = list(Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return 0
    return sum(map(_is_socket, files))


def _open_files(pid: int) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - names alone are enough
    except OSError:
        return 0


def _is_socket(file: Path) -> bool:
    # It may have been closed meanwhile.
    try:
        return str(file.readlink()).startswith("socket:")
    except OSError:
        return False


def _cpu_s(pid: int) -> float:
    try:
        return machine.cpu_s(pid)
    except OSError:
        return 0.0


def _memory_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    except OSError:
        return 0
    sizes = [int(line.split()[1]) for line in lines if line.startswith("RssAnon:")]
    return sum(sizes) * _KIB


def _machine_s() -> tuple[float, float]:
    """Return the processor time of the whole machine that was not idle, and what was stolen.

    Source: proc_stat(5). Of the first eight columns the fourth is idle, the fifth waits for disks,
    the eighth is stolen; the ninth and tenth are in the first two already.
    """
    columns = Path("/proc/stat").read_text("ascii").split("\n", 1)[0].split()[1:9]
    ticks = [int(column) for column in columns]
    per_s = os.sysconf("SC_CLK_TCK")
    return (sum(ticks[:7]) - ticks[3] - ticks[4]) / per_s, ticks[7] / per_s
