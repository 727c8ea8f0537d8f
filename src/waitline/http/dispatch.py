"""Dispatches the hot calls before the framework sees them.

A hot call costs one dictionary look-up here; routing, dependency injection and response objects
of the framework cost a sketch of it half of its time. Everything else goes on to
FastAPI.
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
    whole_body,
)
from waitline.http.responses import Answer, Send, write
from waitline.kernel.telemetry import Tallies


class Call(NamedTuple):
    """One hot call.

    Attributes:
        method: Of its requests.
        route: What it is counted as.
        handler: Answers it.
        body_max: Most bytes of its body.
    """

    method: str
    route: str
    handler: Handler
    body_max: int = BODY_BYTES_MAX


class Surrounded:
    """A hot GET call with one name inside its path.

    Args:
        template: The path, with the name in braces.
        handler: Answers it.
        alone: Whether no other call can have such a path, so that its other methods are refused.
    """

    def __init__(self, template: str, handler: Handler, *, alone: bool = False) -> None:
        self._prefix, rest = template.split("{")
        self._suffix = rest.split("}")[1]
        # In a shorter path the two would overlap.
        self._shortest = len(self._prefix) + len(self._suffix)
        self.call = Call("GET", template, handler)
        self.alone = alone

    def matches(self, path: str) -> bool:
        """Return whether a path is of this call."""
        return (
            path.endswith(self._suffix)
            and path.startswith(self._prefix)
            and len(path) >= self._shortest
        )

    def name_in(self, path: str) -> str:
        """Return the name in a path of this call."""
        return path[len(self._prefix) : len(path) - len(self._suffix)]


class HotPath:
    """The ASGI application: hot calls here, everything else in the framework.

    Args:
        exact: Handlers by path, then by method.
        surrounded: The calls with a name in their path.
        rest: The framework's application.
        tallies: Counts every answer.
        problems: Answers for handlers that raise.
        roomy: Most bytes of a body by the beginning of the path, where calls take more than
            `BODY_BYTES_MAX`.
    """

    def __init__(
        self,
        *,
        exact: Mapping[str, Mapping[str, Handler]],
        surrounded: Sequence[Surrounded],
        rest: App,
        tallies: Tallies,
        problems: ProblemResponses,
        roomy: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        self._roomy = roomy
        self._exact = {
            path: {
                name: Call(name, path, handler, self._body_max(path))
                for name, handler in methods.items()
            }
            for path, methods in exact.items()
        }
        self._surrounded = surrounded
        self._rest = rest
        self._tallies = tallies
        self._problems = problems

    def call(self, method: str, path: str) -> Call | None:
        """Return the hot call that a request is for, or `None` if it is for none."""
        methods = self._exact.get(path)
        if methods is not None:
            return methods.get(method)
        if method == "GET":
            for one in self._surrounded:
                if one.matches(path):
                    return one.call
        return None

    def refused(self, error: Exception, request: Request) -> Answer:
        """Turn what a handler raised into an answer."""
        return self._problems.answer(error, request)

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answer."""
        self._tallies.http(method, route, status, seconds)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._rest(scope, receive, send)
            return
        started = time.perf_counter()
        method, path = scope["method"], scope["path"]
        call = self.call(method, path)
        route, allowed = (call.route, ()) if call else self._refusing(path)
        if route is None:
            await self._framework(scope, receive, send, started)
            return
        request = Request.of(scope)
        try:
            if call is None:
                raise MethodUnknown(allowed)  # noqa: TRY301 - see below
            if method == "POST":
                request.body = await whole_body(receive, call.body_max)
            answer = await call.handler(request)
        except Exception as error:  # noqa: BLE001 - every failure gets its answer
            answer = self.refused(error, request)
        await write(send, answer)
        self.count(_counted(method), route, answer.status, time.perf_counter() - started)

    def _refusing(self, path: str) -> tuple[str | None, tuple[str, ...]]:
        """Return the route that takes a path with other methods alone, and which those are."""
        if path in self._exact:
            return path, tuple(self._exact[path])
        for one in self._surrounded:
            if one.alone and one.matches(path):
                return one.call.route, (one.call.method,)
        return None, ()

    def _body_max(self, path: str) -> int:
        for beginning, most in self._roomy.items():
            if path.startswith(beginning):
                return most
        return BODY_BYTES_MAX

    async def _framework(self, scope: Scope, receive: Receive, send: Send, started: float) -> None:
        status = 500
        size = 0
        request = Request.of(scope)
        most = self._body_max(request.path)

        async def measured() -> MutableMapping[str, Any]:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > most:
                raise BodyTooLarge
            return message

        async def noting(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            if int(request.headers.get(b"content-length", b"0")) > most:
                answer = self._problems.answer(BodyTooLarge(), request)
                await write(noting, answer)
            else:
                await self._rest(scope, measured, noting)
        finally:
            # An unknown path must not become a label: clients could make up as many as they like.
            route = getattr(scope.get("route"), "path", "unknown")
            self.count(_counted(scope["method"]), route, status, time.perf_counter() - started)


def _counted(method: str) -> str:
    return method if method in METHODS else "OTHER"


METHODS = frozenset(("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"))
"""Those that are counted by name; others could be made up."""
