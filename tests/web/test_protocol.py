"""The dispatcher calls' own way from the parser to the socket, held against the server's way.

Both lead to the same handlers. What is unusual about a request in any way takes the server's.
"""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import uvicorn

from waitline.http.dispatch import Dispatcher, PathParameterRoute
from waitline.http.problem_responses import ProblemResponses
from waitline.http.problems import ProblemTable
from waitline.http.protocol import Protocol
from waitline.http.requests import (
    BODY_BYTES_MAX,
    Receive,
    Request,
    Scope,
)
from waitline.http.responses import Answer, Send
from waitline.http.server import UVICORN_OPTIONS
from waitline.kernel.clock import SystemClock
from waitline.kernel.telemetry import ProcessMetrics

# Seconds for what takes milliseconds.
SOON_S = 15.0

JSON = ((b"content-type", b"application/json"), (b"cache-control", b"no-store"))

ANSWERS = {
    "ok": Answer(200, JSON, b'{"a":1}'),
    "long": Answer(201, (*JSON, (b"set-cookie", b"a=b")), b"x" * 5_000),
    "refused": Answer(503, JSON, "대기열".encode()),
    "empty": Answer(200, JSON, b""),
    "unmodified": Answer(304, ((b"etag", b'"1"'),), b""),
}


class App:
    """Handlers that are easy to tell apart, and a count of what went the server's way."""

    def __init__(self) -> None:
        self.by_server = 0
        self.finished = 0
        self.opened = asyncio.Event()
        self.dispatcher = Dispatcher(
            routes={
                **{f"/{name}": {"GET": self._kept(answer)} for name, answer in ANSWERS.items()},
                "/echo": {"POST": self.echo},
                "/slow": {"GET": self.slow},
                "/broken": {"GET": self.broken},
                "/cancelled": {"GET": self.cancelled},
            },
            parameter_routes=[PathParameterRoute("/rooms/{room}/now", self.echo_path)],
            fallback=self.rest,
            tallies=ProcessMetrics(),
            problems=ProblemResponses(ProblemTable(()), SystemClock()),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.by_server += 1
        await self.dispatcher(scope, receive, send)

    @staticmethod
    def _kept(answer: Answer) -> Callable[[Request], Coroutine[Any, Any, Answer]]:
        async def handler(_request: Request) -> Answer:
            return answer

        return handler

    async def echo(self, request: Request) -> Answer:
        return Answer(200, JSON, request.body)

    async def echo_path(self, request: Request) -> Answer:
        return Answer(200, JSON, request.path.encode())

    async def slow(self, request: Request) -> Answer:
        await self.opened.wait()
        self.finished += 1
        return Answer(200, JSON, request.query_string)

    async def broken(self, _request: Request) -> Answer:
        raise KeyError("a bug")

    async def cancelled(self, _request: Request) -> Answer:
        gone = asyncio.get_running_loop().create_future()
        gone.get_loop().call_soon(gone.cancel)
        await gone
        raise AssertionError("it was cancelled")

    async def rest(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body", "body": b""})


class Connection:
    """A client that sends given bytes, one at a time if needed."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, text: bytes) -> None:
        self.writer.write(text)

    async def answer(self) -> tuple[bytes, bytes]:
        """Return the head and the body of the next answer."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = 0
        for line in head.split(b"\r\n"):
            if line.startswith(b"content-length: "):
                length = int(line.partition(b": ")[2])
        return head, await self.reader.readexactly(length)

    async def asked(self, text: bytes) -> tuple[bytes, bytes]:
        self.send(text)
        return await self.answer()


class Service:
    """A server of its own, in this process."""

    def __init__(self, server: uvicorn.Server, app: App) -> None:
        self.server = server
        self.app = app

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Connection]:
        host, port = self.server.servers[0].sockets[0].getsockname()[:2]
        reader, writer = await asyncio.open_connection(host, port)
        try:
            yield Connection(reader, writer)
        finally:
            writer.close()


Scenario = Callable[[Service], Coroutine[Any, Any, None]]


def play(scenario: Scenario, keep_alive_s: float = 60) -> None:
    async def run() -> None:
        app = App()
        config = uvicorn.Config(
            app,
            http=Protocol,
            date_header=False,
            port=0,
            timeout_keep_alive=keep_alive_s,  # type: ignore[arg-type]  # parts of a second do
            timeout_graceful_shutdown=int(SOON_S),
            **{**UVICORN_OPTIONS, "lifespan": "off", "log_level": "critical"},
        )
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve())
        try:
            async with asyncio.timeout(SOON_S):
                while not server.started:
                    await asyncio.wait({serving}, timeout=0.01)
                await scenario(Service(server, app))
        finally:
            app.opened.set()
            server.should_exit = True
            await serving

    asyncio.run(run())


def get(path: str, *lines: str, version: str = "1.1") -> bytes:
    head = "".join(f"{line}\r\n" for line in ("Host: here", *lines))
    return f"GET {path} HTTP/{version}\r\n{head}\r\n".encode("latin-1")


def post(body: bytes, *lines: str) -> bytes:
    head = "".join(f"{line}\r\n" for line in ("Host: here", f"Content-Length: {len(body)}", *lines))
    return f"POST /echo HTTP/1.1\r\n{head}\r\n".encode() + body


@pytest.mark.parametrize("name", ANSWERS)
def test_both_ways_send_the_same(name: str) -> None:
    async def scenario(service: Service) -> None:
        async with service.connected() as connection:
            ours = [await connection.asked(get(f"/{name}")) for _ in range(2)]
            assert service.app.by_server == 0
            # An escape in the path is unusual, and means the same.
            theirs = await connection.asked(get(f"/%{ord(name[0]):x}{name[1:]}"))
            assert service.app.by_server == 1
            assert ours == [theirs, theirs]
            assert theirs[1] == ANSWERS[name].body

    play(scenario)


@pytest.mark.parametrize("path", ["/ok", "/nothing"], ids=["our way", "the server's way"])
def test_a_closed_connection_leaves_nothing_to_collect(path: str) -> None:
    def there() -> int:
        return sum(type(one) is Protocol for one in gc.get_objects())

    async def scenario(service: Service) -> None:
        for _ in range(3):
            async with service.connected() as connection:
                await connection.asked(get(path))
                assert there() == 1
            moment = asyncio.get_running_loop().create_future()
            while there():
                await asyncio.wait({moment}, timeout=0.001)

    gc.collect()
    gc.disable()
    try:
        play(scenario)
    finally:
        gc.enable()


UNUSUAL = {
    "closing": get("/ok", "Connection: close"),
    "1.0": get("/ok", version="1.0"),
    "1.0 kept": get("/ok", "Connection: keep-alive", version="1.0"),
    "upgrade": get("/ok", "Connection: Upgrade", "Upgrade: h2c"),
    "head": get("/ok").replace(b"GET", b"HEAD"),
    "escaped": get("/rooms/%ED%91%9C/now"),
    "unknown": get("/nothing"),
    "beyond": get("/r\xf6oms/a/now"),
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_what_is_unusual_goes_the_servers_way(name: str) -> None:
    async def scenario(service: Service) -> None:
        async with service.connected() as connection:
            connection.send(UNUSUAL[name])
            head = await connection.reader.readuntil(b"\r\n\r\n")
            expected = {"head": b"405", "unknown": b"404", "beyond": b"400"}.get(name, b"200")
            assert head.startswith(b"HTTP/1.1 " + expected)
            assert service.app.by_server == (name != "beyond")
            if name == "escaped":
                assert await connection.reader.read(100) == "/rooms/표/now".encode()

    play(scenario)


def test_whoever_waits_to_be_told_to_go_on_is_told() -> None:
    async def scenario(service: Service) -> None:
        async with service.connected() as connection:
            request = post(b"abc", "Expect: 100-continue")
            connection.send(request[:-3])
            assert (await connection.answer())[0].startswith(b"HTTP/1.1 100 ")
            connection.send(b"abc")
            assert (await connection.answer())[1] == b"abc"

    play(scenario)


@pytest.mark.parametrize("piece", [pytest.param(1, id="bytes"), pytest.param(7, id="sevens")])
def test_a_request_may_come_in_pieces(piece: int) -> None:
    async def scenario(service: Service) -> None:
        async with service.connected() as connection:
            text = post(b'{"a": "long enough to be cut"}') + get("/rooms/a/now") + get("/ok")
            for start in range(0, len(text), piece):
                connection.send(text[start : start + piece])
                await connection.writer.drain()
            bodies = [(await connection.answer())[1] for _ in range(3)]
            assert bodies == [b'{"a": "long enough to be cut"}', b"/rooms/a/now", b'{"a":1}']

    play(scenario)


def test_requests_sent_ahead_are_answered_in_order() -> None:
    async def scenario(service: Service) -> None:
        async with service.connected() as connection, service.connected() as other:
            connection.send(get("/slow?1") + get("/ok") + post(b"third") + get("/slow?4"))
            # By then all four have come, and the first still waits.
            assert (await other.asked(get("/ok")))[1] == b'{"a":1}'
            service.app.opened.set()
            bodies = [(await connection.answer())[1] for _ in range(4)]
            assert bodies == [b"1", b'{"a":1}', b"third", b"4"]
            # And the connection goes on as if nothing had been.
            before = service.app.by_server
            assert (await connection.asked(get("/ok")))[1] == b'{"a":1}'
            assert service.app.by_server == before

    play(scenario)


@pytest.mark.parametrize(
    "lines",
    [pytest.param((), id="ours"), pytest.param(("Connection: close",), id="the server's")],
)
def test_a_body_that_is_too_long_is_refused(lines: tuple[str, ...]) -> None:
    async def scenario(service: Service) -> None:
        async with service.connected() as connection:
            head, body = await connection.asked(post(b"x" * (BODY_BYTES_MAX + 1), *lines))
            assert head.startswith(b"HTTP/1.1 413 ")
            assert b"C001" in body
            assert (service.app.by_server == 1) is bool(lines)
        async with service.connected() as connection:
            most = b"x" * BODY_BYTES_MAX
            assert (await connection.asked(post(most, *lines)))[1] == most

    play(scenario)


def test_a_refused_body_is_read_to_its_end() -> None:
    async def scenario(service: Service) -> None:
        async with service.connected() as connection:
            text = post(b"x" * 3 * BODY_BYTES_MAX)
            connection.send(text[: 2 * BODY_BYTES_MAX])
            assert (await connection.answer())[0].startswith(b"HTTP/1.1 413 ")
            connection.send(text[2 * BODY_BYTES_MAX :])
            assert (await connection.asked(get("/ok")))[1] == b'{"a":1}'

    play(scenario)


@pytest.mark.parametrize(("path", "status"), [("/broken", b"500"), ("/cancelled", b"503")])
def test_a_handler_that_fails_is_answered_for(path: str, status: bytes) -> None:
    async def scenario(service: Service) -> None:
        async with service.connected() as connection:
            head, _ = await connection.asked(get(path))
            assert head.startswith(b"HTTP/1.1 " + status)
            assert (await connection.asked(get("/ok")))[1] == b'{"a":1}'
        assert service.app.by_server == 0

    play(scenario)


def test_what_is_under_way_is_done_even_if_the_asker_has_gone() -> None:
    async def scenario(service: Service) -> None:
        async with service.connected() as leaver:
            leaver.send(get("/slow"))
            async with service.connected() as other:
                assert (await other.asked(get("/ok")))[1] == b'{"a":1}'
        while service.server.server_state.connections:
            with suppress(TimeoutError):
                async with asyncio.timeout(0.01):
                    await asyncio.Event().wait()
        service.app.opened.set()
        async with service.connected() as other:
            assert (await other.asked(get("/slow?me")))[1] == b"me"
        assert service.app.finished == 2

    play(scenario)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"", id="silent"),
        pytest.param(get("/ok")[:-5], id="half a request"),
        pytest.param(get("/ok"), id="idle"),
        pytest.param(get("/nothing"), id="idle after the framework"),
    ],
)
def test_a_connection_that_is_not_used_is_closed(text: bytes) -> None:
    async def scenario(service: Service) -> None:
        async with service.connected() as connection:
            connection.send(text)
            assert (b"HTTP/1.1" in await connection.reader.read()) is text.endswith(b"\r\n\r\n")

    play(scenario, keep_alive_s=0.1)


def test_a_connection_on_which_an_answer_is_awaited_stays() -> None:
    async def scenario(service: Service) -> None:
        async with service.connected() as waiting:
            waiting.send(get("/slow?patient"))
            # Several times as long as a connection may be idle.
            for _ in range(3):
                async with service.connected() as idle:
                    assert await idle.reader.read() == b""
            service.app.opened.set()
            assert (await waiting.answer())[1] == b"patient"

    play(scenario, keep_alive_s=0.1)


def test_a_stop_waits_for_what_is_under_way_and_then_closes() -> None:
    async def scenario(service: Service) -> None:
        async with service.connected() as idle, service.connected() as waiting:
            assert (await idle.asked(get("/ok")))[1] == b'{"a":1}'
            waiting.send(get("/slow?last"))
            assert (await idle.asked(get("/ok")))[1] == b'{"a":1}'
            service.server.should_exit = True
            assert await idle.reader.read() == b""
            service.app.opened.set()
            assert (await waiting.answer())[1] == b"last"
            assert await waiting.reader.read() == b""

    play(scenario)
