"""Metrics: declarations (name, meaning, labels), and the metrics of this process.

The request path counts in plain lists. Once a second each process writes a snapshot of its metrics
to the folder of its service (`metric_files.py`); the process that is scraped adds them up.

A failure here never affects a request: it is counted, logged once, and costs one metric.
"""

import asyncio
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Never

import structlog

from waitline.kernel.instruments import Counter, DurationHistogram, Gauge, Instruments, Tally
from waitline.kernel.log_stream import STREAM
from waitline.kernel.loop_lag import LoopLag
from waitline.kernel.metric_files import MetricFile
from waitline.kernel.periodic import periodic

FLUSH_S = 1.0
"""Interval, in s, of writing the snapshot; metrics are at most this old."""

HTTP_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
SCRIPT_BOUNDS_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5)
PROVIDER_BOUNDS_S = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0)
STATEMENT_BOUNDS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)

HTTP_SECONDS = DurationHistogram(
    "http_server_requests_seconds",
    "Time from a request's arrival to its response; uri is the route template",
    ("method", "uri", "status"),
    bounds_s=HTTP_BOUNDS_S,
)
SCRIPT_SECONDS = DurationHistogram(
    "redis_script_duration_seconds",
    "Duration of a script call, including the round trip to Valkey",
    ("script",),
    bounds_s=SCRIPT_BOUNDS_S,
)
STATEMENT_SECONDS = DurationHistogram(
    "database_statement_duration_seconds",
    "Duration of an SQL statement, including the round trip to the database",
    ("statement",),
    bounds_s=STATEMENT_BOUNDS_S,
)
PROVIDER_SECONDS = DurationHistogram(
    "payment_provider_duration_seconds",
    "Duration of a call to the payment provider; outcome is ok, declined or silent (no answer)",
    ("call", "outcome"),
    bounds_s=PROVIDER_BOUNDS_S,
)
MOVE_SECONDS = DurationHistogram(
    "scheduler_move_duration_seconds",
    "Duration of an admission call that admitted visitors",
    ("concert_id",),
    bounds_s=SCRIPT_BOUNDS_S,
)
ROUND_SECONDS = DurationHistogram(
    "scheduler_round_duration_seconds",
    "Duration of one round of the admitter over the rooms that are due",
    bounds_s=HTTP_BOUNDS_S,
)
CPU_SECONDS = Counter("process_cpu_seconds", "CPU time used by the service's processes")
FAILURES = Counter(
    "metrics_failures",
    "Failures to collect or write a group of metrics; the others are not affected",
    ("figure",),
)
LOST_LINES = Counter(
    "log_lines_lost", "Log lines that could not be written: a full disk, or no reader"
)
ADDRESS_LIMITED = Counter(
    "queue_address_limited",
    "Calls refused because the client address reached a limit of the room",
    ("limit",),
)
STORE_REDIRECTS = Counter(
    "store_redirects",
    "Commands that a node of the Valkey cluster redirected or refused, and that were sent again",
    ("reply",),
)
STORE_MAPS = Counter("store_slot_maps", "Slot maps fetched from the Valkey cluster")
RENDERINGS = Counter("metrics_renderings", "Metrics pages rendered")
POOL_SIZE = Gauge("database_pool_size", "Open connections to the database")
POOL_IN_USE = Gauge("database_pool_in_use", "Database connections that are running a statement")
POOL_WAITING = Gauge("database_pool_waiting", "Statements waiting for a database connection")
LOOP_LAG_SECONDS = Gauge(
    "event_loop_lag_seconds",
    "Highest event loop lag in the last second",
    over="max",
)
MEMORY_BYTES = Gauge("process_resident_memory_bytes", "Resident memory of the service's processes")
STREAMS_OPEN = Gauge("queue_streams_open", "Open event streams")
STORE_FAULTS = Gauge(
    "store_faults",
    "Valkey settings that put data at risk, as of the last check, over all processes",
)

ROOMS_TIMED_MAX = 1_000
"""Most rooms whose admission calls have a label of their own in an admitter, as many as are shown.
A label set takes 400 bytes and is never dropped; the other rooms share one label."""

OTHER_ROOMS = "(other rooms)"
"""Label that the other rooms share."""


def time_move(room: str, seconds: float) -> None:
    """Count one admission call that admitted visitors."""
    if (room,) not in MOVE_SECONDS.tallies and len(MOVE_SECONDS.tallies) >= ROOMS_TIMED_MAX:
        room = OTHER_ROOMS
    MOVE_SECONDS.tally(room).add(seconds)


INSTRUMENTS = Instruments(
    counters=[CPU_SECONDS, FAILURES, LOST_LINES, STORE_REDIRECTS, STORE_MAPS, RENDERINGS],
    gauges=[
        POOL_SIZE,
        POOL_IN_USE,
        POOL_WAITING,
        LOOP_LAG_SECONDS,
        MEMORY_BYTES,
        STREAMS_OPEN,
        STORE_FAULTS,
    ],
    histograms=[
        HTTP_SECONDS,
        SCRIPT_SECONDS,
        STATEMENT_SECONDS,
        PROVIDER_SECONDS,
        MOVE_SECONDS,
        ROUND_SECONDS,
    ],
)
"""The instruments of this process."""

STALE_PROCESSES = (
    "metrics_stale_processes",
    "Processes whose metrics are older than ten seconds",
)
ROOMS_OMITTED = (
    "metrics_rooms_omitted",
    "Active rooms without series: more than 1,000 rooms are active",
)

ROOM_GAUGES = {
    "queue_wait_size": "Visitors waiting",
    "queue_active_size": "Visitors holding a slot",
    "queue_throughput_users_per_second": "Visitors admitted in the last second",
    "queue_estimated_wait_seconds": "Estimated wait of a new visitor, from the measured rate",
}
"""Read from the store at each scrape; label concert_id."""

DECISION_GAUGES = {
    "queue_admission_limit_per_second": "Current limit of admissions per second",
    "queue_admission_allowance": "Visitors who may still be admitted, given the free seats",
    "queue_no_show_share": "Expected share of admitted visitors who do not activate, 0 to 1",
    "queue_shop_free_seats": "Available seats, from the shop's latest report",
    "queue_shop_live_reservations": "Unpaid reservations, from the shop's latest report",
    "queue_shop_load": "Load of the shop relative to its target: 1 is on target",
    "queue_shop_report_age_seconds": "Age of the shop's latest report",
}
"""Of rooms whose shop reports; read from the store at each scrape; label concert_id."""

DECISION_REASON = (
    "queue_admission_reason",
    "Reason of a room's admission decision: 1 for the current one, 0 for the others",
)
"""As above; labels concert_id and reason."""

ROOM_COUNTERS = {
    "queue_entry_count": "Visitors who took a place",
    "queue_exit_count": "Visitors who have left the room, by reason",
    "queue_return_count": "Visitors who returned to their place after being passed over",
    "scheduler_move_users": "Visitors admitted",
    "scheduler_cleanup_removed": "Expired slots freed",
    "queue_no_show_count": "Visitors admitted who never activated",
    "scheduler_lock_acquire_failures": "Admission calls refused: another admitter holds the lease",
}
"""Read from the store at each scrape; label concert_id, and reason or scheduler_type."""

BACKLOG_GAUGES = {
    "outbox_events": (
        "Events not sent yet (waiting), or that need an operator (dead)",
        "state",
        {"waiting": "events_waiting", "dead": "events_dead"},
    ),
    "outbox_oldest_age_seconds": (
        "Age of the oldest event not sent yet", "", {"": "events_age_s"}
    ),
    "payments_open": (
        "Payments pending or being refunded",
        "state",
        {"pending": "payments_pending", "refunding": "payments_refunding"},
    ),
    "payments_oldest_age_seconds": ("Age of the oldest open payment", "", {"": "payments_age_s"}),
    "payments_attention": (
        "Payments that need an operator, as listed by `waitline payments`",
        "", {"": "payments_attention"},
    ),
}  # fmt: skip
"""Of the box office, read from the database at each scrape: meaning, label, and the column of
`backlog` by the label's value."""

ROOMS_GAUGE = ("scheduler_concerts_count", "Rooms served by the admitter")


log = structlog.get_logger()


class FigureGuard:
    """Isolates failures of metrics: each is counted, and logged once per change."""

    def __init__(self) -> None:
        self._failed: set[str] = set()

    def failed(self, figure: str, reason: str) -> None:
        """Count a failure of a figure."""
        FAILURES.add(1, figure)
        if figure not in self._failed:
            self._failed.add(figure)
            log.warning("metric_failed", figure=figure, reason=reason)

    def worked(self, figure: str) -> None:
        """Record that a figure is complete."""
        if figure in self._failed:
            self._failed.discard(figure)
            log.info("metric_recovered", figure=figure)

    def run(self, figure: str, update: Callable[[], None]) -> None:
        """Update a figure."""
        try:
            update()
        except Exception as error:  # noqa: BLE001 - counted and logged, whatever it is
            self.failed(figure, repr(error))
        else:
            self.worked(figure)


class ProcessMetrics:
    """Metrics of one process.

    Args:
        folder: Folder of its service's metrics; `None` to keep them in memory only.
        role: What the process is, as in `MetricFile`.
    """

    def __init__(self, folder: Path | None = None, role: str = "process") -> None:
        self.guard = FigureGuard()
        self.lag = LoopLag()
        self.file = None if folder is None else MetricFile(folder, role, INSTRUMENTS)
        self._http: dict[tuple[str, str, int], Tally] = {}
        self._updates: list[tuple[str, Callable[[], None]]] = [
            ("cpu", self._update_cpu),
            ("memory", _update_memory),
            ("log", _update_lost_lines),
        ]
        self._cpu_s = 0.0

    def http(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request; label values are bounded: our routes, methods and codes."""
        key = (method, route, status)
        tally = self._http.get(key)
        if tally is None:
            tally = self._http[key] = HTTP_SECONDS.tally(method, route, str(status))
        tally.add(seconds)

    def script(self, name: str, seconds: float) -> None:
        """Count one script call."""
        SCRIPT_SECONDS.tally(name).add(seconds)

    def statement(self, name: str, seconds: float) -> None:
        """Count one SQL statement."""
        STATEMENT_SECONDS.tally(name).add(seconds)

    def provider(self, call: str, outcome: str, seconds: float) -> None:
        """Count one call of the payment provider."""
        PROVIDER_SECONDS.tally(call, outcome).add(seconds)

    def on_flush(self, figure: str, update: Callable[[], None]) -> None:
        """Call `update`, which sets gauges, at every flush."""
        self._updates.append((figure, update))

    def update(self) -> None:
        """Set the gauges that are measured at a flush."""
        for figure, update in self._updates:
            self.guard.run(figure, update)

    def flush(self) -> None:
        """Write the snapshot."""
        self.update()
        self.guard.run("snapshot", self._write)

    def _write(self) -> None:
        if self.file is not None:
            self.file.claim()
            self.file.write(self.file.encode())

    async def keep(self, *, watches_lag: bool = True) -> Never:
        """Flush once a second until cancelled.

        Args:
            watches_lag: Whether to count the event loop's lag: where visitors wait for it.
        """
        if not watches_lag:
            await periodic("metrics_flush", self._flush_on_time, FLUSH_S)
        self.on_flush("lag", lambda: LOOP_LAG_SECONDS.set(self.lag.take_most_s()))
        with self.lag.watched():
            await periodic("metrics_flush", self._flush_on_time, FLUSH_S)

    async def _flush_on_time(self) -> None:
        self.update()
        if self.file is None:
            return
        try:
            self.file.claim()
            # Encoded here, so that no count changes during it. Written in a thread: a disk may
            # hang.
            await asyncio.to_thread(self.file.write, self.file.encode())
        except Exception as error:  # noqa: BLE001 - counted and logged, whatever it is
            self.guard.failed("snapshot", repr(error))
        else:
            self.guard.worked("snapshot")

    def _update_cpu(self) -> None:
        used = resource.getrusage(resource.RUSAGE_SELF)
        cpu_s = used.ru_utime + used.ru_stime
        CPU_SECONDS.add(cpu_s - self._cpu_s)
        self._cpu_s = cpu_s


def _update_lost_lines() -> None:
    lost = STREAM.take_lost()
    if lost:
        LOST_LINES.add(lost)


def _update_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    MEMORY_BYTES.set(pages * resource.getpagesize())
