"""Whether the machine stood still during a test, so that its failure says nothing of the project.

Services answer 503 when a store is silent for half a second, and patience of a test ends some time.
Where the host takes the processors away for as long, such a test fails. It is run again, and the
summary counts it. On a machine that was there all the time, whatever fails has failed.
"""

import threading
import time
from pathlib import Path

from typing_extensions import override

from waitline.kernel.errors import Unavailable

# Seconds between two beats, and how late one is that tells of a machine that stood still: less than
# any deadline of a service.
BEAT_S = 0.05
STILL_S = 0.25

# Share of the processors' time that the host may take of a test.
STOLEN_MOST = 0.1

# A beat so late, or such a share, may mean that another process stood still for long: a pulse is
# felt on one processor only.
UNEASY_S, UNEASY_STOLEN = 0.02, 0.02

# How often a test is run again.
AGAIN_MOST = 2

# Where a stall may be what brings a fault to light, only the silence of a store is excused.
STRICT = ("race", "model", "faults")


class Pulse(threading.Thread):
    """Feels whether this process is given its turns."""

    def __init__(self) -> None:
        super().__init__(name="pulse", daemon=True)
        self._never = threading.Event()
        self._latest_s = 0.0
        self._stolen = _stolen()

    def begin(self) -> None:
        """Begin to feel anew, for the next test."""
        self._latest_s = 0.0
        self._stolen = _stolen()

    @override
    def run(self) -> None:
        """Beat until the process ends."""
        while True:
            due_s = time.monotonic() + BEAT_S
            self._never.wait(BEAT_S)
            self.note(time.monotonic() - due_s)

    def note(self, late_s: float) -> None:
        """Note how late a beat was."""
        self._latest_s = max(self._latest_s, late_s)

    def stood_still(self) -> bool:
        """Say whether the machine did since `begin`."""
        return self._latest_s > STILL_S or self._stolen_share() > STOLEN_MOST

    def uneasy(self) -> bool:
        """Say whether it may have: enough for a single call to be refused."""
        return self._latest_s > UNEASY_S or self._stolen_share() > UNEASY_STOLEN

    def _stolen_share(self) -> float:
        ticks, all_ticks = (now - then for now, then in zip(_stolen(), self._stolen, strict=True))
        return ticks / max(all_ticks, 1)


def excused(pulse: Pulse, path: Path, error: BaseException | None) -> bool:
    """Say whether a test that failed is to be run again.

    Args:
        pulse: Felt during the test.
        path: Of the test's file.
        error: What it failed with.
    """
    if path.parent.name in STRICT and Unavailable.__name__ not in f"{type(error)} {error}":
        return False
    return pulse.stood_still()


def _stolen() -> tuple[int, int]:
    """Return the ticks that the host took of the processors, and all. Source: proc_stat(5)."""
    columns = Path("/proc/stat").read_text("ascii").split("\n", 1)[0].split()[1:9]
    return int(columns[7]), sum(map(int, columns))


PULSE = Pulse()
"""Of this process; `tests/conftest.py` starts it."""
