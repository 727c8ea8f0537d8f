"""Model of the lines: visitors in order, while some are admitted and others join."""

from collections import defaultdict
from collections.abc import Sequence

from waitline.kernel.ids import RoomId, VisitorId


class Lines:
    """The line of each room, in order.

    A room starts with `w1`, `w2`, …. An admitted visitor's status costs differently, so it is not
    requested.

    Args:
        filled: Initial visitors of each room.
    """

    def __init__(self, filled: dict[RoomId, int]) -> None:
        self._filled = filled
        self._joined: dict[RoomId, list[VisitorId]] = defaultdict(list)
        self._admitted: dict[RoomId, int] = defaultdict(int)

    def join(self, room: RoomId, visitors: Sequence[VisitorId]) -> None:
        """Record the visitors who have joined and stay."""
        self._joined[room] += visitors

    def admit(self, room: RoomId, total: int) -> int:
        """Record the total of admissions; return the number since the last call."""
        since = total - self._admitted[room]
        self._admitted[room] = total
        return since

    def waiting(self, room: RoomId, number: int) -> VisitorId:
        """Return the visitor at an index of the line."""
        place = self._admitted[room] + number
        filled = self._filled[room]
        if place < filled:
            return VisitorId(f"w{place + 1}")
        return self._joined[room][place - filled]
