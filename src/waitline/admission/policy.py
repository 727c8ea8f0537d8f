"""How soon the admitter comes back to a room. Pure: same inputs, same answer.

How many are let in is decided where it is enforced, in `queue/lua/admit.lua`, from the limits in
`queue/model.py`: rate, burst and capacity.
"""

from waitline.queue.model import CHUNK_MAX, Held, Leased, Moved

TICK_MS = 100
"""Between two visits to a room that is awake, and between two looks for rooms that woke: the
longest that the first visitor of a quiet room waits. The admission bucket holds a quarter of a
second's worth by default, so a tick may be late by that much and the pace is still kept."""

IDLE_MS = 500
"""Between two visits to a room whose mode admits nobody: how late its opening may be noticed."""

SWEEP_MS = 1_000
"""Between two sweeps of a room: how long a slot may stay taken after its time ran out. Source: the
wire contract."""

LINGER_VISITS = 5
"""Visits in a row that find nobody waiting until a room is put to sleep. To fall asleep and be
woken takes five calls, as many as to stay awake for that long, so whatever comes costs at most
twice what it would if the future were known. Source: Karlin et al., "Competitive snoopy caching",
Algorithmica 3 (1988)."""

PATROL_PER_S = 50
"""Sleeping rooms looked into per second, however many there are: a room that should be awake and is
not (its worker died between giving the place and waking the room) is found after as many seconds
as there are rooms, over this. Each takes two calls."""


def next_visit_ms(outcome: Moved | Leased | Held) -> int:
    """Return how long to leave a room alone after an admit call, in ms; 0 to go on at once."""
    match outcome:
        case Held():
            return IDLE_MS
        case Leased(remaining_ms):
            return max(remaining_ms, TICK_MS)
        case Moved(admitted, passed, waiting, free=free, due=due):
            # Whoever was passed over took neither slot nor rate, so the next may have them now.
            more_now = passed > 0 or admitted == CHUNK_MAX
            return 0 if more_now and waiting > 0 and free > 0 and due > 0 else TICK_MS


def may_be_empty(outcome: Moved | Leased | Held) -> bool:
    """Say whether nobody may wait in a room any more, as far as an admit call tells."""
    match outcome:
        case Held():
            # It does not say; whoever puts the room to sleep looks.
            return True
        case Moved(waiting=waiting):
            return waiting == 0
        case Leased():
            return False
