"""Wire one worker of the booking service: database, store, provider, background jobs, routes."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import NamedTuple

from fastapi import APIRouter, FastAPI
from typing_extensions import override

from waitline.booking import health
from waitline.booking.attention import Attention
from waitline.booking.catalogue import Catalogue
from waitline.booking.catalogue_cache import CatalogueCache
from waitline.booking.checkout import Checkout
from waitline.booking.cooldown import CooldownRule
from waitline.booking.door_list import DoorLists
from waitline.booking.evidence import EvidenceLog
from waitline.booking.idempotency import IdempotencyKeys
from waitline.booking.load_reporter import LoadReporter, WorkerLoad
from waitline.booking.seat_maps import SeatMaps
from waitline.booking.seat_rows import SeatRows
from waitline.booking.stock import StockCounter
from waitline.booking.store import Reservations
from waitline.http.dispatch import Dispatcher
from waitline.http.framework import build_framework
from waitline.http.health import Health, Probe
from waitline.http.metrics_page import MetricsPage
from waitline.http.operator_key import Operators
from waitline.http.problem_responses import ProblemResponses
from waitline.http.static_files import docs_router
from waitline.http.worker import ServiceWorker
from waitline.kernel import garbage_collection, telemetry
from waitline.kernel.clock import Clock, SystemClock
from waitline.kernel.process_metrics import ProcessMetrics
from waitline.payment_providers.port import WEBHOOK_PATH, Provider
from waitline.payment_providers.registry import open_provider
from waitline.postgres.pool import Database
from waitline.services import key_comparison, start_page
from waitline.services.booking import openapi, operator_catalogue
from waitline.services.booking.calls import BookingCalls
from waitline.services.booking.catalogue_calls import CatalogueCalls
from waitline.services.booking.doorman import Doorman
from waitline.services.booking.event_relay import relay_events
from waitline.services.booking.handover import Handover
from waitline.services.booking.idempotency import Idempotency
from waitline.services.booking.lookups import Lookups
from waitline.services.booking.metrics import DatabaseMetrics, OpenWorkGauges, answered
from waitline.services.booking.operator import InstallationView, OperatorCalls
from waitline.services.booking.operator_catalogue import CatalogueOperatorCalls
from waitline.services.booking.operator_sale import SaleOperatorCalls
from waitline.services.booking.shop_pages import ShopPages
from waitline.services.data_mode import database_mark, open_valkey, watches
from waitline.services.observing import observed
from waitline.services.problems import PROBLEMS
from waitline.services.same_origin import SameOrigin
from waitline.settings import Settings
from waitline.tokens.keyring_file import KeyringFile, Keys
from waitline.valkey.client import ValkeyClient
from waitline.valkey.fitness import Fitness

TITLE = "Waitline booking service"


class Shared(NamedTuple):
    """State shared by the API and the pages of a worker."""

    database: Database
    catalogue: CatalogueCache
    seats: SeatMaps
    doorman: Doorman
    door: DoorLists

    @classmethod
    def of(cls, database: Database, doorman: Doorman, keys: Keys) -> "Shared":
        """Return it, with nothing cached yet."""
        return cls(
            database,
            CatalogueCache(Catalogue(database)),
            SeatMaps(database),
            doorman,
            DoorLists(database, lambda: keys.current),
        )


class BookingWorker(ServiceWorker):
    """One process of the booking service, as an ASGI application.

    Args:
        settings: The installation's settings.
        operator_key: The key of operators' calls.
    """

    def __init__(self, settings: Settings, operator_key: str) -> None:
        super().__init__()
        self._settings = settings
        self._operator_key = operator_key
        self._trusting = settings.mode == "trial"

    @override
    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Dispatcher]:
        settings, clock = self._settings, SystemClock()
        tallies = ProcessMetrics(settings.booking_metrics_dir, "booking")
        seen = observed(settings, tallies, settings.booking_label, self._operator_key)
        root_path = settings.booking_root_path or ""
        problems = ProblemResponses(PROBLEMS, clock, root_path, seen.contexts)
        keys = Keys(KeyringFile(settings.keys_file), clock.now_ms())
        async with AsyncExitStack() as stack:
            stack.callback(seen.close)
            lookups = Lookups()
            database, load = self._database(tallies, lookups)
            stack.push_async_callback(database.close)
            store = open_valkey(settings, tallies.script)
            stack.push_async_callback(store.close)
            provider = provided(settings)
            stack.push_async_callback(provider.close)
            _measure_at_flush(tallies, database, partial(keys.record_age, clock))

            used = IdempotencyKeys(database)
            shared = Shared.of(database, Doorman.of(settings, keys, store, clock), keys)
            shown = CatalogueCalls(shared.catalogue, clock)
            calls = self._booking_calls(
                shared, provider, keys=used, problems=problems, tallies=tallies, lookups=lookups
            )
            jobs = (
                *calls.jobs(),
                used.run(),
                relay_events(settings, database, tallies.script),
                Fitness(store).run(),
                *(watch.run() for watch in watches(settings, (store,), database)),
                LoadReporter(StockCounter(database), load, store, name=_name()).run(),
                tallies.keep(),
                keys.watch(clock),
                garbage_collection.keep(),
            )
            routers = [
                calls.router(),
                self._pages(shared, used, clock).router(),
                *self._described(shared, store),
            ]
            page = metrics_page(settings, tallies, database, clock)
            async with asyncio.TaskGroup() as running:
                tasks = [running.create_task(job) for job in jobs]
                yield Dispatcher(
                    routes={**calls.routes(), **shown.routes()},
                    parameter_routes=[calls.seats_of, *shown.parameter_routes()],
                    fallback=self._framework(routers, page, problems),
                    tallies=tallies,
                    problems=problems,
                    body_limits=body_limits(settings),
                    check_upload=Operators(self._operator_key).check,
                    limits=settings.edge_limits(),
                    cross_origin=settings.cross_origin(),
                    in_task=True,
                    observer=seen.observer,
                )
                for task in tasks:
                    task.cancel()

    def _framework(
        self, routers: list[APIRouter], page: MetricsPage, problems: ProblemResponses
    ) -> FastAPI:
        routers = [start_page.router("booking", self._settings), *routers]
        if not self._trusting:
            # Metrics and API description are on the management address alone.
            return build_framework(TITLE, routers, None, problems)
        document = partial(openapi.document, trial=True)
        return build_framework(TITLE, [*routers, page.router(), docs_router()], document, problems)

    def _database(self, tallies: ProcessMetrics, lookups: Lookups) -> tuple[Database, WorkerLoad]:
        connections = self._settings.database_connections
        load = WorkerLoad(
            demand=lambda: database.demand - lookups.running / connections,
            waited_s=lambda: database.exchanges * tallies.lag.exchange_s,
            answered=answered,
        )

        def on_statement(statement: str, seconds: float, _within_s: float) -> None:
            tallies.statement(statement, seconds)
            load.record(statement, seconds)

        database = Database(
            self._settings.database_address(),
            "waitline.booking",
            on_statement=on_statement,
            connections_max=connections,
            connections_min=connections,
            mark=database_mark(self._settings),
        )
        return database, load

    def _booking_calls(
        self,
        shared: "Shared",
        provider: Provider,
        *,
        keys: IdempotencyKeys,
        problems: ProblemResponses,
        tallies: ProcessMetrics,
        lookups: Lookups,
    ) -> BookingCalls:
        checkout = Checkout(
            shared.database,
            provider,
            at_price=not self._trusting,
            on_provider_call=tallies.provider,
        )
        return BookingCalls(
            database=shared.database,
            catalogue=shared.catalogue,
            door=shared.door,
            seats=shared.seats,
            reservations=Reservations(
                shared.database, self._settings.hold_s, cooldown_rule(self._settings)
            ),
            checkout=checkout,
            doorman=shared.doorman,
            idempotency=Idempotency(keys, problems, checkout.pay_again),
            lookups=lookups,
            same_origin=SameOrigin(self._settings.allowed_origins),
            trusting=self._trusting,
        )

    def _described(self, shared: "Shared", store: ValkeyClient) -> list[APIRouter]:
        return described_routers(
            self._settings,
            self._operator_key,
            shared.database,
            store,
            shared.catalogue,
            door=shared.door,
            draining=lambda: self.draining,
        )

    def _pages(self, shared: "Shared", used: IdempotencyKeys, clock: Clock) -> ShopPages:
        return ShopPages(
            self._settings,
            catalogue=shared.catalogue,
            seats=shared.seats,
            rows=SeatRows(shared.database),
            doorman=shared.doorman,
            handover=Handover(shared.doorman, used, clock, trusting=self._trusting),
            same_origin=SameOrigin(self._settings.allowed_origins),
            clock=clock,
        )


def described_routers(
    settings: Settings,
    operator_key: str,
    database: Database,
    store: ValkeyClient,
    cache: CatalogueCache,
    *,
    door: DoorLists,
    draining: Callable[[], bool] = lambda: False,
) -> list[APIRouter]:
    """Return the framework's calls that the API description contains.

    Args:
        settings: The installation's settings.
        operator_key: The key of operators' calls.
        database: Holds the catalogue.
        store: The store that both services share.
        cache: The catalogue in memory.
        door: Tickets with their codes.
        draining: Whether the process is about to stop.
    """
    authenticated = Operators(operator_key)
    operators = OperatorCalls(
        authenticated,
        InstallationView.of(settings),
        Attention(database),
        Reservations(database, settings.hold_s),
        EvidenceLog(database),
    )
    catalogue = CatalogueOperatorCalls(
        database,
        authenticated,
        charging=settings.charging,
        on_change=cache.expire,
        now_ms=SystemClock().now_ms,
    )
    sale = SaleOperatorCalls(database, door, authenticated, on_change=cache.expire)
    health = health_calls(settings, database, store, draining)
    keys = key_comparison.router({key_comparison.OPERATOR_KEY: operator_key})
    return [operators.router(), catalogue.router(), sale.router(), keys, health.router()]


def health_calls(
    settings: Settings,
    database: Database,
    store: ValkeyClient,
    draining: Callable[[], bool] = lambda: False,
) -> Health:
    """Return the health calls."""
    probes = {
        "redis": Probe(Fitness(store).probe),
        "database": Probe(partial(health.ping, database)),
    }
    return Health(probes, settings.about_booking, draining)


def metrics_page(
    settings: Settings, tallies: ProcessMetrics, database: Database, clock: Clock
) -> MetricsPage:
    """Return the service's metrics page.

    Args:
        settings: The installation's settings.
        tallies: Metrics of this process.
        database: Holds the open work.
        clock: The present time.
    """
    return MetricsPage(
        tallies,
        {
            "open_work": OpenWorkGauges(database).collect,
            "database": DatabaseMetrics(database).collect,
        },
        clock=clock,
        shared={"service": settings.booking_label, "instance": settings.instance},
        about=settings.about_booking,
        exemplars=settings.traces_url is not None,
    )


def provided(settings: Settings) -> Provider:
    """Return the adapter of the installation's payment provider.

    Raises:
        Misconfigured: A setting that the provider needs is missing.
    """
    settings.require_payments()
    return open_provider(
        settings.payment_provider, *settings.payment_secrets(), settings.payment_url
    )


def body_limits(settings: Settings) -> dict[str, int]:
    """Return the body size limit by path prefix, for calls that accept more than others."""
    return {
        WEBHOOK_PATH: settings.webhook_bytes,
        f"{operator_catalogue.PREFIX}/schedules/": settings.seat_plan_bytes,
    }


def cooldown_rule(settings: Settings) -> CooldownRule:
    """Return the rule for visitors who repeatedly let seats go."""
    return CooldownRule(
        drops=settings.cooldown_drops,
        window_s=settings.cooldown_window_s,
        first_s=settings.cooldown_s,
        most_s=settings.cooldown_max_s,
    )


def _name() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def _measure_at_flush(
    tallies: ProcessMetrics, database: Database, record_key_age: Callable[[], None]
) -> None:
    tallies.on_flush("pool", partial(_record_pool, database))
    tallies.on_flush("key", record_key_age)


def _record_pool(database: Database) -> None:
    size, in_use = database.connections
    telemetry.POOL_SIZE.set(size)
    telemetry.POOL_IN_USE.set(in_use)
    telemetry.POOL_WAITING.set(database.waiting)
