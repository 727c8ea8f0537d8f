"""The queue service's management process: metrics, version and API description for operators."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from typing_extensions import override

from waitline import settings as chosen
from waitline.http.dispatch import Dispatcher
from waitline.http.framework import describe
from waitline.http.problem_responses import ProblemResponses
from waitline.http.worker import ServiceWorker
from waitline.kernel.clock import SystemClock
from waitline.kernel.process_metrics import ProcessMetrics
from waitline.services import certificates, management
from waitline.services.certificates import Certificates
from waitline.services.data_mode import open_valkey
from waitline.services.problems import PROBLEMS
from waitline.services.queue import openapi
from waitline.services.queue.app import TITLE, QueueParts, metrics_page
from waitline.services.queue.metrics import RoomMetrics


class QueueManagement(ServiceWorker):
    """The management process, as an ASGI application.

    Args:
        settings: The installation's settings.
    """

    def __init__(self, settings: chosen.Settings) -> None:
        super().__init__()
        self._settings = settings

    @override
    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Dispatcher]:
        settings, clock = self._settings, SystemClock()
        tallies = ProcessMetrics(settings.metrics_dir, management.ROLE)
        problems = ProblemResponses(PROBLEMS, clock)
        store = open_valkey(settings, tallies.script)
        parts = QueueParts.of(settings, store, clock)
        figures = RoomMetrics(parts.rooms, tallies.guard)
        public_tls = certificates.of_addresses(settings.certificate_addresses)
        watched = Certificates(public_tls, tallies.guard)
        page = metrics_page(settings, tallies, figures, store, clock)
        page.add_source("certificates", watched.collect)
        # No request is served through these: they describe the calls of the public address.
        public = parts.described_routers(settings, "", problems)
        described = openapi.document(
            describe(TITLE, [*public, page.router()], settings.queue_root_path or "")
        )
        async with management.serving(
            TITLE,
            [page.router(), parts.health.router()],
            described,
            jobs=[figures.run(), watched.run()],
            tallies=tallies,
            problems=problems,
            limits=settings.edge_limits(),
        ) as dispatcher:
            yield dispatcher
        await store.close()


if __name__ == "__main__":
    management.run(QueueManagement)
