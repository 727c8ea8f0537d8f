"""Stock counter: free seats and unpaid reservations by room, for admission.

Only schedules in which something has changed are counted again, so a hall without sales costs
one index look-up. Counting takes as long as there are free seats, and the more there are
the less it matters how many: a large hall is counted again after a while.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

from waitline.kernel.events import REPORTED_MAX, InStock
from waitline.kernel.ids import RoomId
from waitline.postgres.pool import Database

COUNTED_MAX = 20
"""Schedules counted in one statement; the others are counted in the next."""

SEATS_PER_S = 10_000
"""Free seats of one schedule that are counted per second, on average: with more, it is counted less
often, every six seconds for 60 000. That takes up to 30 ms, on a machine that sells (measured)."""

COUNT_S = 5.0
"""How long counting may take: so many halls at the beginning, on a busy machine."""


class _Counted(NamedTuple):
    room: RoomId
    laid_out: bool
    free: int
    live: int
    watermark: int
    at_s: float

    def fresh(self, now_s: float) -> bool:
        """Say whether it need not be counted again yet."""
        return self.free >= SEATS_PER_S and now_s < self.at_s + self.free / SEATS_PER_S


class StockCounter:
    """The stock of the newest `REPORTED_MAX` schedules.

    Args:
        database: Holds the seats.
        now_s: A clock that does not go back.
    """

    def __init__(self, database: Database, now_s: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._now_s = now_s
        self._counted: dict[int, _Counted] = {}
        self._complete = False

    async def count_by_room(self) -> dict[str, InStock] | None:
        """Count what has changed, and return the stock of each room that has seats at all.

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
        # A room with a part of its seats would seem to be sold out before it is.
        self._complete = self._complete or len(rows) < COUNTED_MAX
        return self._summed() if self._complete else None

    def _summed(self) -> dict[str, InStock]:
        found: dict[str, InStock] = {}
        for one in self._counted.values():
            if one.laid_out:
                free, live = found.get(one.room, InStock(0, 0))
                found[one.room] = InStock(free + one.free, live + one.live)
        return found
