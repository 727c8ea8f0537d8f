"""One connection: HTTP/1.1 and HTTP/1.0 as RFC 9112 has them, for both services.

A request is answered once it is complete, in the callback that brings its last byte: a hot call
without a task, an ASGI scope or a response object (decision 0006). Pipelined requests wait in the
buffer, so they are answered in order, and a malformed one does not affect the answers before it.
`head.py` and `body.py` decide where a request ends.
"""

import asyncio
from math import inf
from typing import TYPE_CHECKING, Any

from typing_extensions import override
from uvicorn.config import Config
from uvicorn.server import ServerState

from waitline.http.body import ChunkedBody, KnownBody, body_reader
from waitline.http.connections import (
    CONTINUE,
    INCOMPLETE,
    LINGER_BYTES_MAX,
    LINGER_S,
    PROGRESS_BYTES_MIN,
    READ_AHEAD_MAX,
    TURN_REQUESTS_MAX,
    SweptConnection,
)
from waitline.http.exchange import CLOSE, FrameworkExchange, HotExchange, Pause, connection_field
from waitline.http.head import Head, Preface, after_empty_lines, check_partial, parse_head
from waitline.http.problems import ConnectionsExhausted, RequestMalformed, RequestTooSlow
from waitline.http.requests import App, Request
from waitline.http.responses import Answer, ResponsePacker
from waitline.kernel.errors import Refused

if TYPE_CHECKING:
    from waitline.http.dispatch import HotRoute
    from waitline.http.worker import ServiceWorker

_packer = ResponsePacker()


class Protocol(SweptConnection, asyncio.Protocol):
    """One connection.

    Args:
        config: uvicorn's; holds the application.
        server_state: uvicorn's; it waits for these connections and tasks at its shutdown.
        app_state: Not used.
    """

    __slots__ = (
        "_buffer",
        "_consuming",
        "_drained",
        "_ending",
        "_exchange",
        "_head",
        "_in_head",
        "_lingered",
        "_paused_reading",
        "_preface",
        "_reader",
        "_route",
        "_unsent",
        "app",
        "dispatcher",
        "half_closed",
        "limits",
        "loop",
        "peer",
        "state",
        "stopping",
        "tasks",
        "transport",
    )

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],  # noqa: ARG002 - uvicorn passes it
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__()
        if not config.loaded:
            config.load()
        worker: ServiceWorker = config.loaded_app
        self.app: App = worker
        self.loop = _loop or asyncio.get_running_loop()
        self.dispatcher = worker.dispatcher
        self.limits = self.dispatcher.limits
        self.tasks: set[asyncio.Task[Any]] = server_state.tasks
        self.peer = ""
        self.stopping, self.half_closed = worker.draining, False
        self.state = server_state
        self._buffer = b""
        self._head: Head | None = None
        self._preface: Preface | None = None
        # Whether the buffer is the first part of a head.
        self._in_head = False
        self._route: HotRoute | None = None
        self._reader: KnownBody | ChunkedBody | None = None
        self._exchange: HotExchange | FrameworkExchange | Pause | None = None
        # Whether a loop over the buffer is in progress, further up the stack.
        self._consuming = False
        # Whether no further request is answered.
        self._ending = False
        self._lingered = 0
        self._paused_reading = False
        self._unsent: int | None = None
        self._drained: asyncio.Future[None] | None = None

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        self.transport = transport
        peer = transport.get_extra_info("peername")
        # A unix socket has a path, or nothing.
        self.peer = peer[0] if isinstance(peer, tuple) else ""
        self.state.connections.add(self)  # type: ignore[arg-type]  # it calls `shutdown` alone
        self.deadline_s = self.loop.time() + self.limits.keep_alive_s
        if not self.dispatcher.connections.add(self):
            self._refuse(ConnectionsExhausted())

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._ending = True
        self.state.connections.discard(self)
        self.dispatcher.connections.discard(self)
        self._release_drain()
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.lost()

    @override
    def data_received(self, data: bytes) -> None:
        if self._ending:
            self._lingered += len(data)
            if self._lingered > LINGER_BYTES_MAX:
                self.transport.abort()
            return
        if self._exchange is not None or self._unsent is not None:
            self._keep(self._buffer + data)
        else:
            self._consume(data)

    def _consume(self, data: bytes) -> None:
        """Read requests and start their exchanges, for as long as each is answered at once."""
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        self._consuming = True
        begun = 0
        try:
            while data and self._exchange is None and self._unsent is None and not self._ending:
                rest = self._read_head(data) if self._reader is None else self._read_body(data)
                if rest is None:
                    return
                data = rest
                begun += 1
                if begun == TURN_REQUESTS_MAX:
                    self._exchange = Pause(self)
                    self._exchange.run()
            if data:
                self._keep(data)
        except Refused as refusal:
            self._refuse(refusal)
        finally:
            self._consuming = False

    def _keep(self, data: bytes) -> None:
        """Buffer pipelined bytes; pause reading if there are too many."""
        self._buffer = data
        if len(data) > READ_AHEAD_MAX and not self._paused_reading:
            self._paused_reading = True
            self.transport.pause_reading()

    def _read_head(self, data: bytes) -> bytes | None:
        """Read a head, and the body that came with it; return what follows, or `None`."""
        if data.startswith(b"\r"):
            data = data[after_empty_lines(data) :]
            if not data:
                return b""
        head = self._head
        # Clients repeat whole heads, and comparing one takes a small part of parsing it.
        if head is None or not data.startswith(head.text):
            head = self._parse(data)
            if head is None:
                return None
        at, length, route = len(head.text), head.preface.length, self._route
        if length == 0:
            self._begin(b"")
            return data[at:]
        body_max = self.dispatcher.body_max(head) if route is None else route.body_max
        if 0 < length <= body_max and len(data) - at >= length:
            self._begin(data[at : at + length])
            return data[at + length :]
        self._reader = body_reader(length, body_max, self.limits)
        self.deadline_s = self.loop.time() + self.limits.body_s
        if head.preface.expects and len(data) == at:
            self.transport.write(CONTINUE)
        return data[at:]

    def _parse(self, data: bytes) -> Head | None:
        """Parse a head and find its route; return `None` and keep it while it is incomplete."""
        before, self._head = self._head, None
        end = data.find(b"\r\n\r\n")
        if end < 0:
            check_partial(data, self.limits)
            self._buffer = data
            if not self._in_head:
                self._in_head = True
                self.deadline_s = self.loop.time() + self.limits.head_s
            return None
        self._in_head = False
        head, dispatcher = parse_head(data, end + 2, self.limits, self._preface), self.dispatcher
        if dispatcher.root_path:
            head.path = dispatcher.below_root(head.path)
        if before is None or head.path is not before.path or head.method is not before.method:
            self._route = dispatcher.route_for(head.method, head.path)
        self._head, self._preface = head, head.preface
        return head

    def _read_body(self, data: bytes) -> bytes | None:
        assert self._reader is not None
        whole = self._reader.feed(data)
        if whole is None:
            return None
        self._reader = None
        self._begin(whole.body)
        return whole.rest

    def _begin(self, body: bytes) -> None:
        """Start the exchange of a request that is complete."""
        head, route = self._head, self._route
        assert head is not None
        self.deadline_s = inf
        if route is None:
            exchange: HotExchange | FrameworkExchange = FrameworkExchange(self, head, body)
        else:
            call = Request(head.path, head.query, head.fields, body, self.peer, method=head.method)
            exchange = HotExchange(self, route, call)
        self._exchange = exchange
        exchange.run()

    def respond(self, answer: Answer, fields: bytes = b"") -> str:
        """Send the present exchange's response, with more fields; return the request's method."""
        head = self._head
        assert head is not None
        keep_alive = head.keep_alive and not self.stopping
        if self.dispatcher.cross_origin is not None:
            answer = self.dispatcher.share(answer, head.fields)
        if not self.transport.is_closing():
            headers = self.state.default_headers
            if not fields and keep_alive and not head.preface.old and head.method != "HEAD":
                text = _packer.pack(answer, headers)
            else:
                fields += connection_field(head, keep_alive=keep_alive)
                text = _packer.pack(answer, headers, fields, bodiless=head.method == "HEAD")
            self.transport.write(text)
        self.done(keep_alive=keep_alive)
        return head.method

    def done(self, *, keep_alive: bool) -> None:
        """End the present exchange, whose response is written; continue with the next request."""
        self._exchange = None
        self.state.total_requests += 1
        if self._ending:
            return
        if not keep_alive or (self.half_closed and not self._buffer and not self._consuming):
            self._end()
            return
        if self._unsent is None:
            self.deadline_s = self.loop.time() + self.limits.keep_alive_s
            if self._buffer and not self._consuming:
                self._go_on()

    def resume(self) -> None:
        """Continue after a pause."""
        self._exchange = None
        if not self._ending:
            self._go_on()

    def _go_on(self) -> None:
        """Read the requests that arrived before the last one was answered."""
        self._consume(b"")
        if self._paused_reading and len(self._buffer) <= READ_AHEAD_MAX:
            self._paused_reading = False
            self.transport.resume_reading()
        if self.half_closed and self._exchange is None and not self._ending:
            self._refuse_partial()

    def _refuse(self, refusal: Refused) -> None:
        """Refuse an unparsable request; nothing after it can be parsed either."""
        head, self._head = self._head, None
        method, path, fields = "OTHER", self.dispatcher.below_root(getattr(refusal, "path", "")), {}
        if head is not None:
            method, path, fields = head.method, head.path, head.fields
        answer = self.dispatcher.answer_error(refusal, Request(path, b"", fields))
        headers, bodiless = self.state.default_headers, method == "HEAD"
        self.transport.write(_packer.pack(answer, headers, CLOSE, bodiless=bodiless))
        self.dispatcher.count_refused(method, answer.status)
        self._buffer, self._reader = b"", None
        self._ending = True
        self.deadline_s = self.loop.time() + LINGER_S
        if self.half_closed:
            self.transport.close()
        else:
            self.transport.write_eof()

    def _refuse_partial(self) -> None:
        if self._buffer or self._reader is not None:
            self._refuse(RequestMalformed(INCOMPLETE))
        else:
            self._end()

    def _end(self) -> None:
        """Close the connection once everything is sent; the sweep aborts it if that takes long."""
        self._ending = True
        self.deadline_s = self.loop.time() + LINGER_S
        self.transport.close()

    def abort(self) -> None:
        """Abort the connection: its response cannot be completed."""
        self._ending = True
        self.transport.abort()

    @override
    def eof_received(self) -> bool:
        if self._ending:
            return False
        self.half_closed = True
        exchange = self._exchange
        if exchange is not None:
            return not exchange.streaming
        if self._unsent is not None:
            return True
        self._refuse_partial()
        return False

    @override
    def on_deadline(self, now_s: float) -> None:
        if self._unsent is not None and not self._ending:
            unsent = self.transport.get_write_buffer_size()
            if unsent <= self._unsent - PROGRESS_BYTES_MIN:
                self._unsent = unsent
                self.deadline_s = now_s + self.limits.write_s
                return
            self.abort()
        elif self._ending:
            self.transport.abort()
        elif self._in_head or self._reader is not None:
            self._refuse(RequestTooSlow())
        else:
            self._end()

    @override
    def pause_writing(self) -> None:
        self._unsent = self.transport.get_write_buffer_size()
        if not self._ending:
            self.deadline_s = self.loop.time() + self.limits.write_s

    @override
    def resume_writing(self) -> None:
        self._unsent = None
        self._release_drain()
        if self._ending:
            return
        if self._exchange is not None:
            self.deadline_s = inf
            return
        self.deadline_s = self.loop.time() + self.limits.keep_alive_s
        if self._buffer and not self._consuming:
            self._go_on()

    def write(self, text: bytes) -> None:
        """Send a part of a response."""
        if not self.transport.is_closing():
            self.transport.write(text)

    async def drain(self) -> None:
        """Wait until the client has read enough for more to be sent."""
        if self._unsent is not None and not self._ending:
            self._drained = self.loop.create_future()
            await self._drained

    def _release_drain(self) -> None:
        waiting, self._drained = self._drained, None
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    def shutdown(self) -> None:
        """Close the connection once its request is answered; uvicorn calls this at its end."""
        self.stopping = True
        if self._ending:
            self.transport.close()
        elif self._exchange is None and self._reader is None and not self._in_head:
            if self._head is None:  # Its first request may be on the way, until the next sweep.
                self.deadline_s = self.loop.time()
            else:
                self._end()
