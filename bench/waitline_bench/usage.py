"""CPU time, memory and open files of processes, by role."""

import os
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import NamedTuple

from waitline.trial import processes

Roles = Mapping[str, Sequence[int]]
"""Process ids by role."""


class Reading(NamedTuple):
    """CPU time used up to an instant.

    Attributes:
        at_s: Time of the monotonic clock.
        roles_s: CPU time by role.
        machine_s: CPU time of the whole machine, inside and outside this container.
        stolen_s: Steal: CPU time taken by other virtual machines.
    """

    at_s: float
    roles_s: dict[str, float]
    machine_s: float
    stolen_s: float


def take_reading(roles: Roles) -> Reading:
    """Sample the CPU time of all processes; ended ones count as 0."""
    machine_s, stolen_s = processes.machine_times()
    return Reading(
        at_s=monotonic(),
        roles_s={role: sum(map(_cpu_s, pids)) for role, pids in roles.items()},
        machine_s=machine_s,
        stolen_s=stolen_s,
    )


def cores_between(first: Reading, last: Reading) -> dict[str, float]:
    """Return the busy cores by role.

    `others` are other processes of this machine, `stolen` other virtual machines.
    """
    took_s = last.at_s - first.at_s
    cores = {role: (last.roles_s[role] - used_s) / took_s for role, used_s in first.roles_s.items()}
    cores["others"] = max(0.0, (last.machine_s - first.machine_s) / took_s - sum(cores.values()))
    cores["stolen"] = (last.stolen_s - first.stolen_s) / took_s
    return cores


def cores() -> int:
    """Return the number of cores."""
    return os.cpu_count() or 1


def memory_bytes(pids: Sequence[int]) -> int:
    """Return the private memory of these processes."""
    return sum(map(processes.memory_bytes, pids))


def open_files(pids: Sequence[int]) -> int:
    """Return the number of open files and sockets of these processes."""
    return sum(map(processes.open_files, pids))


def _cpu_s(pid: int) -> float:
    try:
        return processes.cpu_s(pid)
    except ProcessLookupError:
        return 0.0
