"""Heartbeat of the queue service: its workers beat while they listen, and admitters read it.

A visitor whom nobody could hear was not silent. From the beats each room derives its listening
clock, in which silence and expiry count (decision 0020).
"""

from typing import Final, Never

from waitline.kernel.periodic import periodic
from waitline.queue import keys
from waitline.valkey import scripts
from waitline.valkey.client import ValkeyClient

LISTEN = scripts.load("waitline.queue", "listen")

BEAT_S: Final = 0.5
"""Interval of a worker's beats, in s. With the second between the sweeps of a room, half of what
may pass between two beats of a room before its clock stops (`lua/include/listening.lua`)."""


class Listening:
    """The heartbeat, as workers and admitters use it.

    Args:
        store: The server that holds it.
    """

    def __init__(self, store: ValkeyClient) -> None:
        self._store = store

    async def run(self) -> Never:
        """Beat every `BEAT_S` until cancelled; what stops this process or its store stops it."""
        await periodic("listening", self.beat, BEAT_S)

    async def beat(self) -> None:
        """Record that this worker listens now.

        Raises:
            Unavailable: The store does not answer, so it hears of no visitor either.
        """
        await self._store.run(LISTEN, (keys.LISTENING,), ())

    async def heard_ms(self) -> int:
        """Return when a worker last listened, by the server's clock; 0 if never."""
        return int(await self._store.command("GET", keys.LISTENING) or 0)
