"""Batching configuration of the line: limits per script call, and the batch window."""

from typing import TypeVar

from waitline.kernel.batching import Batcher, BatchLimits, Call, Window
from waitline.kernel.ids import RoomId
from waitline.kernel.utilisation import Utilisation
from waitline.queue.model import BATCH_MAX

WINDOW_MAX_S = 0.004
"""Longest batch window, in s (decision 0017)."""

LIMITS = BatchLimits(
    batch_max=BATCH_MAX,
    # An item costs 1.6 times as much in a call of 16 as in one of hundreds, and 11 times alone.
    full=16,
    # The server runs one call while the replies of the other are parsed. More calls would only
    # split the same requests into smaller batches.
    key_calls_max=2,
    # Enough for hundreds of rooms at a round trip of 1 ms, and for other rooms to proceed while
    # one room's calls are slow.
    calls_max=32,
    # The items that a worker sends in a third of a second at full speed. More would only be refused
    # later.
    pending_max=8_192,
    # With the timeout of the call (`CALL_TIMEOUT_S`), a request gets its answer within a second.
    patience_s=0.4,
)
"""Limits of the batcher of one verb in one worker; its key is the room."""

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


def line_batcher(
    name: str, call: Call[RoomId, Item, Outcome], utilisation: Utilisation
) -> Batcher[RoomId, Item, Outcome]:
    """Return the batcher of one verb of the line.

    Args:
        name: Name of the verb, for metrics.
        call: The verb of `Line`.
        utilisation: Of this worker; its batchers share one.
    """
    return Batcher(call, LIMITS, name=name, window=Window(utilisation, WINDOW_MAX_S))
