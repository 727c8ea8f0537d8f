"""Load of the machine during a run, which may explain a missed deadline."""

import os
from pathlib import Path


class Machine:
    """CPU time since the object was made."""

    def __init__(self) -> None:
        self._stolen, self._all = _ticks()

    def described(self) -> str:
        """Say what share of the processors' time the host took, and the load."""
        stolen, everything = _ticks()
        share = (stolen - self._stolen) / max(everything - self._all, 1)
        load = os.getloadavg()[0]
        return (
            f"the machine: {os.cpu_count()} processors, {load:.1f} processes ready to run in the "
            f"last minute, {share:.1%} of the processors' time taken by the host"
        )


def _ticks() -> tuple[int, int]:
    """Return the ticks that the host took of the processors, and all. Source: proc_stat(5)."""
    columns = Path("/proc/stat").read_text("ascii").split("\n", 1)[0].split()[1:9]
    return int(columns[7]), sum(map(int, columns))
