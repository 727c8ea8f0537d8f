"""Wire one worker of the queue service: store, batchers, keys, background jobs, routes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, NamedTuple

from fastapi import APIRouter, FastAPI
from typing_extensions import override

from waitline import settings as chosen
from waitline.gate.model import DOCUMENT_BYTES_MAX
from waitline.gate.store import Protection
from waitline.http.client_address import ClientAddresses
from waitline.http.dispatch import Dispatcher, PathParameterRoute
from waitline.http.framework import build_framework
from waitline.http.health import Health, Probe
from waitline.http.metrics_page import MetricsPage
from waitline.http.observer import RequestObserver
from waitline.http.operator_key import Operators
from waitline.http.problem_responses import ProblemResponses
from waitline.http.static_files import docs_router
from waitline.http.worker import ServiceWorker
from waitline.kernel import garbage_collection, telemetry
from waitline.kernel.clock import Clock, SystemClock
from waitline.kernel.process_metrics import ProcessMetrics
from waitline.queue.addresses import Addresses
from waitline.queue.claims import Claims
from waitline.queue.departed import Departed
from waitline.queue.feed import Feed
from waitline.queue.listening import Listening
from waitline.queue.rooms import Rooms
from waitline.queue.slides import Slides
from waitline.queue.store import Line
from waitline.queue.walk_ins import WalkIns
from waitline.services import key_comparison, start_page
from waitline.services.data_mode import open_valkey, watches
from waitline.services.identity import Identity
from waitline.services.observing import observed
from waitline.services.problems import PROBLEMS
from waitline.services.queue import client_view, openapi, waiting_page
from waitline.services.queue.address_watch import AddressWatch
from waitline.services.queue.batchers import Batchers
from waitline.services.queue.calls import QueueCalls
from waitline.services.queue.gate import GateCalls, GateSettings
from waitline.services.queue.gate_state import GateState
from waitline.services.queue.metrics import RoomMetrics
from waitline.services.queue.minting import Tokens
from waitline.services.queue.now_serving import NowServingDocuments
from waitline.services.queue.protection import PROTECTION, ProtectionCalls
from waitline.services.queue.rooms import RoomCalls
from waitline.services.queue.site_calls import SiteCalls
from waitline.services.queue.site_visits import SiteVisits
from waitline.services.queue.statements import Statements
from waitline.services.queue.store_metrics import StoreMetrics
from waitline.services.queue.streams import Streams
from waitline.services.same_origin import SameOrigin
from waitline.tokens.keyring_file import KeyringFile, Keys
from waitline.tokens.passes import jwks
from waitline.valkey.client import ValkeyClient
from waitline.valkey.fitness import Fitness

TITLE = "Waitline queue service"


class QueueWorker(ServiceWorker):
    """One process of the queue service, as an ASGI application.

    Args:
        settings: The installation's settings.
        operator_key: The key of operators' calls.
        site_key: The key shared with protected sites.
    """

    def __init__(self, settings: chosen.Settings, operator_key: str, site_key: str) -> None:
        super().__init__()
        self._settings = settings
        self._operator_key = operator_key
        self._site_key = site_key

    @override
    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Dispatcher]:
        settings, clock = self._settings, SystemClock()
        tallies = ProcessMetrics(settings.metrics_dir, "queue")
        seen = observed(settings, tallies, settings.queue_label, self._operator_key)
        problems = ProblemResponses(PROBLEMS, clock, settings.queue_root_path or "", seen.contexts)
        store = open_valkey(settings, tallies.script)
        # While a batch is confirmed, its connection carries out nothing else.
        confirming = store
        if settings.durability != "memory":
            confirming = open_valkey(settings, tallies.script, settings.durability)
        parts = QueueParts.of(
            settings,
            store,
            clock,
            confirming,
            site_key=self._site_key,
            draining=lambda: self.draining,
        )
        parts.measure_at_flush(tallies, clock)
        routers = [
            *parts.described_routers(settings, self._operator_key, problems),
            start_page.router("queue", settings),
            parts.pages(settings, problems),
        ]
        jobs = [
            *parts.batchers.jobs(),
            parts.feed.run(),
            parts.statements.run(),
            parts.watch.run(),
            Listening(store).run(),
            parts.fitness.run(),
            *(watch.run() for watch in watches(settings, (store, confirming))),
            tallies.keep(),
            parts.keys.watch(clock),
            garbage_collection.keep(),
        ]
        document = None
        if settings.mode == "trial":
            # In production mode they are on the management address alone.
            figures = RoomMetrics(parts.rooms, tallies.guard)
            jobs.append(figures.run())
            page = metrics_page(settings, tallies, figures, store, clock)
            routers += [page.router(), docs_router()]
            document = openapi.document
        problems.on_refused = parts.watch.count_refusal
        self.end_streams = parts.feed.end
        async with asyncio.TaskGroup() as running:
            tasks = [running.create_task(job) for job in jobs]
            yield self._dispatcher(parts, routers, document, tallies, problems, seen.observer)
            for task in tasks:
                task.cancel()
        seen.close()
        await confirming.close()
        await store.close()

    def _dispatcher(  # noqa: PLR0917 - as they are made in `opened`
        self,
        parts: "QueueParts",
        routers: list[APIRouter],
        document: Callable[[FastAPI], dict[str, Any]] | None,
        tallies: ProcessMetrics,
        problems: ProblemResponses,
        observer: RequestObserver | None,
    ) -> Dispatcher:
        settings = self._settings
        return Dispatcher(
            routes={
                **parts.calls.routes(),
                **parts.gate.routes(),
                **parts.site_calls.routes(),
            },
            parameter_routes=[
                PathParameterRoute("/api/v1/rooms/{room}/now-serving", parts.documents.now_serving)
            ],
            fallback=build_framework(TITLE, routers, document, problems),
            tallies=tallies,
            problems=problems,
            body_limits={PROTECTION: DOCUMENT_BYTES_MAX},
            check_upload=Operators(self._operator_key).check,
            limits=settings.edge_limits(),
            cross_origin=settings.cross_origin(),
            observer=observer,
        )


class QueueParts(NamedTuple):
    """Components of the service's calls; none connects to a store before the first call."""

    keys: Keys
    line: Line
    rooms: Rooms
    batchers: Batchers
    documents: NowServingDocuments
    feed: Feed
    who: Identity
    statements: Statements
    calls: QueueCalls
    same_origin: SameOrigin
    fitness: Fitness
    addresses: Addresses
    watch: AddressWatch
    health: Health
    key_set: APIRouter
    protection: Protection
    site_key: str
    gate: GateCalls
    site_calls: SiteCalls

    @classmethod
    def of(
        cls,
        settings: chosen.Settings,
        store: ValkeyClient,
        clock: Clock,
        confirming: ValkeyClient | None = None,
        *,
        site_key: str = "",
        draining: Callable[[], bool] = lambda: False,
    ) -> "QueueParts":
        """Wire them.

        Args:
            settings: The installation's settings.
            store: Holds the rooms.
            clock: The present time.
            confirming: As in `Line`.
            site_key: The key shared with protected sites.
            draining: Whether the process is about to stop.
        """
        keys = Keys(KeyringFile(settings.keys_file), clock.now_ms())
        line, rooms, addresses = Line(store, confirming), Rooms(store), Addresses(store)
        fitness = Fitness(store, settings.durability, production=settings.mode == "production")
        walk_ins, documents = WalkIns(store, confirming), NowServingDocuments(rooms)
        slides, claims = Slides(confirming or store), Claims(confirming or store)
        batchers = Batchers.of(line, addresses, walk_ins, slides, claims)
        believed = ClientAddresses(settings.trusted_proxies or "", settings.forwarded_header)
        watch = AddressWatch(addresses, believed, documents, batchers.allow)
        who = Identity(keys, trusting=settings.mode == "trial")
        statements, same_origin = Statements(documents, clock), SameOrigin(settings.allowed_origins)
        tokens = Tokens(keys)
        calls = QueueCalls(
            batchers=batchers, rooms=rooms, new_room=settings.new_room(), documents=documents,
            tokens=tokens, statements=statements, who=who, watch=watch,
            same_origin=same_origin,
        )  # fmt: skip
        visits = SiteVisits(batchers, documents, tokens, watch, clock)
        return cls(
            keys=keys,
            line=line,
            rooms=rooms,
            batchers=batchers,
            documents=documents,
            feed=Feed(line, documents.mode, settings.streams_max),
            who=who,
            statements=statements,
            calls=calls,
            same_origin=same_origin,
            fitness=fitness,
            health=Health({"redis": Probe(fitness.probe)}, settings.about, draining),
            addresses=addresses,
            watch=watch,
            key_set=_key_set(keys, clock),
            protection=Protection(store),
            site_key=site_key,
            gate=_gate(settings, site_key, store, clock, who, visits, documents, believed),
            site_calls=_site_calls(site_key, store, clock, calls, visits, batchers),
        )

    def measure_at_flush(self, tallies: ProcessMetrics, clock: Clock) -> None:
        """Set the gauges of the components at every flush."""
        tallies.on_flush("key", partial(self.keys.record_age, clock))
        tallies.on_flush("streams", lambda: telemetry.STREAMS_OPEN.set(self.feed.size))

    def pages(self, settings: chosen.Settings, problems: ProblemResponses) -> APIRouter:
        """Return the routes of the waiting page.

        Args:
            settings: The installation's settings.
            problems: Answers for handlers that raise.
        """
        return waiting_page.router(
            waiting_page.Served(
                calls=self.calls,
                same_origin=self.same_origin,
                documents=self.documents,
                problems=problems,
                language=settings.language,
                trusting=settings.mode == "trial",
                returns=self.site_calls.verified,
            )
        )

    def described_routers(
        self, settings: chosen.Settings, operator_key: str, problems: ProblemResponses
    ) -> list[APIRouter]:
        """Return the framework's calls that the API description contains.

        Args:
            settings: The installation's settings.
            operator_key: The key of operators' calls.
            problems: Answers for handlers that raise.
        """
        streams = Streams(
            line=self.line,
            feed=self.feed,
            calls=self.calls,
            who=self.who,
            problems=problems,
            watch=self.watch,
        )
        operators = Operators(operator_key)
        rooms = RoomCalls(self.rooms, self.addresses, settings, operators)
        client = client_view.router(self.watch, operators)
        protection = ProtectionCalls(self.protection, operators, self.site_key)
        keys = {key_comparison.OPERATOR_KEY: operator_key, key_comparison.SITE_KEY: self.site_key}
        return [
            streams.router(),
            rooms.router(),
            protection.router(),
            client,
            key_comparison.router(keys),
            self.health.router(),
            self.key_set,
        ]


def _gate(  # noqa: PLR0917 - components of `QueueParts`
    settings: chosen.Settings,
    site_key: str,
    store: ValkeyClient,
    clock: Clock,
    who: Identity,
    visits: SiteVisits,
    documents: NowServingDocuments,
    believed: ClientAddresses,
) -> GateCalls:
    return GateCalls(
        state=GateState(Protection(store), Departed(store)),
        who=who,
        visits=visits,
        documents=documents,
        proxies=believed,
        clock=clock,
        settings=GateSettings.of(settings, site_key),
    )


def _site_calls(  # noqa: PLR0917 - components of `QueueParts`
    site_key: str,
    store: ValkeyClient,
    clock: Clock,
    calls: QueueCalls,
    visits: SiteVisits,
    batchers: Batchers,
) -> SiteCalls:
    return SiteCalls(
        site_key=site_key.encode(),
        calls=calls,
        visits=visits,
        batchers=batchers,
        departed=Departed(store),
        clock=clock,
    )


def metrics_page(
    settings: chosen.Settings,
    tallies: ProcessMetrics,
    figures: RoomMetrics,
    store: ValkeyClient,
    clock: Clock,
) -> MetricsPage:
    """Return the service's metrics page.

    Args:
        settings: The installation's settings.
        tallies: Metrics of this process.
        figures: Collects those of the rooms.
        store: Holds the rooms.
        clock: The present time.
    """
    return MetricsPage(
        tallies,
        {"rooms": figures.collect, "store": StoreMetrics(store).collect},
        clock=clock,
        shared={"service": settings.queue_label, "instance": settings.instance},
        about=settings.about,
        exemplars=settings.traces_url is not None,
        shows_room=figures.shows,
    )


def _key_set(keys: Keys, clock: Clock) -> APIRouter:
    router = APIRouter(tags=["passes"])

    @router.get("/.well-known/jwks.json")
    async def key_set() -> dict[str, Any]:
        """Return the public keys of passes."""
        return jwks(keys.current, clock.now_ms())

    return router
