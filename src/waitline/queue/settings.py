"""Room settings: the rules and limits that an operator sets, each declared once. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Annotated

from waitline.kernel.addresses import address_fault
from waitline.kernel.instants import Instant
from waitline.kernel.setting import TIME_UNIT, Setting, SettingError, check, declared
from waitline.queue.decision import WhenSilent
from waitline.queue.relations import (
    KEY_CHARS_MAX,
    RoomIdentity,
    Standby,
    burst_of,
    identity_fault,
    times_fault,
)

TITLE_CHARS_MAX = 100
MESSAGE_CHARS_MAX = 500
URL_CHARS_MAX = 2_000
DAY_MS = 86_400_000

WAITING_MOST = 10_000_000
"""Most visitors that a room's line may be set to hold."""


class Mode(StrEnum):
    """Whether visitors can join the room's line, and whether they are admitted."""

    OPEN = "open"  # visitors can join and are admitted
    PAUSED = "paused"  # visitors can join, nobody is admitted
    DRAINING = "draining"  # nobody can join; waiting visitors are admitted
    CLOSED = "closed"  # nobody can join, nobody is admitted


ADMITTING = frozenset((Mode.OPEN, Mode.DRAINING))
"""Modes in which waiting visitors are admitted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of one room; the defaults are those of the wire contract, section 2.

    To add one, declare it here and apply it in Lua; `waitline.kernel.setting` derives the rest.

    Invariant:
        Q4 (`active_max`), Q5 (`admit_per_s`, `admit_burst`), Q8 (`extensions_max`).
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """All settings of a room."""

    mode: Annotated[
        Mode,
        Setting(wire="mode", help="paused: no admission; draining: no joining; closed: neither"),
    ] = Mode.OPEN
    opens_at: Annotated[
        Instant | None,
        Setting(
            wire="opensAt",
            help="Opening time: admission starts then; visitors can join the line before",
            unit=TIME_UNIT,
        ),
    ] = None
    closes_at: Annotated[
        Instant | None,
        Setting(
            wire="closesAt",
            help="Closing time: from then on nobody can join the line or is admitted",
            unit=TIME_UNIT,
        ),
    ] = None
    title: Annotated[
        str,
        Setting(
            wire="title",
            help="Title shown to visitors; empty: the room's name",
            unit="characters",
            most=TITLE_CHARS_MAX,
        ),
    ] = ""
    title_en: Annotated[
        str,
        Setting(
            wire="titleEn",
            help="English title; empty: same as the title",
            unit="characters",
            most=TITLE_CHARS_MAX,
        ),
    ] = ""
    message: Annotated[
        str,
        Setting(
            wire="message",
            help="Message shown to waiting visitors",
            unit="characters",
            most=MESSAGE_CHARS_MAX,
            multiline=True,
        ),
    ] = ""
    message_en: Annotated[
        str,
        Setting(
            wire="messageEn",
            help="English message; empty: same as the message",
            unit="characters",
            most=MESSAGE_CHARS_MAX,
            multiline=True,
        ),
    ] = ""
    shop_url: Annotated[
        str,
        Setting(
            wire="shopUrl",
            help="Where admitted visitors are sent; empty: they stay on the waiting page",
            unit="characters",
            most=URL_CHARS_MAX,
            # Other schemes, such as javascript:, could run a script in the visitor's browser.
            begins_with=("https://", "http://"),
        ),
    ] = ""
    limits: Limits = field(default_factory=Limits)
    when_shop_silent: Annotated[
        WhenSilent,
        Setting(
            wire="whenShopSilent",
            help="When the shop stops reporting: keep the room's limits, slow (a tenth of the "
            "rate), or hold (admit nobody)",
        ),
    ] = WhenSilent.KEEP
    standby: Annotated[
        Standby,
        Setting(wire="standby", help="on: the gate admits at once while the room needs no line"),
    ] = Standby.OFF
    identity: Annotated[
        RoomIdentity,
        Setting(
            wire="identity",
            help="claimed: anybody may use any visitor name; signed: the shop must vouch for it",
        ),
    ] = RoomIdentity.CLAIMED
    identity_key: Annotated[
        str,
        Setting(
            wire="identityKey",
            help="Public key of the shop's identity statements, PEM or JWK: Ed25519, P-256 or RSA",
            unit="characters",
            most=KEY_CHARS_MAX,
            multiline=True,
        ),
    ] = ""
    identity_keys_url: Annotated[
        str,
        Setting(
            wire="identityKeysUrl",
            help="Address of the shop's key set (JWKS), instead of one key",
            unit="characters",
            most=URL_CHARS_MAX,
            begins_with=("https://", "http://"),
        ),
    ] = ""

    def __post_init__(self) -> None:
        check(self, (setting for setting in ROOM_SETTINGS if setting.name not in LIMIT_NAMES))
        self._check_relations()

    def _check_relations(self) -> None:
        signed = self.identity is RoomIdentity.SIGNED
        fault = times_fault(self.opens_at, self.closes_at) or identity_fault(
            signed=signed, key=self.identity_key, keys_url=self.identity_keys_url
        )
        if fault is not None:
            named = {setting.name: setting for setting in ROOM_SETTINGS}
            raise SettingError(named[fault[0]], fault[1])

    @property
    def values(self) -> dict[str, object]:
        """Every setting, by name."""
        return {
            setting.name: getattr(
                self.limits if setting.name in LIMIT_NAMES else self, setting.name
            )
            for setting in ROOM_SETTINGS
        }

    def changed(self, changes: Mapping[str, object]) -> "Rules":
        """Return these rules with some settings replaced.

        Raises:
            SettingError: A value is out of range.
        """
        for setting in ROOM_SETTINGS:
            if setting.begins_with and changes.get(setting.name):
                schemes = tuple(one.removesuffix("://") for one in setting.begins_with)
                fault = address_fault(str(changes[setting.name]), schemes)
                if fault is not None:
                    raise SettingError(setting, fault)
        return self.restored(changes)

    def restored(self, stored: Mapping[str, object]) -> "Rules":
        """Return these rules with settings as a store holds them.

        Earlier versions allowed addresses that `changed` refuses; rooms that have one keep it.

        Raises:
            SettingError: A value is out of range.
        """
        limits = {name: value for name, value in stored.items() if name in LIMIT_NAMES}
        others = {name: value for name, value in stored.items() if name not in LIMIT_NAMES}
        return replace(
            self,
            limits=replace(self.limits, **limits),  # type: ignore[arg-type]  # checked by Limits
            **others,  # type: ignore[arg-type]  # checked here
        )


LIMIT_SETTINGS = declared(Limits)
LIMIT_NAMES = tuple(setting.name for setting in LIMIT_SETTINGS)
ROOM_SETTINGS = declared(Rules)
"""Every room setting, in the order for display."""

SETTING_NAMES = frozenset(setting.name for setting in ROOM_SETTINGS)
