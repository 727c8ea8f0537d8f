"""Processor time and memory of a measurement, by what the processes do."""

import os
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import NamedTuple

from waitline.trial import processes

Roles = Mapping[str, Sequence[int]]
"""Process ids by what they do."""


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


def take_reading(roles: Roles) -> Reading:
    """Read the processor time of all processes; those that have ended count as nothing."""
    machine_s, stolen_s = processes.machine_times()
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
    """Return the memory that these processes have for themselves alone."""
    return sum(map(processes.memory_bytes, pids))


def open_files(pids: Sequence[int]) -> int:
    """Return how many files and sockets these processes have open."""
    return sum(map(processes.open_files, pids))


def _cpu_s(pid: int) -> float:
    try:
        return processes.cpu_s(pid)
    except ProcessLookupError:
        return 0.0
