"""How soon the admitter comes back to a room. Pure: same inputs, same answer.

How many are let in is decided where it is enforced, in `queue/lua/admit.lua`, from the limits in
`queue/model.py`: rate, burst and capacity.
"""

from waitline.queue.model import CHUNK_MAX, Held, Leased, Moved

TICK_MS = 100
"""Between two visits to a room in which somebody waits. The admission bucket holds a quarter of a
second's worth by default, so a tick may be late by that much and the pace is still kept."""

IDLE_MS = 500
"""Between two visits to a room in which nobody waits, or that admits nobody: the longest that the
first visitor of a quiet room waits, against one short call per room and visit."""

SWEEP_MS = 1_000
"""Between two sweeps of a room: how long a slot may stay taken after its time ran out. Source: the
wire contract."""


def next_visit_ms(outcome: Moved | Leased | Held) -> int:
    """Return how long to leave a room alone after an admit call, in ms; 0 to go on at once."""
    match outcome:
        case Held() | Moved(waiting=0):
            return IDLE_MS
        case Leased(remaining_ms):
            return max(remaining_ms, TICK_MS)
        case Moved(admitted, passed, free=free, due=due):
            # Whoever was passed over took neither slot nor rate, so the next may have them now.
            more_now = passed > 0 or admitted == CHUNK_MAX
            return 0 if more_now and free > 0 and due > 0 else TICK_MS
