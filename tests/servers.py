"""Servers of the tests' own, one process each for the whole run."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
import redis.asyncio

from waitline.trial import ValkeyServer

T = TypeVar("T")

IN_CI = bool(os.environ.get("CI"))  # noqa: TID251 - the runner of the tests says it here


class Server:
    """A Valkey or Redis server, with an event loop to call it from synchronous test code."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._runner = asyncio.Runner()
        self._db = redis.asyncio.Redis.from_url(url, decode_responses=True)

    def wait(self, call: Coroutine[Any, Any, T]) -> T:
        """Run on this server's own loop; connections made in one call live on in the next."""
        return self._runner.run(call)

    async def command(self, *words: str | int) -> Any:  # noqa: ANN401 - whatever the server says
        return await self._db.execute_command(*words)  # type: ignore[no-untyped-call]  # redis-py

    async def clear(self) -> None:
        await self.command("FLUSHALL")

    async def now_ms(self) -> int:
        seconds, micros = await self.command("TIME")
        return int(seconds) * 1000 + int(micros) // 1000

    def close(self) -> None:
        self.wait(self._db.aclose())
        self._runner.close()


def redis_binary() -> Path:
    """Find Debian's server. Missing locally: skip. Missing in CI: fail."""
    found = shutil.which("redis-server")
    if found is None:
        missing = pytest.fail if IN_CI else pytest.skip
        missing("redis-server is not installed")
    return Path(found)


@contextmanager
def running(binary: Path | None = None) -> Iterator[Server]:
    """Start a server in a folder of its own; None means the embedded one."""
    # pytest's own temporary folders are too deep for a socket, and longer to look at.
    with tempfile.TemporaryDirectory(prefix="wl-") as folder:
        # Nothing here outlives the server, so nothing need be forced to the disk.
        valkey = ValkeyServer(Path(folder), binary=binary)
        valkey.start()
        try:
            server = Server(valkey.url)
            try:
                yield server
            finally:
                server.close()
        finally:
            valkey.stop()
