"""Throughput of the Lua scripts, memory of Valkey, and time to admit a line.

The scripts are called as a worker calls them: over one connection with a few concurrent calls, from
a separate core.
"""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import quantiles
from time import perf_counter
from typing import Any

import uvloop

from waitline.kernel.clock import SystemClock
from waitline.kernel.ids import RoomId, VisitorId
from waitline.kernel.plurals import counted
from waitline.queue.limits import Limits
from waitline.queue.model import BATCH_MAX, CHUNK_MAX, Joined, Moved
from waitline.queue.rooms import Rooms
from waitline.queue.settings import Rules
from waitline.queue.store import Line
from waitline.tokens.keyring_file import KeyringFile
from waitline.tokens.tickets import mint_ticket
from waitline.trial import ValkeyServer, machine, processes
from waitline.valkey.client import ValkeyClient

SIZES = (1, 10, 100, 256)
UNDER_WAY = 4
"""Concurrent calls: enough to keep the server busy."""

CALL_S = 10.0
LINE = 100_000
"""Visitors in the room while the scripts are measured."""

MOST = Limits(
    active_max=1_000_000, admit_per_s=1_000_000, admit_burst=1_000_000, waiting_max=10_000_000
)
"""Limits of a room without an effective rate limit."""

OnProgress = Callable[[str], None]
Batch = Callable[[int], Awaitable[Any]]


def fill(url: str, folder: Path, room: RoomId, waiting: int, admitted: int) -> str:
    """Fill a room: some visitors admitted, others (`w1`, `w2`, …) waiting.

    Returns:
        A line `visitor token` per admitted visitor.
    """
    ring = KeyringFile(folder / "keys" / "keys.json").load_or_create(SystemClock().now_ms())

    async def run() -> str:
        store = ValkeyClient(url, timeout_s=CALL_S)
        line = Line(store)
        await Rooms(store).ensure(room, Rules(limits=MOST))
        lines = []
        for start in range(0, admitted, BATCH_MAX):
            names = [VisitorId(f"a{n}") for n in range(start, min(start + BATCH_MAX, admitted))]
            for name, place in zip(names, await line.join(room, names), strict=True):
                assert isinstance(place, Joined)
                token = mint_ticket(ring, room, name, place.place, place.joined_ms)
                lines.append(f"{name} {token}\n")
        while (await _admit(line, room, CHUNK_MAX)).waiting:
            pass
        await _join(line, room, "w", 1, waiting)
        await store.close()
        return "".join(lines)

    return uvloop.run(run())


def rates(on_progress: OnProgress, seconds: float, scale: float) -> dict[str, dict[str, float]]:
    """Return visitors/s by script and by visitors per call."""
    return uvloop.run(_rates(on_progress, seconds, max(1_000, int(LINE * scale))))


def memory(on_progress: OnProgress, scale: float) -> list[dict[str, float]]:
    """Return Valkey's memory per waiting visitor, at two lengths of the line."""
    return uvloop.run(_memory(on_progress, [int(300_000 * scale), int(1_000_000 * scale)]))


def admission(on_progress: OnProgress, scale: float) -> dict[str, float]:
    """Return the time to admit a line, and the latency of the calls."""
    return uvloop.run(_admission(on_progress, int(300_000 * scale)))


@asynccontextmanager
async def _opened() -> AsyncIterator[ValkeyClient]:
    own_core, other_core = machine.cores()
    before = os.sched_getaffinity(0)
    with tempfile.TemporaryDirectory(prefix="waitline-bench-") as folder:
        server = ValkeyServer(Path(folder) / "valkey", maxmemory_bytes=4 * 1024**3)
        server.start()
        processes.set_affinity(server.pid, [other_core])
        os.sched_setaffinity(0, {own_core})
        store = ValkeyClient(server.url, timeout_s=CALL_S)
        try:
            yield store
        finally:
            await store.close()
            os.sched_setaffinity(0, before)
            server.stop()


async def _rates(
    on_progress: OnProgress, seconds: float, length: int
) -> dict[str, dict[str, float]]:
    figures: dict[str, dict[str, float]] = {}
    async with _opened() as store:
        line = Line(store)
        for name in ("join", "status", "validate", "activate", "extend", "leave", "admit", "sweep"):
            for size in SIZES:
                on_progress(f"{name} with {size} in a call")
                await store.command("FLUSHALL")
                figures.setdefault(name, {})[str(size)] = await _rate(
                    store, line, name, size, seconds=seconds, length=length
                )
    return figures


async def _rate(
    store: ValkeyClient, line: Line, name: str, size: int, *, seconds: float, length: int
) -> float:
    room = RoomId("bench")
    short = name == "sweep"
    limits = Limits(**{
        **{field: getattr(MOST, field) for field in MOST.__slots__},
        "ready_ttl_ms": 10 if short else MOST.ready_ttl_ms,
        "extensions_max": 100,
    })  # fmt: skip
    await Rooms(store).ensure(room, Rules(limits=limits))
    await _join(line, room, "v", 0, length)
    names = _endless(length)
    chunk = min(size, CHUNK_MAX)
    if name in ("validate", "activate", "extend", "leave", "sweep"):
        while (await _admit(line, room, CHUNK_MAX)).waiting:
            pass
    if name == "extend":
        await _each(length, lambda some: line.activate(room, [(who, 0) for who in some]))
    fresh = (VisitorId(f"n{number}") for number in range(100_000_000))
    batches: dict[str, Batch] = {
        "join": lambda n: line.join(room, [next(fresh) for _ in range(n)]),
        "status": lambda n: line.status(room, [(next(names), 0) for _ in range(n)]),
        "validate": lambda n: line.validate(room, [next(names) for _ in range(n)]),
        "activate": lambda n: line.activate(room, [(next(names), 0) for _ in range(n)]),
        "extend": lambda n: line.extend(room, [(next(names), 0) for _ in range(n)]),
        "leave": lambda n: line.leave(room, [(next(names), 0) for _ in range(n)]),
        "admit": lambda _n: _admit(line, room, chunk),
        "sweep": lambda _n: line.sweep(room, chunk_max=chunk),
    }
    # Calls that use up the room's visitors must end before they run out.
    consuming = name in ("activate", "leave", "admit", "sweep")
    calls_most = length // size if consuming else 100_000_000
    calls, took_s = await _for(seconds, calls_most, lambda: batches[name](size))
    return calls * (chunk if name in ("admit", "sweep") else size) / took_s


async def _for(seconds: float, most: int, call: Callable[[], Awaitable[Any]]) -> tuple[int, float]:
    """Call at full load with a few concurrent calls; return the number of calls, and seconds."""
    done = 0
    started = perf_counter()

    async def again() -> None:
        nonlocal done
        while done < most and perf_counter() - started < seconds:
            done += 1
            await call()

    async with asyncio.TaskGroup() as group:
        for _ in range(UNDER_WAY):
            group.create_task(again())
    return done, perf_counter() - started


async def _memory(on_progress: OnProgress, lengths: list[int]) -> list[dict[str, float]]:
    rows = []
    async with _opened() as store:
        room, line = RoomId("bench"), Line(store)
        await Rooms(store).ensure(room, Rules(limits=MOST))
        empty = await _used(store)
        joined = 0
        for length in lengths:
            on_progress(counted(length, "visitor joins", "visitors join"))
            await _join(line, room, "visitor-", joined, length - joined)
            joined = length
            used = await _used(store) - empty
            rows.append({"visitors": length, "bytes": used, "per_visitor": used / length})
    return rows


async def _used(store: ValkeyClient) -> int:
    text = str(await store.command("INFO", "memory"))
    return int(text.partition("used_memory:")[2].split()[0])


async def _admission(on_progress: OnProgress, length: int) -> dict[str, float]:
    async with _opened() as store:
        room, line = RoomId("bench"), Line(store)
        on_progress(counted(length, "visitor joins", "visitors join"))
        await Rooms(store).ensure(room, Rules(limits=MOST))
        await _join(line, room, "visitor-", 0, length)
        on_progress(counted(length, "visitor is admitted", "visitors are admitted"))
        await store.command("CONFIG", "RESETSTAT")
        times_ms: list[float] = []
        started = perf_counter()
        moved = Moved(0, 0, length, 0, 0)
        while moved.waiting:
            called = perf_counter()
            moved = await _admit(line, room, CHUNK_MAX)
            times_ms.append((perf_counter() - called) * 1000)
        took_s = perf_counter() - started
        text = str(await store.command("INFO", "latencystats"))
    # As p50=1234.567,p99=… in us, per command.
    at_server = text.partition("latency_percentiles_usec_evalsha:")[2].split()[0]
    server_us = {name: float(us) for name, us in (pair.split("=") for pair in at_server.split(","))}
    hundredths = quantiles(times_ms, n=100)
    return {
        "visitors": length,
        "seconds": took_s,
        "calls": len(times_ms),
        "server_p50_ms": server_us["p50"] / 1000,
        "server_p99_ms": server_us["p99"] / 1000,
        "p50_ms": hundredths[49],
        "p99_ms": hundredths[98],
        "max_ms": max(times_ms),
    }


async def _admit(line: Line, room: RoomId, chunk: int) -> Moved:
    outcome = await line.admit(room, holder="", lease_ms=1_000, chunk_max=chunk)
    assert isinstance(outcome, Moved)
    return outcome


async def _join(line: Line, room: RoomId, prefix: str, first: int, count: int) -> None:
    for start in range(first, first + count, BATCH_MAX):
        end = min(start + BATCH_MAX, first + count)
        await line.join(room, [VisitorId(f"{prefix}{number}") for number in range(start, end)])


async def _each(count: int, call: Callable[[list[VisitorId]], Awaitable[Any]]) -> None:
    for start in range(0, count, BATCH_MAX):
        await call([VisitorId(f"v{n}") for n in range(start, min(start + BATCH_MAX, count))])


def _endless(count: int) -> Iterator[VisitorId]:
    """Yield all visitors repeatedly, in an order unlike that of the line."""
    # A stride without a factor in common with any round number visits all of them.
    number = 0
    while True:
        yield VisitorId(f"v{number}")
        number = (number + 7_919) % count
