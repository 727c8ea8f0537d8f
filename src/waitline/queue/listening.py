"""Heartbeat of the queue service: workers write it while they serve visitors; admitters read it.

During an outage visitors cannot make contact, so that time must not count as silence. From the
beats each room derives its listening clock, in which silence and expiry count (decision 0020).
"""

from typing import Final, Never

from waitline.kernel.periodic import periodic
from waitline.queue import keys
from waitline.valkey import scripts
from waitline.valkey.client import ValkeyClient

LISTEN = scripts.load("waitline.queue", "listen")

BEAT_S: Final = 0.5
"""Interval of a worker's beats, in s. Together with the second between a room's sweeps, half of the
longest gap between two beats before the room's clock stops (`lua/include/listening.lua`)."""


class Listening:
    """The heartbeat, as workers and admitters use it.

    Args:
        store: The server that holds it.
    """

    def __init__(self, store: ValkeyClient) -> None:
        self._store = store

    async def run(self) -> Never:
        """Beat every `BEAT_S` until cancelled; it stops whenever this process or its store does."""
        await periodic("listening", self.beat, BEAT_S)

    async def beat(self) -> None:
        """Record that this worker listens now.

        Raises:
            Unavailable: The store does not answer, so visitors cannot be served either.
        """
        await self._store.run(LISTEN, (keys.LISTENING,), ())

    async def heard_ms(self) -> int:
        """Return when a worker last listened, by the server's clock; 0 if never."""
        return int(await self._store.command("GET", keys.LISTENING) or 0)
