"""Constraints between room settings, and defaults derived from other settings. Pure."""

from enum import StrEnum
from urllib.parse import urlsplit

from waitline.kernel.instants import Instant

KEY_CHARS_MAX = 4_096
"""Longest text of a shop's key, in characters: an RSA key of 4096 bits has 800."""


class RoomIdentity(StrEnum):
    """Who may use a visitor name in a room."""

    CLAIMED = "claimed"  # a name that anybody may claim
    SIGNED = "signed"  # an account for which the shop vouches


class Standby(StrEnum):
    """Whether the gate may admit visitors of a room without a line."""

    OFF = "off"
    ON = "on"


Fault = tuple[str, str]
"""The name of a setting, and what is wrong with it."""


def identity_fault(*, signed: bool, key: str, keys_url: str) -> Fault | None:
    """Return what is wrong with a room's settings of identity.

    A room whose identity is `signed` has one source of keys, and a usable one.
    """
    if key:
        # Imported here: its libraries are a fifth of what most processes import at their start.
        from waitline.tokens.shop_keys import parse_key  # noqa: PLC0415

        try:
            parse_key(key)
        except ValueError as error:
            # The message contains nothing of the key, which may be a private one.
            return "identity_key", str(error)
    if keys_url and not _is_plain(keys_url):
        return "identity_keys_url", "must be an address without a password"
    if key and keys_url:
        return "identity_keys_url", "excludes a key: set one of them to ''"
    if signed and not (key or keys_url):
        return "identity", "needs the shop's public key, or the address of its key set"
    return None


def burst_of(admit_per_s: float) -> float:
    """Return the default burst of a rate: a quarter of a second's admissions, at least 1.

    A late tick does not slow the line, and the shop sees no surge. A slow room holds a tick's
    admissions on top of one; otherwise it would lose the tokens that accrue between two ticks.
    """
    return max(admit_per_s / 4, 1 + admit_per_s / 10)


def times_fault(opens_at: Instant | None, closes_at: Instant | None) -> Fault | None:
    """Return what is wrong with a room's opening times."""
    if opens_at and closes_at and closes_at.at_ms <= opens_at.at_ms:
        return "closes_at", f"must be after the opening, {opens_at.iso}"
    return None


def _is_plain(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.username is None and parts.port != 0
    except ValueError:
        return False
