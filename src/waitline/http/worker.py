"""One worker process as an ASGI application: startup, requests, graceful shutdown.

Each service's `app.py` defines its resources and calls.
"""

import multiprocessing
import os
import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack

import structlog

from waitline.http.dispatch import Dispatcher
from waitline.http.requests import App, Receive, Scope
from waitline.http.responses import Send
from waitline.kernel.errors import WaitlineError

STOP_S = 5.0
"""Timeout of closing the resources after the last request: as long as the longest call, and half of
what the supervisor allows."""

log = structlog.get_logger()


class ServiceWorker(ABC):
    """One process of a service, as an ASGI application.

    Resources are opened at the ASGI lifespan's startup and closed at its shutdown.

    Attributes:
        dispatcher: Answers its calls; set at startup.
        draining: Whether the service has been asked to stop; it is not ready then, and each answer
            closes its connection.
        failed: Whether it stops without draining: requests may hang, or the parent has died.
        end_streams: Ends the responses that have no end of their own, after the draining.
    """

    dispatcher: Dispatcher

    def __init__(self) -> None:
        self._app: App = self._closed
        self.draining = False
        self.failed = False
        self.end_streams: Callable[[], object] = lambda: None

    @abstractmethod
    def opened(self) -> AbstractAsyncContextManager[Dispatcher]:
        """Open the service's resources and run its background jobs while it serves.

        Raises:
            WaitlineError: A resource cannot be opened; the server does not start.
        """

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Answer one request, or start and stop with the server.

        Not a coroutine function: that saves every request one frame.
        """
        if scope["type"] == "lifespan":
            return self._lifespan(receive, send)
        return self._app(scope, receive, send)

    async def _closed(self, _scope: Scope, _receive: Receive, _send: Send) -> None:
        raise AssertionError("a request came before the start")

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            async with AsyncExitStack() as stack:
                overdue = threading.Timer(STOP_S, _exit_overdue)
                overdue.daemon = True
                stack.callback(overdue.cancel)
                try:
                    self._app = self.dispatcher = await stack.enter_async_context(self.opened())
                except WaitlineError as error:
                    await send({"type": "lifespan.startup.failed", "message": str(error)})
                    return
                self._stop_with_parent()
                await send({"type": "lifespan.startup.complete"})
                await receive()
                overdue.start()
        except BaseExceptionGroup:
            # A background job has failed, so requests may hang. The server logs the error, and the
            # supervisor restarts the worker.
            self.failed = True
            signal.raise_signal(signal.SIGTERM)
            raise
        await send({"type": "lifespan.shutdown.complete"})

    def _stop_with_parent(self) -> None:
        """Stop this worker when its parent process has died.

        A killed parent cannot stop its workers, and orphans would keep the port.
        """
        parent = multiprocessing.parent_process()
        if parent is None:
            return

        def watch() -> None:
            parent.join()
            self.failed = True
            signal.raise_signal(signal.SIGTERM)

        threading.Thread(target=watch, daemon=True, name="parent-watch").start()


def _exit_overdue() -> None:
    """Exit at once: graceful shutdown took too long."""
    log.error("shutdown_timed_out", after_s=STOP_S)
    os._exit(1)
