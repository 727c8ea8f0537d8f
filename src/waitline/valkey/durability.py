"""Durability: what a write must have reached before it is answered; its confirmation.

A batch of joins or turns is followed, on its own connection, by one command that waits for a
replica (WAIT) or for the disk (WAITAOF). It covers what that connection wrote. A batch that only
finds earlier places writes nothing, and the server would confirm it at once, although the call that
gave those places may not have been confirmed. So each batch also writes a fence: a key beside the
room's own.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, Literal

from waitline.kernel.errors import Unavailable

Durability = Literal["memory", "disk", "replicated"]

CONFIRM_MS = 300
"""Timeout of the confirmation, in ms. With the call itself it ends within the timeout of a call
(`CALL_TIMEOUT_S`), so that a batch that is not confirmed does not cost the connection."""

FENCE_MS = 10_000
"""Lifetime of a fence, in ms. Only the write counts; without an end, every name that was ever
entered would leave a key."""

CONFIRMATIONS: Final[Mapping[Durability, Sequence[str | float]]] = MappingProxyType(
    {"disk": ("WAITAOF", 1, 0, CONFIRM_MS), "replicated": ("WAIT", 1, CONFIRM_MS)}
)
"""The command that confirms a batch. Source: decision 0041."""

REPLICA_LAG_MAX_S = 5
"""Longest time, in s, since a replica's last acknowledgement, which it sends once a second. With a
later one no batch would be confirmed."""

VARIABLE = "WAITLINE_DURABILITY"
"""The setting that chooses it."""


class Unconfirmed(Unavailable):
    """A write was carried out, but not confirmed in time: a failover or a restart may undo it."""


def require_confirmed(replies: Sequence[object]) -> None:
    """Check the replies of a fence and of a command of `CONFIRMATIONS`.

    Raises:
        Unconfirmed: The server refused one of them, or neither a replica nor the disk has the
            writes.
    """
    for reply in replies:
        if isinstance(reply, Exception):
            raise Unconfirmed(f"the store cannot confirm a write: {reply}")
    # WAITAOF counts this server's file and those of replicas; WAIT counts replicas.
    counted = replies[-1]
    if not (counted[0] if isinstance(counted, list) else counted):
        raise Unconfirmed("the store has not confirmed a write in time; it may be carried out")


def fence_of(key: str) -> Sequence[str | float]:
    """Return the write that a confirmation covers, in the slot of a key."""
    return ("SET", f"{key}:fence", 1, "PX", FENCE_MS)


def faults(info: Mapping[str, str], durability: Durability, appendfsync: str | None) -> list[str]:
    """Return why a server cannot confirm writes, each as one line with the remedy.

    Args:
        info: Fields of its INFO.
        durability: What is required.
        appendfsync: Its setting; `None` if our user may not read it.
    """
    found = []
    if durability == "disk":
        if info.get("aof_enabled") == "0":
            found.append(
                f"{VARIABLE}=disk: the store keeps no append-only file: set its appendonly to yes "
                "and appendfsync to always, or choose another durability"
            )
        elif appendfsync not in (None, "always"):
            found.append(
                f"{VARIABLE}=disk: the store's appendfsync is {appendfsync}: set it to always "
                "(WAITLINE_SYNC=write for the embedded server), or choose another durability"
            )
        if not _has_waitaof(info.get("redis_version", "")):
            found.append(
                f"{VARIABLE}=disk: the store lacks WAITAOF: use Valkey, or Redis 7.2 or newer"
            )
    if durability == "replicated" and not _replicas(info):
        found.append(
            f"{VARIABLE}=replicated: the store has no replica that keeps up: start one "
            "(replicaof), or choose another durability"
        )
    return found


def _has_waitaof(version: str) -> bool:
    """Return whether the server has WAITAOF. Valkey reports Redis version 7.2.4."""
    numbers = [int(part) for part in version.split(".")[:2] if part.isdecimal()]
    return len(numbers) < 2 or tuple(numbers) >= (7, 2)  # noqa: PLR2004 - major and minor


def _replicas(info: Mapping[str, str]) -> int:
    """Return how many replicas keep up, by `slave0:ip=…,state=online,offset=…,lag=0`."""
    count = 0
    for name, value in info.items():
        if name.startswith("slave") and name[5:].isdecimal():
            fields = dict(part.split("=", 1) for part in value.split(",") if "=" in part)
            lag = fields.get("lag", "0")
            late = lag.isdecimal() and int(lag) > REPLICA_LAG_MAX_S
            count += fields.get("state") == "online" and not late
    return count
