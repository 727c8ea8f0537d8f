"""Django middleware, and a decorator that guards one view.

Settings: `WAITLINE = {"QUEUE_URL": …, "SITE_KEY": …, "ORIGINS": […]}`, and
`"waitline_connect.django.WaitlineMiddleware"` first in `MIDDLEWARE`.
"""

from collections.abc import Awaitable, Callable
from functools import cache, wraps
from typing import Any, Literal

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from waitline_connect import wsgi
from waitline_connect.connector import Connector
from waitline_connect.decision import Decision
from waitline_connect.rules import Request, Rule

LEAVE = "Waitline-Leave"

View = Callable[..., Any]


@cache
def connector() -> Connector:
    """Return the connector of this process, made from `settings.WAITLINE`."""
    return Connector.of(settings.WAITLINE)


class WaitlineMiddleware:
    """Guards a site by the queue's rules; the visitor's pass is `request.waitline`, or `None`."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self._get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Answer a request, or let the view do it."""
        if self._is_async:
            return _guard_async(request, self._get_response, None)
        return _guard(request, self._get_response, None)


def waiting_room(
    room: str,
    *,
    mode: Literal["enforce", "observe"] = "enforce",
    when_unreachable: Literal["open", "closed"] = "open",
    bind: bool = False,
) -> Callable[[View], View]:
    """Guard a view with a room, whatever the queue's rules say.

    Args:
        room: The room.
        mode: `observe`: decide and log, but let the request through.
        when_unreachable: Whether requests pass (`open`) while the queue does not answer.
        bind: Whether a pass counts only in the browser that waited for it.
    """

    def decorate(view: View) -> View:
        name = f"view {view.__name__}"
        rule = Rule(name, "queue", room, mode, when_unreachable, bind)

        if iscoroutinefunction(view):

            @wraps(view)
            async def guarded_async(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - a view's
                async def respond(request: HttpRequest) -> Any:  # noqa: ANN401 - a view's
                    return await view(request, *args, **kwargs)

                return await _guard_async(request, respond, rule)

            return guarded_async

        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - a view's
            return _guard(request, lambda request: view(request, *args, **kwargs), rule)

        return guarded

    return decorate


def _guard(
    request: HttpRequest, respond: Callable[[HttpRequest], Any], rule: Rule | None
) -> HttpResponseBase:
    asked = _request_of(request)
    found = connector().answer(asked, rule)
    if found.status:
        return _answered(asked, found)
    request.waitline = found.visit
    return _finished(asked, found, respond(request))


async def _guard_async(
    request: HttpRequest, respond: Callable[[HttpRequest], Any], rule: Rule | None
) -> HttpResponseBase:
    asked = _request_of(request)
    ours = connector()
    if not ours.loaded:
        await sync_to_async(ours.load, thread_sensitive=False)()
    found = ours.decide(asked, rule)
    if found.call is not None:
        found = await sync_to_async(ours.settle, thread_sensitive=False)(asked, found, rule)
    if found.status:
        return _answered(asked, found)
    request.waitline = found.visit
    return _finished(asked, found, await respond(request))


def _request_of(request: HttpRequest) -> Request:
    if "REQUEST_METHOD" in request.META and hasattr(request, "environ"):
        return wsgi.request_of(request.environ)
    raw_path = request.scope.get("raw_path") or request.path.encode()
    headers = {name.lower(): value for name, value in request.headers.items()}
    return Request(
        method=request.method,
        host=headers.get("host", ""),
        target=raw_path.decode("latin-1").partition("?")[0],
        query=request.META.get("QUERY_STRING", ""),
        headers=headers,
    )


def _answered(asked: Request, found: Decision) -> HttpResponse:
    response = HttpResponse("" if asked.method == "HEAD" else found.body, status=found.status)
    # Django would add its own type to an answer without a body.
    del response.headers["Content-Type"]
    return _with(response, found.headers)


def _finished(asked: Request, found: Decision, response: HttpResponseBase) -> HttpResponseBase:
    leave = LEAVE in response.headers
    if leave:
        del response.headers[LEAVE]
    return _with(response, connector().finish(asked, found, leave=leave))


def _with(response: Any, headers: list[tuple[str, str]]) -> Any:  # noqa: ANN401 - any response
    for name, value in headers:
        if name == "Set-Cookie":
            response.cookies.load(value)
        else:
            response.headers[name] = value
    return response
