"""Looks for forgotten objects that hold each other: often at the new, at all when nobody waits.

Left to itself, Python looks when there are so many more objects than at its last look. Connections
that come and go keep that number low and what there is to look at growing: a worker with 15 000 of
them, a thousand new each second, stood still for up to 275 ms now and then (measured). So a clock
decides here. Nearly everything is freed when it is used for the last time; of three minutes of
a sale nothing was left that is not (decision 0016).
"""

import asyncio
import gc
import random
import time
from collections.abc import Callable
from typing import Never

from waitline.kernel.periodic import periodic

NEW_S = 0.25
"""Between two looks at what is new since the last one: at a thousand new connections a second, of
some twenty objects each, a look takes four milliseconds."""

QUIET = 0.05
"""Share of a core below which a process is quiet."""

ALL_S = 60.0
"""Between two looks at everything by a quiet process, at least."""

MOST_S = 3_600.0
"""The longest that everything goes without a look, however busy the process: a bound for what
could gather. With 15 000 connections the look takes some 50 ms of a core."""


def settle() -> None:
    """Let what is there now live as long as the process, and leave looking to `keep`."""
    gc.collect()
    gc.freeze()
    gc.disable()


async def keep(used_s: Callable[[], float] = time.process_time) -> Never:
    """Collect until cancelled.

    Args:
        used_s: Processor time that the process has used.
    """
    await periodic("garbage_collection", _Rounds(used_s).collect, NEW_S)


class _Rounds:
    def __init__(self, used_s: Callable[[], float]) -> None:
        self._used_s = used_s
        self._now_s = asyncio.get_running_loop().time
        # Processes that were started together should not stand still together.
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
