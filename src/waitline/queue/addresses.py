"""Places taken, places held and calls refused by client address: counts and limits of a room.

The counts are the room's, in the store, so a limit holds for the service and not for a worker
(decision 0030).
"""

from collections.abc import Iterable, Sequence
from ipaddress import ip_network
from typing import NamedTuple

from waitline.kernel.ids import RoomId, VisitorId
from waitline.queue import keys
from waitline.queue.model import AddressLimited
from waitline.valkey import scripts
from waitline.valkey.client import ValkeyClient

ALLOW = scripts.load("waitline.queue", "allow")
TALLY = scripts.load("waitline.queue", "tally")
HELD = scripts.load("waitline.queue", "held")

TALLIED_MAX = 256
"""Most rows of one call that adds counts."""

SHOWN_MAX = 50
"""Most addresses shown to an operator."""

Newcomer = tuple[VisitorId, str, str]
"""A visitor without a place yet, its client's address, and that address's network."""


class Counted(NamedTuple):
    """The counts of an address in one worker since its last report.

    Attributes:
        address: IPv4 address, or IPv6 /64.
        network: Its /24, or its IPv6 /48.
        taken: Places taken.
        refused: Calls refused.
        visitor: One of the visitors who took a place; empty for none.
    """

    address: str
    network: str
    taken: int
    refused: int
    visitor: str


class AddressTotals(NamedTuple):
    """Counts of one address or network in a room, for operators.

    Attributes:
        address: IPv4 address or /24, IPv6 /64 or /48.
        taken: Places taken since the room was created.
        refused: Calls refused since then.
        taken_in_minute: Places taken in the last minute with any count.
        held: Places held now. Only 200 places are checked, so a larger number may include ended
            ones.
    """

    address: str
    taken: int
    refused: int
    taken_in_minute: int
    held: int


class Addresses:
    """Counts and limits of client addresses, in the store.

    Args:
        store: The server that holds the rooms.
    """

    def __init__(self, store: ValkeyClient) -> None:
        self._store = store

    async def allow(
        self, room: RoomId, newcomers: Sequence[Newcomer]
    ) -> list[bool | AddressLimited]:
        """Decide which visitors may take a place, and count their places."""
        k = keys.of(room)
        words = [word for newcomer in newcomers for word in newcomer]
        rows = await self._store.run(
            ALLOW, (k.room, k.waiting, k.admitted, k.addresses, k.origins, k.lapsed), words
        )
        return [
            AddressLimited(str(row[1]), int(row[2])) if row[0] == "limited" else True
            for row in rows
        ]

    async def tally(self, room: RoomId, counted: Sequence[Counted]) -> tuple[int, set[str]]:
        """Add counts; return the rest of the minute in s, and addresses over a refusal limit."""
        assert 0 < len(counted) <= TALLIED_MAX
        k = keys.of(room)
        words = [word for row in counted for word in row]
        rows = await self._store.run(
            TALLY, (k.room, k.waiting, k.admitted, k.addresses, k.origins), words
        )
        if rows[0][0] == "no_room":
            return 0, set()
        return int(rows[0][1]), {str(address) for _, address in rows[1:]}

    async def top(self, room: RoomId, most: int = SHOWN_MAX) -> list[AddressTotals]:
        """Return the addresses and networks that took the most places or were refused most."""
        k = keys.of(room)
        flat = await self._store.command("HGETALL", k.addresses)
        found = sorted(_parsed(flat), key=lambda one: (-one.taken, -one.refused, one.address))
        refused = sorted(found, key=lambda one: (-one.refused, -one.taken, one.address))
        half = most // 2
        shown = list(dict.fromkeys([*found[:half], *refused[:half], *found]))[:most]
        if not shown:
            return []
        rows = await self._store.run(
            HELD, (k.waiting, k.admitted, k.origins), [_prefix(one.address) for one in shown]
        )
        return [one._replace(held=int(held)) for one, (_, held) in zip(shown, rows, strict=True)]


def _parsed(flat: Sequence[str]) -> Iterable[AddressTotals]:
    for address, text in zip(flat[::2], flat[1::2], strict=True):
        _, taken_now, _, taken, refused = map(int, text.split())
        yield AddressTotals(address, taken, refused, taken_now, 0)


def _prefix(address: str) -> str:
    """Return the prefix of an address's or network's places in `origins`."""
    network = _network_of(address)
    return f"{address} " if network is None else f"{network} {address} "


def _network_of(address: str) -> str | None:
    """Return the network of an address, or `None` for a network."""
    host, _, bits = address.partition("/")
    if bits in ("24", "48"):
        return None
    if bits == "64":
        return str(ip_network((host, 48), strict=False))
    try:
        return str(ip_network((host, 24), strict=False))
    except ValueError:
        return address
