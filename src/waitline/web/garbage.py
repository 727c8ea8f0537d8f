"""Looks for forgotten objects that hold each other, when no visitor waits for it.

Python looks at young objects often, and at all of them whenever a quarter as many new ones have
grown old. Each connection that is open is some twenty of them, so a worker with 15 000 visitors
who come and go stood still for up to 70 ms every few seconds (measured), and longer with more of
them. Nearly everything is freed when it is used for the last time; what is not can wait.
"""

import asyncio
import gc
import time
from collections.abc import Callable
from typing import Never

YOUNG = 20_000
"""New objects between two looks at the youngest. With Python's 700 a busy worker would look
hundreds of times a second, and find nothing: requests leave no cycles behind."""

YOUNG_LOOKS = 10
"""Looks at the youngest between two at those that survived one. Python's own figure."""

NEVER = 2**31 - 1
"""Looks at those between two at all objects: `keep` does that instead."""

LOOK_S = 1.0
QUIET = 0.05
"""Share of a core below which a worker is quiet: a twentieth of what it can do."""

LEAST_S = 60.0
"""Between two looks at everything. A quiet worker has nothing to collect sooner."""

MOST_S = 3_600.0
"""The longest that a worker goes without one, however busy: a bound for what could gather."""


def settle() -> None:
    """Let what is there now live as long as the process, and leave old objects to `keep`."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, YOUNG_LOOKS, NEVER)


async def keep(used_s: Callable[[], float] = time.process_time) -> Never:
    """Look at all objects when the process is quiet, and now and then if it never is.

    Args:
        used_s: Processor time that the process has used.
    """
    loop = asyncio.get_running_loop()
    looked_s = loop.time()
    while True:
        before_s = used_s()
        await asyncio.sleep(LOOK_S)
        quiet = used_s() - before_s < QUIET * LOOK_S
        since_s = loop.time() - looked_s
        if since_s >= MOST_S or (quiet and since_s >= LEAST_S):
            gc.collect()
            looked_s = loop.time()
