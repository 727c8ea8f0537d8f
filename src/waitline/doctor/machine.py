"""Checks of this machine: its limit of open files, its keys, and what the settings lack."""

import resource
from typing import NamedTuple

from waitline.doctor.checks import Diagnosis, fault, ok, skipped, warning
from waitline.kernel.clock import Clock
from waitline.kernel.errors import Misconfigured
from waitline.kernel.plurals import counted
from waitline.services.start_lines import plain_http
from waitline.settings import PREFIX, Settings, operator_key, site_key
from waitline.tokens.keyring import Keyring
from waitline.tokens.keyring_file import KeyringError, KeyringFile

FILES_SPARE = 200
"""Open files of a worker beside its visitors' connections: stores, libraries, metrics, logs."""

DAY_MS = 86_400_000


def examine(settings: Settings, clock: Clock) -> list[Diagnosis]:
    """Return the results for this machine.

    Args:
        settings: The installation's settings, as the services on this machine get them.
        clock: The present time.
    """
    found = [_open_files(settings), _keys(settings, clock)]
    if settings.mode == "production":
        found.append(_https(settings))
        if settings.takes_play_money:
            found.append(
                warning(
                    "payments",
                    "buyers pay with play money (WAITLINE_PAYMENTS=play-money): remove that before "
                    "the sale, and set the provider's real key",
                )
            )
    return found


def ring_of(settings: Settings) -> Keyring | None:
    """Return the keys of this machine's data folder; `None` if there are none that can be used."""
    try:
        return KeyringFile(settings.keys_file).load()
    except KeyringError:
        return None


class SharedKeys(NamedTuple):
    """Keys of this machine that every instance must have too; `None` of those that it lacks."""

    operator: str | None = None
    site: str | None = None


def keys_of(settings: Settings) -> tuple[SharedKeys, list[Diagnosis]]:
    """Return this machine's keys, and what is wrong with them. A missing one is not generated."""
    found: dict[str, str] = {}
    wrong = []
    for name, configured, load in (
        ("operator", settings.operator_key, operator_key),
        ("site", settings.site_key, site_key),
    ):
        if configured is None and not (settings.data_dir / f"{name}.key").exists():
            continue
        try:
            found[name] = load(settings)
        except Misconfigured as error:
            wrong.append(fault(f"{name} key", str(error)))
    return SharedKeys(**found), wrong


def _https(settings: Settings) -> Diagnosis:
    subject = "HTTPS"
    try:
        settings.require_https()
    except Misconfigured as error:
        return fault(subject, str(error))
    reason = plain_http(settings)
    if reason:
        return warning(subject, reason)
    return ok(subject, f"proxies are trusted: {settings.trusted_proxies}")


def _open_files(settings: Settings) -> Diagnosis:
    subject = "open files"
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = settings.connections_max + FILES_SPARE
    if most == resource.RLIM_INFINITY or most >= needed:
        return ok(subject, "the limit allows every connection of a worker")
    return warning(
        subject,
        f"the hard limit of this shell is {most:,}, and a worker may need {needed:,} "
        f"({PREFIX}CONNECTIONS_MAX): raise LimitNOFILE of the service (systemd), or ulimit -n",
    )


def _keys(settings: Settings, clock: Clock) -> Diagnosis:
    subject = "signing keys"
    file = KeyringFile(settings.keys_file)
    if file.version() is None:
        return skipped(
            subject,
            f"{file.path} does not exist yet: the first start makes it. Copy it to every machine",
        )
    try:
        ring = file.load()
    except KeyringError as error:
        return fault(subject, str(error))
    now_ms = clock.now_ms()
    days = max(0, now_ms - ring.signing(now_ms).active_from_ms) // DAY_MS
    return ok(
        subject,
        f"{counted(len(ring.keys), 'key')}; {ring.signing(now_ms).kid} signs, "
        f"for {counted(days, 'day')}",
    )
