"""Hash slots of a cluster: the slot of a key, the key of a command, the map of slots. Pure.

Source: the cluster specification of Valkey and Redis; CLUSTER SLOTS.
"""

from binascii import crc_hqx
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

SLOTS = 16_384

_KEY_AT = {"EVALSHA": 3, "EVAL": 3, "XGROUP": 2, "XINFO": 2}
"""Index of the first key of a command, if it does not follow the command's name."""


class Node(NamedTuple):
    """A node's address, as the cluster announces it."""

    host: str
    port: int


class SlotMap(NamedTuple):
    """Which primary holds which slots.

    Attributes:
        ranges: First and last slot, and the primary.
        nodes: All nodes with slots, primaries first.
        ids: Ids of all these nodes, which stay the same when their addresses change.
    """

    ranges: tuple[tuple[int, int, Node], ...]
    nodes: tuple[Node, ...]
    ids: frozenset[str]


@lru_cache(maxsize=65_536)
def slot_of(key: str) -> int:
    """Return the slot of a key: that of its hash tag, if it has one.

    The cache has room for the keys of five thousand rooms.
    """
    first = key.find("{")
    if first >= 0:
        last = key.find("}", first + 1)
        if last > first + 1:
            key = key[first + 1 : last]
    # CRC-16/XMODEM, as clusters use it.
    return crc_hqx(key.encode("utf-8", "surrogateescape"), 0) % SLOTS


def key_of(words: Sequence[Any]) -> str:
    """Return the first key of a command.

    Raises:
        ValueError: It has none, so it cannot be routed.
    """
    at = words.index("STREAMS") + 1 if words[0] == "XREADGROUP" else _KEY_AT.get(words[0], 1)
    if at >= len(words):
        raise ValueError(f"{words[0]} has no key, so it belongs to no node of a cluster")
    return str(words[at])


def parse_map(reply: Sequence[Any], from_host: str) -> SlotMap:
    """Parse the reply of CLUSTER SLOTS.

    Args:
        reply: The reply.
        from_host: Host of the node that gave it: a node that does not know its own address
            announces none.

    Raises:
        ValueError: It is not such a reply.
    """
    ranges: list[tuple[int, int, Node]] = []
    replicas: list[Node] = []
    ids: set[str] = set()
    try:
        for first, last, *found in reply:
            nodes = [
                Node(str(host), int(port))
                for host, port in ((node[0] or from_host, node[1]) for node in found)
                if host != "?"
            ]
            ids.update(str(node[2]) for node in found)
            if nodes and 0 <= int(first) <= int(last) < SLOTS:
                ranges.append((int(first), int(last), nodes[0]))
                replicas += nodes[1:]
    except (TypeError, IndexError) as error:
        raise ValueError(f"this is not a slot map: {error}") from None
    primaries = [node for _, _, node in ranges]
    return SlotMap(tuple(ranges), tuple(dict.fromkeys(primaries + replicas)), frozenset(ids))


def parse_redirect(text: str, from_host: str) -> Node | None:
    """Return the node that an error `MOVED slot host:port` or `ASK …` names, if any."""
    host, _, port = text.rsplit(" ", maxsplit=1)[-1].rpartition(":")
    return Node(host or from_host, int(port)) if port.isdecimal() and host != "?" else None
