"""Clients and balancers that misbehave: slow, idle by the thousand, and asking twice."""

import asyncio
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import count
from time import monotonic

from tests.faults.crowd import (
    AGAIN_S,
    Caller,
    Crowd,
    CutOffError,
    enter,
    named,
    packed,
    paused,
    received,
)
from tests.faults.shoppers import Shoppers
from tests.faults.site import BOOKING_PORT, QUEUE_PORT, Site
from tests.until import until_async
from waitline.kernel.ids import RoomId

SOON_S = 20.0

SLOW = 100
"""Slow clients of each service."""

STREAMS = 10_000
"""Idle streams."""

STREAMS_KEPT = 9_900
"""How many of them must still be open at the end; a page whose stream ends opens another."""

OPENERS = 32
"""How many of them are opened at a time."""

_ROOMS = count(1)


@asynccontextmanager
async def slow(site: Site) -> AsyncIterator[None]:
    """Let clients of both services send one byte a second."""
    over = asyncio.Event()

    async def drip(name: str, port: int) -> None:
        request = packed(*enter(RoomId("nowhere"), "nobody"))
        while not over.is_set():
            reader, writer = await asyncio.open_connection(site.hosts[name].address, port)
            # The service hangs up on those who take too long.
            with suppress(ConnectionError):
                for number in range(len(request)):
                    if over.is_set() or reader.at_eof():
                        break
                    writer.write(request[number : number + 1])
                    await writer.drain()
                    await paused(1.0, over)
            writer.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(SLOW):
            group.create_task(drip("queue", QUEUE_PORT))
            group.create_task(drip("booking", BOOKING_PORT))
        try:
            yield
        finally:
            over.set()


@asynccontextmanager
async def idle_streams(site: Site) -> AsyncIterator[None]:
    """Let visitors of a paused room each open an event stream, on which nothing happens."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    host = site.hosts["queue"].address
    room = RoomId(f"idle-{next(_ROOMS)}")
    url = f"http://{host}:{QUEUE_PORT}/api/v1/rooms"
    await asyncio.to_thread(site.operate, "POST", url, {"room": room, "mode": "paused"})
    numbers = iter(range(STREAMS))
    streams: list[asyncio.StreamWriter] = []

    async def open_some() -> None:
        caller = Caller(QUEUE_PORT, host)
        for number in numbers:
            visitor = f"v{number}"
            # A busy machine refuses some of them.
            while not await _enters(caller, room, visitor):
                await paused(AGAIN_S)
            while (stream := await _stream(host, room, visitor)) is None:
                await paused(AGAIN_S)
            streams.append(stream)
        await caller.close()

    try:
        await asyncio.gather(*(open_some() for _ in range(OPENERS)))
        yield
        stand = len(await asyncio.to_thread(site.hosts["queue"].flows, QUEUE_PORT))
        assert stand >= STREAMS_KEPT, f"{stand} connections are left"
    finally:
        for writer in streams:
            writer.close()


async def _enters(caller: Caller, room: RoomId, visitor: str) -> bool:
    with suppress(CutOffError):
        return (await caller.ask(*enter(room, visitor))).status == 201
    return False


async def _stream(host: str, room: RoomId, visitor: str) -> asyncio.StreamWriter | None:
    """Open a visitor's event stream; return `None` if it is refused."""
    reader, writer = await asyncio.open_connection(host, QUEUE_PORT)
    writer.write(packed(*named("GET", "subscribe", room, visitor)))
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        if b" 200 " in await reader.readuntil(b"\r\n"):
            return writer
    writer.close()
    return None


@asynccontextmanager
async def repeating(crowd: Crowd, shoppers: Shoppers) -> AsyncIterator[None]:
    """Put a balancer between clients and services that sends each request twice, at once."""
    places = crowd.host, crowd.port, shoppers.queue, shoppers.office
    async with _balancer(*shoppers.queue) as queue, _balancer(*shoppers.office) as office:
        shoppers.queue, shoppers.office = queue, office
        crowd.host, crowd.port = queue
        try:
            yield
        finally:
            crowd.host, crowd.port, shoppers.queue, shoppers.office = places


@asynccontextmanager
async def _balancer(host: str, port: int) -> AsyncIterator[tuple[str, int]]:
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        backends = [await asyncio.open_connection(host, port) for _ in range(2)]
        with suppress(asyncio.IncompleteReadError, ConnectionError, CutOffError):
            for turn in count():
                request = await _request(reader)
                for _, backend in backends:
                    backend.write(request)
                answers = [await received(one, monotonic()) for one, _ in backends]
                # Each in turn is the one whose answer gets through.
                answer = answers[turn % 2]
                head = "".join(f"{name}: {value}\r\n" for name, value in answer.headers.items())
                writer.write(f"HTTP/1.1 {answer.status} -\r\n{head}\r\n".encode() + answer.body)
                await writer.drain()
        for _, each in (*backends, (reader, writer)):
            each.close()
        tasks.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[:2]
    finally:
        # Its clients go elsewhere with their next requests.
        await until_async(lambda: not tasks, SOON_S, "the balancer has no clients")
        server.close()


async def _request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    return head + await reader.readexactly(length)
