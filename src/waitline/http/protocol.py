"""Answers the hot calls from the HTTP parser's callbacks; everything else goes the server's way.

For each request uvicorn makes a scope, a cycle, an event and a task, and sends the answer as two
messages: more work than all of ours (measured, decision 0006). A hot call needs none of that: its
body is a few bytes that come with its head, and its answer is one piece. What is unusual in any
way (a connection to be closed, requests sent ahead, an upgrade) takes the server's way too, to
the same handlers.
"""

import asyncio
import time
from typing import TYPE_CHECKING, Any

from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from waitline.http.dispatch import Call
from waitline.http.problems import BodyTooLarge
from waitline.http.requests import Request
from waitline.http.responses import Answer, Heads
from waitline.kernel.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from waitline.http.process import ServiceWorker

_heads = Heads()


class Exchange:
    """One hot call on a connection, from its head to its answer.

    To the server it is what it takes for the request under way: it asks whether that is
    complete, and tells it when the connection shall not be kept.
    """

    __slots__ = (
        "_call",
        "_coroutine",
        "_protocol",
        "_request",
        "_started_s",
        "keep_alive",
        "response_complete",
    )

    def __init__(self, protocol: "Protocol", call: Call, request: Request) -> None:
        self._protocol = protocol
        self._call = call
        self._request = request
        self._started_s = time.perf_counter()
        self._coroutine: Coroutine[Any, Any, Answer] | None = None
        self.keep_alive = True
        self.response_complete = False

    def more(self, body: bytes) -> None:
        """Take more of the body."""
        request = self._request
        request.body = request.body + body if request.body else body
        if len(request.body) > self._call.body_max:
            self._finish(self._protocol.hot.refused(BodyTooLarge(), request))

    def run(self) -> None:
        """Call the handler, now that the request is whole."""
        self._coroutine = self._call.handler(self._request)
        self._go_on()

    def _go_on(self, _awaited: "asyncio.Future[Any] | None" = None) -> None:
        """Run the handler up to what it waits for; come back when that is there.

        What a task does, without one: a handler waits once, and nobody waits for it.
        """
        assert self._coroutine is not None
        try:
            awaited = self._coroutine.send(None)
        except StopIteration as end:
            self._finish(end.value)
        except asyncio.CancelledError:
            self._finish(self._protocol.hot.refused(Unavailable("stopped"), self._request))
        except Exception as error:  # noqa: BLE001 - every failure gets its answer
            self._finish(self._protocol.hot.refused(error, self._request))
        else:
            awaited._asyncio_future_blocking = False  # noqa: SLF001 - as whoever awaits must
            awaited.add_done_callback(self._go_on)

    def _finish(self, answer: Answer) -> None:
        self.response_complete = True
        protocol = self._protocol
        if not protocol.transport.is_closing():
            text = _heads.packed(answer, protocol.server_state.default_headers)
            protocol.transport.write(text)
            if not self.keep_alive:
                protocol.transport.close()
        protocol.on_response_complete()
        call = self._call
        seconds = time.perf_counter() - self._started_s
        protocol.hot.count(call.method, call.route, answer.status, seconds)


class Protocol(HttpToolsProtocol):
    """One connection.

    Its keep-alive timer is set once and moves on when it fires, where uvicorn sets and cancels
    one for each request.
    """

    cycle: RequestResponseCycle | Exchange | None  # type: ignore[assignment]  # one of ours, too

    @override
    def connection_made(  # type: ignore[override]  # as the server's own
        self, transport: asyncio.Transport
    ) -> None:
        super().connection_made(transport)
        worker: ServiceWorker = self.app
        self.hot = worker.hot
        self._idle_since_s = self.loop.time()
        self._wait_for_idleness(self.timeout_keep_alive)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
            self.timeout_keep_alive_task = None
        if type(self.cycle) is Exchange:
            self.cycle = None
        super().connection_lost(exc)

    @override
    def on_message_begin(self) -> None:
        self.url = b""
        self.expect_100_continue = False
        self.headers = []

    @override
    def on_headers_complete(self) -> None:
        target, _, query = self.url.partition(b"?")
        path = target.decode("latin-1")
        call = self.hot.call(self.parser.get_method().decode(), path)
        if call is not None:
            request = Request(path, query, self.headers)
            if self._is_usual(request):
                self.cycle = Exchange(self, call, request)
                return
        self._begin_scope()
        super().on_headers_complete()

    def _is_usual(self, request: Request) -> bool:
        parser = self.parser
        return (
            (self.cycle is None or self.cycle.response_complete)
            and parser.should_keep_alive()
            and not parser.should_upgrade()
            and not self.expect_100_continue
            and not self.flow.write_paused
            and "%" not in request.path
            # Without this header, only HTTP/1.1 keeps connections.
            and (b"connection" not in request.headers or parser.get_http_version() == "1.1")
        )

    def _begin_scope(self) -> None:
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.headers, self.expect_100_continue = url, headers, expects
        self.scope["headers"] = headers

    @override
    def on_body(self, body: bytes) -> None:
        exchange = self.cycle
        if type(exchange) is not Exchange:
            super().on_body(body)
        elif not exchange.response_complete:
            exchange.more(body)

    @override
    def on_message_complete(self) -> None:
        exchange = self.cycle
        if type(exchange) is not Exchange:
            super().on_message_complete()
        elif not exchange.response_complete:
            exchange.run()

    @override
    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        self._idle_since_s = self.loop.time()
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)

    @override
    def _unset_keepalive_if_required(self) -> None:
        """Leave the timer alone; it finds out whether the connection was idle."""

    def _wait_for_idleness(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(
            seconds, self.timeout_keep_alive_handler
        )

    @override
    def timeout_keep_alive_handler(self) -> None:
        busy = self.cycle is not None and not self.cycle.response_complete
        idle_s = 0.0 if busy else self.loop.time() - self._idle_since_s
        if idle_s >= self.timeout_keep_alive:
            super().timeout_keep_alive_handler()
        else:
            self._wait_for_idleness(self.timeout_keep_alive - idle_s)
