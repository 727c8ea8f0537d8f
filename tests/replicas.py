"""A primary and its replica, embedded servers of the tests' own."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.until import until_async
from waitline.trial import ValkeyServer
from waitline.trial.machine import free_port
from waitline.valkey.address import parse
from waitline.valkey.client import ValkeyClient
from waitline.valkey.connection import Connection
from waitline.valkey.fitness import Fitness

SOON_S = 20.0

# A replica need not wait for others that may ask for a copy too.
AT_ONCE = "repl-diskless-sync-delay 0"


class Pair(NamedTuple):
    primary: ValkeyServer
    replica: ValkeyServer
    port: int
    replica_port: int

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    @property
    def replica_url(self) -> str:
        return f"redis://127.0.0.1:{self.replica_port}"

    async def replica_does(self, *words: str | int) -> None:
        """Send the replica a command, which our client would not do."""
        replica = Connection(parse(self.replica_url).seeds[0], any_role=True)
        try:
            await replica.call(words, SOON_S)
        finally:
            replica.close()

    async def promote(self) -> None:
        await self.replica_does("REPLICAOF", "NO", "ONE")

    async def demote(self) -> None:
        """Make the replica one again, and wait until it keeps up."""
        await self.replica_does("REPLICAOF", "127.0.0.1", self.port)
        store = ValkeyClient(self.url)
        try:
            await until_async(lambda: keeps_up(store), SOON_S, "the replica keeps up")
        finally:
            await store.close()


async def keeps_up(store: ValkeyClient) -> bool:
    infos = await store.each("INFO")
    return await Fitness(store, "replicated").faults(infos) == []


@contextmanager
def running_pair() -> Iterator[Pair]:
    port, replica_port = free_port(), free_port()
    with tempfile.TemporaryDirectory(prefix="wl-") as name:
        primary, replica = (
            ValkeyServer(
                Path(name) / str(own), args=(f"port {own}", "bind 127.0.0.1", AT_ONCE, *extra)
            )
            for own, extra in ((port, ()), (replica_port, (f"replicaof 127.0.0.1 {port}",)))
        )
        primary.start()
        replica.start()
        try:
            yield Pair(primary, replica, port, replica_port)
        finally:
            replica.stop()
            primary.stop()
