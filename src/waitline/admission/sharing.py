"""Sharing of the rooms among admitters: rendezvous hashing with bounded loads. Pure.

Each admitter computes the shares of all from the same two lists, so they agree without a leader.
If one joins or leaves, few rooms move beside its own. While the lists differ for a moment, two
admitters may visit a room: the lease decides then.

Source: Thaler and Ravishankar, "Using name-based mappings to increase hit rates", IEEE/ACM
Transactions on Networking 6 (1998); Mirrokni, Thorup and Zadimoghaddam, "Consistent hashing with
bounded loads", SODA 2018.
"""

from collections.abc import Collection, Sequence
from collections.abc import Set as AbstractSet
from hashlib import blake2b
from math import ceil

from waitline.kernel.ids import RoomId

SPREAD = 1.25
"""Most rooms of an admitter, as a multiple of the mean. Closer to 1, more rooms would move whenever
one falls asleep; without a limit, one of four admitters would often have none of nine rooms."""


class Shares:
    """The rooms that one admitter serves.

    Args:
        name: Of the admitter.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._names: Sequence[str] = (name,)
        self._rooms: AbstractSet[RoomId] = frozenset()
        self._own: AbstractSet[RoomId] = frozenset()
        # Of each room, the admitters in the order in which they would serve it.
        self._ranks: dict[RoomId, Sequence[str]] = {}

    def among(self, names: Sequence[str]) -> None:
        """Set the names of all admitters, this one's included."""
        if names != self._names:
            self._names = names
            self._ranks.clear()
            self._rooms = frozenset()

    def of(self, rooms: AbstractSet[RoomId]) -> AbstractSet[RoomId]:
        """Return those of some rooms that this admitter serves."""
        if len(self._names) == 1:
            return rooms
        if rooms != self._rooms:
            self._rooms = frozenset(rooms)
            self._ranks = {
                room: self._ranks.get(room) or ranked(room, self._names) for room in rooms
            }
            self._own = self._shared()[self._name]
        return self._own

    def _shared(self) -> dict[str, set[RoomId]]:
        most = ceil(SPREAD * len(self._ranks) / len(self._names))
        shares: dict[str, set[RoomId]] = {name: set() for name in self._names}
        # In one order everywhere, whatever order the store has returned.
        for room in sorted(self._ranks):
            taker = next(name for name in self._ranks[room] if len(shares[name]) < most)
            shares[taker].add(room)
        return shares


def ranked(room: RoomId, names: Collection[str]) -> Sequence[str]:
    """Return the names of admitters, in the order in which they would serve a room."""

    def weight(name: str) -> bytes:
        return blake2b(f"{name}\0{room}".encode(), digest_size=8).digest()

    return sorted(names, key=weight)
