"""Admission of one chunk of a line: confirmed on a replica before the next, and after a failover.

A primary that dies may take admissions with it that no replica has. With confirmation, that is at
most the chunk after the last confirmed one. After a failover, the room counts what may have been
lost (decision 0041); the log says so.
"""

import time
from collections.abc import Awaitable, Callable
from collections.abc import Set as AbstractSet

import structlog

from waitline.kernel.errors import Refused
from waitline.kernel.ids import RoomId
from waitline.queue import keys
from waitline.queue.model import CHUNK_MAX, Held, Leased, Moved, Unsure
from waitline.queue.store import Line
from waitline.valkey.durability import Unconfirmed

Confirm = Callable[[str], Awaitable[None]]
"""Waits until all that was written before, to the server of a key, is on a replica."""

log = structlog.get_logger()


class Chunks:
    """Admits and sweeps a chunk of a room at a time.

    Args:
        line: Admits and sweeps.
        name: Holder of the leases.
        lease_ms: Duration of a lease.
        confirm: As `Confirm`; `None` if admissions are not confirmed.
    """

    def __init__(self, line: Line, name: str, lease_ms: int, confirm: Confirm | None) -> None:
        self._line = line
        self._name = name
        self._lease_ms = lease_ms
        self._confirm = confirm
        # Rooms of which the log has said that nothing confirms them.
        self._unconfirmed: set[RoomId] = set()

    async def admit(self, room: RoomId, heard_ms: int) -> Moved | Leased | Held | Unsure:
        """Admit the next chunk; nobody while the one before is not confirmed."""
        try:
            if self._confirm is not None:
                await self._confirm(keys.of(room).room)
                self._unconfirmed.discard(room)
            outcome = await self._line.admit(
                room,
                holder=self._name,
                lease_ms=self._lease_ms,
                chunk_max=CHUNK_MAX,
                heard_ms=heard_ms,
                mono_ms=time.monotonic_ns() // 1_000_000,
                confirmed=self._confirm is not None,
            )
        except Unconfirmed as error:
            # Rooms of other primaries continue.
            if room not in self._unconfirmed:
                log.warning("admission_unconfirmed", room=room, reason=str(error))
            self._unconfirmed.add(room)
            return Held()
        except Refused:
            # The room was deleted: treat it as one that admits nobody.
            return Held()
        if isinstance(outcome, Unsure):
            _log_unsure(room, outcome)
        return outcome

    async def sweep(self, room: RoomId, heard_ms: int) -> bool:
        """Sweep the next chunk; return whether there may be more."""
        swept = await self._line.sweep(
            room,
            chunk_max=CHUNK_MAX,
            heard_ms=heard_ms,
            confirmed=self._confirm is not None,
        )
        if isinstance(swept, Unsure):
            _log_unsure(room, swept)
            return True
        return swept.more

    def forget_others(self, served: AbstractSet[RoomId]) -> None:
        """Forget the rooms that are no longer served."""
        self._unconfirmed &= served


def _log_unsure(room: RoomId, unsure: Unsure) -> None:
    log.warning(
        "failover_uncertain", room=room, slots=unsure.slots, for_s=round(unsure.for_ms / 1000)
    )
