"""Load reports for backpressure on admission: the load of each worker, and the stock.

Every worker publishes its load once a second. One of them, by a lease in the store, also counts the
stock. A worker that cannot read the database publishes nothing; decision 0013 says how admission
treats missing reports.
"""

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple, Never

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


ADMITTED_STATEMENTS = frozenset(
    (
        "reserve", "free_seats", "begin_payment", "confirm_payment", "fail_payment", "cancel",
        "keep_answer", "read_seats", "changed_seats",
    )
)  # fmt: skip
"""Statements that run for admitted visitors alone. Others run for anybody (a stranger's token is
checked against the reservation that it is for), or for nobody, in the background."""


class Answered(NamedTuple):
    """Answers of a worker since its start.

    Attributes:
        everybody: All of them.
        admitted: Those that admitted visitors got.
    """

    everybody: int
    admitted: int


class WorkerLoad:
    """Load of a worker from serving admitted visitors.

    The higher of two shares. One is the p95 of their statements over its target, less the
    event-loop delay due to strangers: the present delay times the strangers' share of answers. The
    other is their demand for connections (decision 0024).

    Args:
        demand: Returns the demand for connections, as a share of all.
        waited_s: Returns the present event-loop delay of a statement, in s.
        answered: Returns the answers so far.
        now_s: A monotonic clock.

    Invariant:
        Calls of strangers do not raise the load: they run none of `ADMITTED_STATEMENTS`, and the
        time for which they keep the event loop is not counted.
    """

    def __init__(
        self,
        *,
        demand: Callable[[], float],
        waited_s: Callable[[], float] = lambda: 0.0,
        answered: Callable[[], Answered] = lambda: Answered(0, 0),
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._demand = demand
        self._waited_s = waited_s
        self._answered = answered
        self._now_s = now_s
        self._measured: deque[tuple[float, float, float, float]] = deque(maxlen=MEASURED_MAX)
        self._answers: deque[tuple[float, Answered]] = deque([(now_s(), answered())])

    def record(self, statement: str, seconds: float) -> None:
        """Record one statement, if it ran for an admitted visitor."""
        if statement in ADMITTED_STATEMENTS:
            self._measured.append((self._now_s(), seconds, self._waited_s(), self._demand()))

    def share(self) -> float:
        """Return the load as a share of the target: at 1.0 the worker is fully used."""
        now_s = self._now_s()
        while self._measured and self._measured[0][0] < now_s - WINDOW_S:
            self._measured.popleft()
        strangers = self._strangers_share(now_s)
        if not self._measured:
            # Statements that hang are not recorded, but they hold connections.
            return self._demand()
        lasted = sorted(
            max(0.0, seconds - waited_s * strangers) for _, seconds, waited_s, _ in self._measured
        )
        slow = lasted[len(lasted) * 19 // 20]
        demand = sum(each for *_, each in self._measured) / len(lasted)
        return max(slow / STATEMENT_S, demand)

    def _strangers_share(self, now_s: float) -> float:
        """Return the share of the window's answers that went to visitors who are not admitted."""
        latest = self._answered()
        self._answers.append((now_s, latest))
        while len(self._answers) > 2 and self._answers[1][0] <= now_s - WINDOW_S:  # noqa: PLR2004
            self._answers.popleft()
        _, first = self._answers[0]
        everybody = latest.everybody - first.everybody
        admitted = latest.admitted - first.admitted
        return 1 - admitted / everybody if everybody > 0 else 0.0


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
