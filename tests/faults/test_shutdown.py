"""Graceful shutdown: after SIGTERM under load, open requests are answered, nothing remains."""

import asyncio
import os
import resource
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from tests.faults.crowd import (
    Caller,
    Crowd,
    Reply,
    assert_kept,
    enter,
    named,
    packed,
    place_of,
    received,
)
from tests.faults.stack import SOON_S, START_S, Stack, family, is_ready, runs, snapshot, up
from tests.processes import Program, started
from tests.servers import Server
from tests.until import until_async
from waitline.http.server import FINISH_S
from waitline.kernel.ids import RoomId, VisitorId
from waitline.trial import ValkeyServer
from waitline.trial.machine import free_port

# Seconds on top of the draining: the supervisor's and the server's looks, the store's end, and what
# a machine that others use too may add.
STOPPING_S = 15.0

SLOW = 10
STREAMS = 6


@dataclass(slots=True)
class Ended:
    """What was seen of a stop."""

    crowd: Crowd
    late: list[int]
    streams: list[bytearray]
    seconds: float


async def stop_under_load(stack: Stack, room: RoomId) -> Ended:
    """Stop everything in the middle of joins, half-sent requests and open streams."""
    async with Crowd(stack.port, room).arriving() as crowd:
        await crowd.grows(300, SOON_S)
        events = [bytearray() for _ in range(STREAMS)]
        streams = [
            asyncio.create_task(streamed(stack.port, room, visitor, heard))
            for visitor, heard in zip(list(crowd.entries)[-STREAMS:], events, strict=True)
        ]
        await until_async(
            lambda: all(b"event: status-update" in heard for heard in events), SOON_S, "news"
        )
        idle, idle_writer = await asyncio.open_connection("127.0.0.1", stack.port)
        # Requests that the service has begun to read are in progress, however slow they are.
        half: list[tuple[asyncio.StreamReader, asyncio.StreamWriter, bytes]] = []
        for number in range(SLOW):
            packet = packed(*enter(room, f"slow{number}"))
            reader, writer = await asyncio.open_connection("127.0.0.1", stack.port)
            writer.write(packet[:-10])
            await writer.drain()
            half.append((reader, writer, packet[-10:]))
        await crowd.grows(100, SOON_S)

        started = monotonic()
        os.kill(stack.program.pid, signal.SIGTERM)
        # Idle connections are closed as soon as a worker begins to stop.
        assert await asyncio.wait_for(idle.read(), SOON_S) == b""
        idle_writer.close()
        late = []
        for reader, writer, rest in half:
            writer.write(rest)
            reply = await received(reader, started)
            assert reply.status == 201
            late.append(place_of(reply.json["data"]["token"]))
            writer.close()
        await asyncio.gather(*streams)
        await until_async(lambda: not stack.program.alive, FINISH_S + STOPPING_S, "it has ended")
        seconds = monotonic() - started
    return Ended(crowd, late, events, seconds)


async def streamed(port: int, room: RoomId, visitor: str, heard: bytearray) -> None:
    """Note all that a stream says until it ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(packed(*named("GET", "subscribe", room, visitor)))
    try:
        while news := await reader.read(4096):
            heard += news
    finally:
        writer.close()


def test_sigterm_under_load_leaves_nothing_behind_and_nobody_out(folder: Path) -> None:
    with up(folder) as stack:
        room = stack.room("stopping", mode="paused")
        processes = family(stack.program.pid)
        assert len(processes) >= 6
        ended = asyncio.run(stop_under_load(stack, room))

        assert stack.program.process.returncode == 0
        assert not [pid for pid in processes if runs(pid)]
        assert "Traceback" not in stack.program.output, stack.program.output
        assert ended.seconds < FINISH_S + STOPPING_S
        assert not (folder / "valkey.url").exists()

    # Between two requests a connection may end; in the middle of an answer it never does.
    assert not ended.crowd.halves
    for events in ended.streams:
        assert events.endswith(b"\r\n0\r\n\r\n"), "the stream broke off"

    valkey = ValkeyServer(folder / "valkey")
    valkey.start()
    try:
        seen = snapshot(valkey.url, room)
    finally:
        valkey.stop()
    assert_kept(ended.crowd, seen)
    assert len(ended.late) == SLOW
    assert [seen.waiting.get(VisitorId(f"slow{number}")) for number in range(SLOW)] == ended.late


# Seconds for all that is looked at meanwhile, which takes well under one.
DRAINING_S = 5.0


@pytest.mark.parametrize("workers", [2, pytest.param(1, marks=pytest.mark.long)])
def test_a_service_drains_before_it_ends(valkey: Server, folder: Path, workers: int) -> None:
    """Behind a load balancer, which must notice, and whose connections are in use."""
    port = free_port()
    env = {
        "WAITLINE_VALKEY_URL": valkey.url,
        "WAITLINE_MODE": "trial",
        "WAITLINE_QUEUE_PORT": str(port),
        "WAITLINE_DATA_DIR": str(folder),
        "WAITLINE_WORKERS": str(workers),
        "WAITLINE_DRAIN_S": str(DRAINING_S),
    }
    argv = [sys.executable, "-m", "waitline", "queue"]
    with started(argv, env, lambda: is_ready(port), START_S) as service:
        asyncio.run(drain(service, port))
        assert '"event": "service_draining"' in service.output
        assert "Traceback" not in service.output


async def drain(service: Program, port: int) -> None:
    room, heard = RoomId("draining"), bytearray()
    kept = Caller(port)
    assert (await kept.ask(*enter(room, "first"))).status == 201
    stream = asyncio.create_task(streamed(port, room, "first", heard))
    await until_async(lambda: b"event: status-update" in heard, SOON_S, "the stream is open")

    begun_s = monotonic()
    os.kill(service.pid, signal.SIGTERM)
    readiness = ("GET", "/actuator/health/readiness")

    async def refused() -> bool:
        reply = await asked(port, *readiness)
        return reply.status == 503 and reply.json["status"] == "OUT_OF_SERVICE"

    await until_async(refused, DRAINING_S, "it is not ready")

    # Still served: on connections that are open already, and on new ones, each of them once. One
    # worker may have the signal a moment before the other.
    async def closes(ask: Callable[..., Awaitable[Reply]]) -> bool:
        reply = await ask(*enter(room, "second"))
        assert reply.status == 201
        return reply.headers.get("connection") == "close"

    await until_async(lambda: closes(kept.ask), DRAINING_S, "the kept connection is closed")
    await until_async(lambda: closes(partial(asked, port)), DRAINING_S, "a new one is closed")
    assert (await asked(port, "GET", "/actuator/health/liveness")).status == 200
    assert not stream.done(), "streams go on until the service accepts no more connections"

    await asyncio.wait_for(stream, SOON_S)
    assert heard.endswith(b"\r\n0\r\n\r\n"), "the stream broke off"
    assert heard.count(b"retry: ") == 2, "its end has no retry hint for the browser"
    await until_async(lambda: not service.alive, FINISH_S + STOPPING_S, "it has ended")
    assert monotonic() - begun_s >= DRAINING_S
    with pytest.raises(OSError):  # noqa: PT011 - whatever the system calls it
        await asyncio.open_connection("127.0.0.1", port)


async def asked(port: int, *request: Any) -> Reply:  # noqa: ANN401 - as `Caller.ask`
    """Send a request on a connection of its own."""
    caller = Caller(port)
    try:
        return await caller.ask(*request)
    finally:
        await caller.close()


@pytest.mark.long
def test_workers_may_hold_as_many_connections_as_the_system_allows(folder: Path) -> None:
    usual, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(usual, 512), most))
    try:
        with up(folder) as stack:
            allowed = [resource.prlimit(pid, resource.RLIMIT_NOFILE) for pid in stack.workers]
            assert len(allowed) == 2
            assert set(allowed) == {(most, most)}
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (usual, most))
