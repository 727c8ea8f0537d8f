"""A site on several hosts, with TLS, behind a waiting room: by a connector, or by the gate."""

import socket
import threading
from collections.abc import Awaitable, Callable, Iterator, MutableMapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from html import escape
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import uvicorn

from tests.browser.conftest import Stack
from tests.faults import certificates
from tests.until import until
from waitline_connect.asgi import WaitlineMiddleware
from waitline_connect.connector import Connector

# Two hosts of the site, and one of another site. The browsers find all of them on this machine.
SHOP, WWW, OTHER = "tickets.shop.example", "www.shop.example", "other.example"

# Seconds until a server listens, on a machine that runs other tests as well.
UP_S = 20.0

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class Seen(NamedTuple):
    """A request that reached the site, before anything guards it."""

    method: str
    host: str
    path: str
    headers: dict[str, str]


class Site:
    """The running site.

    Attributes:
        stack: The installation of its waiting rooms.
        port: Its port; all hosts have the same.
        rooms: By name, which is the first part of the path that a room guards.
        seen: All requests so far.
    """

    def __init__(self, stack: Stack, port: int, names: Sequence[str]) -> None:
        self.stack = stack
        self.port = port
        self.rooms = {
            name: stack.room(admitPerSecond=1000, shopUrl=self.url(), titleEn="Harbour Nights")
            for name in names
        }
        self.seen: list[Seen] = []

    def rules(self) -> list[dict[str, Any]]:
        return [
            {"name": room, "action": "queue", "room": room,
             "when": {"host": ["*.shop.example"], "path": [f"/{name}/*"]}}
            for name, room in self.rooms.items()
        ]  # fmt: skip

    def joined(self, name: str) -> int:
        """Return how many visitors have a place in the line of a room, or have been admitted."""
        found = self.stack.show(self.rooms[name])
        return int(found["waiting"]) + int(found["admitted"])

    def url(self, path: str = "/", host: str = SHOP) -> str:
        return f"https://{host}:{self.port}{path}"

    def asked(self, path: str, host: str = SHOP) -> list[Seen]:
        """Return the requests for a path of a host."""
        return [one for one in self.seen if (one.path, one.host) == (path, host)]


async def pages(scope: Scope, _receive: Receive, send: Send) -> None:
    """Answer as the site: each page has a link, a form and a frame, as its query says."""
    query = httpx.QueryParams(scope["query_string"].decode("ascii"))
    target = escape(query.get("to", "/"), quote=True)
    parts = {
        "frame": f'<iframe src="{target}" width="360" height="500"></iframe>',
        "form": f'<form method="post" action="{target}"><button>Send</button></form>',
        "link": f'<a href="{target}">Go</a>',
    }
    body = (
        f"<title>Site</title><h1>{escape(scope['path'])}</h1>{parts.get(query.get('with', ''), '')}"
    )
    headers = [(b"content-type", b"text/html; charset=utf-8")]
    await answer(send, 200, headers, body.encode())


async def answer(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class ForwardAuthentication:
    """Asks the gate before each request and returns its answers, as Traefik and Caddy do."""

    def __init__(self, app: Application, gate: httpx.Client) -> None:
        self._app = app
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        target, query = scope["raw_path"], scope["query_string"]
        given = {name: value for name, value in scope["headers"] if name != b"host"}
        found = self._gate.get(
            "/api/v1/gate",
            headers=given
            | {
                b"x-forwarded-method": scope["method"].encode(),
                b"x-forwarded-proto": b"https",
                b"x-forwarded-host": dict(scope["headers"])[b"host"],
                b"x-forwarded-uri": target + (b"?" + query if query else b""),
            },
        )
        # The cookies are the browser's, not this client's.
        self._gate.cookies.clear()
        headers = [
            (name.lower(), value)
            for name, value in found.headers.raw
            if name.lower() in {b"location", b"set-cookie", b"content-type", b"cache-control"}
        ]
        if found.status_code != HTTPStatus.NO_CONTENT:
            await answer(send, found.status_code, headers, found.content)
            return

        async def send_with(event: Any) -> None:  # noqa: ANN401 - what ASGI sends
            if event["type"] == "http.response.start":
                event["headers"] += [one for one in headers if one[0] == b"set-cookie"]
            await send(event)

        await self._app(scope, receive, send_with)


@contextmanager
def guarded(site: Site, guard: str) -> Iterator[Application]:
    """Return the pages, behind a connector or the gate."""
    if guard == "gate":
        with httpx.Client(base_url=site.stack.url) as gate:
            yield ForwardAuthentication(pages, gate)
        return
    origins = [site.url(host=host).removesuffix("/") for host in (SHOP, WWW)]
    key = site.stack.site_key.decode()
    with closing(Connector(queue_url=site.stack.url, site_key=key, origins=origins)) as connector:
        yield WaitlineMiddleware(pages, connector)


@contextmanager
def running(stack: Stack, guard: str, folder: Path, names: Sequence[str]) -> Iterator[Site]:
    """Run the site on a port of its own, with a room for each name."""
    files = certificates.made(folder)
    with socket.socket() as listener, ExitStack() as started:
        listener.bind(("127.0.0.1", 0))
        site = Site(stack, listener.getsockname()[1], names)
        stack.protect(*site.rules())
        started.callback(stack.protect)
        app = started.enter_context(guarded(site, guard))

        async def noting(scope: Scope, receive: Receive, send: Send) -> None:
            headers = {name.decode(): value.decode() for name, value in scope["headers"]}
            host = headers["host"].partition(":")[0]
            site.seen.append(Seen(scope["method"], host, scope["path"], headers))
            # Another site, which nothing guards.
            await (pages if host == OTHER else app)(scope, receive, send)

        server = uvicorn.Server(
            uvicorn.Config(
                noting,
                log_level="warning",
                lifespan="off",
                ssl_certfile=files.certificate,
                ssl_keyfile=files.key,
            )
        )
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            until(lambda: server.started, UP_S, "the site listens")
            yield site
        finally:
            server.should_exit = True
            thread.join()
