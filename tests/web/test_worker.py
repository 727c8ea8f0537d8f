"""Graceful shutdown of a worker: it ends in time, whatever it is waiting for."""

import signal
import socket
import sys

from tests.processes import started
from tests.web.stack import SOON_S, UP_S
from waitline.trial.machine import free_port

STUBBORN = """
import asyncio
import sys
from contextlib import asynccontextmanager

import uvicorn

from waitline.http.worker import ServiceWorker


class Stubborn(ServiceWorker):
    @asynccontextmanager
    async def opened(self):
        yield None
        await asyncio.Event().wait()


uvicorn.run(Stubborn(), port=int(sys.argv[1]), lifespan="on", interface="asgi3")
"""


def test_what_does_not_close_is_ended() -> None:
    port = free_port()
    argv = [sys.executable, "-c", STUBBORN, str(port)]

    def listens() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    with started(argv, {}, listens, UP_S) as program:
        program.process.send_signal(signal.SIGTERM)
        assert program.process.wait(SOON_S) == 1
        assert "shutdown_timed_out" in program.output
