"""Fitness of a Valkey or Redis server: whether it takes writes, and whether it may lose data.

Settings are read with INFO, which managed services allow where they forbid CONFIG. They are checked
at the start, where production refuses a server that may drop data, and every minute.
"""

import asyncio
from contextlib import suppress
from typing import Never

import structlog

from waitline.kernel import telemetry
from waitline.kernel.errors import Misconfigured, Unavailable
from waitline.kernel.events import READINESS
from waitline.kernel.periodic import periodic
from waitline.valkey.client import ValkeyClient
from waitline.valkey.replies import CommandError

CHECK_S = 60.0
"""Interval of checks, in s: settings change rarely, and a failover may bring others."""

START_TIMEOUT_S = 2.0
"""Timeout of the check at the start, in s. A server that does not answer is no reason to wait: the
process starts, is not ready, and checks again."""

VERSION_LEAST = 7
"""Oldest major version. Source: the commands that scripts use."""

READY_MS = 10_000
"""Lifetime of the key that readiness writes, in ms."""

FULL = "full: newcomers are refused"
"""Detail of readiness while the server has no memory left. Those who wait are still served, so the
service is ready."""

log = structlog.get_logger()


def faults(info: str) -> list[str]:
    """Return what is wrong with a server by its INFO, each as one line with the remedy."""
    fields = dict(line.split(":", 1) for line in info.splitlines() if ":" in line)
    found = []
    policy = fields.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        found.append(
            f"the store's maxmemory-policy is {policy}, so it would drop waiting visitors when it "
            "is full: set maxmemory-policy to noeviction"
        )
    version = fields.get("redis_version", "")
    if version and int(version.partition(".")[0]) < VERSION_LEAST:
        found.append(f"the store is version {version}: it must be at least {VERSION_LEAST}")
    if fields.get("role") == "slave":
        found.append("the store is a replica: give the address of the primary")
    return found


def unsaved(info: str) -> str:
    """Return that a server keeps its data in memory alone, by its INFO; empty if it does not."""
    fields = dict(line.strip().split(":", 1) for line in info.splitlines() if ":" in line)
    if fields.get("aof_enabled") != "0":
        return ""
    return (
        "the store keeps no append-only file: a restart loses every place in the line since its "
        "last snapshot. Set appendonly to yes"
    )


class Fitness:
    """Checks one server.

    Args:
        store: The client whose connection is checked.

    Attributes:
        found: What was wrong at the last check.
    """

    def __init__(self, store: ValkeyClient) -> None:
        self._store = store
        self._checked_s = float("-inf")
        self.found: list[str] = []

    async def run(self) -> Never:
        """Check every `CHECK_S` until cancelled."""
        await periodic("store_check", self.check, CHECK_S)

    async def check(self) -> None:
        """Check the settings; log what is wrong when that changes.

        Raises:
            Unavailable: The server does not answer.
        """
        try:
            info = await self._store.command("INFO", expects=("NOPERM",))
            found = faults(info)
        except CommandError as error:
            found = [f"the store's settings cannot be checked: {error}"]
        self._checked_s = asyncio.get_running_loop().time()
        if found and found != self.found:
            log.warning("store_unfit", reason="; ".join(found))
        self.found = found
        telemetry.STORE_FAULTS.set(len(found))

    async def probe(self) -> str:
        """Write, as every visitor's call does; return what is wrong, in one line.

        Raises:
            Unavailable: The server does not take writes.
        """
        full = False
        try:
            await self._store.command("SET", READINESS, 1, "PX", READY_MS, expects=("OOM",))
        except CommandError:
            full = True
        if asyncio.get_running_loop().time() - self._checked_s >= CHECK_S:
            await self.check()
        return "; ".join([FULL] * full + self.found)


async def answers(store: ValkeyClient) -> None:
    """Check that a server answers at all.

    Raises:
        Unavailable: It does not.
    """
    # A user may be allowed few commands; an error is an answer.
    with suppress(CommandError):
        await store.command("PING", expects=("NOPERM",))


async def refuse_unfit(url: str) -> None:
    """Refuse a server at the start of a process in production.

    Raises:
        Misconfigured: It may drop data, or is too old.
    """
    store = ValkeyClient(url, timeout_s=START_TIMEOUT_S)
    try:
        info = await store.command("INFO", expects=("NOPERM",))
        found = faults(info)
        warned = unsaved(info)
    except (CommandError, Unavailable) as error:
        log.warning("store_unchecked", reason=str(error))
        return
    finally:
        await store.close()
    if found:
        raise Misconfigured(found[0])
    if warned:
        log.warning("store_unsaved", reason=warned)
