"""Both ways of writing an answer put the same bytes on the wire."""

import asyncio
from collections.abc import Callable, MutableMapping
from typing import Any

import pytest
import uvicorn

from waitline.web.wire import Answer, Send, write

JSON = ((b"content-type", b"application/json"), (b"cache-control", b"no-store"))
Message = MutableMapping[str, Any]


def wrapped(send: Send) -> Send:
    """Hide the server, as any middleware does."""

    async def pass_on(message: Message) -> None:
        await send(message)

    return pass_on


async def on_the_wire(answer: Answer, through: Callable[[Send], Send], request: bytes) -> bytes:
    """Return all that a server of its own sends for the request, until it closes."""

    async def app(_scope: Message, receive: Callable[[], Any], send: Send) -> None:
        await receive()
        await write(through(send), answer)

    config = uvicorn.Config(
        app, http="httptools", lifespan="off", date_header=False, log_level="critical", port=0
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    async with asyncio.timeout(10):
        while not server.started:
            await asyncio.wait({serving}, timeout=0.01)
        host, port = server.servers[0].sockets[0].getsockname()[:2]
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(request)
        text = await reader.read()
        writer.close()
        await writer.wait_closed()
        server.should_exit = True
        await serving
    return text


def asked(*, last: bool, method: bytes = b"GET") -> bytes:
    closing = b"Connection: close\r\n" if last else b""
    return method + b" / HTTP/1.1\r\nHost: here\r\n" + closing + b"\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(Answer(200, JSON, b'{"a":1}'), id="ok"),
        pytest.param(Answer(201, (*JSON, (b"set-cookie", b"a=b")), b"x" * 5_000), id="long"),
        pytest.param(Answer(503, JSON, "대기열".encode()), id="refused"),
        pytest.param(Answer(200, JSON, b""), id="empty"),
        pytest.param(Answer(304, ((b"etag", b'"1"'),), b""), id="not modified"),
    ],
)
def test_both_ways_send_the_same(answer: Answer) -> None:
    # Two requests on one connection: the second shows that the first was ended properly.
    request = asked(last=False) + asked(last=True)
    at_once = asyncio.run(on_the_wire(answer, lambda send: send, request))
    in_two = asyncio.run(on_the_wire(answer, wrapped, request))
    assert at_once == in_two
    assert at_once.count(b"HTTP/1.1 ") == 2
    assert at_once.count(answer.body or b"HTTP/1.1") == 2


def test_a_head_gets_no_body() -> None:
    answer = Answer(405, JSON, b'{"code":"C001"}')
    request = asked(last=False, method=b"HEAD") + asked(last=True, method=b"HEAD")
    at_once = asyncio.run(on_the_wire(answer, lambda send: send, request))
    assert at_once == asyncio.run(on_the_wire(answer, wrapped, request))
    assert at_once.count(b"HTTP/1.1 405") == 2
    assert b"C001" not in at_once
