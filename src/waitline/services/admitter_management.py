"""Management process of an admitter that runs by itself: its metrics, health and version."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from typing_extensions import override

from waitline.http.dispatch import Dispatcher
from waitline.http.framework import describe
from waitline.http.health import Health, Probe
from waitline.http.metrics_page import MetricsPage
from waitline.http.problem_responses import ProblemResponses
from waitline.http.worker import ServiceWorker
from waitline.kernel.clock import SystemClock
from waitline.kernel.process_metrics import ProcessMetrics
from waitline.services import management
from waitline.services.admitter_address import metrics_dir
from waitline.services.problems import PROBLEMS
from waitline.settings import Settings
from waitline.valkey.client import ValkeyClient
from waitline.valkey.fitness import Fitness

TITLE = "Waitline admitter"

LABEL = "admitter"
"""Value of the metrics label `service`."""


class AdmitterManagement(ServiceWorker):
    """The management process, as an ASGI application.

    Args:
        settings: The installation's settings.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._settings = settings

    @override
    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Dispatcher]:
        settings, clock = self._settings, SystemClock()
        tallies = ProcessMetrics(metrics_dir(settings), management.ROLE)
        problems = ProblemResponses(PROBLEMS, clock)
        store = ValkeyClient(settings.store_url(), on_script=tallies.script)
        production = settings.mode == "production"
        fitness = Fitness(store, settings.durability, production=production)
        about = {"service": LABEL, "mode": settings.mode}
        page = MetricsPage(
            tallies,
            {},
            clock=clock,
            shared={"service": LABEL, "instance": settings.instance},
            about=about,
        )
        health = Health({"redis": Probe(fitness.probe)}, about)
        routers = [page.router(), health.router()]
        async with management.serving(
            TITLE,
            routers,
            describe(TITLE, routers).openapi(),
            jobs=[],
            tallies=tallies,
            problems=problems,
            limits=settings.edge_limits(),
        ) as dispatcher:
            yield dispatcher
        await store.close()


if __name__ == "__main__":
    management.run(AdmitterManagement)
