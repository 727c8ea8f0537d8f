"""Every Valkey key of the line. One hash tag per room keeps a room's keys in one slot.

wl:{ROOM}:room      hash   mode, message, shop_url, when_shop_silent, limits, created_ms,
                           changed_ms, seq (last place given), counters, lease_holder, lease_until;
                           now_reason, now_per_s, now_until, now_basis, now_ms (what was decided
                           for now, where a shop reports)
wl:{ROOM}:waiting   zset   visitor -> place
wl:{ROOM}:heard     hash   visitor -> joined_ms:heard_ms, for those who wait
wl:{ROOM}:admitted  zset   visitor -> expires_ms, for those who hold a slot
wl:{ROOM}:lapsed    zset   visitor -> lapsed_ms, for those whose time ran out lately
wl:{ROOM}:slots     hash   visitor -> state|place|joined_ms|admitted_ms|extensions|expires_ms,
                           for the admitted (R ready, A active) and the lapsed (L, or P if passed
                           over while waiting)
wl:{ROOM}:rate      hash   tokens, tokens_at (the admission bucket), count, since (the second being
                           measured), mean, variance, samples, last, last_at (what was measured)
wl:{ROOM}:streams   zset   visitor -> ms at which the right to open streams is whole again
wl:{ROOM}:record    hash   what is kept of the sale: w0 … w65 (admissions by wait), waited_ms (all
                           waits together), longest_ms, last_place, last_at (highest place admitted,
                           and when), s0 … s1439 (totals by ten seconds); at most 1 510 fields
wl:rooms            set    every room
wl:awake            set    rooms in which somebody may wait: who joins an empty line adds the room,
                           the admitter takes it out
wl:occupied         set    rooms in which somebody may hold a slot: the admitter adds and takes out

The last two tell the admitter where to look and decide nothing. They belong to no room, so no
script touches them (decision 0007).
"""

from functools import lru_cache
from typing import NamedTuple

from waitline.kernel.ids import RoomId

ROOMS = "wl:rooms"
AWAKE = "wl:awake"
OCCUPIED = "wl:occupied"


class RoomKeys(NamedTuple):
    """The keys of one room, in the order of the table above."""

    room: str
    waiting: str
    heard: str
    admitted: str
    lapsed: str
    slots: str
    rate: str
    streams: str
    record: str


@lru_cache(maxsize=4096)
def of(room_id: RoomId) -> RoomKeys:
    """Name a room's keys.

    Braces in the name are escaped: they would end the hash tag early, and the keys of one room
    would then live in different slots of a cluster.
    """
    tag = room_id.replace("%", "%25").replace("{", "%7B").replace("}", "%7D")
    return RoomKeys(*(f"wl:{{{tag}}}:{name}" for name in RoomKeys._fields))
