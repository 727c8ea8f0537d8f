"""A store that hangs up or falls silent as soon as it has greeted: its callers are refused."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from time import monotonic

import hiredis
import pytest
import uvloop

from waitline.kernel.errors import Unavailable
from waitline.valkey.client import ValkeyClient
from waitline.valkey.connection import CONNECT_S

TIMES = 30
TIMEOUT_S = 1.0

PRIMARY = b"*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n"


async def greet(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, hangs_up: bool
) -> None:
    commands = hiredis.Reader()
    greeted = False
    while data := await reader.read(4096):
        commands.feed(data)
        while not greeted and (command := commands.gets()) is not False:
            greeted = command == [b"ROLE"]
            writer.write(PRIMARY if greeted else b"+OK\r\n")
        if greeted and hangs_up:
            break
    writer.close()


CALLS: dict[str, Callable[[ValkeyClient], Awaitable[object]]] = {
    "command": lambda store: store.command("PING"),
    "transaction": lambda store: store.transaction([("PING",)], timeout_s=TIMEOUT_S),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_store_that_hangs_up_when_it_has_greeted_is_unavailable(
    call: str, tmp_path: Path
) -> None:
    async def play() -> None:
        path = tmp_path / "store.sock"
        async with await asyncio.start_unix_server(partial(greet, hangs_up=True), path):
            for _ in range(TIMES):
                store = ValkeyClient(f"unix://{path}", timeout_s=TIMEOUT_S)
                with pytest.raises(Unavailable):
                    await CALLS[call](store)
                await store.close()

    uvloop.run(play())


@pytest.mark.parametrize("call", CALLS)
def test_a_store_that_falls_silent_when_it_has_greeted_costs_the_time_of_a_call(
    call: str, tmp_path: Path
) -> None:
    """The timeout of opening a connection is longer, and ends with the greeting."""

    async def play() -> None:
        path = tmp_path / "store.sock"
        async with await asyncio.start_unix_server(partial(greet, hangs_up=False), path):
            store = ValkeyClient(f"unix://{path}", timeout_s=TIMEOUT_S)
            started_s = monotonic()
            with pytest.raises(Unavailable, match="no reply in time"):
                await CALLS[call](store)
            assert TIMEOUT_S <= monotonic() - started_s < CONNECT_S
            await store.close()

    uvloop.run(play())
