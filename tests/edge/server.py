"""A server of its own in the test's process, with handlers that are easy to tell apart."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import uvicorn
import uvloop

from waitline.http.dispatch import Dispatcher, PathParameterRoute
from waitline.http.limits import EdgeLimits
from waitline.http.problem_responses import ProblemResponses
from waitline.http.problems import ProblemTable
from waitline.http.protocol import Protocol
from waitline.http.requests import (
    HotHandler,
    Receive,
    Request,
    Scope,
)
from waitline.http.responses import Answer, Send, kept_answer
from waitline.http.server import UVICORN_OPTIONS
from waitline.kernel.clock import SystemClock
from waitline.kernel.process_metrics import ProcessMetrics

# Seconds for what takes milliseconds.
SOON_S = 15.0

DEFAULTS = EdgeLimits()

JSON = ((b"content-type", b"application/json"), (b"cache-control", b"no-store"))

ANSWERS = {
    "ok": Answer(200, JSON, b'{"a":1}'),
    "long": Answer(201, (*JSON, (b"set-cookie", b"a=b")), b"x" * 5_000),
    "refused": Answer(503, JSON, "대기열".encode()),
    "empty": Answer(200, JSON, b""),
    "unmodified": Answer(304, ((b"etag", b'"1"'),), b""),
    "kept": kept_answer(Answer(200, (*JSON, (b"x-a", b"1")), b'{"a":2}')),
    "kept-empty": kept_answer(Answer(204, ((b"x-a", b"1"),), b"")),
}


# What an endless answer is made of.
PIECE = b"event: x\ndata: " + b"x" * 20_000 + b"\n\n"


class App:
    """Handlers that are easy to tell apart, and a count of what the framework answered."""

    draining = False

    def __init__(self, limits: EdgeLimits) -> None:
        self.by_framework = 0
        self.finished = 0
        self.streamed_bytes = 0
        self.opened = asyncio.Event()
        self.dispatcher = Dispatcher(
            routes={
                **{f"/{name}": {"GET": self._kept(answer)} for name, answer in ANSWERS.items()},
                "/echo": {"POST": self.echo},
                "/seen": dict.fromkeys(("GET", "POST", "DELETE"), self.seen),
                "/now/seen": dict.fromkeys(("GET", "POST", "DELETE"), self.seen_now),
                "/slow": {"GET": self.slow},
                "/broken": {"GET": self.broken},
                "/now/broken": {"GET": self.broken_now},
                "/cancelled": {"GET": self.cancelled},
            },
            parameter_routes=[
                PathParameterRoute("/rooms/{room}/now", self.echo_path),
                PathParameterRoute("/tasks/{name}", self.in_task, in_task=True),
            ],
            fallback=self.rest,
            tallies=ProcessMetrics(),
            problems=ProblemResponses(ProblemTable(()), SystemClock()),
            limits=limits,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.by_framework += 1
        await self.dispatcher(scope, receive, send)

    @staticmethod
    def _kept(answer: Answer) -> HotHandler:
        async def handler(_request: Request) -> Answer:
            return answer

        return (lambda _: answer) if answer.fields else handler

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

    def broken_now(self, _request: Request) -> Answer:
        raise KeyError("a bug")

    async def cancelled(self, _request: Request) -> Answer:
        gone = asyncio.get_running_loop().create_future()
        gone.get_loop().call_soon(gone.cancel)
        await gone
        raise AssertionError("it was cancelled")

    async def in_task(self, request: Request) -> Answer:
        async with asyncio.timeout(SOON_S):
            match request.path.rpartition("/")[2]:
                case "broken":
                    raise KeyError("a bug")
                case "cancelled":
                    task = asyncio.current_task()
                    assert task is not None
                    task.cancel()
                case _:
                    pass
            await moment(0.001)
        return Answer(200, JSON, request.path.encode())

    async def seen(self, request: Request) -> Answer:
        return Answer(200, JSON, described(request))

    def seen_now(self, request: Request) -> Answer:
        return Answer(200, JSON, described(request))

    async def rest(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer under `/framework/` as the hot calls do."""
        request = Request.of(scope)
        request.body = (await receive())["body"]
        prefix, _, name = request.path.rpartition("/")
        answer = Answer(404, (), b"")
        if prefix == "/framework":
            made = Answer(200, JSON, described(request)) if name == "seen" else None
            answer = made or ANSWERS.get(name, answer)
        start = {"status": answer.status, "headers": answer.headers}
        await send({"type": "http.response.start", **start})
        if name == "endless":
            await self._stream_until_gone(receive, send)
            return
        pieces = [b"%d" % number for number in range(3)] if name == "stream" else ()
        for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": answer.body})

    async def _stream_until_gone(self, receive: Receive, send: Send) -> None:
        """Send as fast as the client reads, as `services/queue/streams.py` sends events."""

        async def stream() -> None:
            while True:
                self.streamed_bytes += len(PIECE)
                await send({"type": "http.response.body", "body": PIECE, "more_body": True})
                await moment(0)

        streaming = asyncio.create_task(stream())
        assert (await receive())["type"] == "http.disconnect"
        streaming.cancel()
        await asyncio.wait({streaming})
        self.finished += 1


def described(request: Request) -> bytes:
    """What a handler sees of a request."""
    fields = {name.decode(): value.decode("latin-1") for name, value in request.headers.items()}
    query, body = request.query_string.decode("latin-1"), request.body.decode("latin-1")
    return msgspec.json.encode([request.path.rpartition("/")[2], query, fields, body])


async def moment(seconds: float) -> None:
    """Let the loop go on, before a condition is looked at again."""
    await asyncio.wait({asyncio.get_running_loop().create_future()}, timeout=seconds)


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


def play(scenario: Scenario, limits: EdgeLimits = DEFAULTS) -> None:
    async def run() -> None:
        app = App(limits)
        config = uvicorn.Config(
            app,
            http=Protocol,
            date_header=False,
            port=0,
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

    uvloop.run(run())


def get(path: str, *lines: str, version: str = "1.1") -> bytes:
    head = "".join(f"{line}\r\n" for line in ("Host: here", *lines))
    return f"GET {path} HTTP/{version}\r\n{head}\r\n".encode("latin-1")


def post(body: bytes, *lines: str) -> bytes:
    head = "".join(f"{line}\r\n" for line in ("Host: here", f"Content-Length: {len(body)}", *lines))
    return f"POST /echo HTTP/1.1\r\n{head}\r\n".encode() + body
