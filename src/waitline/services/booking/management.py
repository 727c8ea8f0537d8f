"""The booking service's management process: metrics, version and API description."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from typing_extensions import override

from waitline.booking.catalogue import Catalogue
from waitline.booking.catalogue_cache import CatalogueCache
from waitline.booking.door_list import DoorLists
from waitline.http.dispatch import Dispatcher
from waitline.http.framework import describe
from waitline.http.problem_responses import ProblemResponses
from waitline.http.worker import ServiceWorker
from waitline.kernel.clock import SystemClock
from waitline.kernel.process_metrics import ProcessMetrics
from waitline.postgres.pool import Database
from waitline.services import certificates, management
from waitline.services.booking import openapi
from waitline.services.booking.app import (
    TITLE,
    described_routers,
    health_calls,
    metrics_page,
)
from waitline.services.certificates import Certificates
from waitline.services.data_mode import database_mark, open_valkey
from waitline.services.problems import PROBLEMS
from waitline.settings import Settings
from waitline.tokens.keyring_file import KeyringFile

CONNECTIONS_MAX = 2
"""Connections to the database: one for the metrics, one for the health check."""


class BookingManagement(ServiceWorker):
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
        tallies = ProcessMetrics(settings.booking_metrics_dir, management.ROLE)
        problems = ProblemResponses(PROBLEMS, clock)
        database = Database(
            settings.database_address(),
            "waitline.booking",
            on_statement=lambda statement, seconds, _: tallies.statement(statement, seconds),
            connections_max=CONNECTIONS_MAX,
            mark=database_mark(settings),
        )
        store = open_valkey(settings, tallies.script)
        tls = certificates.of_database(settings.database_address())
        watched = Certificates(tls, tallies.guard)
        page = metrics_page(settings, tallies, database, clock)
        page.add_source("certificates", watched.collect)
        # No request is served through these: they describe the calls of the public address.
        door = DoorLists(database, KeyringFile(settings.keys_file).load)
        public = described_routers(
            settings, "", database, store, CatalogueCache(Catalogue(database)), door=door
        )
        described = openapi.document(
            describe(TITLE, [*public, page.router()], settings.booking_root_path or ""), trial=False
        )
        async with management.serving(
            TITLE,
            [page.router(), health_calls(settings, database, store).router()],
            described,
            jobs=[watched.run()],
            tallies=tallies,
            problems=problems,
            limits=settings.edge_limits(),
        ) as dispatcher:
            yield dispatcher
        await store.close()
        await database.close()


if __name__ == "__main__":
    management.run(BookingManagement)
