"""Metrics page: the metrics of a service in the Prometheus text format, and version information.

It is rendered at most once a second for any number of scrapers (single flight), in a thread, so
that it does not block the event loop. Each figure is collected separately: one that fails is
omitted and counted.
"""

import asyncio
import gzip
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response

from waitline import __version__
from waitline.http import metric_text
from waitline.http.caching import accepted_codings
from waitline.http.metric_families import Collection, FamilySamples, of_snapshot
from waitline.kernel import collected_metrics, metric_files, telemetry
from waitline.kernel.clock import Clock
from waitline.kernel.process_metrics import ProcessMetrics
from waitline.kernel.single_flight import SingleFlightCache

if TYPE_CHECKING:
    from waitline.kernel.instruments import Snapshot

RENDER_S = 1.0
"""Shortest time between two renderings, in s. Snapshots are written once a second, so more would
show nothing new."""

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text"

Source = Callable[[], Awaitable[Iterable[FamilySamples]]]


class RenderedPage:
    """A page, and its compressed form once requested.

    Attributes:
        plain: The page.
        openmetrics: The same figures in the OpenMetrics format, if that is offered.
    """

    def __init__(self, plain: bytes, openmetrics: bytes | None = None) -> None:
        self.plain = plain
        self.openmetrics = None if openmetrics is None else RenderedPage(openmetrics)
        self._compressing: asyncio.Task[bytes] | None = None

    async def compressed(self) -> bytes:
        """Return the page in gzip, made in a thread on first use (single flight)."""
        if self._compressing is None:
            making = asyncio.to_thread(gzip.compress, self.plain, 1, mtime=0)
            self._compressing = asyncio.create_task(making)
        # A scraper that gives up must not cancel it for the others.
        return await asyncio.shield(self._compressing)


class MetricsPage:
    """The metrics of a service: those of its processes, summed, and those of its stores.

    Args:
        tallies: Metrics of this process, and the folder of all.
        sources: Collectors of further metrics, by figure.
        shows_room: Whether a room's series are shown.
        exemplars: Whether to offer the OpenMetrics format, which has exemplars: where traces are
            on.
        clock: For the age of the processes' figures.
        shared: Labels that all metrics of the service have.
        about: Public facts about the service besides its version, by name.
    """

    def __init__(
        self,
        tallies: ProcessMetrics,
        sources: Mapping[str, Source],
        *,
        clock: Clock,
        shared: Mapping[str, str],
        about: Mapping[str, str | None],
        shows_room: Callable[[str], bool] = lambda _room: True,
        exemplars: bool = False,
    ) -> None:
        self._tallies = tallies
        self._sources = dict(sources)
        self._clock = clock
        self._shared = dict(shared)
        self._about = dict(about)
        self._shows_room = shows_room
        self._exemplars = exemplars
        self._cache: SingleFlightCache[None, RenderedPage] = SingleFlightCache(
            self._render, ttl_s=RENDER_S, entries_max=1
        )

    def add_source(self, figure: str, collect: Source) -> None:
        """Add a collector of further metrics."""
        self._sources[figure] = collect

    async def page(self) -> RenderedPage:
        """Return the page, at most `RENDER_S` old."""
        return await self._cache.fetch(None)

    async def _render(self, _key: None) -> RenderedPage:
        telemetry.RENDERINGS.add(1)
        more: list[FamilySamples] = []
        guard = self._tallies.guard
        for figure, collect in self._sources.items():
            try:
                more += await collect()
            except Exception as error:  # noqa: BLE001 - counted and logged, whatever it is
                guard.failed(figure, repr(error))
            else:
                guard.worked(figure)
        self._tallies.update()
        return await asyncio.to_thread(self._rendered, more)

    def _rendered(self, more: list[FamilySamples]) -> RenderedPage:
        metrics = (*self._of_processes(), *more)
        text = metric_text.rendered(metrics, self._shared, self._count_dropped)
        if not self._exemplars:
            return RenderedPage(text)
        return RenderedPage(
            text,
            metric_text.rendered(metrics, self._shared, self._count_dropped, openmetrics=True),
        )

    def _count_dropped(self, name: str) -> None:
        self._tallies.guard.failed(name, "not a finite number")

    def _of_processes(self) -> Iterator[FamilySamples]:
        """Sum the metrics of all processes; this one's come from its memory, not from its file."""
        file, guard = self._tallies.file, self._tallies.guard
        own = file.name if file is not None else ""
        snapshots: list[tuple[Snapshot, bool]] = []
        stale = 0
        failures: list[str] = []
        try:
            found = [] if file is None else list(self._others(own))
        except OSError as error:
            found = []
            failures.append(str(error))
        for one in found:
            stale += one.stale
            if one.snapshot is None:
                failures.append(one.failure)
            else:
                snapshots.append((one.snapshot, one.alive and not one.stale))
        if failures:
            guard.failed("processes", "; ".join(failures))
        else:
            guard.worked("processes")
        snapshots.append((telemetry.INSTRUMENTS.snapshot(), True))
        yield from of_snapshot(telemetry.INSTRUMENTS.summed(snapshots), self._shows_room)
        own_metrics = Collection(collected_metrics.PAGE)
        own_metrics.add(collected_metrics.STALE_PROCESSES, stale)
        yield from own_metrics.metrics()

    def _others(self, own: str) -> Iterator[metric_files.ReadSnapshot]:
        assert self._tallies.file is not None
        now_s = self._clock.now_ms() / 1000
        for one in metric_files.read_all(self._tallies.file.folder, now_s):
            if one.name != own:
                yield one

    def router(self) -> APIRouter:
        """Return the routes."""
        router = APIRouter(tags=["management"])
        router.get("/actuator/info")(self.info)
        router.get("/actuator/prometheus", response_class=Response)(self.metrics)
        return router

    async def info(self) -> dict[str, Any]:
        """Return the application's name and version, its mode, and what buyers pay with."""
        app = {"name": "waitline", "version": __version__, **self._about}
        return {"status": "UP", "app": app}

    async def metrics(self, request: Request) -> Response:
        """Return every metric of this service in the Prometheus text format."""
        page = await self.page()
        headers = {"Vary": "Accept-Encoding", "Cache-Control": "no-store"}
        media_type = TEXT
        if page.openmetrics is not None:
            headers["Vary"] = "Accept, Accept-Encoding"
        if page.openmetrics is not None and OPENMETRICS in request.headers.get("accept", ""):
            page, media_type = page.openmetrics, f"{OPENMETRICS}; version=1.0.0; charset=utf-8"
        body = page.plain
        if "gzip" in accepted_codings(request.headers.get("accept-encoding", "")):
            headers["Content-Encoding"] = "gzip"
            body = await page.compressed()
        return Response(body, headers=headers, media_type=media_type)
