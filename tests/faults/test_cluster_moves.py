"""Slots move between the primaries of a real cluster while visitors enter and poll."""

import asyncio
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from tests import clusters
from tests.faults.crowd import Crowd, assert_answers, assert_kept
from tests.faults.stack import START_S, WAITLINE
from tests.processes import started
from tests.until import until, until_async
from waitline.kernel.ids import RoomId
from waitline.queue import audit, keys
from waitline.queue.limits import Limits
from waitline.queue.mode import LineMode
from waitline.queue.rooms import Rooms
from waitline.queue.settings import Rules
from waitline.trial.installation import Installation, start
from waitline.trial.machine import free_port
from waitline.trial.valkey_cluster import Size, ValkeyCluster
from waitline.valkey.client import ValkeyClient
from waitline.valkey.slots import slot_of
from waitline_bench.measured_room import Room
from waitline_bench.scale_out.clients import ClientPlan
from waitline_bench.scale_out.load import Load, run_visits
from waitline_bench.scale_out.visits import Crowd as Visitors
from waitline_bench.scale_out.visits import Work

SOON_S = 30.0

# Visitors who come before, between and after the moves.
ARRIVALS = 300

# The rush: visitors who wait, requests per second of each kind, for how long, and connections.
WAITING, PER_S, RUSH_S, CONNECTIONS = 20_000, 2_000.0, 15.0, 256

ROOM = RoomId("moving")

# The room's, that of the registry, and that of the heartbeat.
SLOTS_MOVED = tuple(map(slot_of, (keys.of(ROOM).room, keys.ROOMS, keys.AWAKE, keys.LISTENING)))

Move = Callable[[ValkeyCluster, int, int], Coroutine[Any, Any, None]]


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[ValkeyCluster, Installation]]:
    with tempfile.TemporaryDirectory(prefix="wl-") as name:
        cluster = ValkeyCluster(Path(name) / "cluster", Size(3, 0))
        try:
            cluster.start(SOON_S)
            with start(2, {"valkey_url": cluster.url}, batch_scheduling=False) as up:
                yield cluster, up
        finally:
            cluster.stop()


@asynccontextmanager
async def opened(cluster: ValkeyCluster) -> AsyncIterator[ValkeyClient]:
    store = ValkeyClient(cluster.url, timeout_s=SOON_S)
    try:
        yield store
    finally:
        await store.close()


@pytest.mark.parametrize(
    "how", [clusters.move_at_once, pytest.param(clusters.move, marks=pytest.mark.long)]
)
def test_nobody_sees_more_than_a_503(served: tuple[ValkeyCluster, Installation], how: Move) -> None:
    """The crowd itself asserts that each refusal is a 503 with `Retry-After`."""
    cluster, up = served
    room = RoomId(f"{ROOM} {how.__name__}")
    limits = Limits(admit_per_s=200, active_max=ARRIVALS, waiting_max=1_000_000)

    async def load() -> None:
        async with opened(cluster) as store:
            await Rooms(store).ensure(room, Rules(limits=limits))
            async with Crowd(up.port, room).arriving() as crowd:
                await crowd.grows(ARRIVALS, SOON_S)
                slots = dict.fromkeys([slot_of(keys.of(room).room), *SLOTS_MOVED])
                for turn, slot in enumerate(slots):
                    holder = await clusters.owner(cluster, slot)
                    await how(cluster, slot, (holder + 1 + turn % 2) % 3)
                    await crowd.grows(ARRIVALS // 4, SOON_S)
                before = len(crowd.activated)
                await Rooms(store).change(room, {"active_max": 2 * ARRIVALS})
                await until_async(lambda: len(crowd.activated) > before, SOON_S, "admissions go on")
            await Rooms(store).change(room, {"mode": "paused"})
            seen = await audit.take_snapshot(store, room)
            assert_kept(crowd, seen)
            await assert_answers(crowd, seen)
            assert not crowd.unknown
            assert not crowd.halves
            assert crowd.turned_away.keys() <= {503}

    asyncio.run(load())
    command = [*WAITLINE, "audit", "--room", room, "--valkey-url", cluster.url]
    done = subprocess.run(  # noqa: S603 - our own command
        [*command, "--data-dir", str(up.data_dir)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.long
def test_at_two_thousand_visitors_a_second_nobody_sees_more_than_a_503(
    served: tuple[ValkeyCluster, Installation],
) -> None:
    """So many enter while as many of those who wait poll, and slots move all the time."""
    cluster, up = served
    room = Room(cluster.url, "rush")
    # A poll finds its visitor waiting: fewer are admitted than the tenth that is not polled.
    room.fill(WAITING, WAITING / 10 / (2 * RUSH_S))
    room.open()
    plan = ClientPlan((up.port,), CONNECTIONS, 0, PER_S)
    crowds = [Visitors(work, (room.name,), WAITING, "n") for work in (Work.ENTER, Work.POLL)]
    with ThreadPoolExecutor(2) as pool:
        visiting = [
            pool.submit(run_visits, lambda _: None, plan, crowd, Load(1.0, RUSH_S), {})
            for crowd in crowds
        ]
        moves = asyncio.run(move_until(cluster, room.name, visiting))
        entering, polling = (each.result() for each in visiting)
    for found in (entering, polling):
        print(f"{moves} moves, {found['visits_per_s']:.0f}/s, {found['refused']}, {found['steps']}")  # noqa: T201
        assert found["begun"] >= 0.99 * PER_S * RUSH_S
        assert {" ".join(words.split()[1:]) for words in found["refused"]} <= {"503"}
        assert (found["broken"], found["unfinished"]) == (0, 0)
    assert moves >= len(SLOTS_MOVED)
    assert room.survey().counters["entered"] >= entering["entered"] + WAITING
    assert room.findings() == []


async def move_until(cluster: ValkeyCluster, room: str, visiting: Sequence[Future[Any]]) -> int:
    """Move the slots in turn until all visits are over; return how many moves that were."""
    slots = dict.fromkeys([slot_of(keys.of(RoomId(room)).room), *SLOTS_MOVED])
    moves = 0
    for slot in cycle(slots):
        if all(each.done() for each in visiting):
            break
        holder = await clusters.owner(cluster, slot)
        how = clusters.move if moves % 2 else clusters.move_at_once
        await how(cluster, slot, (holder + 1) % 3)
        moves += 1
    return moves


@pytest.mark.long
def test_up_keeps_the_line_in_a_cluster() -> None:
    with tempfile.TemporaryDirectory(prefix="wl-") as name:
        folder = Path(name) / "data"
        ports = ("--queue-port", str(free_port()), "--booking-port", str(free_port()))
        argv = [*WAITLINE, "up", "--no-box-office", "--workers", "1", *ports]
        argv += ["--data-dir", str(folder)]
        for again in (False, True):
            with started([*argv, "--cluster", "3+1"], {}, lambda: True, START_S) as program:
                until(lambda: "operator.key" in program.output, START_S, "it is up")
                url = (folder / "valkey.url").read_text("utf-8")
                assert (folder / "valkey.url").stat().st_mode & 0o077 == 0
                assert url.partition("@")[0] not in program.output
                asyncio.run(_keeps(url, again=again))
        for wrong, says in (
            ([], "is in a cluster: start it with --cluster"),
            (["--cluster", "3+3"], "holds a cluster of 3+1"),
            (["--cluster", "2"], "write primaries+replicas: 3+3"),
            (["--cluster", "2+2"], "at least 3 primaries"),
            (["--cluster", "30+30"], "more than 32 nodes"),
        ):
            done = subprocess.run(  # noqa: S603 - our own command
                [*argv, *wrong], capture_output=True, text=True, check=False
            )
            assert done.returncode != 0
            assert says in done.stderr
            assert "Traceback" not in done.stderr
        done = subprocess.run(  # noqa: S603 - our own command
            [*WAITLINE, "mode", "--data-dir", str(folder)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert "Traceback" not in done.stderr


async def _keeps(url: str, *, again: bool) -> None:
    store = ValkeyClient(url, timeout_s=SOON_S)
    assert await LineMode(store).load() == "trial"
    assert await Rooms(store).ensure(ROOM, Rules()) is not again
    await store.close()
