"""Limits of a room: the numbers that an operator sets, each declared once. Pure."""

from dataclasses import dataclass
from typing import Annotated

from waitline.kernel.setting import Setting, check, declared
from waitline.queue.relations import burst_of

DAY_MS = 86_400_000

WAITING_MOST = 10_000_000
"""Most visitors that a room's line may be set to hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of one room; the defaults are those of the wire contract, section 2.

    To add one, declare it here and apply it in Lua; `waitline.kernel.setting` derives the rest.

    Invariant:
        Q4 (`active_max`), Q5 (`admit_per_s`, `admit_burst`), Q8 (`extensions_max`,
        `stay_ms`).
    """

    active_max: Annotated[
        int,
        Setting(
            wire="activeMax",
            help="Slots: maximum number of admitted visitors at a time",
            unit="visitors",
            least=1,
            most=1_000_000,
        ),
    ] = 50_000
    admit_per_s: Annotated[
        float,
        Setting(
            wire="admitPerSecond",
            help="Admission rate: maximum admissions per second",
            unit="per second",
            least=0.01,
            most=1_000_000,
        ),
    ] = 2_000
    admit_burst: Annotated[
        int,
        Setting(
            wire="admitBurst",
            help="Burst size of the token bucket; 0: a quarter of a second's worth, at least 1",
            unit="visitors",
            least=0,
            most=1_000_000,
        ),
    ] = 0
    waiting_max: Annotated[
        int,
        Setting(
            wire="waitingMax",
            help="Maximum number of waiting visitors",
            unit="visitors",
            least=1,
            most=WAITING_MOST,
        ),
    ] = 1_000_000
    # With less than 10 ms, the time would be over before the reply reaches the visitor.
    ready_ttl_ms: Annotated[
        int,
        Setting(
            wire="readySeconds",
            help="Time to activate after admission",
            unit="ms",
            least=10,
            most=DAY_MS,
        ),
    ] = 300_000
    active_ttl_ms: Annotated[
        int,
        Setting(
            wire="activeSeconds",
            help="Time to shop after activation, and after each extension",
            unit="ms",
            least=10,
            most=DAY_MS,
        ),
    ] = 600_000
    idle_ms: Annotated[
        int,
        Setting(
            wire="idleSeconds",
            help="Time without contact after which a visitor is skipped when called; 0: never",
            unit="ms",
            least=0,
            most=DAY_MS,
        ),
    ] = 600_000
    return_ms: Annotated[
        int,
        Setting(
            wire="returnSeconds",
            help="Time in which a skipped visitor can return to the old place; 0: not at all",
            unit="ms",
            least=0,
            most=DAY_MS,
        ),
    ] = 600_000
    extensions_max: Annotated[
        int,
        Setting(
            wire="extensionsMax",
            help="Maximum number of extensions per visitor",
            unit="extensions",
            least=0,
            most=100,
        ),
    ] = 2
    stay_ms: Annotated[
        int,
        Setting(
            wire="staySeconds",
            help="Longest stay of a visitor who keeps using a protected site, from the admission; "
            "0: stays do not slide",
            unit="ms",
            least=0,
            most=DAY_MS,
        ),
    ] = 0
    # Off by default: carriers put thousands of subscribers behind one address.
    address_joins_max: Annotated[
        int,
        Setting(
            wire="addressPlacesPerMinute",
            help="Maximum places taken per minute by a client address (IPv4, or IPv6 /64);"
            " 0: unlimited",
            unit="visitors",
            least=0,
            most=1_000_000,
        ),
    ] = 0
    network_joins_max: Annotated[
        int,
        Setting(
            wire="networkPlacesPerMinute",
            help="Maximum places taken per minute by a network (IPv4 /24, or IPv6 /48);"
            " 0: unlimited",
            unit="visitors",
            least=0,
            most=1_000_000,
        ),
    ] = 0
    address_held_max: Annotated[
        int,
        Setting(
            wire="addressPlacesHeld",
            help="Maximum places held at a time by a client address; 0: unlimited",
            unit="visitors",
            least=0,
            most=1_000_000,
        ),
    ] = 0
    network_held_max: Annotated[
        int,
        Setting(
            wire="networkPlacesHeld",
            help="Maximum places held at a time by a network; 0: unlimited",
            unit="visitors",
            least=0,
            most=1_000_000,
        ),
    ] = 0
    address_refusals_max: Annotated[
        int,
        Setting(
            wire="addressRefusalsPerMinute",
            help="Maximum refused calls per minute of a client address; above it, all its calls "
            "are refused; 0: unlimited",
            unit="calls",
            least=0,
            most=1_000_000,
        ),
    ] = 0
    network_refusals_max: Annotated[
        int,
        Setting(
            wire="networkRefusalsPerMinute",
            help="Maximum refused calls per minute of a network; above it, all its calls are "
            "refused; 0: unlimited",
            unit="calls",
            least=0,
            most=1_000_000,
        ),
    ] = 0

    def __post_init__(self) -> None:
        check(self, LIMIT_SETTINGS)

    @property
    def burst(self) -> float:
        """The admission burst in effect; whole visitors are admitted."""
        return self.admit_burst or burst_of(self.admit_per_s)

    @property
    def of_addresses(self) -> bool:
        """Whether the room limits the places of client addresses."""
        taken, held = (self.address_joins_max, self.network_joins_max), self.address_held_max
        return any((*taken, held, self.network_held_max))


LIMIT_SETTINGS = declared(Limits)
LIMIT_NAMES = tuple(setting.name for setting in LIMIT_SETTINGS)
