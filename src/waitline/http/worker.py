"""What one process of any of our services does: start and stop with its server, answer requests.

What it opens and which calls it answers is the service's own: `app.py`, `booking/app.py`.
"""

import asyncio
import multiprocessing
import os
import signal
import threading
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from types import FrameType

import structlog

from waitline.http.dispatch import Dispatcher
from waitline.http.requests import App, Receive, Scope
from waitline.http.responses import Send
from waitline.kernel.errors import WaitlineError

STOP_S = 5.0
"""How long a worker may take to close what it has opened, once no request is under way any more: as
long as any of its calls may take, and half of what its supervisor allows."""

log = structlog.get_logger()


class ServiceWorker:
    """One process of a service, as an ASGI application.

    Nothing is opened before the server starts it (the ASGI lifespan), and everything is closed
    when it stops.

    Attributes:
        dispatcher: Its calls; there from the start on.
    """

    dispatcher: Dispatcher

    def __init__(self) -> None:
        self._app: App = self._closed

    def opened(self) -> AbstractAsyncContextManager[Dispatcher]:
        """Open what the service needs, for as long as it runs.

        Raises:
            WaitlineError: Something is missing; the server does not start.
        """
        raise NotImplementedError

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Answer one request, or start and stop with the server.

        Not a coroutine function itself: one frame less on the way of every request.
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
                overdue = threading.Timer(STOP_S, _end)
                overdue.daemon = True
                stack.callback(overdue.cancel)
                try:
                    self._app = self.dispatcher = await stack.enter_async_context(self.opened())
                except WaitlineError as error:
                    await send({"type": "lifespan.startup.failed", "message": str(error)})
                    return
                _stop_with_parent()
                await send({"type": "lifespan.startup.complete"})
                await receive()
                overdue.start()
        except BaseExceptionGroup:
            # Without its jobs this process would take requests and never answer them. The server
            # logs why; who started it starts another.
            signal.raise_signal(signal.SIGTERM)
            raise
        await send({"type": "lifespan.shutdown.complete"})


def _end() -> None:
    """End this process, whatever it is still waiting for."""
    log.error("shutdown_timed_out", after_s=STOP_S)
    os._exit(1)


def before_stop(end: Callable[[], None]) -> None:
    """Call `end` when the server is told to stop, and before it waits for what is under way.

    The server tells its application only after that wait, and streams would make it wait in vain.
    """
    loop = asyncio.get_running_loop()
    # Elsewhere there are no signals, and whoever runs us there ends its connections itself.
    if threading.current_thread() is not threading.main_thread():
        return
    for number in (signal.SIGTERM, signal.SIGINT):
        server = signal.getsignal(number)
        if not callable(server):
            continue

        def stop(
            number: int, frame: FrameType | None, server: Callable[..., object] = server
        ) -> None:
            loop.call_soon_threadsafe(end)
            server(number, frame)

        signal.signal(number, stop)


def _stop_with_parent() -> None:
    """Stop this worker when the process that started it has died.

    Killed, the parent cannot tell its workers; left behind, they would keep the port.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        signal.raise_signal(signal.SIGTERM)

    threading.Thread(target=watch, daemon=True, name="parent-watch").start()
