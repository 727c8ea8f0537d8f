"""Batches of statements: requests that arrive while two are under way share the next one.

Most of what a statement costs, it costs once: starting a plan, waiting for the disk. There is no
batch window: a statement takes longer than any window would be (decision 0015).
"""

from collections.abc import Awaitable, Callable, Collection, Hashable, Sequence
from typing import TypeVar

from waitline.kernel.batching import Batcher, BatchLimits
from waitline.kernel.errors import Refused, Unavailable

LIMITS = BatchLimits(
    # A statement of 64 takes about 10 ms, and all of them wait for its end; in one of 32 a request
    # costs a quarter of what it does alone, and twice as many gain little.
    batch_max=64,
    full=64,
    # One waits for the disk while the other works. More would make smaller batches.
    key_calls_max=2,
    calls_max=2,
    # About half a second's worth.
    pending_max=512,
    # As long as a statement may take: four seconds in all.
    patience_s=2.0,
)
"""Per statement and worker; all requests have one key."""

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


def statement_batcher(
    call: Callable[[None, Sequence[Item]], Awaitable[Sequence[Outcome | Refused | Unavailable]]],
    conflicts: Callable[[Item], Collection[Hashable]],
) -> Batcher[None, Item, Outcome]:
    """Return the batcher of one statement. A statement is carried out whole or not at all.

    Args:
        call: Runs the statement for 1 to `LIMITS.batch_max` items.
        conflicts: Names the rows that an item changes: a statement does not see its own changes.
    """
    return Batcher(call, LIMITS, conflicts=conflicts, atomic=True)
