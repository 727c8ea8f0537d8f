"""Load reports for backpressure on admission: the load of each worker, and the stock.

Every worker publishes its load once a second. One of them, by a lease in the store, also counts the
stock. A worker that cannot read the database publishes nothing; decision 0013 says how admission
treats missing reports.
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
"""Between two reports, which delays the reaction of admission."""

STATEMENT_S = 0.1
"""Target p95 of a statement. Statements normally take milliseconds. At this target, a visitor's
step of one to three statements stays below the half second that feels like a pause."""

WINDOW_S = 5.0
"""Window of the measurement: short enough to notice trouble, and long enough that one slow
statement in a quiet second does not count as trouble."""

MEASURED_MAX = 2_048
"""Most statements in the window; the oldest are dropped."""


class WorkerLoad:
    """Load of a worker: the duration of its statements, and the demand for connections.

    Args:
        now_s: A monotonic clock.
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._measured: deque[tuple[float, float, float]] = deque(maxlen=MEASURED_MAX)

    def record(self, seconds: float, given_s: float, demand: float) -> None:
        """Record one statement; ignore those with a long timeout, which no visitor waits for.

        Args:
            seconds: Its duration.
            given_s: Its timeout.
            demand: The demand at that time, as `Database.demand`.
        """
        if given_s > CALL_TIMEOUT_S:
            return
        self._measured.append((self._now_s(), seconds, demand))

    def share(self) -> float:
        """Return the load as a share of the target: at 1.0 the worker is fully used."""
        while self._measured and self._measured[0][0] < self._now_s() - WINDOW_S:
            self._measured.popleft()
        if not self._measured:
            return 0.0
        lasted = sorted(seconds for _, seconds, _ in self._measured)
        slow = lasted[len(lasted) * 19 // 20]
        demand = sum(each for _, _, each in self._measured) / len(lasted)
        return max(slow / STATEMENT_S, demand)


class LoadReporter:
    """Publishes the reports of a worker.

    Args:
        stock: Counts the stock.
        load: Load of this worker.
        store: Holds the stream of reports.
        name: Name of the worker, unique.
    """

    def __init__(
        self, stock: StockCounter, load: WorkerLoad, store: ValkeyClient, *, name: str
    ) -> None:
        self._stock = stock
        self._load = load
        self._store = store
        self._name = name

    async def run(self) -> Never:
        """Publish a report every `EVERY_S` until cancelled."""
        await periodic("load_report", self.publish, EVERY_S)

    async def publish(self) -> None:
        """Publish one report.

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
            # Release the lease: another worker may reach the database.
            with suppress(Unavailable):
                await self._store.command("DEL", REPORTER)
            raise
