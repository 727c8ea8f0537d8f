"""Metrics of this process: measured at each flush, and written to the folder of its service.

The request path counts in plain lists. Once a second each process writes a snapshot of its metrics
(`metric_files.py`); the process that is scraped adds them up.

A failure here never affects a request: it is counted, logged once, and costs one metric.
"""

import asyncio
import resource
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Never

import structlog

from waitline.kernel.clock import SystemClock
from waitline.kernel.instruments import Exemplar
from waitline.kernel.log_stream import STREAM
from waitline.kernel.loop_lag import LoopLag
from waitline.kernel.metric_files import MetricFile
from waitline.kernel.periodic import periodic
from waitline.kernel.request_context import CURRENT
from waitline.kernel.telemetry import (
    CPU_SECONDS,
    FAILURES,
    HTTP_SECONDS,
    INSTRUMENTS,
    LOOP_LAG_SECONDS,
    LOST_LINES,
    MEMORY_BYTES,
    PROCESSES,
    PROVIDER_SECONDS,
    SCRIPT_SECONDS,
    STATEMENT_SECONDS,
)

if TYPE_CHECKING:
    from waitline.kernel.instruments import Tally

FLUSH_S = 1.0
"""Interval, in s, of writing the snapshot; metrics are at most this old."""

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
            ("processes", lambda: PROCESSES.set(1)),
        ]
        self._cpu_s = 0.0
        self._clock = SystemClock()

    def _now_s(self) -> float:
        return self._clock.now_ms() / 1_000

    def http(
        self, method: str, route: str, status: int, seconds: float, trace_id: str | None = None
    ) -> None:
        """Count one answered request; label values are bounded: our routes, methods and codes."""
        key = (method, route, status)
        tally = self._http.get(key)
        if tally is None:
            tally = self._http[key] = HTTP_SECONDS.tally(method, route, str(status))
        tally.add(seconds)
        if trace_id is not None:
            tally.show(Exemplar(trace_id, seconds, self._now_s()))

    def script(self, name: str, seconds: float) -> None:
        """Count one script call."""
        SCRIPT_SECONDS.tally(name).add(seconds)

    def statement(self, name: str, seconds: float) -> None:
        """Count one SQL statement."""
        STATEMENT_SECONDS.tally(name).add(seconds)

    def provider(self, call: str, outcome: str, seconds: float) -> None:
        """Count one call of the payment provider."""
        tally = PROVIDER_SECONDS.tally(call, outcome)
        tally.add(seconds)
        context = CURRENT.get()
        if context is not None and context.span is not None:
            tally.show(Exemplar(context.span.trace_id, seconds, self._now_s()))

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
