"""Single flight of name lookups: a name that is gone occupies one thread, and none of uvloop's.

A lookup cannot be cancelled. The name of a host that is gone can take ten seconds to fail, while a
host is tried for three, and uvloop looks up two names at a time: lookups of a dead primary would
follow one another, and hide the standby that took over.

Source: libuv's thread pool, half of which takes slow work; resolv.conf(5), two attempts of 5 s.
"""

import asyncio
import socket


class NameLookups:
    """Looks names up, each once at a time."""

    def __init__(self) -> None:
        self._running: dict[str, asyncio.Task[object]] = {}

    async def wait(self, name: str) -> None:
        """Return once a name has been found.

        Raises:
            OSError: It has not.
        """
        lookup = self._running.get(name)
        if lookup is None:
            loop = asyncio.get_running_loop()
            lookup = loop.create_task(_looked_up(name))
            self._running[name] = lookup
            lookup.add_done_callback(self._ended)
        # A caller that gives up leaves the lookup to the next one.
        await asyncio.shield(lookup)

    def _ended(self, ended: "asyncio.Task[object]") -> None:
        self._running = {name: one for name, one in self._running.items() if one is not ended}
        # Retrieve the exception, or asyncio logs it as never retrieved.
        if not ended.cancelled():
            ended.exception()

    def close(self) -> None:
        """Give up all lookups."""
        for lookup in self._running.values():
            lookup.cancel()


async def _looked_up(name: str) -> object:
    return await asyncio.to_thread(socket.getaddrinfo, name, None)
