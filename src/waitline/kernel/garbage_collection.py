"""Run the cyclic garbage collector on a timer: generation 0 every 250 ms, full when quiet.

By default, Python collects when the number of objects has grown by a threshold. Connections that
come and go keep that number low while the older generations grow: a worker with 15 000 connections,
a thousand new ones each second, paused for up to 275 ms (measured). A timer bounds each pause.
Nearly everything is freed by its reference count; three minutes of a sale left no cycles (decision
0016).
"""

import asyncio
import gc
import random
import time
from collections.abc import Callable
from typing import Never

from waitline.kernel.periodic import periodic

NEW_S = 0.25
"""Interval of collecting generation 0, in s. At a thousand new connections a second, of some twenty
objects each, a collection takes 4 ms."""

QUIET = 0.05
"""Share of a core below which a process is quiet."""

ALL_S = 60.0
"""Shortest interval of full collections in a quiet process, in s."""

MOST_S = 3_600.0
"""Longest interval of full collections in a busy process, in s: it bounds the memory that cycles
can hold. With 15 000 connections a full collection takes some 50 ms."""


def settle() -> None:
    """Exclude the present objects from collection, and leave collecting to `keep`.

    Some two thousand of them are cycles that importing left. They stay: to find them would take a
    tenth of the CPU time of a worker's start.
    """
    gc.freeze()
    gc.disable()


async def keep(used_s: Callable[[], float] = time.process_time) -> Never:
    """Collect until cancelled.

    Args:
        used_s: CPU time that the process has used.
    """
    await periodic("garbage_collection", _Rounds(used_s).collect, NEW_S)


class _Rounds:
    def __init__(self, used_s: Callable[[], float]) -> None:
        self._used_s = used_s
        self._now_s = asyncio.get_running_loop().time
        # Jitter: processes that were started together should not pause together.
        self._most_s = random.uniform(MOST_S / 2, MOST_S)  # noqa: S311 - no secret
        self._full_s = self._now_s()
        self._used_before_s = used_s()

    async def collect(self) -> None:
        quiet = self._used_s() - self._used_before_s < QUIET * NEW_S
        if self._now_s() - self._full_s > (ALL_S if quiet else self._most_s):
            gc.collect()
            self._full_s = self._now_s()
        else:
            gc.collect(0)
        self._used_before_s = self._used_s()
