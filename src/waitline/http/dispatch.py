"""Router for the hot calls, ahead of the framework: one dictionary lookup by path and method.

FastAPI's routing, dependency injection and response objects took half of a hot call's time in a
prototype. It answers everything that is not hot.
"""

import time
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from waitline.http.connections import Connections
from waitline.http.contexts import STATE
from waitline.http.cross_origin import CrossOrigin
from waitline.http.head import Head
from waitline.http.limits import BODY_BYTES, EdgeLimits
from waitline.http.observer import RequestObserver
from waitline.http.problem_responses import ProblemResponses
from waitline.http.problems import MethodUnknown
from waitline.http.requests import App, HotHandler, Receive, Request, Scope
from waitline.http.responses import Answer, Headers, Send, send_answer
from waitline.kernel.process_metrics import ProcessMetrics

ANY_METHOD: Final = "*"
"""Key of the handler of a path that takes every method."""


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
    handler: HotHandler
    body_max: int = BODY_BYTES
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
        self, template: str, handler: HotHandler, *, exclusive: bool = False, in_task: bool = False
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
    """The routes of a worker; the ASGI application of all calls that are not hot.

    Args:
        routes: Handlers by path, then by method; `ANY_METHOD` for the methods that have none.
        parameter_routes: The hot calls with a parameter in their path.
        fallback: The framework's application.
        tallies: Counts every response.
        problems: Answers for handlers that raise.
        body_limits: Most bytes of a body, for calls that accept more than others: by path, or by
            path prefix for uploads, which are calls of the framework.
        check_upload: Refuses a stranger's upload by its header fields, before the body is read.
        in_task: As in `HotRoute`, for all of `routes`.
        limits: Of connections and requests.
        cross_origin: Origins whose pages may call; `None` for none.
        observer: Access log and traces; `None` for neither.

    Attributes:
        root_path: Path below which a proxy serves the service, without a slash at its end. Requests
            come with it, or without it if the proxy strips it.
        cross_origin: As given.
        limits: Of connections and requests.
        connections: Those of this worker.
        contexts: The contexts of its requests.
        observer: As given.
        count: Counts a response: by method, route and status, with its duration in s.
    """

    def __init__(
        self,
        *,
        routes: Mapping[str, Mapping[str, HotHandler]],
        parameter_routes: Sequence[PathParameterRoute],
        fallback: App,
        tallies: ProcessMetrics,
        problems: ProblemResponses,
        body_limits: Mapping[str, int] = MappingProxyType({}),
        limits: EdgeLimits,
        check_upload: Callable[[Mapping[bytes, bytes]], None] = lambda _: None,
        in_task: bool = False,
        cross_origin: CrossOrigin | None = None,
        observer: RequestObserver | None = None,
    ) -> None:
        self.root_path = problems.root_path
        self.cross_origin = cross_origin
        self.limits = limits
        self.connections = Connections(limits)
        self._check_upload = check_upload
        self._uploads = {path: most for path, most in body_limits.items() if path not in routes}
        most = limits.body_bytes
        self._routes = {
            path: {
                name: HotRoute(name, path, handler, body_limits.get(path, most), in_task)
                for name, handler in methods.items()
            }
            for path, methods in routes.items()
        }
        self._parameter_routes = parameter_routes
        self._fallback = fallback
        # On the hot path: no wrapper around it.
        self.count = tallies.http
        self.contexts = problems.contexts
        self.observer = observer
        self._problems = problems

    def route_for(self, method: str, path: str) -> HotRoute | None:
        """Return the hot call that a request is for, or `None` for a call of the framework."""
        if method == "HEAD":
            method = "GET"
        methods = self._routes.get(path)
        if methods is not None:
            return methods.get(method) or methods.get(ANY_METHOD)
        if method == "GET":
            for route in self._parameter_routes:
                if route.matches(path):
                    return route.hot
        return None

    def below_root(self, path: str) -> str:
        """Return a path without the root path; empty if it is the root path itself."""
        below = path.removeprefix(self.root_path)
        return path if below and not below.startswith("/") else below

    def origin_fields(self, headers: Mapping[bytes, bytes]) -> Headers:
        """Return the header fields that a response has for the origin of its request."""
        return () if self.cross_origin is None else self.cross_origin.fields(headers)

    def share(self, answer: Answer, headers: Mapping[bytes, bytes]) -> Answer:
        """Return an answer with the header fields for the origin of its request."""
        return Answer(answer.status, (*answer.headers, *self.origin_fields(headers)), answer.body)

    def answer_error(self, error: Exception, request: Request) -> Answer:
        """Return the answer to a request whose handler has raised."""
        return self._problems.answer(error, request)

    def count_refused(self, method: str, status: int) -> None:
        """Count a response to an invalid or oversized request."""
        self.count(method_label(method), "unknown", status, 0.0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request that is not for a hot call."""
        started = time.perf_counter()
        method, path = scope["method"], scope["path"]
        route, allowed = self._other_methods(path)
        preflight = None
        if self.cross_origin is not None:
            preflight = self.cross_origin.preflight(method, dict(scope["headers"]))
        if preflight is not None:
            answer = preflight
        elif not path and method in ("GET", "HEAD"):
            # Relative addresses in the page count from the last slash.
            query = scope["query_string"]
            target = self.root_path.encode("ascii") + (b"/?%b" % query if query else b"/")
            answer = Answer(HTTPStatus.TEMPORARY_REDIRECT, ((b"location", target),), b"")
        elif path == "*":
            # OPTIONS for the server as a whole (RFC 9110, section 9.3.7).
            route = path
            answer = Answer(HTTPStatus.NO_CONTENT, ((b"allow", _ALLOWED.encode("ascii")),), b"")
        elif route is not None or method == "CONNECT":
            answer = self.answer_error(MethodUnknown(allowed), Request.of(scope))
        else:
            await self._framework(scope, receive, send, started)
            return
        await send_answer(send, answer)
        self._ended(scope, method, route or "unknown", answer.status, started)

    def _other_methods(self, path: str) -> tuple[str | None, tuple[str, ...]]:
        """Return the hot route at a path that takes only other methods, and those methods."""
        if path in self._routes:
            return path, with_head(self._routes[path])
        for route in self._parameter_routes:
            if route.exclusive and route.matches(path):
                return route.hot.route, with_head((route.hot.method,))
        return None, ()

    def body_max(self, head: Head) -> int:
        """Return the most bytes of a body that a call of the framework accepts.

        Raises:
            Refused: The client may not send as much without authentication.
        """
        for prefix, most in self._uploads.items():
            if head.path.startswith(prefix):
                self._check_upload(head.fields)
                return most
        return self.limits.body_bytes

    async def _framework(self, scope: Scope, receive: Receive, send: Send, started: float) -> None:
        status = 500
        method = scope["method"]
        # HEAD is handled as GET; the connection omits the body.
        scope["method"] = "GET" if method == "HEAD" else method

        async def send_and_record(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._fallback(scope, receive, send_and_record)
        finally:
            # An unknown path must not become a label: clients can invent as many as they like.
            route = getattr(scope.get("route"), "path", "unknown")
            self._ended(scope, method, route, status, started)

    def _ended(self, scope: Scope, method: str, route: str, status: int, started: float) -> None:
        seconds = time.perf_counter() - started
        if self.observer is None:
            self.count(method_label(method), route, status, seconds)
        else:
            context = scope["state"][STATE]
            self.observer.ended(context, method_label(method), route, status, seconds)


def method_label(method: str) -> str:
    """Return the name under which a method is counted."""
    return method if method in METHODS else "OTHER"


def with_head(methods: Iterable[str]) -> tuple[str, ...]:
    """Return methods, and HEAD wherever there is GET."""
    given = tuple(methods)
    return (*given, "HEAD") if "GET" in given and "HEAD" not in given else given


METHODS = frozenset(("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"))
"""Methods that are counted by name. Others are counted together: clients can invent them."""

_ALLOWED = ", ".join(sorted(METHODS))
