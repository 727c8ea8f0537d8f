"""One request and its response: a hot call, or a call of the framework over ASGI."""

import asyncio
import re
import time
from collections.abc import Coroutine, MutableMapping
from typing import TYPE_CHECKING, Any

import structlog

from waitline.http.contexts import REQUEST_ID, STATE
from waitline.http.dispatch import HotRoute, method_label
from waitline.http.head import Head
from waitline.http.requests import Request, Scope
from waitline.http.responses import BODILESS, STATUS_LINE, Answer
from waitline.kernel.errors import Unavailable
from waitline.kernel.request_context import CURRENT, RequestContext

if TYPE_CHECKING:
    from waitline.http.protocol import Protocol

CLOSE = b"connection: close\r\n"

_LINE_BREAK = re.compile(rb"[\r\n\0]")

log = structlog.get_logger()


class HotExchange:
    """One hot call, from its complete request to its response."""

    __slots__ = ("_coroutine", "_protocol", "_request", "_route", "_started_s")

    streaming = False

    def __init__(self, protocol: "Protocol", route: HotRoute, request: Request) -> None:
        self._protocol = protocol
        self._route = route
        self._request = request
        self._started_s = time.perf_counter()
        self._coroutine: Coroutine[Any, Any, Answer] | None = None

    def run(self) -> None:
        """Call the handler."""
        dispatcher, request = self._protocol.dispatcher, self._request
        if dispatcher.observer is not None:
            context = dispatcher.contexts.of(request)
            dispatcher.observer.began(context, request.headers, request.peer)
        try:
            coroutine = self._route.handler(request)
        except Exception as error:  # noqa: BLE001 - every failure gets its answer
            coroutine = dispatcher.answer_error(error, request)
        if isinstance(coroutine, Answer):
            self._finish(coroutine)
        elif self._route.in_task:
            protocol = self._protocol
            current = CURRENT.set(dispatcher.contexts.of(request))
            task = protocol.loop.create_task(coroutine)
            CURRENT.reset(current)
            protocol.tasks.add(task)
            task.add_done_callback(protocol.tasks.discard)
            task.add_done_callback(self._finish_task)
        else:
            self._coroutine = coroutine
            self._step()

    def lost(self) -> None:
        """Continue: the call is completed, though its client is gone."""

    def _finish_task(self, task: "asyncio.Task[Answer]") -> None:
        error = Unavailable("stopped") if task.cancelled() else task.exception()
        if error is None:
            self._finish(task.result())
        elif isinstance(error, Exception):
            self._finish(self._protocol.dispatcher.answer_error(error, self._request))

    def _step(self, _awaited: "asyncio.Future[Any] | None" = None) -> None:
        """Run the handler to its next `await`; resume when the awaited future is done.

        This is what `asyncio.Task` does, without its cost: a handler awaits about once, and
        nothing awaits the handler.
        """
        assert self._coroutine is not None
        try:
            awaited = self._coroutine.send(None)
        except StopIteration as end:
            self._finish(end.value)
        except asyncio.CancelledError:
            self._finish(
                self._protocol.dispatcher.answer_error(Unavailable("stopped"), self._request)
            )
        except Exception as error:  # noqa: BLE001 - every failure gets its answer
            self._finish(self._protocol.dispatcher.answer_error(error, self._request))
        else:
            awaited._asyncio_future_blocking = False  # noqa: SLF001 - as asyncio.Task does
            awaited.add_done_callback(self._step)

    def _finish(self, answer: Answer) -> None:
        protocol, route, request = self._protocol, self._route, self._request
        dispatcher = protocol.dispatcher
        # Most requests have no id, and should not pay for a call that says so.
        named = request.context is not None or REQUEST_ID in request.headers
        sent = protocol.respond(answer, dispatcher.contexts.field(request) if named else b"")
        method = method_label(sent)
        seconds = time.perf_counter() - self._started_s
        if dispatcher.observer is None:
            dispatcher.count(method, route.route, answer.status, seconds)
        else:
            context = dispatcher.contexts.of(request)
            dispatcher.observer.ended(context, method, route.route, answer.status, seconds)


class Pause:
    """Stands in for an exchange while other connections have their turn."""

    __slots__ = ("_protocol",)

    streaming = False

    def __init__(self, protocol: "Protocol") -> None:
        self._protocol = protocol

    def run(self) -> None:
        """End the pause after one turn of the loop."""
        self._protocol.loop.call_soon(self._protocol.resume)

    def lost(self) -> None:
        """Do nothing; the connection handles it."""


class FrameworkExchange:
    """One call of the framework, over ASGI. Its request is complete.

    Args:
        protocol: Its connection.
        head: Of the request.
        body: Of the request.

    Attributes:
        streaming: Whether the response has begun and has no end yet.
    """

    __slots__ = (
        "_body",
        "_chunked",
        "_complete",
        "_context",
        "_gone",
        "_head",
        "_keep_alive",
        "_left",
        "_protocol",
        "_start",
        "_written",
        "streaming",
    )

    def __init__(self, protocol: "Protocol", head: Head, body: bytes) -> None:
        self._protocol = protocol
        self._head = head
        self._body: bytes | None = body
        self._chunked = False
        self._complete = False
        self._context = protocol.dispatcher.contexts.new(head.fields, protocol.peer)
        self._gone = asyncio.Event()
        self._keep_alive = head.keep_alive
        self._left: int | None = None
        self._start: MutableMapping[str, Any] | None = None
        self._written = False
        self.streaming = False

    def run(self) -> None:
        """Start the call in a task of its own."""
        protocol = self._protocol
        task = protocol.loop.create_task(self._call())
        protocol.tasks.add(task)
        task.add_done_callback(protocol.tasks.discard)

    def lost(self) -> None:
        """Notify the call that its client has disconnected."""
        self._gone.set()

    async def _call(self) -> None:
        protocol, head = self._protocol, self._head
        CURRENT.set(self._context)
        if protocol.dispatcher.observer is not None:
            protocol.dispatcher.observer.began(self._context, head.fields, protocol.peer)
        scope = _scope(head, protocol.transport, self._context)
        try:
            await protocol.app(scope, self.receive, self.send)
        except asyncio.CancelledError:
            self._fail(Unavailable("stopped"))
            raise
        except Exception as error:  # noqa: BLE001 - every failure gets its answer
            self._fail(error)
        else:
            self._fail(RuntimeError("the response has no end"))

    def _fail(self, error: Exception) -> None:
        """Answer for a call that ended without a complete response."""
        if self._complete or self._gone.is_set():
            return
        self._complete = True
        protocol, head = self._protocol, self._head
        request = Request(head.path, head.query, head.fields, peer=protocol.peer)
        request.context = self._context
        answer = protocol.dispatcher.answer_error(error, request)
        if self._written:
            protocol.abort()
        else:
            protocol.respond(answer, self._context.field)

    async def receive(self) -> MutableMapping[str, Any]:
        """Return the request's body, then wait until the client disconnects or has its response."""
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """Send a part of the response.

        Raises:
            RuntimeError: It breaks the rules of HTTP: a bug.
        """
        if self._gone.is_set():
            return
        if message["type"] == "http.response.start":
            self._start = message
            return
        body, more = message.get("body", b""), message.get("more_body", False)
        text = b""
        if self._start is not None:
            text = self._first_part(self._start, None if more else len(body))
            self._start = None
        if self._head.method == "HEAD":
            more = False
        elif self._chunked:
            text += b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            text += b"" if more else b"0\r\n\r\n"
        else:
            text += body
            self._subtract(len(body), more=more)
        self._written = True
        protocol = self._protocol
        protocol.write(text)
        if more:
            self.streaming = self._left is None
            if self.streaming and protocol.half_closed:
                # A half-closed connection counts as closed: clients of endless answers do not
                # half-close.
                self._gone.set()
            await protocol.drain()
        else:
            self._complete = True
            self._gone.set()
            protocol.done(keep_alive=self._keep_alive)

    def _subtract(self, size: int, *, more: bool) -> None:
        if self._left is None:
            return
        self._left -= size
        if self._left < 0 or (self._left and not more):
            raise RuntimeError("the response has not the length that it declares")

    def _first_part(self, start: MutableMapping[str, Any], size: int | None) -> bytes:
        """Return status line and header fields.

        Args:
            start: The ASGI message with both.
            size: Length of the body, or `None` if it is not known.

        Raises:
            RuntimeError: A field contains a line break.
        """
        status = start["status"]
        protocol, head = self._protocol, self._head
        fields = (*protocol.state.default_headers, *protocol.dispatcher.origin_fields(head.fields))
        parts = [STATUS_LINE[status], *(b"%b: %b\r\n" % one for one in fields)]
        length: bytes | None = None
        for name, value in start.get("headers", ()):
            if _LINE_BREAK.search(name) or _LINE_BREAK.search(value):
                raise RuntimeError("a header field has a line break")
            match name.lower():
                case b"content-length":
                    length = value
                case b"connection" | b"transfer-encoding":
                    self._keep_alive &= value.lower() != b"close"
                case _:
                    parts.append(b"%b: %b\r\n" % (name, value))
        if status in BODILESS:
            self._left = 0
        elif (known := size if length is None else int(length)) is not None:
            self._left = known
            parts.append(b"content-length: %d\r\n" % known)
        elif head.preface.old:
            # HTTP/1.0 has no chunks, so the end of the connection ends the body.
            self._keep_alive = False
        else:
            self._chunked = True
            parts.append(b"transfer-encoding: chunked\r\n")
        self._keep_alive &= not protocol.stopping
        parts.append(connection_field(head, keep_alive=self._keep_alive))
        return b"".join((*parts, self._context.field, b"\r\n"))


def _scope(head: Head, transport: asyncio.Transport, context: RequestContext) -> Scope:
    """Return the ASGI scope of a request."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.0" if head.preface.old else "1.1",
        "server": transport.get_extra_info("sockname"),
        "client": transport.get_extra_info("peername"),
        "scheme": "http",
        "root_path": "",
        "headers": list(head.fields.items()),
        "state": {STATE: context},
        "method": head.method,
        "path": head.path,
        "raw_path": head.raw_path,
        "query_string": head.query,
    }


def connection_field(head: Head | None, *, keep_alive: bool) -> bytes:
    """Return the Connection field of a response; empty if it would be the default."""
    if not keep_alive:
        return CLOSE
    return b"connection: keep-alive\r\n" if head is not None and head.preface.old else b""
