"""Puts one worker of the queue service together: store, batchers, keys, routes."""

import asyncio
import multiprocessing
import signal
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
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
    Send,
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
        batchers, feed = Batchers.of(line), Feed(line, settings.streams_max)
        board, tokens = Board(rooms), Tokens(keys)
        who = Identity(keys, clock, trusting=settings.mode == "trial")
        calls = QueueCalls(
            batchers=batchers,
            rooms=rooms,
            new_room=settings.new_room(),
            board=board,
            tokens=tokens,
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
        framework = FastAPI(
            title="Waitline queue service", version=__version__, openapi_url=None, docs_url=None,
            redoc_url=None,
            # A path that is not ours is unknown, with a slash at its end as without.
            redirect_slashes=False,
        )  # fmt: skip
        framework.include_router(Streams(
            line=line, feed=feed, calls=calls, who=who, clock=clock
        ).router())  # fmt: skip
        framework.include_router(RoomCalls(rooms, settings, self._operator_key).router())
        framework.include_router(health.router())
        framework.include_router(pages.router())

        async def key_set() -> dict[str, Any]:
            return jwks(keys.ring(clock.now_ms()))

        framework.get("/.well-known/jwks.json", tags=["passes"], summary="Public keys of passes")(
            key_set
        )
        document = openapi.document(framework)
        framework.get("/openapi.json", include_in_schema=False)(lambda: document)
        _answer_refusals(framework, clock)

        async with asyncio.TaskGroup() as running:
            tasks = [
                running.create_task(batcher.run())
                for batcher in (
                    batchers.join,
                    batchers.status,
                    batchers.validate,
                    batchers.activate,
                    batchers.extend,
                    batchers.leave,
                )
            ]
            tasks += [running.create_task(feed.run()), running.create_task(tallies.keep())]
            yield HotPath(
                exact=calls.routes(),
                surrounded=("/api/v1/rooms/", "/now-serving", board.now_serving),
                rest=framework,
                tallies=tallies,
                clock=clock,
            )
            for task in tasks:
                task.cancel()
        tallies.flush()
        await store.close()


def _stop_with_parent() -> None:
    """Stop this worker, as SIGTERM does, when the process that listens for it was killed.

    It would keep the port from whatever is started in its place. A worker that runs alone has no
    such process.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    loop = asyncio.get_running_loop()

    def stop() -> None:
        # It stays readable for ever, and one signal is enough.
        loop.remove_reader(parent.sentinel)
        signal.raise_signal(signal.SIGTERM)

    loop.add_reader(parent.sentinel, stop)


def _answer_refusals(framework: FastAPI, clock: SystemClock) -> None:
    """Let the framework's refusals, and ours inside it, be answered like all others."""

    async def answer(request: FrameworkRequest, error: Exception) -> Response:
        asked = Request(request.scope, request.receive)
        status, headers, body = refused(_ours(request, error), asked, clock)
        response = Response(body, status)
        response.raw_headers += [pair for pair in headers if pair[0] != b"content-length"]
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
