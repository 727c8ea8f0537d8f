"""Q7: an acknowledged join survives the death of any one process, under load."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults.crowd import Crowd, assert_answers, assert_kept
from tests.faults.stack import (
    SOON_S,
    START_S,
    WAITLINE,
    Stack,
    children,
    family,
    gone,
    is_ready,
    kill,
    runs,
    snapshot,
    sockets,
    up,
)
from tests.processes import halted, started
from tests.until import until, until_async
from waitline.http.server import FINISH_S
from waitline.kernel.ids import RoomId, VisitorId
from waitline.queue.audit import examine
from waitline.queue.limits import Limits
from waitline.queue.model import BATCH_MAX, State
from waitline.queue.rooms import Rooms
from waitline.queue.settings import Rules
from waitline.queue.store import Line
from waitline.trial import ValkeyServer
from waitline.trial.machine import free_port
from waitline.valkey.client import ValkeyClient as Store

# Visitors who arrive before a process dies, and after it is back.
ARRIVALS = 500

# Slow enough that most still wait when a process dies, and fast enough that hundreds do not.
ADMIT_PER_S = 300

# In one room, before and after a process has died: however slow the machine, many wait in the end.
SLOTS, MORE_SLOTS = ARRIVALS, ARRIVALS + ARRIVALS // 2


async def load(stack: Stack, room: RoomId, fault: Callable[[], object]) -> Crowd:
    """Let a fault happen in the middle of joins and admissions."""
    async with Crowd(stack.port, room).arriving() as crowd:
        await crowd.grows(ARRIVALS, SOON_S)
        await until_async(lambda: len(crowd.activated) > 20, SOON_S, "admissions have begun")
        await asyncio.to_thread(fault)
        await crowd.grows(ARRIVALS, 2 * SOON_S)
        before = len(crowd.activated)
        await asyncio.to_thread(stack.change, room, activeMax=MORE_SLOTS)
        await until_async(lambda: len(crowd.activated) > before, SOON_S, "admissions go on")
    return crowd


def assert_whole(stack: Stack, crowd: Crowd) -> None:
    """Compare the room with the answers that its visitors got, in the store and over HTTP."""
    stack.change(crowd.room, mode="paused")
    seen = snapshot(stack.url, crowd.room)
    assert_kept(crowd, seen)
    assert len(seen.waiting) > ARRIVALS // 4, "too few waited for this to prove much"
    asyncio.run(assert_answers(crowd, seen))
    assert stack.audited(crowd.room) == []
    assert not crowd.unknown
    assert not crowd.halves


@pytest.mark.parametrize("part", ["worker", "queue", "admitter", "valkey"])
def test_an_acknowledged_visitor_survives_a_killed(part: str, stack: Stack) -> None:
    room = stack.room(part, admitPerSecond=ADMIT_PER_S, admitBurst=20, activeMax=SLOTS)
    killed: list[int] = []

    def fault() -> None:
        # Not just any worker: one that visitors are talking to.
        busiest = max(stack.workers, key=sockets)
        killed.append(busiest if part == "worker" else getattr(stack, part))
        kill(killed[0])

    crowd = asyncio.run(load(stack, room, fault))

    assert not runs(killed[0])
    assert bool(crowd.turned_away) == (part != "admitter"), crowd.turned_away
    # Longest for the queue service, which is started anew as everything was at first: about 2 s on
    # an idle machine.
    assert crowd.silence_s < START_S
    until(lambda: stack.whole() and len(stack.workers) == 2, START_S, "all is there again")
    assert_whole(stack, crowd)


def test_without_its_file_the_store_loses_acknowledged_visitors(folder: Path) -> None:
    """The control of the above: the same load and check, with the append-only file off."""
    valkey = ValkeyServer(folder / "store", args=("appendonly no",))
    valkey.start()

    def crash() -> None:
        valkey.kill()
        valkey.start()

    try:
        with up(folder / "data", workers=1, valkey_url=valkey.url) as stack:
            room = stack.room("control", admitPerSecond=ADMIT_PER_S, activeMax=SLOTS)
            crowd = asyncio.run(load(stack, room, crash))
            with pytest.raises(AssertionError, match="acknowledged visitors are lost"):
                assert_kept(crowd, snapshot(stack.url, room))
    finally:
        valkey.stop()


def test_the_checks_notice_what_a_crash_could_do(stack: Stack) -> None:
    """The control of the above for what no crash is known to do: each damage is done by hand."""
    room = stack.room("damage", admitPerSecond=ADMIT_PER_S, activeMax=SLOTS)
    crowd = asyncio.run(load(stack, room, lambda: None))
    stack.change(room, mode="paused")
    seen = snapshot(stack.url, room)
    assert_kept(crowd, seen)
    first, second = sorted(seen.waiting, key=lambda visitor: seen.waiting[visitor])[:2]
    inside = next(iter(seen.slots))

    def waiting(**places: int) -> dict[VisitorId, int]:
        return dict(seen.waiting) | {VisitorId(name): place for name, place in places.items()}

    swapped = waiting(**{first: seen.waiting[second], second: seen.waiting[first]})
    twice = dict(seen.fields) | {"admitted": str(seen.number("admitted") + 1)}
    active = VisitorId(next(iter(crowd.activated)))
    back = dict(seen.slots) | {active: seen.slots[active]._replace(state=State.READY)}
    for damage, words in (
        (replace(seen, waiting={k: v for k, v in seen.waiting.items() if k != first}), "are lost"),
        (replace(seen, waiting=swapped), "another place than acknowledged"),
        (replace(seen, waiting=waiting(**{inside: 1})), "invariant='Q6'"),
        (replace(seen, fields=twice), "admitted twice"),
        (replace(seen, slots=back), "activation is lost"),
    ):
        with pytest.raises(AssertionError, match=words):
            assert_kept(crowd, damage)

    late = crowd.entries[first]
    crowd.entries[first] = replace(late, asked_s=crowd.entries[second].answered_s + 1)
    with pytest.raises(AssertionError, match="given after a higher one"):
        assert_kept(crowd, seen)


def test_of_two_admitters_one_takes_over_when_the_other_has_died(folder: Path) -> None:
    """How soon, `store/test_sharing.py` counts."""
    valkey = ValkeyServer(folder / "store")
    valkey.start()
    room = RoomId("leased")
    # More than the admitters can let in while this runs.
    crowd = 4_000
    limits = Limits(admit_per_s=ADMIT_PER_S, admit_burst=20)

    async def prepare() -> None:
        store = Store(valkey.url)
        assert await Rooms(store).ensure(room, Rules(limits=limits))
        for first in range(0, crowd, BATCH_MAX):
            names = [VisitorId(f"v{number}") for number in range(first, first + BATCH_MAX)]
            await Line(store).join(room, names)
        await store.close()

    def admitted() -> int:
        return snapshot(valkey.url, room).number("admitted")

    argv = [*WAITLINE, "admitter", "--valkey-url", valkey.url, "--data-dir", str(folder / "data")]
    try:
        asyncio.run(prepare())
        with ExitStack() as programs:
            pair = {
                programs.enter_context(started(argv, {}, lambda: True, START_S)).pid
                for _ in range(2)
            }
            until(lambda: listed(valkey.url) == len(pair), START_S, "both are there")
            dead = lease_holder(valkey.url, room)
            assert dead in pair
            kill(dead)
            until(lambda: not runs(dead), SOON_S, "it is dead")
            before = admitted()
            # The other looks again when the lease has run out.
            until(lambda: admitted() > before, SOON_S, "the other takes over")
            assert {lease_holder(valkey.url, room)} == pair - {dead}
            seen = snapshot(valkey.url, room)
            assert seen.number("admitted") == len(seen.slots)
            assert len(seen.slots) + len(seen.waiting) == seen.number("entered")
            assert examine(seen) == []
    finally:
        valkey.stop()


def test_of_two_admitters_the_one_that_hangs_is_replaced_and_comes_back(stack: Stack) -> None:
    """Under load, and it does no harm when it continues."""
    # Slow, so that there are slots for as long as this takes.
    room = stack.room("hung", admitPerSecond=50, activeMax=10 * SLOTS)
    where = ("--valkey-url", stack.url, "--data-dir", str(stack.data_dir))

    def admitted() -> int:
        return snapshot(stack.url, room).number("admitted")

    def fault() -> None:
        hung = lease_holder(stack.url, room)
        with halted([hung]):
            until(lambda: lease_holder(stack.url, room) != hung, SOON_S, "the other does it")
            before = admitted()
            until(lambda: admitted() > before, SOON_S, "it admits")
            # Its lease may end before its place in the list.
            until(lambda: listed(stack.url) == 1, SOON_S, "the hung one is not listed")
        until(lambda: listed(stack.url) == 2, SOON_S, "both are there again")

    with started([*WAITLINE, "admitter", *where], {}, lambda: True, START_S):
        until(lambda: listed(stack.url) == 2, START_S, "both are there")
        crowd = asyncio.run(load(stack, room, fault))
        assert crowd.turned_away.keys() <= {503}
        assert_whole(stack, crowd)


def lease_holder(url: str, room: RoomId) -> int:
    """Return the process id of the admitter that holds a room's lease; 0 if there is none."""
    return int(snapshot(url, room).fields.get("lease_holder", ":0:").split(":")[-2])


def listed(url: str) -> int:
    """Return how many admitters have sent a heartbeat lately."""

    async def counted() -> int:
        store = Store(url)
        try:
            return await Rooms(store).admitters.count()
        finally:
            await store.close()

    return asyncio.run(counted())


def test_the_line_is_the_same_after_a_restart_of_everything(folder: Path) -> None:
    port = free_port()
    with up(folder, port=port) as stack:
        room = stack.room("again", admitPerSecond=ADMIT_PER_S, activeMax=SLOTS)
        crowd = asyncio.run(load(stack, room, lambda: None))
        stack.change(room, mode="paused")
        before = snapshot(stack.url, room)
        # Its processes end by themselves once their supervisor is gone. A new start need not wait
        # for that.
        killed = services(stack)
        kill(stack.program.pid)

    with up(folder, port=port) as stack:
        after = snapshot(stack.url, room)
        assert after.waiting == before.waiting
        assert after.slots == before.slots
        assert_kept(crowd, after)
        asyncio.run(assert_answers(crowd, after))
        assert stack.audited(room) == []
        gone(killed, FINISH_S + SOON_S, "all that was left has ended")
        stopped = services(stack)
        os.kill(stack.program.pid, signal.SIGTERM)
        gone(stopped, FINISH_S + SOON_S, "every process has ended")

    valkey = ValkeyServer(folder / "valkey")
    valkey.start()
    try:
        assert snapshot(valkey.url, room).waiting == before.waiting
    finally:
        valkey.stop()


def services(stack: Stack) -> list[int]:
    """Return every process but the store: one that outlives the others is stopped by the next."""
    found = [pid for pid in family(stack.program.pid) if pid != stack.valkey]
    assert len(found) >= 3
    return found


@pytest.mark.long
def test_a_port_that_is_taken_is_said_in_one_line(stack: Stack, folder: Path) -> None:
    ports = ("--queue-port", str(stack.port), "--booking-port", str(free_port()))
    argv = [*WAITLINE, "up", *ports, "--data-dir", str(folder)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=START_S)  # noqa: S603 - our own command
    assert done.returncode == 1
    assert done.stderr == (
        f"waitline: cannot listen on 127.0.0.1, port {stack.port}: Address already in use; "
        "--queue-port chooses another\n"
    )
    assert "Waitline is up" not in done.stdout
    assert stack.whole()


def test_a_hung_worker_is_replaced(stack: Stack) -> None:
    hung = stack.workers[0]
    os.kill(hung, signal.SIGSTOP)
    until(lambda: not runs(hung), 2 * SOON_S, "the hung worker is ended")
    until(lambda: len(stack.workers) == 2 and is_ready(stack.port), SOON_S, "another one answers")


def test_workers_end_with_the_process_that_listens_for_them(folder: Path) -> None:
    """As `waitline queue` is run in production, with nobody to look after it."""
    valkey = ValkeyServer(folder / "store")
    valkey.start()
    port = free_port()
    options = ("--queue-port", str(port), "--workers", "2", "--mode", "trial")
    where = ("--valkey-url", valkey.url, "--data-dir", str(folder / "data"))
    argv = [*WAITLINE, "queue", *options, *where]
    try:
        with started(argv, {}, lambda: is_ready(port), START_S) as first:
            workers = children(first.pid)
            kill(first.pid)
            gone(workers, FINISH_S + SOON_S, "the workers have ended")
            with socket.socket() as listener:
                # As whatever is started in its place would do it.
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind(("127.0.0.1", port))
    finally:
        valkey.stop()


assert sys.platform == "linux", "these tests look at processes through /proc"
