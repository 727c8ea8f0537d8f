"""A room for one measurement, filled, opened, counted and audited directly in the store."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import uvloop

from waitline.kernel.ids import RoomId, VisitorId
from waitline.queue import audit
from waitline.queue.limits import DAY_MS, Limits
from waitline.queue.model import BATCH_MAX, Survey
from waitline.queue.rooms import Rooms
from waitline.queue.settings import Mode, Rules
from waitline.queue.store import Line
from waitline.valkey.client import ValkeyClient

CALL_S = 10.0
UNDER_WAY = 4
"""Concurrent batches while the room is filled: enough to keep the server busy."""

T = TypeVar("T")


class Room:
    """One room of an installation.

    Args:
        url: Address of the store.
        name: Name of the room.
    """

    def __init__(self, url: str, name: str) -> None:
        self._url = url
        self.name = RoomId(name)

    def fill(self, visitors: int, admit_per_s: float) -> None:
        """Create the room, paused, and let `v1`, `v2`, … join in this order.

        Admitted visitors keep their slots, so no slot is freed during the measurement.
        """
        limits = Limits(
            active_max=1_000_000,
            admit_per_s=admit_per_s,
            admit_burst=max(1, int(admit_per_s / 4)),
            waiting_max=10_000_000,
            ready_ttl_ms=DAY_MS,
        )

        async def run(store: ValkeyClient) -> None:
            await Rooms(store).ensure(self.name, Rules(mode=Mode.PAUSED, limits=limits))
            starts = iter(range(1, visitors + 1, BATCH_MAX))
            line = Line(store)

            async def join() -> None:
                # All tasks share one iterator, and a single connection keeps the order.
                for start in starts:
                    end = min(start + BATCH_MAX, visitors + 1)
                    await line.join(self.name, [VisitorId(f"v{n}") for n in range(start, end)])

            async with asyncio.TaskGroup() as group:
                for _ in range(UNDER_WAY):
                    group.create_task(join())

        self._call(run)

    def open(self) -> None:
        """Open the room for admissions."""
        self._call(lambda store: Rooms(store).change(self.name, {"mode": Mode.OPEN}))

    def survey(self) -> Survey:
        """Return its counters."""
        return self._call(lambda store: Rooms(store).survey(self.name))

    def findings(self) -> list[str]:
        """Pause the room, audit all of it, and return the broken invariants."""

        async def run(store: ValkeyClient) -> list[str]:
            await Rooms(store).change(self.name, {"mode": Mode.PAUSED})
            found = audit.examine(await audit.take_snapshot(store, self.name))
            return [f"{finding.invariant}: {finding.text}" for finding in found]

        return self._call(run)

    def delete(self) -> None:
        """Delete it, so that admitters do not visit it any more."""
        self._call(lambda store: Rooms(store).delete(self.name, force=True))

    def _call(self, call: Callable[[ValkeyClient], Awaitable[T]]) -> T:
        async def run() -> T:
            store = ValkeyClient(self._url, timeout_s=CALL_S)
            try:
                return await call(store)
            finally:
                await store.close()

        return uvloop.run(run())
