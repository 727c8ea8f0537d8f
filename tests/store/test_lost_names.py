"""A dead primary whose name nobody knows any more: its lookups do not hide the standby."""

import asyncio
import socket
import threading
from collections import Counter
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.databases import TestDatabase
from tests.until import until_async
from waitline.kernel.errors import Unavailable
from waitline.postgres import sessions
from waitline.postgres.pool import Database
from waitline.trial.machine import free_port

SOON_S = 40.0

GONE, STANDBY = "primary.example", "localhost"

# Seconds for which a host is tried here: more than a connection takes.
TRIED_S = 0.5

# As many as uvloop's, and more attempts to connect than that.
THREADS = 4
ATTEMPTS = 5


@asynccontextmanager
async def listening(url: str, port: int) -> AsyncIterator[None]:
    """Let a server that has a socket listen on a port, too."""
    folder = parse_qs(urlsplit(url).query)["host"][0]

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
        writer.close()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_unix_connection(f"{folder}/.s.PGSQL.5432")
        await asyncio.gather(carry(reader, back), carry(there, writer), return_exceptions=True)

    server = await asyncio.start_server(relay, "127.0.0.1", port)
    try:
        yield
    finally:
        server.close()


def test_lookups_of_a_name_that_is_gone_do_not_hide_the_standby(
    postgres: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = threading.Event()
    known = socket.getaddrinfo
    asked: Counter[str] = Counter()

    def look_up(host: str, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - as it is
        asked[host] += 1
        if host != GONE:
            return known(host, *arguments, **options)
        # As a server of names does that cannot ask another one.
        answered.wait()
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    async def works(database: Database) -> bool:
        try:
            await database.fetch_one("ping")
        except Unavailable:
            return False
        return True

    async def play() -> None:
        port = free_port()
        url = f"postgresql://waitline@{GONE}:5432,{STANDBY}:{port}{urlsplit(postgres.url).path}"
        with ThreadPoolExecutor(THREADS) as threads:
            asyncio.get_running_loop().set_default_executor(threads)
            database = Database(url, "waitline.booking", connections_max=1)

            async def tried() -> bool:
                assert not await works(database)
                # Looked up by us, and by the driver.
                return asked[STANDBY] >= 2 * ATTEMPTS

            try:
                await until_async(tried, SOON_S, "the standby is tried again and again")
                async with listening(postgres.url, port):
                    await until_async(lambda: works(database), SOON_S, "it has taken over")
                assert asked[GONE] == 1
            finally:
                answered.set()
                await database.close()

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(sessions, "HOST_S", TRIED_S)
    asyncio.run(play())
