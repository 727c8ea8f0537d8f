"""Batches of the line: what bounds the calls of its scripts, and how long a batch is held open."""

from typing import TypeVar

from waitline.kernel.batching import Batcher, BatchLimits, Call, Window
from waitline.kernel.ids import RoomId
from waitline.kernel.utilisation import Utilisation
from waitline.queue.model import BATCH_MAX

WINDOW_MAX_S = 0.004
"""The longest that a request waits for company, in s (decision 0017)."""

LIMITS = BatchLimits(
    batch_max=BATCH_MAX,
    # Each of 16 takes 1.6 times what it would in a call of hundreds; one alone takes eleven times.
    full=16,
    # One call on the server while the replies of the other are parsed. More would only make
    # smaller batches of the same requests.
    key_calls_max=2,
    # A room whose calls are slow holds up no other until this many are under way, and hundreds of
    # rooms get through to a store that is a millisecond away.
    calls_max=32,
    # A third of a second's worth at full speed. More would only be refused later.
    pending_max=8_192,
    # With the call's own deadline, an answer takes a second at the longest.
    patience_s=0.4,
)
"""Per verb and worker; the key is the room."""

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


def line_batcher(
    call: Call[RoomId, Item, Outcome], utilisation: Utilisation
) -> Batcher[RoomId, Item, Outcome]:
    """Return the batcher of one verb of the line.

    Args:
        call: The verb of `Line`.
        utilisation: Of this worker; its batchers share one.
    """
    return Batcher(call, LIMITS, window=Window(utilisation, WINDOW_MAX_S))
