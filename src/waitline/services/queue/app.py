"""Wire one worker of the queue service: store, batchers, keys, background jobs, routes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from fastapi import APIRouter
from typing_extensions import override

from waitline import settings as chosen
from waitline.http.dispatch import Dispatcher, PathParameterRoute
from waitline.http.framework import build_framework
from waitline.http.health import Exposition, Health, Probe
from waitline.http.operator_key import Operators
from waitline.http.problem_responses import ProblemResponses
from waitline.http.worker import ServiceWorker, call_on_stop_signal
from waitline.kernel import garbage_collection
from waitline.kernel.clock import Clock, SystemClock
from waitline.kernel.telemetry import ProcessMetrics
from waitline.queue.feed import Feed
from waitline.queue.listening import Listening
from waitline.queue.rooms import Rooms
from waitline.queue.store import Line
from waitline.services.identity import Identity
from waitline.services.problems import PROBLEMS
from waitline.services.queue import openapi, waiting_page
from waitline.services.queue.calls import Batchers, QueueCalls, Tokens
from waitline.services.queue.metrics import RoomMetrics
from waitline.services.queue.now_serving import NowServingDocuments
from waitline.services.queue.rooms import RoomCalls
from waitline.services.queue.streams import Streams
from waitline.tokens.keyring_file import KeyringFile, Keys
from waitline.tokens.passes import jwks
from waitline.valkey.client import ValkeyClient


class QueueWorker(ServiceWorker):
    """One process of the queue service, as an ASGI application.

    Args:
        settings: The installation's settings.
        operator_key: The key of operators' calls.
    """

    def __init__(self, settings: chosen.Settings, operator_key: str) -> None:
        super().__init__()
        self._settings = settings
        self._operator_key = operator_key

    @override
    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Dispatcher]:
        settings, clock = self._settings, SystemClock()
        tallies = ProcessMetrics()
        problems = ProblemResponses(PROBLEMS, clock)
        keys = Keys(KeyringFile(settings.keys_file), clock.now_ms())
        store = ValkeyClient(settings.store_url(), on_script=tallies.script)
        line, rooms = Line(store), Rooms(store)
        batchers, documents = Batchers.of(line), NowServingDocuments(rooms)
        feed = Feed(line, documents.mode, settings.streams_max)
        who = Identity(keys, trusting=settings.mode == "trial")
        calls = QueueCalls(
            batchers=batchers,
            rooms=rooms,
            new_room=settings.new_room(),
            documents=documents,
            tokens=Tokens(keys),
            who=who,
        )
        figures = RoomMetrics(rooms, documents, feed)
        exposition = Exposition(
            tallies,
            settings.metrics_dir,
            figures.collect,
            service="queue",
            instance=settings.instance,
        )
        routers = (
            Streams(line=line, feed=feed, calls=calls, who=who, problems=problems).router(),
            RoomCalls(rooms, settings, Operators(self._operator_key)).router(),
            Health({"redis": Probe(partial(store.command, "PING"))}, exposition).router(),
            waiting_page.router(),
            _key_set(keys, clock),
        )
        jobs = (
            *batchers.jobs(),
            feed.run(),
            Listening(store).run(),
            tallies.keep(),
            keys.watch(clock),
            garbage_collection.keep(),
        )
        call_on_stop_signal(feed.end)
        async with asyncio.TaskGroup() as running:
            tasks = [running.create_task(job) for job in jobs]
            yield Dispatcher(
                routes=calls.routes(),
                parameter_routes=[
                    PathParameterRoute("/api/v1/rooms/{room}/now-serving", documents.now_serving)
                ],
                fallback=build_framework(
                    "Waitline queue service", routers, openapi.document, problems
                ),
                tallies=tallies,
                problems=problems,
            )
            for task in tasks:
                task.cancel()
        tallies.flush()
        await store.close()


def _key_set(keys: Keys, clock: Clock) -> APIRouter:
    router = APIRouter(tags=["passes"])

    @router.get("/.well-known/jwks.json")
    async def key_set() -> dict[str, Any]:
        """Return the public keys of passes."""
        return jwks(keys.current, clock.now_ms())

    return router
