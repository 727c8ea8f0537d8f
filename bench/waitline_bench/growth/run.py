"""CPU cost of enter, status and admit, by the length of the line and the number of rooms."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from random import Random
from time import thread_time
from typing import Any

import uvloop

from waitline.admission import policy
from waitline.admission.admitter import Admitter
from waitline.admission.controller import AdmissionController
from waitline.admission.shop_reports import ShopReports
from waitline.kernel.ids import RoomId, VisitorId
from waitline.kernel.plurals import counted
from waitline.queue import keys
from waitline.queue.model import BATCH_MAX, Waiting
from waitline.queue.rooms import Rooms
from waitline.queue.settings import Rules
from waitline.queue.store import Line
from waitline.trial.processes import cpu_us
from waitline.valkey.client import ValkeyClient
from waitline_bench import scripts
from waitline_bench.growth import burst_client, costs, installation
from waitline_bench.growth.cases import (
    CONNECTIONS,
    FULL_EFFORT_SCALE,
    GROWN_MAX,
    LIMITS,
    Case,
    Effort,
    chosen,
)
from waitline_bench.growth.installation import GrowthInstallation
from waitline_bench.growth.lines import Lines

SAME = 20
"""Visitors polled repeatedly: few enough that their data stays in the CPU caches."""

STARTED_ROUNDS = 5
"""An admitter has started once it has listed the awake rooms this often."""

EXPLAINS = ("batch", "tick")
"""Rows that are not the cost of a call: batch sizes, and a whole tick, which covers every room with
a line."""

UNITS = {
    "enter": "us a request",
    "status": "us a request",
    f"same {SAME}": "us a request",
    "batch": "visitors",
    "admit": "us a visitor",
    "tick": "us",
    "idle": "ms/s",
}

OnProgress = Callable[[str], None]
Figures = dict[str, dict[int, list[float]]]


class Spent:
    """CPU time of a worker and of a store over an interval, in us."""

    def __init__(self, on: GrowthInstallation) -> None:
        self._on = on
        self.worker_us = 0.0
        self.store_us = 0.0

    @contextmanager
    def meanwhile(self) -> Iterator[None]:
        """Measure the CPU time of this block."""
        worker_us, store_us = cpu_us(self._on.worker_pid), cpu_us(self._on.store_pid)
        yield
        self.worker_us += cpu_us(self._on.worker_pid) - worker_us
        self.store_us += cpu_us(self._on.store_pid) - store_us


def run_growth(on_progress: OnProgress, scale: float, rounds: int) -> dict[str, Any]:
    """Measure every size in turn, several rounds.

    Args:
        on_progress: Receives the current step as text.
        scale: Sizes above this share of the largest are left out, except for the first two.
        rounds: Number of rounds.

    Returns:
        For `waiting` and `rooms` each: the `sizes`, and the `rows` as of `costs.Row.as_json`.
    """
    lines, many = chosen(scale)
    effort = Effort().scaled(min(1.0, scale / FULL_EFFORT_SCALE))
    with installation.start() as on:
        # The largest set of rooms includes the smaller ones.
        filled = [*lines, many[-1]]
        uvloop.run(_open(on, filled))
        for case in filled:
            for number, room in enumerate(case.rooms, start=1):
                who = counted(case.waiting, "visitor joins", "visitors join")
                on_progress(f"{who} room {number} of {len(case.rooms)}")
                scripts.fill(on.store_url, on.folder, room, case.waiting, 0)
        with installation.off_the_workers_core():
            return uvloop.run(
                _measure(on, lines, many, on_progress=on_progress, rounds=rounds, effort=effort)
            )


async def _open(on: GrowthInstallation, cases: Sequence[Case]) -> None:
    store = ValkeyClient(on.store_url, timeout_s=scripts.CALL_S)
    for case in cases:
        for room in case.rooms:
            await Rooms(store).ensure(room, Rules(limits=LIMITS))
    await store.close()


async def _measure(
    on: GrowthInstallation,
    lines: Sequence[Case],
    many: Sequence[Case],
    *,
    on_progress: OnProgress,
    rounds: int,
    effort: Effort,
) -> dict[str, Any]:
    store = ValkeyClient(on.store_url, timeout_s=scripts.CALL_S)
    asking = burst_client.BurstClient(on.port, CONNECTIONS)
    await asking.connect()
    filled = {room: case.waiting for case in (*lines, *many) for room in case.rooms}
    bench = _GrowthRun(on, store, asking, effort, filled=filled)
    figures: dict[str, Figures] = {"waiting": {}, "rooms": {}}
    # The first requests of a process cost more than any others.
    await bench.status(lines[0])
    rng = Random(rounds)  # noqa: S311 - orders measurements
    for number in range(rounds):
        for kind, group in (("waiting", lines), ("rooms", many)):
            # Shuffled in each round: periodic work of a worker, such as garbage collection, would
            # otherwise hit the same size every time.
            for case in rng.sample(group, len(group)):
                on_progress(f"round {number + 1} of {rounds}: {case.size:,} {kind}")
                await asking.connect()
                found = {**await bench.enter(case), **await bench.status(case)}
                found |= await bench.admit(case)
                if kind == "rooms":
                    found |= await bench.idle(case)
                else:
                    found |= await bench.status_of_some(case)
                for name, value in found.items():
                    figures[kind].setdefault(name, {}).setdefault(case.size, []).append(value)
    asking.close()
    await store.close()
    return {
        "waiting": _told(figures["waiting"], [case.size for case in lines]),
        "rooms": _told(figures["rooms"], [case.size for case in many]),
    }


def _told(figures: Figures, sizes: list[int]) -> dict[str, Any]:
    rows = []
    for name, by_size in figures.items():
        runs = [by_size[size] for size in sizes]
        unit = UNITS[name.partition(":")[0]]
        made = costs.row(name, unit, runs, is_cost=not name.startswith(EXPLAINS))
        rows.append(made.as_json(sizes))
    return {"sizes": sizes, "rows": rows}


class _GrowthRun:
    """Measures one case at a time, and restores the state afterwards."""

    def __init__(
        self,
        on: GrowthInstallation,
        store: ValkeyClient,
        asking: burst_client.BurstClient,
        effort: Effort,
        *,
        filled: dict[RoomId, int],
    ) -> None:
        self._on = on
        self._store = store
        self._line = Line(store)
        self._rooms = Rooms(store)
        self._asking = asking
        self._lines = Lines(filled)
        self._requests, self._ticks, self._idle_s = effort
        self._names = (VisitorId(f"n{number}") for number in range(1_000_000_000))

    async def enter(self, case: Case) -> dict[str, float]:
        """Let new visitors enter, a burst at a time, and leave."""
        spent = Spent(self._on)
        burst_max = case.waiting * len(case.rooms) // GROWN_MAX
        calls_before, left = await self._calls(), self._requests
        leaving = 0
        while left:
            joining: dict[RoomId, list[VisitorId]] = defaultdict(list)
            packed = []
            for number in range(min(left, burst_max)):
                room, visitor = case.rooms[number % len(case.rooms)], next(self._names)
                joining[room].append(visitor)
                packed.append(burst_client.enter(room, visitor))
            with spent.meanwhile():
                await self._asking.send_burst(packed)
            left -= len(packed)
            leaving += await self._leave(joining)
        calls = await self._calls() - calls_before - leaving
        return {
            "enter: worker": spent.worker_us / self._requests,
            "enter: store": spent.store_us / self._requests,
            "batch: enter": self._requests / calls,
        }

    async def status(self, case: Case) -> dict[str, float]:
        """Request the status of visitors spread over their lines."""
        # A stride that shares no factor with a round number visits all of them.
        stride = 7_919
        spent = await self._standing(case, lambda number: number * stride % case.waiting)
        return {
            "status: worker": spent.worker_us / self._requests,
            "status: store": spent.store_us / self._requests,
        }

    async def status_of_some(self, case: Case) -> dict[str, float]:
        """Request the status of the same visitors repeatedly.

        Growth of this cost is algorithmic; any further growth with random visitors is due to CPU
        cache misses.
        """
        step = case.waiting // SAME
        spent = await self._standing(case, lambda number: number % SAME * step)
        return {f"same {SAME}: store": spent.store_us / self._requests}

    async def _standing(self, case: Case, place: Callable[[int], int]) -> Spent:
        spent, rooms = Spent(self._on), case.rooms
        packed = []
        for number in range(self._requests):
            room = rooms[number % len(rooms)]
            visitor = self._lines.waiting(room, place(number // len(rooms)))
            packed.append(burst_client.status(room, visitor))
        with spent.meanwhile():
            await self._asking.send_burst(packed)
        ends = [self._lines.waiting(rooms[0], number) for number in (0, case.waiting - 1)]
        standing = await self._line.status(rooms[0], [(end, 0) for end in ends])
        assert all(isinstance(each, Waiting) for each in standing), standing
        return spent

    async def admit(self, case: Case) -> dict[str, float]:
        """Run the admitter's ticks in this process, with a number of visitors due in each room."""
        loop, store_us, own_us = asyncio.get_running_loop(), 0.0, 0.0
        async with self._aside(case.rooms):
            await self._rooms.wake(case.rooms)
            controller = AdmissionController(self._rooms, ShopReports(self._store))
            admitter = Admitter(self._rooms, self._line, controller, name="growth")
            await admitter.visit_due()
            for _ in range(self._ticks):
                next_s = loop.time() + policy.TICK_MS / 1000
                await self._fall_due(case)
                await asyncio.sleep(next_s - loop.time())
                own_s, before_us = thread_time(), cpu_us(self._on.store_pid)
                await admitter.visit_due()
                own_us += (thread_time() - own_s) * 1e6
                store_us += cpu_us(self._on.store_pid) - before_us
        admitted = await self._admitted(case)
        return {
            "admit: admitter": own_us / admitted,
            "admit: store": store_us / admitted,
            "tick: admitter": own_us / self._ticks,
            "tick: store": store_us / self._ticks,
        }

    async def idle(self, case: Case) -> dict[str, float]:
        """Measure an admitter with a number of empty rooms."""
        idle = [RoomId(f"idle {number}") for number in range(case.size)]
        async with self._aside(idle):
            for room in idle:
                await self._rooms.ensure(room, Rules(limits=LIMITS))
            await self._store.command("CONFIG", "RESETSTAT")
            with installation.admitter(self._on) as pid:
                await self._begun()
                own_us, store_us = cpu_us(pid), cpu_us(self._on.store_pid)
                await asyncio.sleep(self._idle_s)
                own_us = cpu_us(pid) - own_us
                store_us = cpu_us(self._on.store_pid) - store_us
        return {
            "idle: admitter": own_us / 1e3 / self._idle_s,
            "idle: store": store_us / 1e3 / self._idle_s,
        }

    async def _begun(self) -> None:
        """Wait until the admitter has started its rounds."""
        async with asyncio.timeout(installation.READY_S):
            while await self._calls("smembers") < STARTED_ROUNDS:  # noqa: ASYNC110 - another process
                await asyncio.sleep(policy.TICK_MS / 1000)

    async def _fall_due(self, case: Case) -> None:
        """Let as many visitors join as the next tick admits, and run it."""
        seconds, micros = await self._store.command("TIME")
        now_ms = int(seconds) * 1000 + int(micros) // 1000
        for room in case.rooms:
            names = [next(self._names) for _ in range(case.due)]
            await self._line.join(room, names)
            self._lines.join(room, names)
            bucket = ("tokens", case.due, "tokens_at", now_ms)
            await self._store.command("HSET", keys.of(room).rate, *bucket)

    async def _admitted(self, case: Case) -> int:
        """Return the number of admissions since the last call."""
        count = 0
        for room in case.rooms:
            total = await self._store.command("HGET", keys.of(room).room, "admitted")
            count += self._lines.admit(room, int(total or 0))
        return count

    async def _leave(self, joined: dict[RoomId, list[VisitorId]]) -> int:
        """Remove visitors; return the number of calls."""
        calls = 0
        for room, names in joined.items():
            for start in range(0, len(names), BATCH_MAX):
                batch = names[start : start + BATCH_MAX]
                await self._line.leave(room, [(name, 0) for name in batch])
                calls += 1
        return calls

    @asynccontextmanager
    async def _aside(self, rooms: Sequence[RoomId]) -> AsyncIterator[None]:
        """Limit an admitter to these rooms."""
        names = (keys.ROOMS, keys.AWAKE, keys.OCCUPIED)
        command = self._store.command
        kept = [name for name in names if await command("EXISTS", name)]
        for name in kept:
            await command("RENAME", name, f"{name}:aside")
        await command("SADD", keys.ROOMS, *rooms)
        try:
            yield
        finally:
            await command("DEL", *names)
            for name in kept:
                await command("RENAME", f"{name}:aside", name)

    async def _calls(self, name: str = "evalsha") -> int:
        """Return the number of calls of a command since the server's start."""
        text = str(await self._store.command("INFO", "commandstats"))
        _, _, line = text.partition(f"cmdstat_{name}:calls=")
        return int(line.partition(",")[0] or 0)
