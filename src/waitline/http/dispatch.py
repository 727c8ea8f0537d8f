"""Router for the hot calls, ahead of the framework: one dictionary lookup by path and method.

FastAPI's routing, dependency injection and response objects took half of a hot call's time in a
prototype. It answers everything that is not hot.
"""

import time
from collections.abc import Mapping, MutableMapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from waitline.http.problem_responses import ProblemResponses
from waitline.http.problems import BodyTooLarge, MethodUnknown
from waitline.http.requests import (
    BODY_BYTES_MAX,
    App,
    Handler,
    Receive,
    Request,
    Scope,
    receive_body,
)
from waitline.http.responses import Answer, Send, send_answer
from waitline.kernel.telemetry import ProcessMetrics


class HotRoute(NamedTuple):
    """One call that the dispatcher answers itself.

    Attributes:
        method: HTTP method.
        route: Path template, the label of its metrics.
        handler: Answers its requests.
        body_max: Most bytes of a request's body.
        in_task: Whether the handler needs a task of its own: a deadline cancels the task that it
            is set in.
    """

    method: str
    route: str
    handler: Handler
    body_max: int = BODY_BYTES_MAX
    in_task: bool = False


class PathParameterRoute:
    """A hot GET call with one parameter in its path.

    Args:
        template: The path, with the parameter in braces.
        handler: Answers its requests.
        exclusive: Whether the framework has no call at such a path; then other methods are refused
            here.
        in_task: As in `HotRoute`.
    """

    def __init__(
        self, template: str, handler: Handler, *, exclusive: bool = False, in_task: bool = False
    ) -> None:
        self._prefix, _, end = template.partition("{")
        self._suffix = end.partition("}")[2]
        # In a shorter path prefix and suffix would overlap.
        self._shortest = len(self._prefix) + len(self._suffix)
        self.hot = HotRoute("GET", template, handler, in_task=in_task)
        self.exclusive = exclusive

    def matches(self, path: str) -> bool:
        """Return whether a path fits the template."""
        return (
            path.endswith(self._suffix)
            and path.startswith(self._prefix)
            and len(path) >= self._shortest
        )

    def parameter_in(self, path: str) -> str:
        """Return the parameter's value in a path that matches."""
        return path[len(self._prefix) : len(path) - len(self._suffix)]


class Dispatcher:
    """The ASGI application: answers hot calls, passes all others to the framework.

    Args:
        routes: Handlers by path, then by method.
        parameter_routes: The hot calls with a parameter in their path.
        fallback: The framework's application.
        tallies: Counts every response.
        problems: Answers for handlers that raise.
        body_limits: Most bytes of a body by path prefix, for calls that accept more than
            `BODY_BYTES_MAX`.
        in_task: As in `HotRoute`, for all of `routes`.
    """

    def __init__(
        self,
        *,
        routes: Mapping[str, Mapping[str, Handler]],
        parameter_routes: Sequence[PathParameterRoute],
        fallback: App,
        tallies: ProcessMetrics,
        problems: ProblemResponses,
        body_limits: Mapping[str, int] = MappingProxyType({}),
        in_task: bool = False,
    ) -> None:
        self._body_limits = body_limits
        self._routes = {
            path: {
                name: HotRoute(name, path, handler, self._body_max(path), in_task)
                for name, handler in methods.items()
            }
            for path, methods in routes.items()
        }
        self._parameter_routes = parameter_routes
        self._fallback = fallback
        self._tallies = tallies
        self._problems = problems

    def route_for(self, method: str, path: str) -> HotRoute | None:
        """Return the hot call that a request is for, or `None` for a call of the framework."""
        methods = self._routes.get(path)
        if methods is not None:
            return methods.get(method)
        if method == "GET":
            for route in self._parameter_routes:
                if route.matches(path):
                    return route.hot
        return None

    def answer_error(self, error: Exception, request: Request) -> Answer:
        """Return the answer to a request whose handler has raised."""
        return self._problems.answer(error, request)

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a response and its duration."""
        self._tallies.http(method, route, status, seconds)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._fallback(scope, receive, send)
            return
        started = time.perf_counter()
        method, path = scope["method"], scope["path"]
        call = self.route_for(method, path)
        route, allowed = (call.route, ()) if call else self._other_methods(path)
        if route is None:
            await self._framework(scope, receive, send, started)
            return
        request = Request.of(scope)
        try:
            if call is None:
                raise MethodUnknown(allowed)  # noqa: TRY301 - see below
            if method == "POST":
                request.body = await receive_body(receive, call.body_max)
            answer = await call.handler(request)
        except Exception as error:  # noqa: BLE001 - every failure gets its answer
            answer = self.answer_error(error, request)
        await send_answer(send, answer)
        self.count(_method_label(method), route, answer.status, time.perf_counter() - started)

    def _other_methods(self, path: str) -> tuple[str | None, tuple[str, ...]]:
        """Return the hot route at a path that takes only other methods, and those methods."""
        if path in self._routes:
            return path, tuple(self._routes[path])
        for route in self._parameter_routes:
            if route.exclusive and route.matches(path):
                return route.hot.route, (route.hot.method,)
        return None, ()

    def _body_max(self, path: str) -> int:
        for prefix, most in self._body_limits.items():
            if path.startswith(prefix):
                return most
        return BODY_BYTES_MAX

    async def _framework(self, scope: Scope, receive: Receive, send: Send, started: float) -> None:
        status = 500
        size = 0
        request = Request.of(scope)
        most = self._body_max(request.path)

        async def receive_limited() -> MutableMapping[str, Any]:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > most:
                raise BodyTooLarge
            return message

        async def send_and_record(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            if int(request.headers.get(b"content-length", b"0")) > most:
                answer = self._problems.answer(BodyTooLarge(), request)
                await send_answer(send_and_record, answer)
            else:
                await self._fallback(scope, receive_limited, send_and_record)
        finally:
            # An unknown path must not become a label: clients can invent as many as they like.
            route = getattr(scope.get("route"), "path", "unknown")
            self.count(_method_label(scope["method"]), route, status, time.perf_counter() - started)


def _method_label(method: str) -> str:
    return method if method in METHODS else "OTHER"


METHODS = frozenset(("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"))
"""Methods that are counted by name. Others are counted together: clients can invent them."""
