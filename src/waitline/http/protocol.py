"""uvicorn's protocol class with a fast path: answer hot calls from the HTTP parser's callbacks.

For each request uvicorn creates a scope, a cycle, an event and a task, and sends the response as
two messages. That costs more than all of our own work (measured, decision 0006). A hot call needs
none of it: its body arrives with its head, and its response is one write. Unusual requests (those
that close the connection, are pipelined, or upgrade) take uvicorn's ASGI path to the same handlers.
tests/web/test_uvicorn_internals.py lists the internals of uvicorn that this relies on.
"""

import asyncio
import time
from typing import TYPE_CHECKING, Any

from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from waitline.http.dispatch import HotRoute
from waitline.http.problems import BodyTooLarge
from waitline.http.requests import Request
from waitline.http.responses import Answer, ResponsePacker
from waitline.kernel.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from waitline.http.worker import ServiceWorker

_packer = ResponsePacker()


class Exchange:
    """One hot call on a connection, from its head to its response.

    It stands in for uvicorn's `RequestResponseCycle`: uvicorn reads `response_complete` and sets
    `keep_alive`.
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

    def __init__(self, protocol: "Protocol", call: HotRoute, request: Request) -> None:
        self._protocol = protocol
        self._call = call
        self._request = request
        self._started_s = time.perf_counter()
        self._coroutine: Coroutine[Any, Any, Answer] | None = None
        self.keep_alive = True
        self.response_complete = False

    def append_body(self, body: bytes) -> None:
        """Take a piece of the body; refuse one that is too long."""
        request = self._request
        request.body = request.body + body if request.body else body
        if len(request.body) > self._call.body_max:
            self._finish(self._protocol.dispatcher.answer_error(BodyTooLarge(), request))

    def run(self) -> None:
        """Call the handler; the request is complete."""
        coroutine = self._call.handler(self._request)
        if self._call.in_task:
            protocol = self._protocol
            task = protocol.loop.create_task(coroutine)
            protocol.tasks.add(task)  # type: ignore[arg-type]  # uvicorn only waits for them
            task.add_done_callback(protocol.tasks.discard)
            task.add_done_callback(self._finish_task)
            return
        self._coroutine = coroutine
        self._step()

    def _finish_task(self, task: "asyncio.Task[Answer]") -> None:
        if task.cancelled():
            error: BaseException | None = Unavailable("stopped")
        else:
            error = task.exception()
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
        self.response_complete = True
        protocol = self._protocol
        if not protocol.transport.is_closing():
            text = _packer.pack(answer, protocol.server_state.default_headers)
            protocol.transport.write(text)
            if not self.keep_alive:
                protocol.transport.close()
        protocol.on_response_complete()
        call = self._call
        seconds = time.perf_counter() - self._started_s
        protocol.dispatcher.count(call.method, call.route, answer.status, seconds)


class Protocol(HttpToolsProtocol):
    """One connection.

    The keep-alive timer is reset only when it fires; uvicorn sets and cancels one per request.
    """

    cycle: RequestResponseCycle | Exchange | None  # type: ignore[assignment]  # wider than uvicorn's

    @override
    def connection_made(  # type: ignore[override]  # as uvicorn's own
        self, transport: asyncio.Transport
    ) -> None:
        super().connection_made(transport)
        worker: ServiceWorker = self.app
        self.dispatcher = worker.dispatcher
        self._idle_since_s = self.loop.time()
        self._set_keep_alive_timer(self.timeout_keep_alive)

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
        call = self.dispatcher.route_for(self.parser.get_method().decode(), path)
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
            exchange.append_body(body)

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
        """Leave the timer set; its handler checks whether the connection was idle."""

    def _set_keep_alive_timer(self, seconds: float) -> None:
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
            self._set_keep_alive_timer(self.timeout_keep_alive - idle_s)
