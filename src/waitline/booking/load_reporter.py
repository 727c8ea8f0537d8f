"""Publishes load reports for admission: the load of each worker, and the stock.

Every worker reports once a second how much it has to do; one of them, by a lease in the store,
counts the stock for all. A worker that cannot read the database publishes nothing: missing reports
have a meaning of their own (decision 0013).
"""

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Never

import msgspec

from waitline.booking.stock import StockCounter
from waitline.kernel.errors import Unavailable
from waitline.kernel.events import (
    REPORTER,
    REPORTER_MS,
    REPORTS,
    REPORTS_KEPT,
    InStock,
    Report,
)
from waitline.kernel.periodic import periodic
from waitline.postgres.pool import CALL_TIMEOUT_S
from waitline.valkey.client import ValkeyClient

EVERY_S = 1.0
"""Between two reports: how late admission may learn of a change."""

STATEMENT_S = 0.1
"""What 19 of 20 statements should take at most. They take milliseconds; with this much, each step
of a visitor, of one to three statements, stays below the half second that feels like a pause."""

WINDOW_S = 5.0
"""What a worker's load is measured over: short enough to notice trouble, and long enough that one
slow statement of a quiet second is none."""

MEASURED_MAX = 2_048
"""Statements remembered: the last ones, where there were more within the window."""


class WorkerLoad:
    """How busy a worker is: how long its statements take, and how many are under way.

    Args:
        now_s: A clock that does not go back.
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._measured: deque[tuple[float, float, float]] = deque(maxlen=MEASURED_MAX)

    def record(self, seconds: float, given_s: float, demand: float) -> None:
        """Note one statement, unless it was given longer than others: no visitor waits for it.

        Args:
            seconds: How long it took.
            given_s: How long it might have taken.
            demand: What was under way then, as `Database.demand`.
        """
        if given_s > CALL_TIMEOUT_S:
            return
        self._measured.append((self._now_s(), seconds, demand))

    def share(self) -> float:
        """Return what the worker has to do as a share of what it should: 1.0 is just right."""
        while self._measured and self._measured[0][0] < self._now_s() - WINDOW_S:
            self._measured.popleft()
        if not self._measured:
            return 0.0
        lasted = sorted(seconds for _, seconds, _ in self._measured)
        slow = lasted[len(lasted) * 19 // 20]
        demand = sum(each for _, _, each in self._measured) / len(lasted)
        return max(slow / STATEMENT_S, demand)


class LoadReporter:
    """Reports.

    Args:
        stock: What there is to sell.
        load: How busy this worker is.
        store: Where the waiting rooms read.
        name: Who reports; different for every worker.
    """

    def __init__(
        self, stock: StockCounter, load: WorkerLoad, store: ValkeyClient, *, name: str
    ) -> None:
        self._stock = stock
        self._load = load
        self._store = store
        self._name = name

    async def run(self) -> Never:
        """Report until cancelled."""
        await periodic("load_report", self.publish, EVERY_S)

    async def publish(self) -> None:
        """Report once.

        Raises:
            Unavailable: The store or the database does not answer.
        """
        stock = await self._counted() if await self._chosen() else None
        report = msgspec.json.encode(Report(self._name, round(self._load.share(), 3), stock))
        await self._store.command(
            "XADD", REPORTS, "MAXLEN", "~", REPORTS_KEPT, "*", "report", report.decode()
        )

    async def _chosen(self) -> bool:
        """Take or renew the lease for counting the stock; return whether this worker has it."""
        lease = ("PX", REPORTER_MS)
        if await self._store.command("SET", REPORTER, self._name, "NX", *lease):
            return True
        if await self._store.command("GET", REPORTER) != self._name:
            return False
        await self._store.command("SET", REPORTER, self._name, *lease)
        return True

    async def _counted(self) -> dict[str, InStock] | None:
        try:
            return await self._stock.count_by_room()
        except Unavailable:
            # Another worker may reach the database.
            with suppress(Unavailable):
                await self._store.command("DEL", REPORTER)
            raise
