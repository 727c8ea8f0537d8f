"""Looks for forgotten objects that hold each other: often at the new, seldom at all.

Left to itself, Python looks when there are so many more objects than at its last look. Connections
that come and go keep that number low and what there is to look at growing: a worker with 15 000 of
them, a thousand new each second, stood still for up to 275 ms now and then (measured). So a clock
decides here. Nearly everything is freed when it is used for the last time; what is not can wait.
"""

import asyncio
import gc
from time import perf_counter
from typing import Never

NEW_S = 0.25
"""Between two looks at what is new since the last one: at a thousand new connections a second, of
some twenty objects each, a look takes a millisecond."""

ALL_S = 60.0
"""Between two looks at everything, at least: what a minute leaves behind is little."""

SHARE = 0.001
"""Of the time may go to looks at everything. With 15 000 connections one takes some 50 ms, and with
ten times as many half a second, which is then spent every eight minutes: 99 of 100 requests, and
999 of 1 000, never meet one."""


def settle() -> None:
    """Let what is there now live as long as the process, and leave looking to `keep`."""
    gc.collect()
    gc.freeze()
    gc.disable()


async def keep() -> Never:
    """Look, until cancelled."""
    wait_s = ALL_S
    looked_s = perf_counter()
    while True:
        await asyncio.sleep(NEW_S)
        if perf_counter() - looked_s < wait_s:
            gc.collect(0)
        else:
            wait_s = max(ALL_S, _look_at_all() / SHARE)
            looked_s = perf_counter()


def _look_at_all() -> float:
    """Look at everything, and return for how long, in s."""
    began_s = perf_counter()
    gc.collect()
    return perf_counter() - began_s
