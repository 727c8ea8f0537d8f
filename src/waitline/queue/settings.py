"""Room settings: what an operator sets for a room, each declared once. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Annotated

from waitline.kernel.addresses import address_fault
from waitline.kernel.instants import Instant
from waitline.kernel.setting import TIME_UNIT, Setting, SettingError, check, declared
from waitline.queue.decision import WhenSilent
from waitline.queue.limits import LIMIT_NAMES, Limits
from waitline.queue.relations import (
    KEY_CHARS_MAX,
    RoomIdentity,
    Standby,
    identity_fault,
    times_fault,
)

TITLE_CHARS_MAX = 100
MESSAGE_CHARS_MAX = 500
URL_CHARS_MAX = 2_000


class Mode(StrEnum):
    """Whether visitors can join the room's line, and whether they are admitted."""

    OPEN = "open"  # visitors can join and are admitted
    PAUSED = "paused"  # visitors can join, nobody is admitted
    DRAINING = "draining"  # nobody can join; waiting visitors are admitted
    CLOSED = "closed"  # nobody can join, nobody is admitted


ADMITTING = frozenset((Mode.OPEN, Mode.DRAINING))
"""Modes in which waiting visitors are admitted."""


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


ROOM_SETTINGS = declared(Rules)
"""Every room setting, in the order for display."""

SETTING_NAMES = frozenset(setting.name for setting in ROOM_SETTINGS)
