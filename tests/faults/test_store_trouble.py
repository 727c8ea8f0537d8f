"""A store that is silent, gone, full, slow or has lost data: clear answers in time, never a wrong
one, and recovery without help once the store is back.
"""

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic

import pytest
import redis

from tests.faults.crowd import (
    Crowd,
    Reply,
    Request,
    assert_answers,
    assert_kept,
    assert_unavailable,
    at_once,
    enter,
    named,
    one,
    place_of,
)
from tests.faults.stack import (
    SOON_S,
    START_S,
    Stack,
    is_ready,
    snapshot,
    up,
)
from tests.processes import started
from tests.until import until, until_async
from waitline.http.health import PROBE_KEPT_S
from waitline.kernel.batching import Overloaded
from waitline.kernel.errors import Unavailable
from waitline.kernel.ids import RoomId, VisitorId
from waitline.kernel.utilisation import Utilisation
from waitline.queue.audit import examine
from waitline.queue.batches import LIMITS, line_batcher
from waitline.queue.rooms import Rooms
from waitline.queue.settings import Rules
from waitline.queue.store import Line
from waitline.trial import ValkeyServer
from waitline.trial.machine import free_port
from waitline.valkey.client import ValkeyClient as Store

# A silent store never answers, so an answer by then came from a deadline. The sum of the
# deadlines, a second, is checked in tests/unit; a shared machine may stall for longer than that.
ANSWERED_S = 6.0

AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Ailing:
    """A stack on a store that the test can hurt."""

    stack: Stack
    valkey: ValkeyServer
    db: redis.Redis

    def silence(self) -> None:
        os.kill(self.valkey.pid, signal.SIGSTOP)

    def wake(self) -> None:
        os.kill(self.valkey.pid, signal.SIGCONT)

    def tell(self, *words: str | int) -> object:
        answer: object = self.db.execute_command(*words)  # type: ignore[no-untyped-call]  # redis-py
        return answer


@pytest.fixture(scope="module")
def ailing() -> Iterator[Ailing]:
    """One worker on a store that is reached as one elsewhere would be: over TCP, by password."""
    port = free_port()
    args = (f"port {port}", "bind 127.0.0.1", "user waitline on >secret ~* &* +@all")
    with tempfile.TemporaryDirectory(prefix="wl-") as name:
        valkey = ValkeyServer(Path(name) / "store", args=args)
        valkey.start()
        try:
            url = f"redis://waitline:secret@127.0.0.1:{port}"
            with (
                up(Path(name) / "data", workers=1, valkey_url=url) as stack,
                redis.Redis.from_url(valkey.url, decode_responses=True) as db,
            ):
                yield Ailing(stack, valkey, db)
        finally:
            if valkey.alive:
                os.kill(valkey.pid, signal.SIGCONT)
            valkey.stop()


TROUBLES: dict[str, tuple[Callable[[Ailing], object], Callable[[Ailing], object]]] = {
    "silent": (Ailing.silence, Ailing.wake),
    "gone": (lambda ailing: ailing.valkey.kill(), lambda ailing: ailing.valkey.start()),
}


def calls(room: RoomId, visitor: str) -> list[Request]:
    """Return every hot call that needs the store, and some of the others."""
    body = {"concertId": room, "userId": visitor}
    return [
        enter(room, visitor),
        ("POST", "/api/v1/queue/extend", body),
        ("POST", "/api/v1/queue/validate", body),
        named("GET", "status", room, visitor),
        named("POST", "activate", room, visitor),
        named("DELETE", "remove", room, visitor),
        named("DELETE", "token", room, visitor),
        named("GET", "subscribe", room, visitor),
    ]


@pytest.mark.parametrize("trouble", TROUBLES)
def test_everybody_hears_within_a_second_that_the_store_does_not_answer(
    trouble: str, ailing: Ailing
) -> None:
    hurt, mend = TROUBLES[trouble]
    stack = ailing.stack
    room = stack.room(trouble, mode="paused")
    names = [f"v{number}" for number in range(20)]
    before = asyncio.run(at_once(stack.port, [enter(room, name) for name in names]))
    places = [place_of(reply.json["data"]["token"]) for reply in before]

    hurt(ailing)
    try:
        # More than once: the first find a connection that was good, the later ones none.
        for attempt in range(3):
            asked = [call for number in range(7) for call in calls(room, f"{attempt}-{number}")]
            assert len(asked) >= AT_ONCE
            for request, reply in zip(asked, asyncio.run(at_once(stack.port, asked)), strict=True):
                assert_unavailable(reply)
                assert reply.seconds < ANSWERED_S, request
        # What a probe has found serves for a moment, and all of this may have taken less.
        kept_s = PROBE_KEPT_S + ANSWERED_S
        until(lambda: not is_ready(stack.port), kept_s, "it says that it is not ready")
        assert_health(stack.port, up=False)
    finally:
        mend(ailing)

    until(lambda: is_ready(stack.port), SOON_S, "it is ready again")
    assert_health(stack.port, up=True)
    # What was answered is as it was, and the same visitors get the same answers.
    for again in (enter, lambda room, name: named("GET", "status", room, name)):
        replies = asyncio.run(at_once(stack.port, [again(room, name) for name in names]))
        assert [place_of(reply.json["data"]["token"]) for reply in replies] == places
    assert examine(snapshot(stack.url, room)) == []


def assert_health(port: int, *, up: bool) -> None:
    paths = ["/actuator/health/liveness", "/actuator/health/readiness", "/api/v1/health"]
    asked: list[Request] = [("GET", path, None) for path in paths]
    live, ready, health = replies = asyncio.run(at_once(port, asked))
    assert live.status == 200
    assert ready.status == (200 if up else 503)
    assert ready.json["status"] == ("UP" if up else "DOWN")
    assert health.status == 200
    assert health.json["data"]["redis"] == ("UP" if up else "DOWN")
    assert max(reply.seconds for reply in replies) < ANSWERED_S


def test_a_store_that_falls_silent_under_load_loses_nobody(ailing: Ailing) -> None:
    stack = ailing.stack
    room = stack.room("lapse", admitPerSecond=200)

    async def load() -> Crowd:
        async with Crowd(stack.port, room).arriving() as crowd:
            await crowd.grows(300, SOON_S)
            ailing.silence()
            try:
                refused = crowd.turned_away[503]
                await until_async(lambda: crowd.turned_away[503] > refused + 12, SOON_S, "refusals")
            finally:
                ailing.wake()
            await crowd.grows(300, SOON_S)
        return crowd

    crowd = asyncio.run(load())
    # Also those that have a place and wait for an estimate only.
    assert crowd.slowest_s < ANSWERED_S
    assert_right(crowd, stack)


def assert_right(crowd: Crowd, stack: Stack) -> None:
    """Compare the room with the answers that its visitors got."""
    stack.change(crowd.room, mode="paused")
    seen = snapshot(stack.url, crowd.room)
    assert_kept(crowd, seen)
    asyncio.run(assert_answers(crowd, seen))
    assert not crowd.unknown
    assert not crowd.halves


def test_a_full_store_refuses_newcomers_and_nobody_else(ailing: Ailing) -> None:
    stack = ailing.stack
    room = stack.room("full", activeMax=5, admitPerSecond=100, admitBurst=5)
    names = [f"v{number}" for number in range(12)]
    for name in names:
        assert one(stack.port, enter(room, name)).status == 201

    def ask(request: Request) -> Reply:
        return one(stack.port, request)

    def status(name: str) -> str:
        reply = ask(named("GET", "status", room, name))
        assert reply.status == 200
        return str(reply.json["data"]["status"])

    until(lambda: status(names[4]) == "READY", SOON_S, "the first five are admitted")
    limit = ailing.tell("CONFIG", "GET", "maxmemory")
    assert isinstance(limit, dict)
    ailing.tell("CONFIG", "SET", "maxmemory", "1")
    try:
        assert_unavailable(ask(enter(room, "newcomer")))
        assert_health(stack.port, up=True)
        assert status(names[-1]) == "WAITING"
        assert ask(enter(room, names[-1])).status == 201
        assert ask(named("POST", "activate", room, names[1])).status == 200
        extend = ("POST", "/api/v1/queue/extend", {"concertId": room, "userId": names[1]})
        assert ask(extend).json["data"]["extendCount"] == 1
        # Both from the line and from inside; the slot goes to the next in line.
        assert ask(named("DELETE", "remove", room, names[6])).status == 200
        assert ask(named("DELETE", "remove", room, names[0])).status == 200
        until(lambda: status(names[5]) == "READY", SOON_S, "the next is admitted")
        assert_unavailable(ask(enter(room, names[0])))
    finally:
        ailing.tell("CONFIG", "SET", "maxmemory", limit["maxmemory"])

    reply = ask(enter(room, "newcomer"))
    assert reply.status == 201
    assert reply.json["data"]["isNewEntry"] is True
    # The refused joins used no place up.
    assert place_of(reply.json["data"]["token"]) == len(names) + 1
    assert examine(snapshot(stack.url, room)) == []


def test_a_slow_store_makes_answers_late_and_never_wrong(ailing: Ailing) -> None:
    stack = ailing.stack
    room = stack.room("slow", admitPerSecond=200)

    async def load() -> Crowd:
        async with Crowd(stack.port, room, callers=20).arriving() as crowd:
            for _ in range(4):
                await crowd.grows(100, SOON_S)
                ailing.tell("CLIENT", "PAUSE", 300, "ALL")
            await crowd.grows(100, SOON_S)
        return crowd

    crowd = asyncio.run(load())
    assert 0.25 < crowd.slowest_s < ANSWERED_S
    assert_right(crowd, stack)


def test_a_store_that_forgets_its_scripts_fails_no_request(ailing: Ailing) -> None:
    """As after a failover: the new primary has the data and none of the scripts."""
    stack = ailing.stack
    room = stack.room("forgetful", admitPerSecond=200)

    async def load() -> Crowd:
        async with Crowd(stack.port, room, callers=20).arriving() as crowd:
            for _ in range(20):
                await crowd.grows(40, SOON_S)
                ailing.tell("SCRIPT", "FLUSH")
        return crowd

    crowd = asyncio.run(load())
    assert not crowd.turned_away
    assert_right(crowd, stack)


def test_a_room_that_is_broken_stops_no_other(ailing: Ailing) -> None:
    """The damage is done by hand: no call of ours leaves a key of the wrong type behind."""
    stack = ailing.stack
    # So slow that the first is not admitted before the damage is done.
    broken, sound = stack.room("broken", admitPerSecond=0.01), stack.room("sound", mode="paused")
    for room in (broken, sound):
        assert one(stack.port, enter(room, "a")).status == 201
    processes = stack.queue, stack.admitter
    ailing.tell("DEL", "wl:{broken}:waiting")
    ailing.tell("SET", "wl:{broken}:waiting", "not a line")
    stack.change(sound, mode="open")

    def ready() -> bool:
        asked = [named("GET", "status", room, "a") for room in (broken, sound)]
        bad, good = asyncio.run(at_once(stack.port, asked))
        assert bad.status == 500
        return bool(good.json["data"]["status"] == "READY")

    until(ready, SOON_S, "the other room admits")
    assert (stack.queue, stack.admitter) == processes
    ailing.tell("SREM", "wl:rooms", "broken")


@pytest.mark.parametrize("path", ["/api/v1/queue/enter", "/api/v1/queue/validate", "/api/v1/rooms"])
def test_a_body_that_no_call_needs_is_refused(path: str, ailing: Ailing) -> None:
    body = {"concertId": "big", "userId": "x" * 4096}
    reply = one(ailing.stack.port, ("POST", path, body))
    assert reply.status == 413
    assert reply.json["code"] == "C001"


def test_more_requests_than_can_wait_are_refused_at_once(ailing: Ailing) -> None:
    room = RoomId("crowded")

    async def overload() -> None:
        store = Store(ailing.stack.url)
        line = Line(store)
        await Rooms(store).ensure(room, Rules())
        batcher = line_batcher("join", line.join, Utilisation())
        async with asyncio.TaskGroup() as group:
            running = group.create_task(batcher.run())
            ailing.silence()
            try:
                started = monotonic()
                asked = [
                    batcher.enqueue(room, VisitorId(f"v{i}")) for i in range(LIMITS.pending_max)
                ]
                with pytest.raises(Overloaded):
                    await batcher.enqueue(room, VisitorId("one more"))
                outcomes = await asyncio.gather(*asked, return_exceptions=True)
                assert monotonic() - started < ANSWERED_S
                assert all(isinstance(outcome, Unavailable) for outcome in outcomes)
            finally:
                ailing.wake()
            assert await answered(lambda: batcher.enqueue(room, VisitorId("later"))) is not None
            running.cancel()
        await store.close()

    asyncio.run(overload())
    assert examine(snapshot(ailing.stack.url, room)) == []
    until(lambda: ailing.stack.changes(room), SOON_S, "the service reaches the store again")


async def answered(ask: Callable[[], Awaitable[object]]) -> object:
    """Ask until there is an answer."""
    async with asyncio.timeout(SOON_S):
        while True:
            with suppress(Unavailable):
                return await ask()


# The command line with a clock that is wrong by as many ms as its first argument says.
SKEWED = """
import sys
from waitline.kernel import clock
true_ms, off_ms = clock.SystemClock.now_ms, int(sys.argv.pop(1))
clock.SystemClock.now_ms = lambda self: true_ms(self) + off_ms
from waitline.cli import main
main()
"""


def test_no_clock_but_the_stores_decides_anything(ailing: Ailing) -> None:
    """Two instances whose clocks are two days apart serve the same visitors alike.

    Places, times of joining and expiry are made in the scripts, from the store's clock; tokens
    carry those, and a token's time is never compared with an instance's own.
    """
    day_ms = 86_400_000
    data_dir = ailing.stack.data_dir
    where = ("--valkey-url", ailing.stack.url, "--data-dir", str(data_dir), "--mode", "trial")
    room = ailing.stack.room("skewed", readySeconds=60, admitBurst=1)
    ports = [free_port(), free_port()]
    with ExitStack() as programs:
        for port, off_ms in zip(ports, (-day_ms, day_ms), strict=True):
            options = ("--queue-port", str(port), "--workers", "1", *where)
            argv = [sys.executable, "-c", SKEWED, str(off_ms), "queue", *options]
            programs.enter_context(started(argv, {}, partial(is_ready, port), START_S))

        def ask(port: int, request: Request) -> dict[str, object]:
            reply = one(port, request)
            assert reply.status in {200, 201}, reply
            data: dict[str, object] = reply.json["data"] or {}
            return data

        def status(port: int) -> dict[str, object]:
            return ask(port, named("GET", "status", room, "v1"))

        slow, fast = ports
        for number, port in enumerate((slow, fast, slow, fast), 1):
            assert place_of(str(ask(port, enter(room, f"v{number}"))["token"])) == number
        until(lambda: status(slow)["status"] == "READY", SOON_S, "the first is admitted")
        assert status(fast)["status"] == "READY"
        assert ask(fast, named("POST", "activate", room, "v1"))["status"] == "ACTIVE"
        assert status(slow)["expiredAt"] == status(fast)["expiredAt"]
        for maker, checker in ((slow, fast), (fast, slow)):
            shown = {"concertId": room, "userId": "v1", "token": status(maker)["token"]}
            ask(checker, ("POST", "/api/v1/queue/validate", shown))
    assert examine(snapshot(ailing.stack.url, room)) == []
