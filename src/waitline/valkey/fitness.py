"""Fitness of Valkey or Redis: whether each primary takes writes, and whether it may lose data.

Settings are read with INFO, which managed services allow where they forbid CONFIG. They are checked
at the start, where production refuses a server that may drop data, and every minute.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Never, TypeGuard

import structlog

from waitline.kernel import telemetry
from waitline.kernel.errors import Misconfigured, NeedsOperator, Unavailable
from waitline.kernel.events import READINESS
from waitline.kernel.periodic import periodic
from waitline.valkey import durability as durable
from waitline.valkey.address import Topology
from waitline.valkey.client import ValkeyClient
from waitline.valkey.connection import NotPrimary
from waitline.valkey.durability import Durability
from waitline.valkey.replies import OF_A_CLUSTER, CommandError
from waitline.valkey.slots import SLOTS

CHECK_S = 60.0
"""Interval of checks, in s: settings change rarely, but a failover may change them."""

DURABLE_CHECK_S = 5.0
"""The same where joins are confirmed: a replica may be lost at any time, and nobody can join
then."""

START_TIMEOUT_S = 4.0
"""Timeout of the check at the start, in s. If a server does not answer, the process starts all the
same, is not ready, and checks again."""

PROMOTION_S = 60.0
"""How long, in s, a process waits at its start for a replica to become the primary. A failover
takes seconds, and a managed service that moves a name up to a minute. If it were shorter, a process
that restarts meanwhile would end; an operator who gave the address of a replica waits that long for
the refusal, with the reason in the log."""

PROMOTION_CHECK_S = 0.5
"""Interval of checks meanwhile, in s."""

VERSION_LEAST = 7
"""Oldest major version. Source: the commands that scripts use."""

READY_MS = 10_000
"""Lifetime of the key that readiness writes, in ms."""

FULL = "full: new visitors are refused"
"""Detail of readiness while the server has no memory left. Waiting visitors are still served, so
the service is ready."""

CLOCKS_APART_MAX_S = 0.5
"""Largest clock difference between two primaries, in s. The heartbeat tolerates twice as much
(`queue/lua/include/beat.lua`); with NTP, clocks differ by milliseconds."""

log = structlog.get_logger()


def faults(info: str, topology: Topology = Topology.SERVER) -> list[str]:
    """Return what is wrong with a server by its INFO, each as one line with the remedy."""
    fields = info_fields(info)
    found = []
    # Redis says redis_mode, Valkey server_mode.
    mode = fields.get("server_mode") or fields.get("redis_mode")
    if mode == "cluster" and topology is not Topology.CLUSTER:
        found.append(OF_A_CLUSTER)
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
    if info_fields(info).get("aof_enabled") != "0":
        return ""
    return (
        "the store keeps no append-only file: a restart loses every place in the line since its "
        "last snapshot. Set appendonly to yes"
    )


def _is_lost(info: str) -> bool:
    """Return whether a restart loses the data, by INFO: there is neither a file nor a copy."""
    return bool(unsaved(info)) and info_fields(info).get("connected_slaves", "0") == "0"


async def _lacking_slots(store: ValkeyClient) -> list[str]:
    """Return that slots of a cluster belong to no primary, as the primaries see it."""
    if store.topology is not Topology.CLUSTER:
        return []
    seen = (await store.each("CLUSTER", "INFO", expects=("NOPERM",))).values()
    assigned = [info_fields(info).get("cluster_slots_assigned") for info in seen if _is_text(info)]
    lacking = SLOTS - min((int(count) for count in assigned if count), default=SLOTS)
    fault = (
        f"the cluster lacks a primary for {lacking:,} of {SLOTS:,} slots, so their rooms cannot be "
        "served: assign them (valkey-cli --cluster fix)"
    )
    return [fault] if lacking else []


def _is_text(info: object) -> TypeGuard[str]:
    return isinstance(info, str)


def info_fields(info: str) -> dict[str, str]:
    """Return the fields of a server's INFO."""
    return dict(line.strip().split(":", 1) for line in info.splitlines() if ":" in line)


def _all_faults(infos: Mapping[str, object], topology: Topology) -> list[str]:
    """Return what is wrong with the primaries, by the INFO or the failure of each."""
    found: list[str] = []
    clocks_s: list[float] = []
    for server, info in infos.items():
        if isinstance(info, Unavailable):
            # Readiness reports it for as long as it lasts.
            continue
        if isinstance(info, BaseException):
            found.append(f"the store's settings cannot be checked: {info}")
            continue
        clocks_s.append(int(info_fields(str(info)).get("server_time_usec", 0)) / 1e6)
        where = f" ({server})" if len(infos) > 1 else ""
        found += [fault + where for fault in faults(str(info), topology)]
    if clocks_s and max(clocks_s) - min(clocks_s) > CLOCKS_APART_MAX_S:
        apart_s = max(clocks_s) - min(clocks_s)
        found.append(f"the clocks of the store's nodes differ by {apart_s:.1f} s: synchronise them")
    return found


class Fitness:
    """Checks the primaries of a store.

    Args:
        store: The client whose connections are checked.
        durability: What joins must have reached before they are answered.
        production: Whether the store must keep its data.

    Attributes:
        found: What was wrong at the last check.
    """

    def __init__(
        self,
        store: ValkeyClient,
        durability: Durability = "memory",
        *,
        production: bool = False,
    ) -> None:
        self._store = store
        self._durability = durability
        self._production = production
        self._check_s = CHECK_S if durability == "memory" else DURABLE_CHECK_S
        self._checked_s = float("-inf")
        self.found: list[str] = []

    async def run(self) -> Never:
        """Check regularly until cancelled."""
        await periodic("store_check", self.check, self._check_s)

    async def check(self) -> None:
        """Check the settings; log what is wrong when that changes.

        Raises:
            Unavailable: The server does not answer.
        """
        infos = await self._store.each("INFO", expects=("NOPERM",))
        found = await self.faults(infos)
        self._checked_s = asyncio.get_running_loop().time()
        if found and found != self.found:
            log.warning("store_unfit", reason="; ".join(found))
        self.found = found
        telemetry.STORE_FAULTS.set(len(found))

    async def faults(self, infos: Mapping[str, object]) -> list[str]:
        """Return what is wrong with the primaries, by the INFO or the failure of each.

        Raises:
            Unavailable: None answers.
        """
        found = await _lacking_slots(self._store) + _all_faults(infos, self._store.topology)
        fsyncs: dict[str, Any] = {}
        if self._durability == "disk":
            fsyncs = await self._store.each(
                "CONFIG", "GET", "appendfsync", expects=("NOPERM", "ERR")
            )
        for server, info in infos.items():
            if not _is_text(info):
                continue
            fsync = fsyncs.get(server)
            setting = str(fsync[1]) if isinstance(fsync, list) and fsync else None
            each = durable.faults(info_fields(info), self._durability, setting)
            if self._production and _is_lost(info):
                each.append(unsaved(info))
            where = f" ({server})" if len(infos) > 1 else ""
            found += [fault + where for fault in each]
        return found

    async def probe(self) -> str:
        """Write to each primary, as visitors' calls do; return what is wrong, in one line.

        In a cluster the others still serve the rooms of their slots while one does not.

        Raises:
            Unavailable: No server takes writes.
        """
        replies = await self._store.write_each(READINESS, 1, "PX", READY_MS)
        full = any(isinstance(reply, CommandError) for reply in replies.values())
        down = [
            f"{reply} ({server})"
            for server, reply in replies.items()
            if isinstance(reply, Unavailable)
        ]
        if asyncio.get_running_loop().time() - self._checked_s >= self._check_s:
            await self.check()
        return "; ".join([FULL] * full + down + self.found)


async def answers(store: ValkeyClient) -> None:
    """Check that all primaries answer.

    Raises:
        Unavailable: One does not.
    """
    # A user may be allowed few commands; an error is an answer.
    for reply in (await store.each("PING", expects=("NOPERM",))).values():
        if isinstance(reply, Unavailable):
            raise reply


async def await_primary(url: str) -> None:
    """Wait, at the start of a process, while the store is a replica: it may be in a failover.

    Args:
        url: Its address.

    Raises:
        NotPrimary: It is still a replica after `PROMOTION_S`.
    """
    loop = asyncio.get_running_loop()
    until_s = loop.time() + PROMOTION_S
    waits = False
    while refused := await _refused_as_replica(url):
        if loop.time() >= until_s:
            raise refused
        if not waits:
            log.warning("store_not_promoted", reason=str(refused), waits_s=PROMOTION_S)
        waits = True
        await asyncio.sleep(PROMOTION_CHECK_S)


async def _refused_as_replica(url: str) -> NotPrimary | None:
    # A new client each time: one that has failed pauses before it connects again.
    store = ValkeyClient(url, timeout_s=START_TIMEOUT_S)
    try:
        await answers(store)
    except NotPrimary as error:
        return error
    except Unavailable:
        # Other refusals are for `refuse_unfit`, and outages no reason to wait.
        return None
    finally:
        await store.close()
    return None


async def refuse_unfit(
    url: str, durability: Durability = "memory", *, production: bool = True
) -> None:
    """Refuse a server at the start of a process in production, or one that cannot confirm joins.

    In either mode a replica is given time to become the primary (`await_primary`).

    Args:
        url: Its address.
        durability: What joins must have reached before they are answered.
        production: Whether it must keep its data.

    Raises:
        Misconfigured: It may drop data, cannot confirm joins, is too old, or is no primary; its
            address or password is wrong; a cluster lacks slots.
    """
    await await_primary(url)
    if durability == "memory" and not production:
        return
    store = ValkeyClient(url, timeout_s=START_TIMEOUT_S)
    try:
        infos = await store.each("INFO", expects=("NOPERM",))
        known = {server: info for server, info in infos.items() if _is_text(info)}
        found = await Fitness(store, durability, production=production).faults(known)
    except NeedsOperator:
        # It answers, and waiting will not help.
        raise
    except Unavailable as error:
        log.warning("store_unchecked", reason=str(error))
        return
    finally:
        await store.close()
    for info in infos.values():
        # Start even if the server does not answer, or our user may not run INFO.
        if isinstance(info, BaseException):
            log.warning("store_unchecked", reason=str(info))
    if found:
        raise Misconfigured(found[0])
    warned = next(filter(None, map(unsaved, known.values())), "")
    if warned:
        log.warning("store_unsaved", reason=warned)
