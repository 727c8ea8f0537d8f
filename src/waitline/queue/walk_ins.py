"""Visitors admitted without a line, in rooms on standby (decision 0060)."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from waitline.kernel.errors import Refused, Unavailable
from waitline.kernel.ids import RoomId, VisitorId
from waitline.queue import keys
from waitline.queue.model import BATCH_MAX, RoomUnknown, Slot, State
from waitline.queue.store import Store
from waitline.valkey import scripts

WALK_IN = scripts.load("waitline.queue", "walk_in")


class WalkedIn(NamedTuple):
    """Admitted without a line.

    Attributes:
        slot: The visitor's slot, ACTIVE.
        first: Whether nobody held a slot before this call.
    """

    slot: Slot
    first: bool


class LineFormed(Refused):
    """The room admits nobody without a line now: visitors wait, or no slot or admission is free."""


# The outcome of each word that the script returns.
WALKED_IN: Mapping[str, Callable[..., WalkedIn | Refused]] = {
    "active": lambda *row: WalkedIn(Slot(State.ACTIVE, *row[:-1]), row[-1] == 0),
    "line": LineFormed,
    "unsure": lambda *_: LineFormed(),
    "no_room": RoomUnknown,
}


class WalkIns:
    """Admits visitors without a line.

    Args:
        runner: Runs the script.
        confirming: As in `Line`.
    """

    def __init__(self, runner: Store, confirming: Store | None = None) -> None:
        self._runner = runner
        self._confirming = confirming or runner
        self._confirms = int(confirming is not None and confirming is not runner)

    async def walk_in(
        self, room: RoomId, visitors: Sequence[VisitorId]
    ) -> list[WalkedIn | Refused]:
        """Admit 1 to `BATCH_MAX` new visitors at once, while the room needs no line.

        Returns:
            One outcome per visitor: `WalkedIn`, `LineFormed` or `RoomUnknown`.

        Invariant:
            Q1, Q2, Q3, Q4, Q5, Q10.
        """
        assert 1 <= len(visitors) <= BATCH_MAX
        k = keys.of(room)
        where = (k.room, k.waiting, k.admitted, k.slots, k.rate, k.record)
        rows = await self._confirming.run(WALK_IN, where, (self._confirms, *visitors))
        outcomes = [WALKED_IN[row[0]](*row[1:]) for row in rows]
        if any(isinstance(one, WalkedIn) and one.first for one in outcomes):
            # As `join` wakes a room: the patrol finds it otherwise.
            with suppress(Unavailable):
                await self._runner.command("SADD", keys.OCCUPIED, room)
        return outcomes
