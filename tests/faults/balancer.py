"""A balancer that forwards connections to instances that were ready when it last looked.

Like those of orchestrators, it learns late that an instance is about to stop, and repeats nothing:
a connection that the instance refuses is closed, and its client has no answer.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import count

from tests.faults.crowd import paused
from tests.faults.stack import START_S, is_ready
from tests.until import until_async

# Seconds between two looks at the instances.
LOOK_S = 1.0


class Balancer:
    """Forwards what arrives at its port.

    Args:
        ports: Those of the instances.

    Attributes:
        port: Its own.
    """

    def __init__(self, ports: Sequence[int]) -> None:
        self.port = 0
        self._ports = self._ready = list(ports)
        self._turns, self._looks = count(), 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Balancer"]:
        server = await asyncio.start_server(self._forward, "127.0.0.1")
        self.port = server.sockets[0].getsockname()[1]
        looking = asyncio.create_task(self._look())
        try:
            yield self
        finally:
            looking.cancel()
            server.close()

    async def looked(self) -> None:
        """Wait until it has looked at all of them anew."""
        # The look that is in progress may have begun before.
        wanted = self._looks + 2
        await until_async(lambda: self._looks >= wanted, START_S, "the balancer has looked")

    async def _look(self) -> None:
        while True:
            await paused(LOOK_S)
            ready = [port for port in self._ports if await asyncio.to_thread(is_ready, port)]
            self._ready = ready or self._ready
            self._looks += 1

    async def _forward(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        port = self._ready[next(self._turns) % len(self._ready)]
        with suppress(OSError):
            server, to_server = await asyncio.open_connection("127.0.0.1", port)
            ways = [_copied(client, to_server), _copied(server, to_client)]
            tasks = [asyncio.create_task(way) for way in ways]
            # Either end may close first; the other is closed with it.
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
            to_server.close()
        to_client.close()


async def _copied(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(65_536):
            target.write(data)
            await target.drain()
