"""Stock counter: free seats and unpaid reservations by room, for admission.

Only schedules that have changed are counted again, so a hall without sales costs one index look-up.
The cost of counting grows with the free seats, while precision matters less. So schedules with many
free seats are counted less often.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

from waitline.kernel.events import REPORTED_MAX, InStock
from waitline.kernel.ids import RoomId
from waitline.postgres.pool import Database

COUNTED_MAX = 20
"""Schedules counted in one statement; further ones are counted in the next."""

SEATS_PER_S = 10_000
"""Free seats of one schedule counted per second, on average: 60 000 are counted every six seconds.
Counting these takes up to 30 ms during a sale (measured)."""

COUNT_S = 5.0
"""Timeout of counting: `COUNTED_MAX` halls at the start, on a busy machine."""


class _Counted(NamedTuple):
    room: RoomId
    laid_out: bool
    free: int
    live: int
    watermark: int
    at_s: float

    def fresh(self, now_s: float) -> bool:
        """Return whether the count is recent enough for its size."""
        return self.free >= SEATS_PER_S and now_s < self.at_s + self.free / SEATS_PER_S


class StockCounter:
    """The stock of the newest `REPORTED_MAX` schedules.

    Args:
        database: Holds the seats.
        now_s: A monotonic clock.
    """

    def __init__(self, database: Database, now_s: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._now_s = now_s
        self._counted: dict[int, _Counted] = {}
        self._complete = False

    async def count_by_room(self) -> dict[str, InStock] | None:
        """Count the changed schedules; return the stock of each room that has seats.

        Returns:
            `None` while some schedules have not been counted yet.

        Raises:
            Unavailable: The database does not answer.
        """
        now_s = self._now_s()
        rows = await self._database.fetch_all(
            "changed_stock",
            within_s=COUNT_S,
            known_ids=list(self._counted),
            watermarks=[one.watermark for one in self._counted.values()],
            fresh_ids=[number for number, one in self._counted.items() if one.fresh(now_s)],
            schedules_max=REPORTED_MAX,
            counted_max=COUNTED_MAX,
        )
        for row in rows:
            self._counted[row["schedule_id"]] = _Counted(
                RoomId(row["room"]),
                row["laid_out"],
                row["free"],
                row["live"],
                row["watermark"],
                now_s,
            )
        for schedule in sorted(self._counted)[:-REPORTED_MAX]:
            del self._counted[schedule]
        # A partial count would make a room look sold out too early.
        self._complete = self._complete or len(rows) < COUNTED_MAX
        return self._summed() if self._complete else None

    def _summed(self) -> dict[str, InStock]:
        found: dict[str, InStock] = {}
        for one in self._counted.values():
            if one.laid_out:
                free, live = found.get(one.room, InStock(0, 0))
                found[one.room] = InStock(free + one.free, live + one.live)
        return found
