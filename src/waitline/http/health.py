"""Health checks: liveness, readiness, dependencies."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from waitline.http import texts
from waitline.kernel.errors import Unavailable
from waitline.kernel.single_flight import SingleFlightCache

PROBE_KEPT_S = 1.0
"""TTL of a probe's result: health calls are public, and a probe writes. However many calls come,
each process probes a store once a second."""

UP, DOWN, OUT_OF_SERVICE = "UP", "DOWN", "OUT_OF_SERVICE"


class Found(NamedTuple):
    """The result of a probe.

    Attributes:
        status: `UP` or `DOWN`.
        detail: A warning while it works; empty for none.
    """

    status: str
    detail: str


class Probe:
    """Checks whether a dependency answers.

    Args:
        check: Returns a warning while the dependency works, in one line for the public, or an empty
            text. Raises `Unavailable` if it does not work.
    """

    def __init__(self, check: Callable[[], Awaitable[str]]) -> None:
        self._check = check
        self._cache: SingleFlightCache[None, Found] = SingleFlightCache(
            self._probe, ttl_s=PROBE_KEPT_S, entries_max=1
        )

    async def found(self) -> "Found":
        """Return the state, which is at most `PROBE_KEPT_S` old."""
        return await self._cache.fetch(None)

    async def _probe(self, _key: None) -> "Found":
        try:
            return Found(UP, await self._check())
        except Unavailable:
            return Found(DOWN, "")


class Health:
    """The health calls.

    Args:
        probes: Probes of the dependencies, by the contract's name for each.
        about: Public facts about the service, by name.
        draining: Whether the process is about to stop.
    """

    def __init__(
        self,
        probes: Mapping[str, Probe],
        about: Mapping[str, str | None],
        draining: Callable[[], bool] = lambda: False,
    ) -> None:
        self._probes = probes
        self._draining = draining
        self._about = dict(about)
        # Production with play money must not be mistaken for an installation that sells.
        money = about.get("payments")
        rehearsed = about.get("mode") == "production" and money == "play money"
        self._rehearsed = {"payments": money} if rehearsed else {}

    def router(self) -> APIRouter:
        """Return the routes."""
        router = APIRouter(tags=["health"])
        router.get("/api/v1/health")(self.health)
        router.get("/api/v1/info")(self.info)
        router.get("/actuator/health")(self.readiness)
        router.get("/actuator/health/liveness")(self.liveness)
        router.get("/actuator/health/readiness")(self.readiness)
        return router

    async def health(self, request: Request) -> dict[str, Any]:
        """Return the state of each dependency."""
        accept = request.headers.get("accept-language", "").encode("latin-1")
        found = await self._found()
        return {
            "result": "success",
            "message": texts.HEALTH.to(texts.preferred_language(accept)),
            "data": {
                "status": _whole(found),
                **{name: one.status for name, one in found.items()},
                "kafka": "NOT_USED",
                **self._rehearsed,
            },
        }

    async def info(self, request: Request) -> dict[str, Any]:
        """Return which service this is, its mode, and what buyers pay with.

        `payments` is `play money`, `real money`, `none` where only free seats are sold, or null
        where the service does not know. Pages show a banner while it is play money.
        """
        accept = request.headers.get("accept-language", "").encode("latin-1")
        return {
            "result": "success",
            "message": texts.INFO.to(texts.preferred_language(accept)),
            "data": self._about,
        }

    async def liveness(self) -> dict[str, str]:
        """Liveness: this process answers. A store that is down does not call for a restart."""
        return {"status": UP}

    async def readiness(self) -> JSONResponse:
        """Readiness: 503 while a dependency does not answer, or the process is about to stop."""
        found = await self._found()
        status = OUT_OF_SERVICE if self._draining() else _whole(found)
        components = {
            name: {"status": one.status} | ({"detail": one.detail} if one.detail else {})
            for name, one in found.items()
        }
        body = {"status": status, "components": components, **self._rehearsed}
        return JSONResponse(body, 200 if status == UP else 503)

    async def _found(self) -> dict[str, Found]:
        found = await asyncio.gather(*(probe.found() for probe in self._probes.values()))
        return dict(zip(self._probes, found, strict=True))


def _whole(found: Mapping[str, Found]) -> str:
    return UP if all(one.status == UP for one in found.values()) else DOWN
