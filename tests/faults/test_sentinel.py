"""Real Sentinels: the client follows them when the primary dies, and loses no place."""

import asyncio
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.until import until, until_async
from waitline.kernel.errors import Unavailable
from waitline.kernel.ids import RoomId, VisitorId
from waitline.queue.model import Again, Joined
from waitline.queue.rooms import Rooms
from waitline.queue.settings import Rules
from waitline.queue.store import Line
from waitline.trial import ValkeyServer, embedded_binary
from waitline.trial.machine import free_port
from waitline.valkey.address import Address
from waitline.valkey.client import ValkeyClient
from waitline.valkey.connection import Connection
from waitline.valkey.fitness import Fitness

SOON_S = 30.0

CONFIRMED_MS = 5_000
"""How long a replica may take to confirm."""

ROOM = RoomId("watched")
PASSWORD = "a password of the servers"


class Watched(NamedTuple):
    servers: dict[int, ValkeyServer]
    sentinels: list[int]

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.sentinels)
        return f"redis+sentinel://:{PASSWORD.replace(' ', '%20')}@{hosts}/line"


def listens(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def sentinel(folder: Path, port: int, primary: int, *, password: bool) -> Iterator[None]:
    folder.mkdir()
    config = folder / "sentinel.conf"
    lines = [
        f"port {port}",
        "bind 127.0.0.1",
        f"dir {folder}",
        f"sentinel monitor line 127.0.0.1 {primary} 2",
        f'sentinel auth-pass line "{PASSWORD}"',
        "sentinel down-after-milliseconds line 1000",
        "sentinel failover-timeout line 10000",
    ]
    if password:
        lines += [f'requirepass "{PASSWORD}"', f'sentinel sentinel-pass "{PASSWORD}"']
    config.write_text("\n".join([*lines, ""]))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - our own binary and file
            [str(embedded_binary()), str(config), "--sentinel"], stdout=log, stderr=log
        )
    try:
        until(lambda: listens(port), SOON_S, "the Sentinel listens")
        yield
    finally:
        process.terminate()
        process.wait()


@contextmanager
def watched(folder: Path, *, password: bool = False) -> Iterator[Watched]:
    """Two servers and three Sentinels."""
    ports = free_port(), free_port()
    servers = {
        port: ValkeyServer(
            folder / str(port),
            password=f'"{PASSWORD}"',
            args=(f"port {port}", "bind 127.0.0.1", *extra),
        )
        for port, extra in zip(ports, ((), (f"replicaof 127.0.0.1 {ports[0]}",)), strict=True)
    }
    sentinels = [free_port() for _ in range(3)]
    with ExitStack() as stack:
        for server in servers.values():
            stack.callback(server.stop)
            server.start()
        for port in sentinels:
            stack.enter_context(sentinel(folder / f"s{port}", port, ports[0], password=password))
        yield Watched(servers, sentinels)


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="wl-") as name:
        yield Path(name)


async def said(port: int, *words: str | int) -> object:
    where = Address("", "127.0.0.1", port, "", PASSWORD, 0, tls=False)
    for one in (where.anonymous(), where):
        connection = Connection(one, any_role=True)
        with suppress(Unavailable):
            try:
                return await connection.call(words, 2 * CONFIRMED_MS / 1000)
            finally:
                connection.close()
    return None


async def place(store: ValkeyClient, name: str) -> int | None:
    try:
        (found,) = await Line(store).join(ROOM, [VisitorId(name)])
    except Unavailable:
        return None
    assert isinstance(found, Joined | Again)
    return found.place


async def all_see_each_other(seen: Watched) -> bool:
    for port in seen.sentinels:
        found = await said(port, "SENTINEL", "MASTER", "line")
        if not isinstance(found, list):
            return False
        fields = dict(zip(found[::2], found[1::2], strict=True))
        if (fields["num-other-sentinels"], fields["num-slaves"]) != ("2", "1"):
            return False
    return True


@pytest.mark.parametrize("password", [False, True], ids=["open", "with a password"])
def test_the_client_follows_the_primary(folder: Path, *, password: bool) -> None:
    with watched(folder, password=password) as seen:

        async def call() -> None:
            await until_async(lambda: all_see_each_other(seen), SOON_S, "they see each other")
            store = ValkeyClient(seen.url)
            await Rooms(store).ensure(ROOM, Rules())
            names = [f"v{number}" for number in range(20)]
            places = [await place(store, name) for name in names]
            assert places == list(range(1, 21))
            first, second = seen.servers
            assert await said(first, "WAIT", 1, CONFIRMED_MS) == 1
            seen.servers[first].kill()

            async def recovered() -> bool:
                return await place(store, "late") is not None

            await until_async(recovered, SOON_S, "calls reach the new primary")
            assert [await place(store, name) for name in names] == places
            assert await Fitness(store).probe() == ""
            role = await said(second, "ROLE")
            assert isinstance(role, list)
            assert role[0] == "master"
            await store.close()

        asyncio.run(call())


def test_what_sentinels_cannot_say(folder: Path) -> None:
    with watched(folder) as seen:

        async def call() -> None:
            unknown = ValkeyClient(seen.url.replace("/line", "/other"))
            with pytest.raises(Unavailable, match="knows no primary named 'other'"):
                await Rooms(unknown).names()
            await unknown.close()
            dead = ValkeyClient(f"redis+sentinel://127.0.0.1:{free_port()}/line")
            with pytest.raises(Unavailable, match="no Sentinel answers"):
                await Rooms(dead).names()
            await dead.close()

        asyncio.run(call())
