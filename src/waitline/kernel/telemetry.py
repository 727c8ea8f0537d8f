"""Prometheus metrics: name, meaning, unit and labels of each, and aggregation across processes.

Each process of a service (workers, admitter) writes its metrics to a file in one folder; the
process that is scraped adds the files up. `PROMETHEUS_MULTIPROC_DIR` must name the folder before
this module is imported (`waitline.settings.share_metrics`).

The request path counts in plain lists, which are added to the files once a second. Writing to the
file at each request would cost more than the rest of its bookkeeping.
"""

import asyncio
import os
import resource
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Never

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector
from typing_extensions import override

from waitline.kernel.periodic import periodic

FLUSH_S = 1.0
"""Interval, in s, of adding the counts to the file; metrics are at most this old."""

HTTP_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
SCRIPT_BOUNDS_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5)
PROVIDER_BOUNDS_S = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0)
STATEMENT_BOUNDS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)

# The folder of files is the real registry; the library demands an object.
_NOWHERE = CollectorRegistry(auto_describe=False)

HTTP_SECONDS = Histogram(
    "http_server_requests_seconds",
    "Time from the request's arrival to its answer; uri is the route's template",
    ("method", "uri", "status"),
    buckets=HTTP_BOUNDS_S,
    registry=_NOWHERE,
)
SCRIPT_SECONDS = Histogram(
    "redis_script_duration_seconds",
    "Time of one script call, including the round trip to the store",
    ("script",),
    buckets=SCRIPT_BOUNDS_S,
    registry=_NOWHERE,
)
STATEMENT_SECONDS = Histogram(
    "database_statement_duration_seconds",
    "Time of one SQL statement, including the round trip to the database",
    ("statement",),
    buckets=STATEMENT_BOUNDS_S,
    registry=_NOWHERE,
)
PROVIDER_SECONDS = Histogram(
    "payment_provider_duration_seconds",
    "Time of one call of the payment provider; outcome is ok, declined or silent",
    ("call", "outcome"),
    buckets=PROVIDER_BOUNDS_S,
    registry=_NOWHERE,
)
POOL_SIZE = Gauge(
    "database_pool_size",
    "Connections to the database that are open",
    multiprocess_mode="livesum",
    registry=_NOWHERE,
)
POOL_IN_USE = Gauge(
    "database_pool_in_use",
    "Connections to the database that run a statement",
    multiprocess_mode="livesum",
    registry=_NOWHERE,
)
POOL_WAITING = Gauge(
    "database_pool_waiting",
    "Statements that wait for a connection to the database",
    multiprocess_mode="livesum",
    registry=_NOWHERE,
)
MOVE_SECONDS = Histogram(
    "scheduler_move_duration_seconds",
    "Time of one admission call that admitted visitors",
    ("concert_id",),
    buckets=SCRIPT_BOUNDS_S,
    registry=_NOWHERE,
)
ROUND_SECONDS = Histogram(
    "scheduler_round_duration_seconds",
    "Time of one round of the admitter over the rooms that are due",
    buckets=HTTP_BOUNDS_S,
    registry=_NOWHERE,
)
LOOP_LAG_SECONDS = Gauge(
    "event_loop_lag_seconds",
    "How late the event loop ran a timer, at the last measurement",
    multiprocess_mode="livemax",
    registry=_NOWHERE,
)
CPU_SECONDS = Counter(
    "process_cpu_seconds",
    "Processor time used by the service's processes",
    registry=_NOWHERE,
)
MEMORY_BYTES = Gauge(
    "process_resident_memory_bytes",
    "Memory held by the service's processes",
    multiprocess_mode="livesum",
    registry=_NOWHERE,
)
STREAMS_OPEN = Gauge(
    "queue_streams_open",
    "Event streams held open",
    multiprocess_mode="livesum",
    registry=_NOWHERE,
)

ROOM_GAUGES = {
    "queue_wait_size": "Visitors who wait",
    "queue_active_size": "Visitors who hold a slot",
    "queue_throughput_users_per_second": "Visitors admitted per second, in the last second",
    "queue_estimated_wait_seconds": "How long a newcomer would wait, from the measured rate",
}
"""Read from the store at each scrape; label concert_id."""

DECISION_GAUGES = {
    "queue_admission_limit_per_second": "Admissions per second that are allowed at present",
    "queue_admission_allowance": "Visitors that may still be admitted, by the shop's free seats",
    "queue_no_show_share": "Share of the admitted who are expected not to activate, 0 to 1",
    "queue_shop_free_seats": "Free seats of the shop, by its latest report",
    "queue_shop_live_reservations": "Unpaid reservations of the shop, by its latest report",
    "queue_shop_load": "Work of the shop as a share of its target: 1 is on target",
    "queue_shop_report_age_seconds": "Age of the shop's latest report",
}
"""Of rooms whose shop reports; read from the store at each scrape; label concert_id."""

DECISION_REASON = (
    "queue_admission_reason",
    "Reason of a room's admission decision: 1 for the present one, 0 for the others",
)
"""As above; labels concert_id and reason."""

ROOM_COUNTERS = {
    "queue_entry_count": "Visitors who took a place",
    "queue_exit_count": "Visitors who have left the room, by reason",
    "scheduler_move_users": "Visitors admitted",
    "scheduler_cleanup_removed": "Expired slots that were freed",
    "queue_no_show_count": "Visitors who were admitted and never activated",
    "scheduler_lock_acquire_failures": "Admission calls while another admitter had the lease",
}
"""Read from the store at each scrape; label concert_id, and reason or scheduler_type."""

BACKLOG_GAUGES = {
    "outbox_events": (
        "Events that are not sent yet, or wait for an operator",
        "state",
        {"waiting": "events_waiting", "dead": "events_dead"},
    ),
    "outbox_oldest_age_seconds": (
        "Age of the oldest event that is not sent yet", "", {"": "events_age_s"}
    ),
    "payments_open": (
        "Payments that are pending or being refunded",
        "state",
        {"pending": "payments_pending", "refunding": "payments_refunding"},
    ),
    "payments_oldest_age_seconds": ("Age of the oldest of them", "", {"": "payments_age_s"}),
}  # fmt: skip
"""Of the box office, read from the database at each scrape: meaning, label, and the column of
`backlog` by the label's value."""

ROOMS_GAUGE = ("scheduler_concerts_count", "Rooms that the admitter serves")


class BufferedHistogram:
    """Histogram of one label set, buffered in memory until it is added to the files."""

    __slots__ = ("_bounds", "_counts", "_histogram", "_sum_s")

    def __init__(self, histogram: Histogram, bounds_s: tuple[float, ...]) -> None:
        self._histogram = histogram
        self._bounds = bounds_s
        self._counts = [0] * (len(bounds_s) + 1)
        self._sum_s = 0.0

    def add(self, seconds: float) -> None:
        """Count one duration."""
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._sum_s += seconds

    def flush(self) -> None:
        """Add the counts to the process's file."""
        if not any(self._counts):
            return
        # The library only has an API for single observations, so its buckets are used directly.
        for bucket, count in zip(self._histogram._buckets, self._counts, strict=True):  # noqa: SLF001
            if count:
                bucket.inc(count)
        self._histogram._sum.inc(self._sum_s)  # noqa: SLF001
        self._counts = [0] * len(self._counts)
        self._sum_s = 0.0


class ProcessMetrics:
    """Metrics of one process, buffered until the next flush."""

    def __init__(self) -> None:
        self._http: dict[tuple[str, str, int], BufferedHistogram] = {}
        self._scripts: dict[str, BufferedHistogram] = {}
        self._statements: dict[str, BufferedHistogram] = {}
        self._provider: dict[tuple[str, str], BufferedHistogram] = {}
        self._updates: list[Callable[[], None]] = []
        self._cpu_s = 0.0
        # When the next flush is due, on the loop's clock; 0 before the first.
        self._due_s = 0.0

    def http(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request; label values are bounded: our routes, methods and codes."""
        key = (method, route, status)
        tally = self._http.get(key)
        if tally is None:
            child = HTTP_SECONDS.labels(method, route, str(status))
            tally = self._http[key] = BufferedHistogram(child, HTTP_BOUNDS_S)
        tally.add(seconds)

    def script(self, name: str, seconds: float) -> None:
        """Count one script call."""
        tally = self._scripts.get(name)
        if tally is None:
            tally = self._scripts[name] = BufferedHistogram(
                SCRIPT_SECONDS.labels(name), SCRIPT_BOUNDS_S
            )
        tally.add(seconds)

    def statement(self, name: str, seconds: float) -> None:
        """Count one SQL statement."""
        tally = self._statements.get(name)
        if tally is None:
            child = STATEMENT_SECONDS.labels(name)
            tally = self._statements[name] = BufferedHistogram(child, STATEMENT_BOUNDS_S)
        tally.add(seconds)

    def provider(self, call: str, outcome: str, seconds: float) -> None:
        """Count one call of the payment provider."""
        tally = self._provider.get((call, outcome))
        if tally is None:
            child = PROVIDER_SECONDS.labels(call, outcome)
            tally = self._provider[call, outcome] = BufferedHistogram(child, PROVIDER_BOUNDS_S)
        tally.add(seconds)

    def on_flush(self, update: Callable[[], None]) -> None:
        """Call `update`, which sets gauges, at every flush."""
        self._updates.append(update)

    def flush(self) -> None:
        """Add all counts to the process's file, and set its processor time and memory."""
        for kind in (self._http, self._scripts, self._statements, self._provider):
            for tally in kind.values():
                tally.flush()
        for update in self._updates:
            update()
        used = resource.getrusage(resource.RUSAGE_SELF)
        cpu_s = used.ru_utime + used.ru_stime
        CPU_SECONDS.inc(cpu_s - self._cpu_s)
        self._cpu_s = cpu_s
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
        MEMORY_BYTES.set(pages * resource.getpagesize())

    async def keep(self) -> Never:
        """Flush once a second until cancelled, and measure the event loop's lag."""
        await periodic("metrics_flush", self._flush_on_time, FLUSH_S)

    async def _flush_on_time(self) -> None:
        now_s = asyncio.get_running_loop().time()
        LOOP_LAG_SECONDS.set(max(0.0, now_s - self._due_s) if self._due_s else 0.0)
        self._due_s = now_s + FLUSH_S
        self.flush()


class _Labelled(Collector):
    """Adds the labels that all of a service's metrics share."""

    def __init__(self, metrics: Iterable[Metric], shared: dict[str, str]) -> None:
        self._metrics = metrics
        self._shared = shared

    @override
    def collect(self) -> Iterator[Metric]:
        for metric in self._metrics:
            metric.samples = [
                sample._replace(labels={**self._shared, **sample.labels})
                for sample in metric.samples
            ]
            yield metric


def exposition(folder: Path, rooms: Iterable[Metric], *, service: str, instance: str) -> bytes:
    """Return all metrics of a service in the Prometheus text format.

    Args:
        folder: Metrics folder of its processes.
        rooms: Metrics that were read from the store.
        service: Value of the common label `service`.
        instance: Value of the common label `instance`.
    """
    for path in folder.glob("gauge_live*_*.db"):
        pid = int(path.stem.rpartition("_")[2])
        if not Path(f"/proc/{pid}").exists():
            mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    processes = MultiProcessCollector(None, str(folder)).collect()  # type: ignore[no-untyped-call]
    shared = {"service": service, "instance": instance}
    registry.register(_Labelled([*processes, *rooms], shared))
    return generate_latest(registry)


def process_id() -> int:
    """Return this process's id, to show which of a service's processes answered."""
    return os.getpid()
