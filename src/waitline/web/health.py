"""Health that tells the truth, metrics, and what runs here."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
)

from waitline import __version__, telemetry
from waitline.errors import Refused, Unavailable
from waitline.ids import RoomId
from waitline.lua import Valkey
from waitline.queue import policy
from waitline.queue.feed import Feed
from waitline.queue.model import Survey
from waitline.queue.rooms import Rooms
from waitline.web import texts
from waitline.web.board import Board

PROBE_KEPT_S = 0.2
"""How long the answer of a probe serves for those who ask too: health calls are open to all and
must not become load on a store that is in trouble."""

UP, DOWN = "UP", "DOWN"


class Probe:
    """Asks the store whether it is there.

    Args:
        store: Whom to ask.
    """

    def __init__(self, store: Valkey) -> None:
        self._store = store
        self._until_s = 0.0
        self._up = False
        self._asking = asyncio.Lock()

    async def store_up(self) -> bool:
        """Return whether the store answered, at most `PROBE_KEPT_S` ago."""
        loop = asyncio.get_running_loop()
        async with self._asking:
            if loop.time() >= self._until_s:
                try:
                    await self._store.command("PING")
                    self._up = True
                except Unavailable:
                    self._up = False
                self._until_s = loop.time() + PROBE_KEPT_S
            return self._up


class Health:
    """The health and metrics calls.

    Args:
        probe: Asks the store.
        rooms: Names the rooms.
        board: Knows their numbers.
        feed: Knows how many streams are open.
        tallies: This process's figures.
        metrics_dir: Where all processes keep theirs.
        instance: The metrics' label.
    """

    def __init__(
        self,
        *,
        probe: Probe,
        rooms: Rooms,
        board: Board,
        feed: Feed,
        tallies: telemetry.Tallies,
        metrics_dir: Path,
        instance: str,
    ) -> None:
        self._probe = probe
        self._rooms = rooms
        self._board = board
        self._feed = feed
        self._tallies = tallies
        self._metrics_dir = metrics_dir
        self._instance = instance

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
        """Name each dependency and whether it answers."""
        accept = request.headers.get("accept-language", "").encode("latin-1")
        up = await self._probe.store_up()
        return {
            "result": "success",
            "message": texts.HEALTH.to(texts.language(accept)),
            "data": {
                "status": UP if up else DOWN,
                "redis": UP if up else DOWN,
                "kafka": "NOT_USED",
            },
        }

    async def liveness(self) -> dict[str, str]:
        """Say that this process answers. A silent store is no reason to restart it."""
        return {"status": UP}

    async def readiness(self) -> JSONResponse:
        """Say whether visitors can be served: 503 while the store does not answer."""
        up = await self._probe.store_up()
        status = UP if up else DOWN
        body = {"status": status, "components": {"redis": {"status": status}}}
        return JSONResponse(body, 200 if up else 503)

    async def info(self) -> dict[str, Any]:
        """Say what runs here."""
        return {"status": UP, "app": {"name": "waitline", "version": __version__}}

    async def metrics(self) -> Response:
        """Return every metric of this service in the Prometheus text format."""
        telemetry.STREAMS_OPEN.set(self._feed.size)
        self._tallies.flush()
        body = telemetry.exposition(
            self._metrics_dir, await self._room_metrics(), service="queue", instance=self._instance
        )
        return Response(body, media_type="text/plain; version=0.0.4; charset=utf-8")

    async def _room_metrics(self) -> list[Metric]:
        try:
            names = await self._rooms.names()
            surveys = [(name, survey) for name in names if (survey := await self._survey(name))]
        except Unavailable:
            # The processes' own figures matter most when the store is down.
            return []
        return list(room_metrics(surveys, len(names)))

    async def _survey(self, room: RoomId) -> Survey | None:
        try:
            return (await self._board.read(room)).survey
        except Refused:
            return None


def room_metrics(surveys: list[tuple[RoomId, Survey]], rooms: int) -> Iterator[Metric]:
    """Turn what was read of the rooms into metrics.

    Args:
        surveys: By room.
        rooms: How many there are.
    """
    gauges = {
        name: GaugeMetricFamily(name, meaning, labels=["concert_id"])
        for name, meaning in telemetry.ROOM_GAUGES.items()
    }
    labels = {
        "queue_exit_count": ["concert_id", "reason"],
        "scheduler_lock_acquire_failures": ["scheduler_type", "concert_id"],
    }
    counters = {
        name: CounterMetricFamily(name, meaning, labels=labels.get(name, ["concert_id"]))
        for name, meaning in telemetry.ROOM_COUNTERS.items()
    }
    for room, survey in surveys:
        count = survey.counters
        gauges["queue_wait_size"].add_metric([room], survey.waiting)
        gauges["queue_active_size"].add_metric([room], survey.admitted)
        gauges["queue_throughput_users_per_second"].add_metric([room], survey.rate_last)
        pace = policy.rate_range(survey.rate_mean, survey.rate_deviation, survey.rate_samples)
        if pace is not None:
            wait_s = survey.waiting / survey.rate_mean
            gauges["queue_estimated_wait_seconds"].add_metric([room], wait_s)
        counters["queue_entry_count"].add_metric([room], count["entered"])
        for reason in ("left", "abandoned", "lapsed", "passed", "removed"):
            counters["queue_exit_count"].add_metric([room, reason], count[reason])
        counters["scheduler_move_users"].add_metric([room], count["admitted"])
        counters["scheduler_cleanup_removed"].add_metric([room], count["lapsed"])
        counters["scheduler_lock_acquire_failures"].add_metric(
            ["admit", room], count["lease_refused"]
        )
    yield from gauges.values()
    yield from counters.values()
    total = GaugeMetricFamily(*telemetry.ROOMS_GAUGE, labels=["scheduler_type"])
    total.add_metric(["admit"], rooms)
    yield total
