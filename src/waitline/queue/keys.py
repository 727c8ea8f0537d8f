"""Valkey key schema: the name, type and content of every key of the line.

The keys of a room share a hash tag, so a cluster keeps them in one slot.

wl:{ROOM}:room      hash   mode, message, shop_url, when_shop_silent, limits, opens_at, closes_at
                           (as ms@offset), opened_ms, closed_ms (those of them that have passed and
                           are logged), created_ms, changed_ms, seq (last place given), served
                           (the place served when somebody returned last),
                           counters, lease_holder, lease_until;
                           beat_ms, lost_ms, resumed_ms, stepped_back_ms (the listening clock);
                           history (replication ID of the server that wrote last), unsure,
                           unsure_from, unsure_until (slots that count as taken after a failover);
                           now_reason, now_per_s, now_until, now_basis, now_ms (the present
                           decision, where a shop reports)
wl:{ROOM}:waiting   zset   visitor -> place
wl:{ROOM}:heard     hash   visitor -> joined_ms[:heard_ms][:returned_ms][;mark] (last
                           contact; return after being passed over; proof of who took the
                           place), for those who wait
wl:{ROOM}:admitted  zset   visitor -> expires_ms, for those who hold a slot
wl:{ROOM}:lapsed    zset   visitor -> lapsed_ms, for those whose time ran out recently;
                           of those passed over, the end of the time in which they can return
wl:{ROOM}:slots     hash   visitor -> state|place|joined_ms|admitted_ms|extensions|expires_ms, and
                           ;mark as above, for the admitted (R ready, A active), those passed over
                           while waiting (P) and, without mark, the lapsed (L)
wl:{ROOM}:rate      hash   tokens, tokens_at, tokens_by, tokens_mono (the admission token bucket),
                           count, since (the second being measured), mean, variance, samples, last,
                           last_at (the measured rate), recent, recent_at, recent_from (recent
                           admissions, in the server's time)
wl:{ROOM}:streams   zset   visitor -> ms at which its stream allowance is full again
wl:{ROOM}:record    hash   record of the sale: w0 … w65 (admissions by wait), waited_ms (sum of all
                           waits), longest_ms, last_place, last_at (highest place admitted, and
                           when), s0 … s1439 (totals every ten seconds); at most 1 510 fields
wl:{ROOM}:addresses hash   client address or network -> minute, places taken and calls refused in
                           it, and both since the room's creation; at most 4 096 fields
wl:{ROOM}:origins   zset   network, address and visitor of places (score 0, in the order of bytes);
                           without limits of addresses at most 100 000
wl:{ROOM}:room:fence str   written with a batch of joins that is confirmed; ends by itself
wl:{ROOM}:departed  zset   place -> ms of departure, of visitors who left while they held a slot;
                           at most 4 096
wl:{ROOM}:claims    hash   visitor -> place-joined_ms browser (digest of its secret), of stays that
                           a browser has claimed; some may be over
wl:{ROOM}:changes   stream NUMBER-1 -> at (ms), who, what, before, after (JSON: settings as stored):
                           operators' changes, the latest 1 000; of a deleted room for 90 days
wl:mode             str    trial or production: the mode of all this data
wl:rooms            set    every room
wl:rehearsals       set    rooms that rehearsals made, until they are deleted
wl:awake            set    rooms in which visitors may be waiting: a join into an empty line adds
                           the room, the admitter removes it
wl:occupied         set    rooms in which visitors may hold slots: the admitter adds and removes
wl:openings         zset   room -> ms of its next opening or closing, for the log
wl:admitters        zset   admitter -> ms of its last heartbeat
wl:protection       hash   version, document: the rules of the gate
wl:listening        str    last heartbeat of the queue service's workers, by the server's clock

The lists are hints for the admitter; no decision depends on them, except that now-serving shows
only rooms on the list of all. They have no hash tag, so no script uses them (decision 0007).

Times that are compared with the current time are in the room's listening time (decision 0020):
heard_ms, expires_ms of those who hold a slot, lapsed_ms, lease_until, and those of `rate`. All
others are the server's: joined_ms, admitted_ms, expires_ms of the lapsed, recent_at and recent_from
of `rate`, those of the record.
"""

from functools import lru_cache
from typing import NamedTuple

from waitline.kernel.ids import RoomId

MODE = "wl:mode"
ROOMS = "wl:rooms"
REHEARSALS = "wl:rehearsals"
AWAKE = "wl:awake"
OCCUPIED = "wl:occupied"
OPENINGS = "wl:openings"
LISTENING = "wl:listening"
ADMITTERS = "wl:admitters"
PROTECTION = "wl:protection"


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
    addresses: str
    origins: str
    changes: str
    departed: str
    claims: str


@lru_cache(maxsize=4096)
def of(room_id: RoomId) -> RoomKeys:
    """Name a room's keys.

    Braces in the name are escaped. They would end the hash tag early, and a cluster would spread
    the room's keys over several slots.
    """
    tag = room_id.replace("%", "%25").replace("{", "%7B").replace("}", "%7D")
    return RoomKeys(*(f"wl:{{{tag}}}:{name}" for name in RoomKeys._fields))
