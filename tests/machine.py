"""Load of the machine during a run, which may explain a missed deadline."""

import operator
import os
from pathlib import Path


class Machine:
    """CPU time since the object was made."""

    def __init__(self) -> None:
        self._ticks = _ticks()

    def described(self) -> str:
        """Say what share of the processors' time was idle, and what the host took, and the load."""
        idle, stolen, everything = map(operator.sub, _ticks(), self._ticks)
        everything = max(everything, 1)
        load = os.getloadavg()[0]
        return (
            f"the machine: {os.cpu_count()} processors, {load:.1f} processes ready to run in the "
            f"last minute, {idle / everything:.0%} of the processors' time idle and "
            f"{stolen / everything:.1%} taken by the host"
        )


def _ticks() -> tuple[int, int, int]:
    """Return the processors' ticks: idle, taken by the host, and all. Source: proc_stat(5)."""
    columns = Path("/proc/stat").read_text("ascii").split("\n", 1)[0].split()[1:9]
    return int(columns[3]) + int(columns[4]), int(columns[7]), sum(map(int, columns))
