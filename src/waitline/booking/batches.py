"""Batching of statements: requests that arrive while two batches are running share the next one.

Most of a statement's cost does not depend on its number of rows: planning, waiting for the disk.
There is no batch window, since a statement takes longer than a window would (decision 0015).

Statements never wait for row locks: an item whose rows are locked fails with `Contended`, and
`until_unlocked` retries it in later batches, so it does not hold up the others.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Hashable, Sequence
from typing import TypeVar

from waitline.kernel.batching import Batcher, BatchLimits
from waitline.kernel.errors import Contended, Refused, Unavailable

LIMITS = BatchLimits(
    # A statement of 64 requests takes about 10 ms, and each of them waits for its end. At 32, a
    # request costs a quarter of what it costs alone; more gain little.
    batch_max=64,
    full=64,
    # One batch waits for the disk while the other runs. More would make smaller batches.
    key_calls_max=2,
    calls_max=2,
    # About half a second's worth.
    pending_max=512,
    # As long as a statement may take; with it, four seconds at worst.
    patience_s=2.0,
)
"""Limits per statement and worker; all requests have one key."""

LOCK_PATIENCE_S = 1.0
"""How long a request is retried while its rows are locked, in s. Our own statements hold locks for
milliseconds; a longer lock comes from outside, and the buyer gets an error."""

LOCK_PAUSE_S = 0.005
LOCK_PAUSE_MAX_S = 0.1
"""First and longest pause between retries, in s: a statement takes about 5 ms."""

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


def statement_batcher(
    name: str,
    call: Callable[[None, Sequence[Item]], Awaitable[Sequence[Outcome | Refused | Unavailable]]],
    conflicts: Callable[[Item], Collection[Hashable]],
) -> Batcher[None, Item, Outcome]:
    """Return the batcher of one statement. A statement is atomic.

    Args:
        name: Name of the statement, for metrics.
        call: Runs the statement for 1 to `LIMITS.batch_max` items.
        conflicts: Returns the rows that an item changes. Items with a row in common go into
            different batches, because a statement does not see its own changes.
    """
    return Batcher(call, LIMITS, name=name, conflicts=conflicts, atomic=True)


async def until_unlocked(call: Callable[[], Awaitable[Outcome]]) -> Outcome:
    """Retry a call while its rows are locked: backoff with jitter.

    Args:
        call: Changes nothing when it raises `Contended`.

    Raises:
        Contended: The rows were locked for `LOCK_PATIENCE_S`; nothing was changed.
    """
    loop = asyncio.get_running_loop()
    until_s, pause_s = loop.time() + LOCK_PATIENCE_S, LOCK_PAUSE_S
    while loop.time() + pause_s < until_s:
        try:
            return await call()
        except Contended:
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - only jitter
            pause_s = min(LOCK_PAUSE_MAX_S, 2 * pause_s)
    return await call()
