"""Domain model of the line: visitor states, room survey, outcomes and refusals. Pure."""

from enum import StrEnum
from typing import NamedTuple

from waitline.kernel.errors import Refused, Unavailable
from waitline.queue.decision import Decision, Reason
from waitline.queue.settings import ADMITTING, Mode, Rules

BATCH_MAX = 256
"""Visitors per script call. A call of this size blocks the server for about 2 ms (`make bench`);
twice as many gain 10 % throughput and double the latency of the calls behind it."""

CHUNK_MAX = 250
"""Most visitors that one admit or sweep call moves. A call of this size takes 2 ms at the median
(`make bench`). A prototype with twice as many took 11 ms at p99, which delays every other call."""

ROOMS_MAX = 10_000
"""Most rooms of one installation. Otherwise clients that may create rooms by naming them (all, in
trial mode) could fill the store with empty ones."""

MARK_MAX = 8
"""Longest mark of a visitor, in characters: more would make every line take more memory."""

ACCOUNT_MARK = "a"
"""The mark of a visitor for whom the shop vouches, in rooms whose identity is `signed`."""

LAPSED_KEPT_MS = 3_600_000
"""How long, in ms, a room remembers a lapsed visitor, to answer EXPIRED instead of NOT_FOUND."""

LAPSED_MAX = 200_000
"""How many lapsed visitors a room remembers, some 50 MB; the oldest are forgotten first. Those
who were passed over and can still return count among them, and are forgotten after all others."""

DEPARTED_MAX = 4_096
"""Most departed places that a room lists, the latest: gates and connectors read all of them each
second, some 30 KB. A visitor who left before them could use the pass until it ends."""

SOLD_OUT = "sold-out"
"""The mode that visitors see while the shop has no free seat; operators cannot set it."""


class State(StrEnum):
    """State of a visitor: exactly one at any instant (Q6)."""

    WAITING = "WAITING"
    READY = "READY"
    ACTIVE = "ACTIVE"
    EXPIRED = "EXPIRED"
    NOT_FOUND = "NOT_FOUND"


class RoomState(StrEnum):
    """State of a room at an instant, by the operator's mode, its opening times, and the shop."""

    BEFORE_OPENING = "before-opening"  # visitors can join; nobody is admitted until it opens
    OPEN = "open"
    PAUSED = "paused"
    SOLD_OUT = "sold-out"  # the shop has no free seat
    HELD = "held"  # the shop does not report, and the room is set to hold
    DRAINING = "draining"
    CLOSED = "closed"


_MODES_SEEN = {RoomState.BEFORE_OPENING: Mode.PAUSED, RoomState.HELD: Mode.PAUSED}
"""States that clients see as a mode of another name."""


class Survey(NamedTuple):
    """A room's rules and numbers at one instant of the server's clock.

    Attributes:
        at_ms: The server's time.
        rules: The room's rules.
        waiting: Visitors who wait.
        admitted: Visitors who hold a slot, ready or active.
        serving: Every place up to this one has had its turn or was given up; never falls.
        returned: Visitors who wait with a place up to that: they were passed over and came back.
        last_place: Last place given.
        rate_mean: Admissions per second, smoothed; 0.0 when unknown.
        rate_deviation: Its standard deviation from second to second.
        rate_samples: Number of seconds measured for it.
        rate_last: Admissions per second in the last second measured.
        rate_recent: Admissions per second, smoothed over 30 s, whether anybody waits or not.
        counters: Totals since the room was created: entered, admitted, activated, left,
            abandoned, lapsed, passed, returned, removed, lease_refused, no_shows, overtaken.
        decision: The present decision; `None` if no shop has ever reported.
    """

    at_ms: int
    rules: Rules
    waiting: int
    admitted: int
    serving: int
    last_place: int
    rate_mean: float
    rate_deviation: float
    rate_samples: int
    rate_last: float
    rate_recent: float
    counters: dict[str, int]
    decision: Decision | None = None
    returned: int = 0

    @property
    def state(self) -> RoomState:
        """The room's current state."""
        rules, decision = self.rules, self.decision
        if rules.mode is Mode.CLOSED or (rules.closes_at and rules.closes_at.at_ms <= self.at_ms):
            return RoomState.CLOSED
        if rules.opens_at and rules.opens_at.at_ms > self.at_ms:
            return RoomState.BEFORE_OPENING
        if rules.mode not in ADMITTING or decision is None or not decision.holds:
            return RoomState(rules.mode)
        return RoomState.SOLD_OUT if decision.reason is Reason.SOLD_OUT else RoomState.HELD

    @property
    def mode_now(self) -> str:
        """The mode as visitors see it: the operator's, unless nobody is admitted now."""
        return str(_MODES_SEEN.get(self.state, self.state))


COUNTERS = (
    "entered",
    "admitted",
    "activated",
    "left",
    "abandoned",
    "lapsed",
    "passed",
    "returned",
    "removed",
    "lease_refused",
    "no_shows",
    "overtaken",
)
"""Counters of a room. Conservation, checked by `waitline audit`: entered + returned = waiting +
admitted now + left + abandoned + lapsed + passed + removed. No-shows lapsed without activating;
overtaken were admitted after a higher place (Q3: always 0)."""


# Outcomes of a verb for one visitor.


class Waiting(NamedTuple):
    """In the line.

    Attributes:
        place: Number in the line; never reused (Q2).
        joined_ms: When the place was taken.
        ahead: Visitors who wait in front of this one.
        returned_ms: When the visitor came back after being passed over; 0 if it never was.
    """

    place: int
    joined_ms: int
    ahead: int
    returned_ms: int = 0


class Joined(NamedTuple):
    """A place just taken: as `Waiting`, with the line's length."""

    place: int
    joined_ms: int
    ahead: int
    total: int


class Again(NamedTuple):
    """A place taken before: as `Joined`, with the mark of who took it; empty if there is none."""

    place: int
    joined_ms: int
    ahead: int
    total: int
    mark: str = ""


class Slot(NamedTuple):
    """The slot of an admitted visitor, or of one whose time ran out.

    Attributes:
        state: READY, ACTIVE or EXPIRED.
        place: The place from which the visitor was admitted.
        joined_ms: When that place was taken.
        admitted_ms: When the visitor was admitted, or passed over.
        extensions: How often the slot was extended.
        expires_ms: When the slot expires.
        mark: Mark of who took the place, where `join` returns the slot; else empty.
    """

    state: State
    place: int
    joined_ms: int
    admitted_ms: int
    extensions: int
    expires_ms: int
    mark: str = ""


class Passed(NamedTuple):
    """Passed over, for lack of contact when the turn came; the visitor may be able to return.

    Attributes:
        place: The place that the visitor had.
        joined_ms: When that place was taken.
        passed_ms: When the visitor was passed over.
        until_ms: Until when the visitor can return to the place.
        left_ms: How much of that time is left; 0 if it is over.
        mark: Mark of who took the place, where `join` returns this; else empty.
    """

    place: int
    joined_ms: int
    passed_ms: int
    until_ms: int
    left_ms: int
    mark: str = ""


class Unknown(NamedTuple):
    """The visitor is not in the room."""


class Left(NamedTuple):
    """The visitor has given up the place or slot with this call."""


UNKNOWN = Unknown()
Standing = Waiting | Slot | Passed | Unknown


class Moved(NamedTuple):
    """Result of one admit call.

    Attributes:
        admitted: Visitors admitted.
        passed: Visitors passed over for lack of contact.
        waiting: Visitors who still wait.
        free: Slots that are still free.
        due: Further admissions that the rate allows now.
    """

    admitted: int
    passed: int
    waiting: int
    free: int
    due: int


class Leased(NamedTuple):
    """Another admitter holds the room's lease.

    Attributes:
        remaining_ms: Time until it expires, unless its holder renews it.
    """

    remaining_ms: int


class Held(NamedTuple):
    """The room admits nobody now: by its mode, its opening times, or because its shop is sold out.

    Attributes:
        opens_in_ms: Time until its opening; 0 if no opening is the reason.
    """

    opens_in_ms: int = 0


class Unsure(NamedTuple):
    """A replica was promoted, which may lack the latest admissions; the call did nothing else.

    Attributes:
        slots: Slots that count as taken, since the lost history may have given them.
        for_ms: For how long: until the passes that it may have given have run out.
    """

    slots: int
    for_ms: int


class Swept(NamedTuple):
    """Result of one sweep call.

    Attributes:
        lapsed: Expired slots that were freed.
        forgotten: Lapsed visitors that were forgotten.
        more: Whether another call may find more.
    """

    lapsed: int
    forgotten: int
    more: bool


# Refusals.


class RoomUnknown(Refused):
    """There is no such room."""


class RoomExists(Refused):
    """The room exists already."""


class RoomNameReserved(Refused):
    """The name belongs to rehearsals, whose clean-up deletes such rooms."""


class RoomNameUnreachable(Refused):
    """No address leads to a room of this name (`is_reachable`)."""


class RoomOccupied(Refused):
    """Visitors wait or hold slots in the room.

    Attributes:
        waiting: Visitors who wait.
        admitted: Visitors who hold a slot.
    """

    def __init__(self, waiting: int, admitted: int) -> None:
        super().__init__(waiting, admitted)
        self.waiting = waiting
        self.admitted = admitted


class TooManyRooms(Refused):
    """The installation holds `ROOMS_MAX` rooms already."""


class RoomFull(Refused):
    """The room holds `waiting_max` visitors already."""

    def __init__(self, waiting_max: int) -> None:
        super().__init__(waiting_max)
        self.waiting_max = waiting_max


class RoomClosed(Refused):
    """The room is closed to new visitors."""


class StatementMissing(Refused):
    """The room takes only visitors with a statement of the shop."""


class RoomChanged(Unavailable):
    """The room's settings have changed since the caller read them; a retry reads them again."""


class VisitorUnknown(Refused):
    """The visitor is not in this room."""


class TokenRejected(Refused):
    """The token does not entitle the visitor to this request now."""


class TimeRanOut(Refused):
    """The visitor was admitted, but the time has run out."""


class ExtensionsSpent(Refused):
    """The visitor has used all extensions that the room allows."""


class TooManyStreams(Refused):
    """Rate limit: the visitor opens streams faster than allowed.

    Attributes:
        retry_after_ms: Time until the next one is allowed.
    """

    def __init__(self, retry_after_ms: int) -> None:
        super().__init__(retry_after_ms)
        self.retry_after_ms = retry_after_ms


class AddressLimited(Refused):
    """The client's address, or its network, has reached a limit of the room.

    Attributes:
        limit: Name of the setting.
        retry_after_s: Time until the count begins again.
    """

    def __init__(self, limit: str, retry_after_s: int) -> None:
        super().__init__(limit, retry_after_s)
        self.limit = limit
        self.retry_after_s = retry_after_s


class StoreFull(Unavailable):
    """The store has no memory left for new visitors; waiting visitors keep their places."""
