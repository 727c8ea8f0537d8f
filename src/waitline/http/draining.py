"""Graceful shutdown behind load balancers: connection draining, then the listening sockets end.

On SIGTERM a service is not ready any more, but accepts connections and answers requests for
`drain_s`. Each answer closes its connection (`Connection: close`), so clients with keep-alive
connections open their next one elsewhere, and no request meets a connection that is being closed.
Then new handshakes are refused without a reset, connections that wait in the accept queue are
served, and uvicorn's shutdown waits for the requests in progress. SIGINT skips the draining.

The workers of a service share its listening sockets, so the process that starts them refuses the
handshakes; a worker that is replaced alone leaves them open.
"""

import asyncio
import ctypes
import os
import signal
import socket
import struct
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import structlog
import uvicorn
from typing_extensions import override
from uvicorn.supervisors import Multiprocess, multiprocess

if TYPE_CHECKING:
    from types import FrameType

    from waitline.http.worker import ServiceWorker

TICK_S = 0.1
"""Interval, in s, of looking for the end of the draining; uvicorn's own."""

ACCEPT_S = 0.2
"""How long, in s, the accept queue is served after the last handshake: a round trip to the client,
and an iteration of a busy worker's loop."""

ORPHAN_S = 2.0
"""Longest time, in s, that a worker goes on draining without the signal of the process that started
it, which may have been killed."""

SO_ATTACH_FILTER = 26
"""Linux's option for a socket filter; the `socket` module does not name it. Source: socket(7)."""

DROP_HANDSHAKES = b"".join(
    struct.pack("HBBI", *instruction)
    for instruction in (
        (0x30, 0, 0, 13),  # load byte 13 of the TCP header, the flags
        (0x45, 0, 1, 0x02),  # SYN?
        (0x06, 0, 0, 0),  # drop it
        (0x06, 0, 0, 0xFFFFFFFF),  # keep all others
    )
)
"""Socket filter (classic BPF). A client repeats a dropped SYN after a second, and is refused then,
before it has sent a request. A listening socket that is closed resets the connections in its accept
queue instead, whose clients may have sent one. Source: bpf(4); RFC 9293, section 3.1."""

log = structlog.get_logger()


class DrainingConfig(uvicorn.Config):
    """uvicorn's configuration, passed to each worker's process.

    Args:
        app: As in uvicorn.
        drain_s: Duration of the draining.
        options: As in uvicorn.
    """

    def __init__(self, app: str, *, drain_s: float, **options: Any) -> None:  # noqa: ANN401 - as uvicorn
        super().__init__(app, **options)
        self.drain_s = drain_s


class DrainingServer(uvicorn.Server):
    """uvicorn's server, which drains before its shutdown.

    Args:
        config: Of the service.
        only: Whether no other process accepts from its listening sockets.
    """

    config: DrainingConfig

    def __init__(self, config: DrainingConfig, *, only: bool = False) -> None:
        super().__init__(config)
        self._only = only
        self._skips = False

    @override
    def handle_exit(self, sig: int, frame: "FrameType | None") -> None:
        if sig == signal.SIGINT and not self._skips:
            self._skips = True
            if self.should_exit:
                # It ends the draining. uvicorn takes a second one as a request to end at once.
                return
        super().handle_exit(sig, frame)

    @override
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        worker: ServiceWorker = self.config.loaded_app
        await self._drain(worker)
        if self._only:
            refuse_handshakes(sockets or ())
            await asyncio.sleep(min(self.config.drain_s, ACCEPT_S))
        worker.end_streams()
        await super().shutdown(sockets)

    async def _drain(self, worker: "ServiceWorker") -> None:
        """Serve on, not ready, and close each connection with its next answer."""
        drain_s = self.config.drain_s
        if drain_s == 0:
            return
        if self._only:
            log.info("service_draining", seconds=drain_s)
        worker.draining = True
        for connection in self.server_state.connections:
            connection.stopping = True  # type: ignore[union-attr]  # ours
        loop = asyncio.get_running_loop()
        until_s = loop.time() + drain_s + (0 if self._only else ORPHAN_S)
        ticks = 0
        while not (self._skips or worker.failed) and loop.time() < until_s:
            # It keeps the Date field up to date.
            await self.on_tick(ticks)
            await asyncio.sleep(TICK_S)
            ticks += 1


class _WorkerProcess(multiprocess.Process):
    """uvicorn's handle of a worker, whose server drains."""

    @property
    @override
    def server(self) -> uvicorn.Server:
        if self._server is None:
            assert isinstance(self.config, DrainingConfig)
            self._server = DrainingServer(self.config)
        return self._server


class DrainingWorkers(Multiprocess):
    """uvicorn's supervisor of several workers, which lets them drain before they shut down.

    Args:
        config: Of the service.
        sockets: The listening sockets.
    """

    def __init__(self, config: DrainingConfig, sockets: list[socket.socket]) -> None:
        # The supervisor has no parameter for it; tests/edge/test_uvicorn_internals.py watches it.
        multiprocess.Process = _WorkerProcess  # type: ignore[misc]
        super().__init__(config, sockets)
        self._drain_s = config.drain_s

    @override
    def handle_int(self) -> None:
        self._drain_s = 0.0
        super().handle_int()

    @override
    def terminate_all(self) -> None:
        super().terminate_all()
        if self._drain_s > 0:
            log.info("service_draining", seconds=self._drain_s)
        pause, until_s = threading.Event(), time.monotonic() + self._drain_s
        while time.monotonic() < until_s and signal.SIGINT not in self.signal_queue:
            pause.wait(TICK_S)
        refuse_handshakes(self.sockets)
        pause.wait(min(self._drain_s, ACCEPT_S))
        for listener in self.sockets:
            # The last worker to close its own ends the socket, with an empty queue.
            listener.close()
        for process in self.processes:
            if process.exitcode is None and process.pid is not None:
                os.kill(process.pid, signal.SIGINT)


def refuse_handshakes(listeners: Sequence[socket.socket]) -> None:
    """Accept no more connections than those whose handshake has begun."""
    program = ctypes.create_string_buffer(DROP_HANDSHAKES)
    count = len(DROP_HANDSHAKES) // struct.calcsize("HBBI")
    option = struct.pack("HP", count, ctypes.addressof(program))
    for listener in listeners:
        # Systems without it reset the queue instead.
        with suppress(OSError):
            listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, option)
