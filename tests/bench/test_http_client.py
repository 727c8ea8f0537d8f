"""The HTTP client's connection pool: bounded, reused, closed after an invalid answer."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from waitline.kernel.errors import Misconfigured, Unavailable
from waitline.sales import http_client
from waitline.sales.http_client import HttpAnswer, HttpClient

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def count_connections(serve: Serve, use_client: Callable[[HttpClient], Awaitable[None]]) -> int:
    """Run a server with these answers and a client of it; return the number of connections."""
    came = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal came
        came += 1
        try:
            await serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionResetError):
            pass
        finally:
            writer.close()

    async def run() -> None:
        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()[:2]
        client = HttpClient(f"http://{host}:{port}")
        async with server, asyncio.timeout(30):
            try:
                await use_client(client)
            finally:
                client.close()

    asyncio.run(run())
    return came


async def heads(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        await heads(reader)
        writer.write(OK)


def test_connections_are_used_again() -> None:
    async def use_client(client: HttpClient) -> None:
        for _ in range(5):
            expected = HttpAnswer(200, b"ok", gzipped=False, retry_after_s=0)
            assert await client.request("GET", "/") == expected

    assert count_connections(echo, use_client) == 1


def test_an_answer_tells_when_to_ask_again() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await heads(reader)
        writer.write(OK.replace(b"\r\n\r\n", b"\r\nRetry-After: 17\r\n\r\n"))

    async def use_client(client: HttpClient) -> None:
        assert (await client.request("GET", "/")).retry_after_s == 17

    count_connections(serve, use_client)


def test_connections_are_bounded_and_everybody_has_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_client, "CONNECTIONS_MAX", 3)

    async def use_client(client: HttpClient) -> None:
        answers = await asyncio.gather(*(client.request("GET", "/") for _ in range(50)))
        assert [answer.status for answer in answers] == [200] * 50

    assert count_connections(echo, use_client) <= 3


def test_an_answer_may_come_in_pieces() -> None:
    async def slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await heads(reader)
        for start in range(0, len(OK), 7):
            writer.write(OK[start : start + 7])
            await writer.drain()

    async def use_client(client: HttpClient) -> None:
        assert (await client.request("GET", "/")).body == b"ok"

    count_connections(slowly, use_client)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"", id="closed"),
        pytest.param(OK[:-1], id="cut short"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\nok", id="without a length"),
    ],
)
def test_a_broken_answer_is_none_and_the_next_is_asked_for_elsewhere(answer: bytes) -> None:
    broken = [answer]

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not broken:
            await echo(reader, writer)
        await heads(reader)
        writer.write(broken.pop())

    async def use_client(client: HttpClient) -> None:
        with pytest.raises(Unavailable):
            await client.request("GET", "/")
        assert (await client.request("GET", "/")).body == b"ok"

    assert count_connections(once, use_client) == 2


def test_a_silent_service_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_client, "ANSWER_S", 0.05)

    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        while True:
            await heads(reader)

    async def use_client(client: HttpClient) -> None:
        with pytest.raises(Unavailable, match="in time"):
            await client.request("GET", "/")

    count_connections(silent, use_client)


def test_a_cancelled_waiter_leaves_the_turn_to_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_client, "CONNECTIONS_MAX", 1)
    go_on = asyncio.Event()

    async def held(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await heads(reader)
            await go_on.wait()
            writer.write(OK)

    async def use_client(client: HttpClient) -> None:
        first, second, third = (asyncio.create_task(client.request("GET", "/")) for _ in range(3))
        await asyncio.wait([second], timeout=0.05)
        second.cancel()
        go_on.set()
        assert (await first).body == (await third).body == b"ok"
        with pytest.raises(asyncio.CancelledError):
            await second

    assert count_connections(held, use_client) == 1


@pytest.mark.parametrize(
    "url",
    [
        "",
        "queue",
        "ftp://queue",
        "http://",
        "http://queue:no",
        "http://u:p@q",
        "http://queue/a b",
        "http://queue/a/../b",
        "http://queue/q?x=1",
        "http://queue/api",
    ],
)
def test_what_is_no_url_is_said_so(url: str) -> None:
    with pytest.raises(Misconfigured, match="not the URL"):
        HttpClient(url)


def test_a_service_below_a_path() -> None:
    asked = []

    async def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await heads(reader)).split(b"\r\n", 1)[0])
        writer.write(OK)
        writer.close()

    async def run() -> None:
        server = await asyncio.start_server(keep, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()[:2]
        async with server:
            for root in ("/queue", "/queue/", "/a/b", ""):
                client = HttpClient(f"http://{host}:{port}{root}")
                await client.request("GET", "/api/v1/health?x=1")
                client.close()

    asyncio.run(run())
    paths = [line.split()[1].decode() for line in asked]
    health = "/api/v1/health?x=1"
    assert paths == [f"/queue{health}", f"/queue{health}", f"/a/b{health}", health]


def test_nobody_listens() -> None:
    async def use_client() -> None:
        with pytest.raises(Unavailable, match="cannot be reached"):
            await HttpClient("http://127.0.0.1:9").request("GET", "/")

    asyncio.run(use_client())
