"""Servers of the tests' own, one process each for the whole run."""

import asyncio
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
import redis.asyncio
from typing_extensions import override

from waitline.trial import ValkeyServer
from waitline.trial.valkey_cluster import Size, ValkeyCluster

T = TypeVar("T")

START_S = 30.0

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

    async def calls(self) -> dict[str, int]:
        """How often each command was carried out since CONFIG RESETSTAT."""
        stats = await self.command("INFO", "commandstats")
        return {name.removeprefix("cmdstat_"): each["calls"] for name, each in stats.items()}

    def close(self) -> None:
        self.wait(self._db.aclose())
        self._runner.close()


class ClusterServer(Server):
    """A cluster, whose primaries are called as one server."""

    def __init__(self, cluster: ValkeyCluster) -> None:
        self.url = cluster.url
        self.cluster = cluster
        self._runner = asyncio.Runner()
        self._all = redis.asyncio.RedisCluster.from_url(cluster.node_url(0), decode_responses=True)

    @override
    async def command(self, *words: str | int) -> Any:
        if len(words) > 1 and words[0] in {"CONFIG", "SCRIPT", "CLIENT"}:
            words = (f"{words[0]} {words[1]}", *words[2:])
        keyless = " " in str(words[0]) or words[0] in {"FLUSHALL", "INFO", "DBSIZE"}
        target = {"target_nodes": self._all.PRIMARIES} if keyless else {}
        found = await self._all.execute_command(*words, **target)
        return next(iter(found.values())) if keyless and isinstance(found, dict) else found

    @override
    async def now_ms(self) -> int:
        seconds, micros = await self.cluster.send(0, "TIME")
        return int(seconds) * 1000 + int(micros) // 1000

    @override
    def close(self) -> None:
        self.wait(self._all.aclose())
        self._runner.close()

    @override
    async def calls(self) -> dict[str, int]:
        total: Counter[str] = Counter()
        stats = await self._all.execute_command(
            "INFO", "commandstats", target_nodes=self._all.PRIMARIES
        )
        for node in stats.values():
            total.update(
                {name.removeprefix("cmdstat_"): one["calls"] for name, one in node.items()}
            )
        return total


def redis_binary() -> Path:
    """Find Debian's server. Missing locally: skip. Missing in CI: fail."""
    found = shutil.which("redis-server")
    if found is None:
        missing = pytest.fail if IN_CI else pytest.skip
        missing("redis-server is not installed")
    return Path(found)


@contextmanager
def running_cluster(size: Size) -> Iterator[ClusterServer]:
    """Start a cluster in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="wl-") as folder:
        cluster = ValkeyCluster(Path(folder) / "cluster", size)
        try:
            cluster.start(START_S)
            server = ClusterServer(cluster)
            try:
                yield server
            finally:
                server.close()
        finally:
            cluster.stop()


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
