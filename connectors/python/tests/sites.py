"""One small site in each framework, behind the connector, on a real server."""

import socket
import sys
import threading
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import django
import uvicorn
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse
from django.urls import re_path
from fastapi import FastAPI, Request, Response
from flask import Flask, g
from flask import request as flask_request
from litestar import Litestar, route
from litestar import Request as LitestarRequest
from litestar import Response as LitestarResponse
from litestar.middleware import DefineMiddleware
from tests.until import until
from typing_extensions import override

import waitline_connect.django
from waitline_connect import asgi, wsgi
from waitline_connect.connector import Connector

# Seconds until a server listens, on a machine that runs other tests as well.
UP_S = 20.0

Start = Callable[[Connector], Any]


def fastapi_site(connector: Connector) -> Any:  # noqa: ANN401 - an application
    app = FastAPI()

    @app.api_route("/{path:path}", methods=["GET", "POST", "HEAD"])
    def show(path: str, request: Request) -> Response:
        visit = request.scope["waitline"]
        leave = {"Waitline-Leave": "1"} if path.endswith("leave") else {}
        return Response(f"visitor={visit and visit.visitor}", headers=leave)

    return asgi.WaitlineMiddleware(app, connector)


@route(["/", "/{path:path}"], http_method=["GET", "POST", "HEAD"], status_code=200)
async def show_litestar(request: LitestarRequest[Any, Any, Any]) -> LitestarResponse[str]:
    visit = request.scope["waitline"]  # type: ignore[typeddict-item]  # the middleware's own
    leave = {"Waitline-Leave": "1"} if request.url.path.endswith("leave") else {}
    return LitestarResponse(f"visitor={visit and visit.visitor}", headers=leave)


def litestar_site(connector: Connector) -> Any:  # noqa: ANN401 - an application
    behind = DefineMiddleware(asgi.WaitlineMiddleware, connector=connector)
    return Litestar([show_litestar], middleware=[behind], openapi_config=None)


def flask_site(connector: Connector) -> Any:  # noqa: ANN401 - an application
    app = Flask(__name__)

    @app.route("/", defaults={"path": ""}, methods=["GET", "POST"])
    @app.route("/<path:path>", methods=["GET", "POST"])
    def show(path: str) -> Any:  # noqa: ANN401 - what Flask accepts
        g.visit = flask_request.environ["waitline"]
        leave = {"Waitline-Leave": "1"} if path.endswith("leave") else {}
        return f"visitor={g.visit and g.visit.visitor}", leave

    return wsgi.WaitlineMiddleware(app.wsgi_app, connector)


def show_django(request: HttpRequest, path: str) -> HttpResponse:
    visit = request.waitline
    leave = {"Waitline-Leave": "1"} if path.endswith("leave") else {}
    return HttpResponse(f"visitor={visit and visit.visitor}", headers=leave)


@waitline_connect.django.waiting_room("summer")
def decorated(request: HttpRequest) -> HttpResponse:
    return show_django(request, "")


@waitline_connect.django.waiting_room("summer")
async def decorated_async(request: HttpRequest) -> HttpResponse:
    return show_django(request, "")


def _django(connector: Connector) -> None:
    if not settings.configured:
        urls = types.ModuleType("urls_of_the_tests")
        urls.urlpatterns = [  # type: ignore[attr-defined]
            re_path("^decorated$", decorated),
            re_path("^decorated-async$", decorated_async),
            re_path("^(.*)$", show_django),
        ]
        sys.modules[urls.__name__] = urls
        settings.configure(
            ALLOWED_HOSTS=["*"],
            MIDDLEWARE=["waitline_connect.django.WaitlineMiddleware"],
            ROOT_URLCONF=urls.__name__,
            SECRET_KEY="of the tests",
        )
        django.setup()
    site = connector.site
    settings.WAITLINE = {
        "QUEUE_URL": site.queue_url,
        "SITE_KEY": site.key.decode(),
        "ORIGINS": site.origins,
    }
    waitline_connect.django.connector.cache_clear()


def django_site(connector: Connector) -> Any:  # noqa: ANN401 - an application
    _django(connector)
    return WSGIHandler()


def django_async_site(connector: Connector) -> Any:  # noqa: ANN401 - an application
    _django(connector)
    return ASGIHandler()


ASGI: dict[str, Start] = {
    "fastapi": fastapi_site,
    "litestar": litestar_site,
    "django-async": django_async_site,
}
WSGI: dict[str, Start] = {"flask": flask_site, "django": django_site}


@contextmanager
def serving(kind: str, queue_url: str, site_key: str) -> Iterator[str]:
    """Serve a site behind the connector; return its address."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        connector = Connector(queue_url=queue_url, site_key=site_key, origins=[url])
        if kind in ASGI:
            with _closing(connector, kind), _uvicorn(ASGI[kind](connector), listener):
                yield url
            return
        port = listener.getsockname()[1]
    with _closing(connector, kind), _wsgi(WSGI[kind](connector), port):
        yield url


@contextmanager
def _closing(connector: Connector, kind: str) -> Iterator[None]:
    try:
        yield
    finally:
        connector.close()
        if kind.startswith("django"):
            waitline_connect.django.connector().close()


@contextmanager
def _uvicorn(app: Any, listener: socket.socket) -> Iterator[None]:  # noqa: ANN401 - an application
    config = uvicorn.Config(app, log_level="error", lifespan="off", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        until(lambda: server.started, UP_S, "uvicorn serves")
        yield
    finally:
        server.should_exit = True
        thread.join()


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Handler(WSGIRequestHandler):
    @override
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def _wsgi(app: Any, port: int) -> Iterator[None]:  # noqa: ANN401 - an application
    server = make_server("127.0.0.1", port, app, server_class=_Server, handler_class=_Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
