"""A store that hangs up as soon as it has greeted: its callers are refused, nothing else fails."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import hiredis
import pytest
import uvloop

from waitline.kernel.errors import Unavailable
from waitline.valkey.client import ValkeyClient

TIMES = 30

PRIMARY = b"*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n"


async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    commands = hiredis.Reader()
    while data := await reader.read(4096):
        commands.feed(data)
        while (command := commands.gets()) is not False:
            writer.write(PRIMARY if command == [b"ROLE"] else b"+OK\r\n")
            if command == [b"ROLE"]:
                writer.close()
                return


CALLS: dict[str, Callable[[ValkeyClient], Awaitable[object]]] = {
    "command": lambda store: store.command("PING"),
    "transaction": lambda store: store.transaction([("PING",)], timeout_s=1.0),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_store_that_hangs_up_when_it_has_greeted_is_unavailable(
    call: str, tmp_path: Path
) -> None:
    async def play() -> None:
        path = tmp_path / "store.sock"
        async with await asyncio.start_unix_server(greet, path):
            for _ in range(TIMES):
                store = ValkeyClient(f"unix://{path}", timeout_s=1.0)
                with pytest.raises(Unavailable):
                    await CALLS[call](store)
                await store.close()

    uvloop.run(play())
