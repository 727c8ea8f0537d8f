"""Puts one worker of the queue service together: store, batchers, keys, routes."""

import asyncio
import multiprocessing
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from http import HTTPStatus
from types import FrameType
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi import Request as FrameworkRequest
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from waitline import __version__
from waitline import settings as chosen
from waitline.clock import SystemClock
from waitline.errors import WaitlineError
from waitline.keyring import KeyringFile, Keys
from waitline.lua import Valkey
from waitline.passes import jwks
from waitline.queue.feed import Feed
from waitline.queue.rooms import Rooms
from waitline.queue.store import Line
from waitline.telemetry import Tallies
from waitline.web import openapi, pages
from waitline.web.asgi import (
    METHODS,
    App,
    HotPath,
    Receive,
    Refusal,
    Request,
    Scope,
    refused,
)
from waitline.web.board import Board
from waitline.web.health import Health, Probe
from waitline.web.identity import Identity
from waitline.web.problems import BodyTooLarge, InputInvalid, MethodUnknown, PathUnknown
from waitline.web.queue import Batchers, QueueCalls, Tokens
from waitline.web.rooms import RoomCalls
from waitline.web.streams import Streams
from waitline.web.texts import Text
from waitline.web.wire import Send


class Worker:
    """One process of the queue service, as an ASGI application.

    Nothing is opened before the server starts it (the ASGI lifespan), and everything is closed
    when it stops.

    Args:
        settings: What the installation chose.
        operator_key: What operators' calls must carry.
    """

    def __init__(self, settings: chosen.Settings, operator_key: str) -> None:
        self._settings = settings
        self._operator_key = operator_key
        self._clock = SystemClock()
        self._app: App = self._closed
        self.hot: HotPath

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Answer one request, or start and stop with the server.

        Not a coroutine function itself: one frame less on the way of every request.
        """
        if scope["type"] == "lifespan":
            return self._lifespan(receive, send)
        return self._app(scope, receive, send)

    async def _closed(self, _scope: Scope, _receive: Receive, _send: Send) -> None:
        raise AssertionError("a request came before the start")

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            async with AsyncExitStack() as stack:
                try:
                    self._app = await stack.enter_async_context(self._opened())
                except WaitlineError as error:
                    await send({"type": "lifespan.startup.failed", "message": str(error)})
                    return
                _stop_with_parent()
                await send({"type": "lifespan.startup.complete"})
                await receive()
        except BaseExceptionGroup:
            # Without its batchers this process would take requests and never answer them. The
            # server logs why; who started it starts another.
            signal.raise_signal(signal.SIGTERM)
            raise
        await send({"type": "lifespan.shutdown.complete"})

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[App]:
        settings, clock = self._settings, self._clock
        tallies = Tallies()
        keys = Keys(KeyringFile(settings.keys_file), clock.now_ms())
        store = Valkey(settings.store_url(), measure=tallies.script)
        line, rooms = Line(store), Rooms(store)
        batchers, feed, board = Batchers.of(line), Feed(line, settings.streams_max), Board(rooms)
        who = Identity(keys, trusting=settings.mode == "trial")
        calls = QueueCalls(
            batchers=batchers,
            rooms=rooms,
            new_room=settings.new_room(),
            board=board,
            tokens=Tokens(keys),
            who=who,
        )
        health = Health(
            probe=Probe(store),
            rooms=rooms,
            board=board,
            feed=feed,
            tallies=tallies,
            metrics_dir=settings.metrics_dir,
            instance=settings.instance,
        )
        framework = _framework(
            Streams(line=line, feed=feed, calls=calls, who=who, clock=clock).router(),
            RoomCalls(rooms, settings, self._operator_key).router(),
            health.router(),
            pages.router(),
            _key_set(keys),
        )
        _answer_refusals(framework, clock)
        jobs = (*batchers.jobs(), feed.run(), tallies.keep(), keys.keep(clock))
        _before_stop(feed.end)
        async with asyncio.TaskGroup() as running:
            tasks = [running.create_task(job) for job in jobs]
            self.hot = HotPath(
                exact=calls.routes(),
                surrounded=("/api/v1/rooms/", "/now-serving", board.now_serving),
                rest=framework,
                tallies=tallies,
                clock=clock,
            )
            yield self.hot
            for task in tasks:
                task.cancel()
        tallies.flush()
        await store.close()


def _before_stop(end: Callable[[], None]) -> None:
    """Call `end` when the server is told to stop, and before it waits for what is under way.

    The server tells its application only after that wait, and streams would make it wait in vain.
    """
    loop = asyncio.get_running_loop()
    # Elsewhere there are no signals, and whoever runs us there ends its connections itself.
    if threading.current_thread() is not threading.main_thread():
        return
    for number in (signal.SIGTERM, signal.SIGINT):
        server = signal.getsignal(number)
        if not callable(server):
            continue

        def stop(
            number: int, frame: FrameType | None, server: Callable[..., object] = server
        ) -> None:
            loop.call_soon_threadsafe(end)
            server(number, frame)

        signal.signal(number, stop)


def _stop_with_parent() -> None:
    """Stop this worker when the process that started it has died.

    Killed, the parent cannot tell its workers; left behind, they would keep the port.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        signal.raise_signal(signal.SIGTERM)

    threading.Thread(target=watch, daemon=True, name="parent-watch").start()


def _framework(*routers: APIRouter) -> FastAPI:
    """Make the framework's application, and the description of all calls."""
    framework = FastAPI(
        title="Waitline queue service",
        version=__version__,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    for router in routers:
        framework.include_router(router)
    document = openapi.document(framework)
    framework.get("/openapi.json", include_in_schema=False)(lambda: document)
    return framework


def _key_set(keys: Keys) -> APIRouter:
    router = APIRouter(tags=["passes"])

    @router.get("/.well-known/jwks.json")
    async def key_set() -> dict[str, Any]:
        """Return the public keys of passes."""
        return jwks(keys.current)

    return router


def _answer_refusals(framework: FastAPI, clock: SystemClock) -> None:
    """Let the framework's refusals, and ours inside it, be answered like all others."""

    async def answer(request: FrameworkRequest, error: Exception) -> Response:
        asked = Request.of(request.scope)
        answered = refused(_ours(request, error), asked, clock)
        response = Response(answered.body, answered.status)
        response.raw_headers += [pair for pair in answered.headers if pair[0] != b"content-length"]
        return response

    for kind in (WaitlineError, Refusal, HTTPException, RequestValidationError, Exception):
        framework.add_exception_handler(kind, answer)


def _ours(request: FrameworkRequest, error: Exception) -> Exception:
    """Translate what the framework refuses."""
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"][1:]) or str(first["loc"][0])
        return InputInvalid(name, Text(first["msg"], first["msg"]))
    if not isinstance(error, HTTPException):
        return error
    if isinstance(error.__cause__, BodyTooLarge):
        return error.__cause__
    if error.status_code == HTTPStatus.NOT_FOUND:
        return PathUnknown()
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return MethodUnknown(_allowed(request))
    return InputInvalid("body", Text(str(error.detail), str(error.detail)))


def _allowed(request: FrameworkRequest) -> tuple[str, ...]:
    """Return every method that the path takes; the framework names those of its first route."""
    asked = {"type": "http", "path": request.scope["path"], "root_path": "", "headers": []}
    return tuple(
        method
        for method in sorted(METHODS)
        if any(
            route.matches({**asked, "method": method})[0] is Match.FULL
            for route in request.app.routes
        )
    )
