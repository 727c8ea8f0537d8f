"""ASGI middleware, for Starlette, FastAPI, Litestar and any other ASGI application."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Unpack
from urllib.parse import quote

from waitline_connect.connector import Connector, Settings
from waitline_connect.decision import Decision
from waitline_connect.rules import Request

Scope = Any
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

LEAVE = b"waitline-leave"


class WaitlineMiddleware:
    """Guards an application; the visitor's pass is in `scope["waitline"]`, or `None`.

    Args:
        app: The application.
        connector: A connector; by default, one is made from the settings.
        settings: Of `Connector`.
    """

    def __init__(
        self, app: Application, connector: Connector | None = None, **settings: Unpack[Settings]
    ) -> None:
        self._app = app
        self._connector = connector or Connector.of(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let the application do it."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        request = request_of(scope)
        connector = self._connector
        if not connector.loaded:
            await asyncio.to_thread(connector.load)
        found = connector.decide(request)
        if found.call is not None:
            found = await asyncio.to_thread(connector.settle, request, found)
        if found.status:
            await _answer(scope, send, found)
            return
        scope["waitline"] = found.visit
        if found.visit is not None or found.headers:
            send = self._finishing(request, found, send)
        await self._app(scope, receive, send)

    def _finishing(self, request: Request, found: Decision, send: Send) -> Send:
        async def finishing(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                headers = message.get("headers", ())
                kept = [pair for pair in headers if pair[0].lower() != LEAVE]
                added = self._connector.finish(request, found, leave=len(kept) < len(headers))
                message["headers"] = [*kept, *_encoded(added)]
            await send(message)

        return finishing


def request_of(scope: Scope) -> Request:
    """Return the request of a scope."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        if name in headers:
            # A client may split its cookies over several lines (RFC 9113 section 8.2.3).
            value = f"{headers[name]}{'; ' if name == 'cookie' else ', '}{value}"
        headers[name] = value
    raw: bytes | None = scope.get("raw_path")
    return Request(
        method=scope.get("method", "GET"),
        host=headers.get("host", ""),
        target=quote(scope["path"]) if raw is None else raw.decode("latin-1").partition("?")[0],
        query=scope["query_string"].decode("latin-1"),
        headers=headers,
    )


async def _answer(scope: Scope, send: Send, found: Decision) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    body = found.body.encode()
    headers = [*_encoded(found.headers), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": found.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


def _encoded(headers: list[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
