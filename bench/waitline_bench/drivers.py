"""Drivers of a cluster: calls/s and CPU time of one `status` call, and `enter` over HTTP.

Our driver on one server and on a cluster, and the general cluster clients that are installed. All
of them send the same EVALSHA to the same rooms, in turn and several rounds; the median counts. Then
one worker of the queue service on a server, and one on the cluster, take turns on one core.
"""

import asyncio
import importlib
import importlib.util
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

import redis.asyncio
import uvloop

from waitline import settings as chosen
from waitline.kernel.ids import RoomId, VisitorId
from waitline.kernel.mode import DataMode
from waitline.queue import keys
from waitline.queue.mode import LineMode
from waitline.queue.rooms import Rooms
from waitline.queue.settings import Rules
from waitline.queue.store import STATUS, Line
from waitline.trial import ValkeyServer, machine, processes
from waitline.trial.valkey_cluster import Size, ValkeyCluster
from waitline.valkey.client import ValkeyClient
from waitline_bench import hot_calls

UNDER_WAY = (1, 12)
"""Concurrent calls: one, and as many as the batchers of a busy worker make."""

VISITORS = (1, 16)
"""Visitors per call: a quiet hour, and a busy one."""

ROOMS = tuple(RoomId(f"room {number}") for number in range(12))

SERVICES = ("one server", "cluster")

Call = Callable[[RoomId, Sequence[str]], Awaitable[Any]]
OnProgress = Callable[[str], None]


def run_drivers(on_progress: OnProgress, seconds: float, rounds: int) -> dict[str, Any]:
    """Measure each driver, then `enter`, several rounds.

    Returns:
        `calls`: a row per driver, visitors per call and concurrent calls: calls/s, and CPU
        time of the client's process per call in us, its threads included; `enter`: requests/s and
        the worker's CPU time per request, by where the line is; `enter_ratio`: that of the
        cluster to one server, by CPU time, in each round.

    Raises:
        Misconfigured: wrk or the checkout is missing.
    """
    hot_calls.require_tools()
    own_core, other_core = machine.cores()
    before = os.sched_getaffinity(0)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="waitline-bench-")))
        server = ValkeyServer(folder / "valkey")
        cluster = ValkeyCluster(folder / "cluster", Size(3, 0))
        for one in (server, cluster):
            stack.callback(one.stop)
            one.start()
        for node in (server, *cluster.nodes):
            processes.set_affinity(node.pid, [other_core])
        stack.callback(os.sched_setaffinity, 0, before)
        os.sched_setaffinity(0, {own_core})
        calls = uvloop.run(_measured(on_progress, server.url, cluster, seconds, rounds))
        os.sched_setaffinity(0, before)
        services = {
            name: stack.enter_context(_service(name, folder / f"service, {name}", url, own_core))
            for name, url in zip(SERVICES, (server.url, cluster.url), strict=True)
        }
        return {"calls": calls, **_enter(on_progress, services, other_core, seconds, rounds)}


def _enter(
    on_progress: OnProgress,
    services: Mapping[str, hot_calls.Server],
    core: int,
    seconds: float,
    rounds: int,
) -> dict[str, Any]:
    found: dict[str, list[hot_calls.FlatOut]] = {name: [] for name in SERVICES}
    entered = 0
    for number in range(rounds):
        # Alternate A B, B A, …, so that slow drift of the machine affects both alike.
        for name in SERVICES if number % 2 else reversed(SERVICES):
            on_progress(f"round {number + 1} of {rounds}: enter, {name}")
            entered += 1
            targets = hot_calls.flat_out_targets(Path(), entered)
            target = next(one for one in targets if one.name == "enter")
            found[name].append(hot_calls.run_flat_out(target, services[name], core, seconds))
    ratios = [
        one.cpu_us / on_cluster.cpu_us for one, on_cluster in zip(*found.values(), strict=True)
    ]
    return {
        "enter": {
            name: {
                "per_s": median(one.per_s for one in runs),
                "cpu_us": median(one.cpu_us for one in runs),
            }
            for name, runs in found.items()
        },
        "enter_ratio": ratios,
    }


@contextmanager
def _service(name: str, folder: Path, url: str, core: int) -> Iterator[hot_calls.Server]:
    arguments = ["-m", "waitline", "queue", "--mode", "trial", "--workers", "1"]
    arguments += ["--queue-port", "{port}"]
    folder.mkdir()
    environment = chosen.environment(chosen.load(data_dir=folder, valkey_url=url))
    with hot_calls.start_server(
        name, arguments, core=core, folder=folder, environment=environment
    ) as server:
        yield server


async def _measured(
    on_progress: OnProgress, url: str, cluster: ValkeyCluster, seconds: float, rounds: int
) -> list[dict[str, Any]]:
    for where in (url, cluster.url):
        await _fill(where)
    found: dict[tuple[str, int, int], list[tuple[float, float]]] = {}
    for number in range(1, rounds + 1):
        for name, opened in _drivers(url, cluster).items():
            on_progress(f"round {number} of {rounds}: {name}")
            async with opened as call:
                for visitors in VISITORS:
                    for under_way in UNDER_WAY:
                        figures = await _flat_out(call, visitors, under_way, seconds)
                        found.setdefault((name, visitors, under_way), []).append(figures)
    return [
        {
            "driver": name,
            "visitors": visitors,
            "under_way": under_way,
            "per_s": median(per_s for per_s, _ in runs),
            "cpu_us": median(cpu_us for _, cpu_us in runs),
        }
        for (name, visitors, under_way), runs in found.items()
    ]


async def _fill(url: str) -> None:
    store = ValkeyClient(url, timeout_s=5.0)
    await LineMode(store).claim(DataMode.TRIAL)
    for room in ROOMS:
        await Rooms(store).ensure(room, Rules())
        await Line(store).join(room, [VisitorId(f"v{number}") for number in range(max(VISITORS))])
    await store.close()


async def _flat_out(
    call: Call, visitors: int, under_way: int, seconds: float
) -> tuple[float, float]:
    """Return calls/s, and the CPU time of a call in us."""
    names = [f"v{number}" for number in range(visitors)]
    done = 0
    started, used = perf_counter(), process_time()

    async def again(number: int) -> None:
        nonlocal done
        while perf_counter() - started < seconds:
            await call(ROOMS[number % len(ROOMS)], names)
            number += 1
            done += 1

    async with asyncio.TaskGroup() as group:
        for number in range(under_way):
            group.create_task(again(number))
    return done / (perf_counter() - started), (process_time() - used) / done * 1e6


def _drivers(url: str, cluster: ValkeyCluster) -> dict[str, Any]:
    drivers = {
        "ours, one server": _ours(url),
        "ours, cluster": _ours(cluster.url),
        "redis-py, cluster": _redis_py(cluster),
    }
    if importlib.util.find_spec("glide") is not None:
        drivers["valkey-glide, cluster"] = _glide(cluster)
    return drivers


def _keys(room: RoomId) -> tuple[str, ...]:
    k = keys.of(room)
    return (k.room, k.waiting, k.heard, k.slots, k.lapsed)


@asynccontextmanager
async def _ours(url: str) -> AsyncIterator[Call]:
    store = ValkeyClient(url, timeout_s=5.0)
    yield lambda room, names: store.run(STATUS, _keys(room), names)
    await store.close()


@asynccontextmanager
async def _redis_py(cluster: ValkeyCluster) -> AsyncIterator[Call]:
    client = redis.asyncio.RedisCluster.from_url(cluster.node_url(0), decode_responses=True)
    yield lambda room, names: client.execute_command(
        "EVALSHA", STATUS.digest, 5, *_keys(room), *names
    )
    await client.aclose()


@asynccontextmanager
async def _glide(cluster: ValkeyCluster) -> AsyncIterator[Call]:
    glide = importlib.import_module("glide")
    configuration = glide.GlideClusterClientConfiguration(
        [glide.NodeAddress("127.0.0.1", cluster.port(0))],
        credentials=glide.ServerCredentials(password=cluster.password),
        request_timeout=5_000,
    )
    client = await glide.GlideClusterClient.create(configuration)
    script = glide.Script(STATUS.source)
    yield lambda room, names: client.invoke_script(script, keys=list(_keys(room)), args=list(names))
    await client.close()
