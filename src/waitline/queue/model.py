"""A room's limits, the states of a visitor, and everything that can come of a verb. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import NamedTuple

from waitline.kernel.errors import Refused, Unavailable
from waitline.queue.decision import Decision, Reason, WhenSilent

BATCH_MAX = 256
"""Visitors per script call. A call of this size holds the server for about 2 ms (`make bench`);
twice as many gain 10 % and double the wait of everyone behind."""

CHUNK_MAX = 250
"""Visitors that one admit or sweep call moves. A call of this size takes 2 ms at the median
(`make bench`), and a sketch with twice as many took 11 ms at p99: everyone who asks
meanwhile waits for that."""

ROOMS_MAX = 10_000
"""Rooms of one installation. Whoever may name rooms (everyone, in trial mode) could otherwise
fill the store with empty ones."""

LAPSED_KEPT_MS = 3_600_000
"""How long a room remembers that a visitor's time ran out, so that it can say so."""

LAPSED_MAX = 100_000
"""How many lapsed visitors a room remembers; the oldest are forgotten first."""

MESSAGE_CHARS_MAX = 500
URL_CHARS_MAX = 2_000
DAY_MS = 86_400_000


class Mode(StrEnum):
    """What a room does with those who come and those who wait."""

    OPEN = "open"  # takes and admits
    PAUSED = "paused"  # takes, admits nobody
    DRAINING = "draining"  # takes nobody new, admits those who wait
    CLOSED = "closed"  # neither


ADMITTING = frozenset((Mode.OPEN, Mode.DRAINING))
"""Modes in which those who wait are admitted."""

SOLD_OUT = "sold-out"
"""What those who wait are told for a mode while the shop has nothing to sell; nobody sets it."""


class State(StrEnum):
    """Where one visitor stands. Exactly one holds at any instant (Q6)."""

    WAITING = "WAITING"
    READY = "READY"
    ACTIVE = "ACTIVE"
    EXPIRED = "EXPIRED"
    NOT_FOUND = "NOT_FOUND"


class LimitError(ValueError):
    """A room was given a limit outside its range.

    Attributes:
        name: The field of `Limits` or `Room`.
        reason: What is allowed.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.reason = reason


RANGES: dict[str, tuple[float, float]] = {
    "active_max": (1, 1_000_000),
    "admit_per_s": (0.01, 1_000_000),
    "admit_burst": (1, 1_000_000),
    "waiting_max": (1, 10_000_000),
    "ready_ttl_ms": (10, DAY_MS),
    "active_ttl_ms": (10, DAY_MS),
    "idle_ms": (0, DAY_MS),
    "extensions_max": (0, 100),
}
"""Least and most of each limit. Shorter lives than 10 ms would be over before they are told."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds one room. Source of the defaults: the wire contract, section 2.

    Attributes:
        active_max: Most visitors that may hold a slot at once (Q4).
        admit_per_s: Most admissions per second, over time (Q5).
        admit_burst: Most admissions at one instant, after a pause (Q5). A quarter of a second's
            worth keeps the pace through a late tick and is no jump.
        waiting_max: Most visitors that may wait.
        ready_ttl_ms: How long an admitted visitor may take to activate.
        active_ttl_ms: How long an activated one may stay, and by how much one extension renews.
        idle_ms: How long a waiting visitor may be silent before its turn passes it over;
            0 never passes anybody over.
        extensions_max: How often an active visitor may extend (Q8).
    """

    active_max: int = 50_000
    admit_per_s: float = 2_000
    admit_burst: int = 500
    waiting_max: int = 1_000_000
    ready_ttl_ms: int = 300_000
    active_ttl_ms: int = 600_000
    idle_ms: int = 600_000
    extensions_max: int = 2

    def __post_init__(self) -> None:
        for name, (least, most) in RANGES.items():
            if not least <= getattr(self, name) <= most:
                raise LimitError(name, f"must be from {least:,} to {most:,}")


@dataclass(frozen=True, slots=True)
class Rules:
    """All that an operator decides about a room.

    Attributes:
        mode: What the room does now.
        message: Shown to those who wait; empty for none.
        shop_url: Where admitted visitors go on to; empty: they stay on the waiting page.
        limits: Its limits.
        when_shop_silent: What the room does when its shop's reports have stopped.
    """

    mode: Mode = Mode.OPEN
    message: str = ""
    shop_url: str = ""
    limits: Limits = field(default_factory=Limits)
    when_shop_silent: WhenSilent = WhenSilent.KEEP

    def __post_init__(self) -> None:
        if len(self.message) > MESSAGE_CHARS_MAX:
            raise LimitError("message", f"must have at most {MESSAGE_CHARS_MAX} characters")
        # Anything else than these two schemes would run as a script in the visitor's browser.
        if self.shop_url and not self.shop_url.startswith(("https://", "http://")):
            raise LimitError("shop_url", "must begin with https:// or http://")
        if len(self.shop_url) > URL_CHARS_MAX:
            raise LimitError("shop_url", f"must have at most {URL_CHARS_MAX} characters")

    def changed(self, changes: Mapping[str, object]) -> "Rules":
        """Return these rules with some fields, of theirs or of their limits, replaced.

        Raises:
            LimitError: A value is out of range.
        """
        limits = {name: value for name, value in changes.items() if name in LIMIT_NAMES}
        others = {name: value for name, value in changes.items() if name not in LIMIT_NAMES}
        return replace(
            self,
            limits=replace(self.limits, **limits),  # type: ignore[arg-type]  # checked by Limits
            **others,  # type: ignore[arg-type]  # checked here
        )


LIMIT_NAMES = tuple(item.name for item in fields(Limits))


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
        """The mode as those who wait are told it: the operator's, unless the shop stops it."""
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
no-shows, and overtaken is whoever was admitted after a higher place (Q3: nobody)."""


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
