"""WSGI middleware, for Flask, Pyramid, Bottle and any other WSGI application."""

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any, Unpack
from urllib.parse import quote

from waitline_connect.connector import Connector, Settings
from waitline_connect.decision import Decision
from waitline_connect.rules import Request

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]

LEAVE = "waitline-leave"


class WaitlineMiddleware:
    """Guards an application; the visitor's pass is in `environ["waitline"]`, or `None`.

    Args:
        app: The application: `app.wsgi_app = WaitlineMiddleware(app.wsgi_app, …)` in Flask.
        connector: A connector; by default, one is made from the settings.
        settings: Of `Connector`.
    """

    def __init__(
        self, app: Application, connector: Connector | None = None, **settings: Unpack[Settings]
    ) -> None:
        self._app = app
        self._connector = connector or Connector.of(settings)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request, or let the application do it."""
        request = request_of(environ)
        found = self._connector.answer(request)
        if found.status:
            return _answer(request, start_response, found)
        environ["waitline"] = found.visit
        if found.visit is None and not found.headers:
            return self._app(environ, start_response)

        def finishing(
            status: str, headers: list[tuple[str, str]], exc_info: object = None
        ) -> object:
            kept = [pair for pair in headers if pair[0].lower() != LEAVE]
            added = self._connector.finish(request, found, leave=len(kept) < len(headers))
            # Only where there is one: a server may not expect the argument.
            failed = () if exc_info is None else (exc_info,)
            return start_response(status, [*kept, *added], *failed)

        return self._app(environ, finishing)


def request_of(environ: Environ) -> Request:
    """Return the request of an environment."""
    headers: dict[str, str] = {
        name[5:].replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    # WSGI has the path decoded: what it held of `%2F` is lost, as it is for the application.
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    return Request(
        method=environ["REQUEST_METHOD"],
        host=headers.get("host") or str(environ["SERVER_NAME"]),
        target=quote(path or "/", safe="/!$&'()*+,;=:@~", encoding="latin-1"),
        query=environ.get("QUERY_STRING", ""),
        headers=headers,
    )


def _answer(request: Request, start_response: StartResponse, found: Decision) -> Iterable[bytes]:
    body = found.body.encode()
    status = f"{found.status} {HTTPStatus(found.status).phrase}"
    start_response(status, [*found.headers, ("Content-Length", str(len(body)))])
    return [b"" if request.method == "HEAD" else body]
