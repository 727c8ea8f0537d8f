"""Reads requests, writes answers, and dispatches the hot calls before the framework sees them.

A hot call costs one dictionary look-up here; routing, dependency injection and response objects
of the framework cost a sketch of it half of its time. Everything else goes on to
FastAPI.
"""

import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, MutableMapping
from typing import Any, NamedTuple, TypeVar
from urllib.parse import unquote_to_bytes

import msgspec
import structlog

from waitline.clock import Clock
from waitline.errors import Refused, Unavailable
from waitline.queue.model import NAME_BYTES_MAX
from waitline.telemetry import Tallies
from waitline.web import problems, texts
from waitline.web.problems import BodyTooLarge, InputInvalid
from waitline.web.texts import Language, Text
from waitline.web.wire import Answer, Headers, Send, write

BODY_BYTES_MAX = 4_096
"""No call of the contract needs a quarter of this."""


COMPLAIN_MS = 1_000
"""Between two lines of the log that say that service is unavailable."""

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

JSON: Headers = (
    (b"content-type", b"application/json"),
    # Answers carry tickets: no cache on the way may keep them.
    (b"cache-control", b"no-store"),
)
PROBLEM: Headers = (
    (b"content-type", b"application/problem+json"),
    (b"cache-control", b"no-store"),
)

MISSING = Text("값이 필요합니다.", "is required")
BLANK = Text("비어 있을 수 없습니다.", "must not be blank")
TOO_LONG = Text(
    f"최대 {NAME_BYTES_MAX}바이트까지 가능합니다.", f"must have at most {NAME_BYTES_MAX} bytes"
)
NOT_TEXT = Text("올바른 UTF-8 텍스트가 아닙니다.", "must be text in UTF-8")
NOT_JSON_TYPE = Text("application/json 이어야 합니다.", "must be application/json")
NOT_JSON = Text("올바른 JSON이 아닙니다.", "must be well-formed JSON")

T = TypeVar("T")
log = structlog.get_logger()


class Request:
    """One request, whole.

    Args:
        path: Without the query.
        query_string: What follows the question mark, as it was sent.
        headers: As they were sent, names in lower case.
        body: At most `BODY_BYTES_MAX` bytes; empty where the handler needs none.
    """

    __slots__ = ("_query", "body", "headers", "path", "query_string")

    def __init__(
        self,
        path: str,
        query_string: bytes,
        headers: Iterable[tuple[bytes, bytes]],
        body: bytes = b"",
    ) -> None:
        self.path = path
        self.query_string = query_string
        self.headers = dict(headers)
        self.body = body
        self._query: dict[str, str] | None = None

    @classmethod
    def of(cls, scope: Scope) -> "Request":
        """Return the request of an ASGI call, without its body."""
        return cls(scope["path"], scope["query_string"], scope["headers"])

    @property
    def language(self) -> Language:
        """The language that the asker prefers."""
        return texts.language(self.headers.get(b"accept-language"))

    def json(self, decoder: msgspec.json.Decoder[T]) -> T:
        """Return the body as what the decoder expects.

        Raises:
            InputInvalid: It is not that, or is not declared to be JSON.
        """
        declared = self.headers.get(b"content-type", b"")
        if declared != b"application/json" and (
            declared.partition(b";")[0].strip().lower() != b"application/json"
        ):
            raise InputInvalid("Content-Type", NOT_JSON_TYPE)
        try:
            return decoder.decode(self.body)
        except msgspec.ValidationError as error:
            # The library's sentence names the field and the type, never the value.
            raise InputInvalid("body", Text(str(error), str(error))) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise InputInvalid("body", NOT_JSON) from None

    def parameter(self, name: str) -> str:
        """Return a name from the query string.

        Raises:
            InputInvalid: It is missing, blank, too long, or not UTF-8.
        """
        query = self._query
        if query is None:
            query = self._query = {}
            # Of several with one name, the first counts.
            for pair in reversed(self.query_string.decode("latin-1").split("&")):
                key, _, value = pair.partition("=")
                query[key] = value
        given = query.get(name)
        if given is None:
            raise InputInvalid(name, MISSING)
        return named(name, decoded(name, given))


async def whole_body(receive: Receive) -> bytes:
    """Return the body of an ASGI call.

    Raises:
        BodyTooLarge: It has more than `BODY_BYTES_MAX` bytes.
    """
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > BODY_BYTES_MAX:
            raise BodyTooLarge
        more = message.get("more_body", False)
    return body


def decoded(name: str, value: str) -> str:
    """Decode one percent-encoded value of a query string, whose characters are its bytes.

    Raises:
        InputInvalid: It is not UTF-8.
    """
    try:
        if "%" in value or "+" in value:
            return unquote_to_bytes(value.replace("+", " ").encode("latin-1")).decode()
        return value if value.isascii() else value.encode("latin-1").decode()
    except UnicodeDecodeError:
        raise InputInvalid(name, NOT_TEXT) from None


def named(name: str, value: str) -> str:
    """Check the name of a room or visitor.

    Raises:
        InputInvalid: It is blank, too long, or holds half a character.
    """
    if not value or value.isspace():
        raise InputInvalid(name, BLANK)
    if value.isascii():
        size = len(value)
    else:
        try:
            size = len(value.encode())
        except UnicodeEncodeError:
            raise InputInvalid(name, NOT_TEXT) from None
    if size > NAME_BYTES_MAX:
        raise InputInvalid(name, TOO_LONG)
    return value


class Refusal(Exception):  # noqa: N818 - it is what was refused, with what is told besides
    """A refusal that says more than its kind does.

    Attributes:
        cause: The refusal.
        data: What its body's `data` holds.
    """

    def __init__(self, cause: Refused, data: dict[str, Any]) -> None:
        super().__init__(cause)
        self.cause = cause
        self.data = data


def refused(error: Exception, request: Request, clock: Clock) -> Answer:
    """Turn any exception into an answer; only bugs are logged as such."""
    data = None
    if isinstance(error, Refusal):
        data = error.data
        error = error.cause
    if isinstance(error, Unavailable):
        _complaints.note(request.path, str(error), clock.now_ms())
    elif not isinstance(error, Refused):
        log.error("bug", path=request.path, exc_info=error)
    body = problems.body(
        error, request.language, path=request.path, now_ms=clock.now_ms(), data=data
    )
    return Answer(problems.find(error).status.value, (*PROBLEM, *problems.headers(error)), body)


class _Complaints:
    """Logs that service was unavailable, at most once a second.

    A store that is gone fails every request; a line for each would drown the log, and cost more
    than answering.
    """

    def __init__(self) -> None:
        self._until_ms = 0
        self._untold = 0

    def note(self, path: str, reason: str, now_ms: int) -> None:
        """Log it, or count it until the next line."""
        if self._until_ms - COMPLAIN_MS <= now_ms < self._until_ms:
            self._untold += 1
            return
        log.warning("unavailable", path=path, reason=reason, untold=self._untold)
        self._until_ms = now_ms + COMPLAIN_MS
        self._untold = 0


_complaints = _Complaints()

Handler = Callable[[Request], Coroutine[Any, Any, Answer]]


class Call(NamedTuple):
    """One hot call.

    Attributes:
        method: Of its requests.
        route: What it is counted as.
        handler: Answers it.
    """

    method: str
    route: str
    handler: Handler


class HotPath:
    """The ASGI application: hot calls here, everything else in the framework.

    Args:
        exact: Handlers by path, then by method.
        surrounded: A GET call with one name in the path: what comes before the name, what comes
            after it, and the handler.
        rest: The framework's application.
        tallies: Counts every answer.
        clock: For the timestamps of refusals.
    """

    def __init__(
        self,
        *,
        exact: Mapping[str, Mapping[str, Handler]],
        surrounded: tuple[str, str, Handler],
        rest: App,
        tallies: Tallies,
        clock: Clock,
    ) -> None:
        self._exact = {
            path: {name: Call(name, path, handler) for name, handler in methods.items()}
            for path, methods in exact.items()
        }
        self._prefix, self._suffix, handler = surrounded
        self._surrounded = Call("GET", f"{self._prefix}{{room}}{self._suffix}", handler)
        # In a shorter path the two would overlap.
        self._shortest = len(self._prefix) + len(self._suffix)
        self._rest = rest
        self._tallies = tallies
        self._clock = clock

    def call(self, method: str, path: str) -> Call | None:
        """Return the hot call that a request is for, or `None` if it is for none."""
        methods = self._exact.get(path)
        if methods is not None:
            return methods.get(method)
        return self._surrounded if method == "GET" and self._surrounds(path) else None

    def refused(self, error: Exception, request: Request) -> Answer:
        """Turn what a handler raised into an answer."""
        return refused(error, request, self._clock)

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
        if call is None and path not in self._exact:
            await self._framework(scope, receive, send, started)
            return
        request = Request.of(scope)
        try:
            if call is None:
                raise problems.MethodUnknown(tuple(self._exact[path]))  # noqa: TRY301 - see below
            if method == "POST":
                request.body = await whole_body(receive)
            answer = await call.handler(request)
        except Exception as error:  # noqa: BLE001 - every failure gets its answer
            answer = self.refused(error, request)
        await write(send, answer)
        route = call.route if call else path
        self.count(_counted(method), route, answer.status, time.perf_counter() - started)

    def _surrounds(self, path: str) -> bool:
        return (
            path.endswith(self._suffix)
            and path.startswith(self._prefix)
            and len(path) >= self._shortest
        )

    async def _framework(self, scope: Scope, receive: Receive, send: Send, started: float) -> None:
        status = 500
        size = 0
        request = Request.of(scope)

        async def measured() -> MutableMapping[str, Any]:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > BODY_BYTES_MAX:
                raise BodyTooLarge
            return message

        async def noting(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            if int(request.headers.get(b"content-length", b"0")) > BODY_BYTES_MAX:
                answer = refused(BodyTooLarge(), request, self._clock)
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
