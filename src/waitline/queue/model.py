"""The states of a visitor, the survey of a room, and every outcome of a verb. Pure."""

from enum import StrEnum
from typing import NamedTuple

from waitline.kernel.errors import Refused, Unavailable
from waitline.queue.decision import Decision, Reason
from waitline.queue.settings import ADMITTING, Mode, Rules

BATCH_MAX = 256
"""Visitors per script call. A call of this size holds the server for about 2 ms (`make bench`);
twice as many gain 10 % and double the wait of everyone behind."""

CHUNK_MAX = 250
"""Visitors that one admit or sweep call moves. A call of this size takes 2 ms at the median
(`make bench`), and a sketch with twice as many took 11 ms at p99: everyone who asks
meanwhile waits for that."""

ROOMS_MAX = 10_000
"""Rooms of one installation. Callers who may name rooms (everyone, in trial mode) could otherwise
fill the store with empty ones."""

LAPSED_KEPT_MS = 3_600_000
"""How long a room remembers that a visitor's time ran out, so that it can say so."""

LAPSED_MAX = 100_000
"""How many lapsed visitors a room remembers; the oldest are forgotten first."""

SOLD_OUT = "sold-out"
"""The mode that visitors see while the shop has nothing to sell; operators cannot set it."""


class State(StrEnum):
    """Where one visitor stands. Exactly one holds at any instant (Q6)."""

    WAITING = "WAITING"
    READY = "READY"
    ACTIVE = "ACTIVE"
    EXPIRED = "EXPIRED"
    NOT_FOUND = "NOT_FOUND"


class Survey(NamedTuple):
    """A room's rules and numbers at one instant of the server's clock.

    Attributes:
        at_ms: The server's time.
        rules: What its operator decided.
        waiting: Visitors who wait.
        admitted: Visitors who hold a slot, ready or active.
        serving: Every place up to this one has had its turn or was given up; never falls.
        last_place: Last place given.
        rate_mean: Admissions per second, smoothed; 0.0 when unknown.
        rate_deviation: Its standard deviation from second to second.
        rate_samples: Seconds that it rests on.
        rate_last: Admissions per second in the last second measured.
        counters: Totals since the room was made: entered, admitted, activated, left,
            abandoned, lapsed, passed, removed, lease_refused, no_shows, overtaken.
        decision: How it admits for now; `None` where no shop has ever reported.
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
    counters: dict[str, int]
    decision: Decision | None = None

    @property
    def mode_now(self) -> str:
        """The mode as visitors see it: the operator's, unless the shop has nothing to sell."""
        if self.rules.mode not in ADMITTING or self.decision is None or not self.decision.holds:
            return str(self.rules.mode)
        return SOLD_OUT if self.decision.reason is Reason.SOLD_OUT else str(Mode.PAUSED)


COUNTERS = (
    "entered",
    "admitted",
    "activated",
    "left",
    "abandoned",
    "lapsed",
    "passed",
    "removed",
    "lease_refused",
    "no_shows",
    "overtaken",
)
"""What a room counts. Conservation, which `waitline audit` checks: entered = waiting + admitted now
+ left + abandoned + lapsed + passed + removed. Those who lapsed without having begun are the
no-shows, and overtaken are those admitted after a higher place (Q3: nobody)."""


# --- what a verb can answer for one visitor --------------------------------------------


class Waiting(NamedTuple):
    """In the line.

    Attributes:
        place: Number in the line; never reused (Q2).
        joined_ms: When the place was taken.
        ahead: Visitors who wait before this one.
    """

    place: int
    joined_ms: int
    ahead: int


class Joined(NamedTuple):
    """A place just taken: as `Waiting`, with the line's length."""

    place: int
    joined_ms: int
    ahead: int
    total: int


class Again(NamedTuple):
    """A place taken before: as `Joined`."""

    place: int
    joined_ms: int
    ahead: int
    total: int


class Slot(NamedTuple):
    """What an admitted visitor holds, or held until it ran out.

    Attributes:
        state: READY, ACTIVE or EXPIRED.
        place: The place that it was admitted from.
        joined_ms: When that place was taken.
        admitted_ms: When its turn came.
        extensions: How often it was extended.
        expires_ms: When it runs out.
    """

    state: State
    place: int
    joined_ms: int
    admitted_ms: int
    extensions: int
    expires_ms: int


class Unknown(NamedTuple):
    """Nothing is known of the visitor."""


class Left(NamedTuple):
    """The visitor was here and has gone now."""


UNKNOWN = Unknown()
Standing = Waiting | Slot | Unknown


class Moved(NamedTuple):
    """What one admit call did.

    Attributes:
        admitted: Visitors admitted.
        passed: Silent visitors passed over.
        waiting: Visitors who wait still.
        free: Slots free still.
        due: Whole admissions that the rate allows still.
    """

    admitted: int
    passed: int
    waiting: int
    free: int
    due: int


class Leased(NamedTuple):
    """Another admitter holds the room's lease.

    Attributes:
        remaining_ms: For how long, unless it renews.
    """

    remaining_ms: int


class Held(NamedTuple):
    """The room's mode admits nobody."""


class Swept(NamedTuple):
    """What one sweep call did.

    Attributes:
        lapsed: Slots collected.
        forgotten: Lapsed visitors no longer remembered.
        more: Whether there may be more to collect.
    """

    lapsed: int
    forgotten: int
    more: bool


# --- refusals --------------------------------------------------------------------------


class RoomUnknown(Refused):
    """No operator has created the room."""


class RoomExists(Refused):
    """The room was created before."""


class RoomOccupied(Refused):
    """Somebody waits or holds a slot in the room.

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
    """The room takes nobody new."""


class VisitorUnknown(Refused):
    """Nothing is known of the visitor in this room."""


class TokenRejected(Refused):
    """The token does not prove that this visitor may do this now."""


class TimeRanOut(Refused):
    """The visitor was admitted, and the time is over."""


class ExtensionsSpent(Refused):
    """The visitor has extended as often as the room allows."""


class TooManyStreams(Refused):
    """The visitor opened streams faster than allowed.

    Attributes:
        retry_after_ms: When the next one is allowed.
    """

    def __init__(self, retry_after_ms: int) -> None:
        super().__init__(retry_after_ms)
        self.retry_after_ms = retry_after_ms


class StoreFull(Unavailable):
    """The store has no memory left for anybody new; those who wait are safe."""
