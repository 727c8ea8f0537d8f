"""Health checks (liveness, readiness, dependencies), metrics, and version information."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client.metrics_core import Metric

from waitline import __version__
from waitline.http import texts
from waitline.kernel import telemetry
from waitline.kernel.errors import Unavailable
from waitline.kernel.single_flight import SingleFlightCache

PROBE_KEPT_S = 0.2
"""TTL of a probe's result: health calls are public, and must not add load to a store in trouble."""

UP, DOWN = "UP", "DOWN"


class Probe:
    """Checks whether a dependency answers.

    Args:
        check: Raises `Unavailable` if it does not.
    """

    def __init__(self, check: Callable[[], Awaitable[object]]) -> None:
        self._check = check
        self._cache: SingleFlightCache[None, bool] = SingleFlightCache(
            self._probe, ttl_s=PROBE_KEPT_S, entries_max=1
        )

    async def up(self) -> bool:
        """Return whether it answers; the result is at most `PROBE_KEPT_S` old."""
        return await self._cache.fetch(None)

    async def _probe(self, _key: None) -> bool:
        try:
            await self._check()
        except Unavailable:
            return False
        return True


class Exposition:
    """The metrics of a service, summed over its processes.

    Args:
        tallies: Metrics of this process.
        metrics_dir: Folder with the metrics of all processes of the service.
        collect_more: Collects further metrics at each scrape.
        service: Value of the common label `service`.
        instance: Value of the common label `instance`.
    """

    def __init__(
        self,
        tallies: telemetry.ProcessMetrics,
        metrics_dir: Path,
        collect_more: Callable[[], Awaitable[Iterable[Metric]]],
        *,
        service: str,
        instance: str,
    ) -> None:
        self._tallies = tallies
        self._metrics_dir = metrics_dir
        self._collect_more = collect_more
        self._service = service
        self._instance = instance

    async def text(self) -> bytes:
        """Return every metric in the Prometheus text format."""
        more = await self._collect_more()
        self._tallies.flush()
        return telemetry.exposition(
            self._metrics_dir, more, service=self._service, instance=self._instance
        )


class Health:
    """The health and metrics calls.

    Args:
        probes: Probes of the dependencies, by the contract's name for each.
        exposition: The metrics.
    """

    def __init__(self, probes: Mapping[str, Probe], exposition: Exposition) -> None:
        self._probes = probes
        self._exposition = exposition

    def router(self) -> APIRouter:
        """Return the routes."""
        router = APIRouter(tags=["health"])
        router.get("/api/v1/health")(self.health)
        router.get("/actuator/health")(self.readiness)
        router.get("/actuator/health/liveness")(self.liveness)
        router.get("/actuator/health/readiness")(self.readiness)
        router.get("/actuator/info")(self.info)
        router.get("/actuator/prometheus", response_class=Response)(self.metrics)
        return router

    async def health(self, request: Request) -> dict[str, Any]:
        """Return the state of each dependency."""
        accept = request.headers.get("accept-language", "").encode("latin-1")
        found = await self._found()
        return {
            "result": "success",
            "message": texts.HEALTH.to(texts.preferred_language(accept)),
            "data": {"status": _whole(found), **found, "kafka": "NOT_USED"},
        }

    async def liveness(self) -> dict[str, str]:
        """Liveness: this process answers. It needs no restart if a store is down."""
        return {"status": UP}

    async def readiness(self) -> JSONResponse:
        """Readiness: 503 while a dependency does not answer."""
        found = await self._found()
        status = _whole(found)
        components = {name: {"status": one} for name, one in found.items()}
        body = {"status": status, "components": components}
        return JSONResponse(body, 200 if status == UP else 503)

    async def info(self) -> dict[str, Any]:
        """Return the application's name and version."""
        return {"status": UP, "app": {"name": "waitline", "version": __version__}}

    async def metrics(self) -> Response:
        """Return every metric of this service in the Prometheus text format."""
        body = await self._exposition.text()
        return Response(body, media_type="text/plain; version=0.0.4; charset=utf-8")

    async def _found(self) -> dict[str, str]:
        ups = await asyncio.gather(*(probe.up() for probe in self._probes.values()))
        return {name: UP if up else DOWN for name, up in zip(self._probes, ups, strict=True)}


def _whole(found: Mapping[str, str]) -> str:
    return UP if all(one == UP for one in found.values()) else DOWN
