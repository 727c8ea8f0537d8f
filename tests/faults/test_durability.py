"""What visitors are answered is on a replica or the disk by then; other stores are refused."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import NamedTuple

import pytest

from tests.replicas import SOON_S, Pair, keeps_up, running_pair
from tests.until import until_async
from waitline.admission.payment_events import DeadLetters, PaymentEvents
from waitline.kernel import events
from waitline.kernel.errors import Misconfigured
from waitline.kernel.ids import RoomId, VisitorId
from waitline.queue.model import BATCH_MAX, Again, Joined, Slot, State
from waitline.queue.rooms import Rooms
from waitline.queue.settings import Rules
from waitline.queue.store import NO_STAY, Line
from waitline.trial import ValkeyServer
from waitline.valkey.client import CALL_TIMEOUT_S, ValkeyClient
from waitline.valkey.durability import CONFIRM_MS, Durability, Unconfirmed, faults
from waitline.valkey.fitness import Fitness, refuse_unfit

# Seconds until a command has said what is wrong, on a busy machine.
START_S = 60.0

ROOM = RoomId("kept")


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with running_pair() as servers:
        yield servers


class Own(NamedTuple):
    """The line as a worker has it: joins are confirmed over a connection of their own."""

    store: ValkeyClient
    line: Line

    async def join(self, name: str) -> int:
        (found,) = await self.line.join(ROOM, [VisitorId(name)])
        assert isinstance(found, Joined | Again)
        return found.place

    async def place(self, name: str) -> int:
        """Join as often as it takes: on a busy machine a replica may be late."""
        await until_async(lambda: self._joins(name), SOON_S, "it is confirmed")
        return await self.join(name)

    async def stands(self, name: str, state: State | None) -> bool:
        """Admit the next one, and return whether a visitor is in a state; `None` if unknown."""
        await self.line.admit(ROOM, holder="", lease_ms=1, chunk_max=1)
        (found,) = await self.line.status(ROOM, [(VisitorId(name), NO_STAY)])
        return (found.state if isinstance(found, Slot) else None) == state

    async def _joins(self, name: str) -> bool:
        try:
            await self.join(name)
        except Unconfirmed:
            return False
        return True

    async def calls(self, command: str) -> int:
        stats = str(await self.store.command("INFO", "commandstats"))
        _, _, rest = stats.partition(f"cmdstat_{command}:calls=")
        return int(rest.partition(",")[0] or 0)


@asynccontextmanager
async def opened(pair: Pair, durability: Durability) -> AsyncIterator[Own]:
    store = ValkeyClient(pair.url, timeout_s=SOON_S)
    # A worker's timeout is a fifth of a second after that of the confirmation. A machine may stand
    # still for longer.
    joins = ValkeyClient(pair.url, timeout_s=SOON_S, durability=durability)
    try:
        await store.command("FLUSHALL")
        await Rooms(store).ensure(ROOM, Rules())
        await until_async(lambda: keeps_up(store), SOON_S, "the replica keeps up")
        yield Own(store, Line(store, joins))
    finally:
        await joins.close()
        await store.close()


@asynccontextmanager
async def another(pair: Pair) -> AsyncIterator[Line]:
    """Another worker, whose connection has written nothing."""
    joins = ValkeyClient(pair.url, timeout_s=SOON_S, durability="replicated")
    try:
        yield Line(joins, joins)
    finally:
        await joins.close()


@contextmanager
def stopped(server: ValkeyServer) -> Iterator[None]:
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)


def test_a_join_is_answered_once_a_replica_has_it(pair: Pair) -> None:
    async def call() -> None:
        async with opened(pair, "replicated") as own:
            assert await own.place("a") == 1
            with stopped(pair.replica):
                started_s = monotonic()
                with pytest.raises(Unconfirmed):
                    await own.join("b")
                assert monotonic() - started_s >= CONFIRM_MS / 1000
                # The place is taken, but no worker may say so before the replica has it too.
                async with another(pair) as line:
                    with pytest.raises(Unconfirmed):
                        await line.join(ROOM, [VisitorId("b")])
            assert await own.place("b") == 2

    asyncio.run(call())


def test_a_confirmation_ends_before_the_timeout_of_a_call() -> None:
    assert CONFIRM_MS / 1000 <= 0.6 * CALL_TIMEOUT_S


@pytest.mark.parametrize(
    ("verb", "before", "after"),
    [
        ("activate", State.READY, State.ACTIVE),
        ("extend", State.ACTIVE, State.ACTIVE),
        ("leave", State.ACTIVE, None),
        ("rejoin", State.READY, State.READY),
    ],
)
def test_a_turn_is_answered_once_a_replica_has_it(
    pair: Pair, verb: str, before: State, after: State | None
) -> None:
    async def call() -> None:
        async with opened(pair, "replicated") as own:
            await own.place("a")
            change, claims = getattr(own.line, verb), [(VisitorId("a"), 0)]
            await until_async(lambda: own.stands("a", State.READY), SOON_S, "it is ready")
            if before == State.ACTIVE:
                await own.line.activate(ROOM, claims)
            with stopped(pair.replica):
                with pytest.raises(Unconfirmed):
                    await change(ROOM, claims)
                # It is done, but a repeat must not say so before the replica has it too.
                assert await own.stands("a", after)
                with pytest.raises(Unconfirmed):
                    await change(ROOM, claims)

    asyncio.run(call())


def test_a_payment_counts_as_handled_once_a_replica_has_the_departure(pair: Pair) -> None:
    """In a cluster the event may be on another primary than the room."""

    async def call() -> None:
        async with opened(pair, "replicated") as own:
            await own.place("a")
            reader, letters = PaymentEvents(own.store, own.line, name="one"), DeadLetters(own.store)
            await reader.prepare()
            paid = ("topic", events.PAYMENT_COMPLETED, "concertId", ROOM, "userId", "a", "ageMs", 0)
            await own.store.command("XADD", events.STREAM, "*", *paid)
            with stopped(pair.replica):
                with pytest.raises(Unconfirmed):
                    await reader.read_batch(0.001)
                # It is done, but another reader must not say so before the replica has it too.
                assert await own.stands("a", None)
                with pytest.raises(Unconfirmed):
                    await reader.take_over(0)
                assert (await letters.backlog()).unhandled == 1

            async def handled() -> bool:
                with suppress(Unconfirmed):
                    await reader.take_over(0)
                return (await letters.backlog()).unhandled == 0

            await until_async(handled, SOON_S, "the event is handled")

    asyncio.run(call())


def test_polls_do_not_wait_for_the_replica(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    # The join waits for as long as the polls take.
    monkeypatch.setattr("waitline.valkey.client.CONFIRMATIONS", {"replicated": ("WAIT", 1, 0)})

    async def call() -> None:
        async with opened(pair, "replicated") as own:
            await own.place("a")

            async def waits() -> bool:
                return "blocked_clients:1" in str(await own.store.command("INFO", "clients"))

            with stopped(pair.replica):
                joining = asyncio.create_task(own.join("b"))
                await until_async(waits, SOON_S, "the join waits for the replica")
                for _ in range(10):
                    await own.line.status(ROOM, [(VisitorId("a"), 0)])
                assert not joining.done()
            assert await joining == 2

    asyncio.run(call())


@pytest.mark.parametrize(
    ("durability", "waits"),
    [("memory", {}), ("disk", {"waitaof": 1}), ("replicated", {"wait": 1})],
)
def test_a_batch_waits_once(pair: Pair, durability: Durability, waits: dict[str, int]) -> None:
    async def call() -> None:
        async with opened(pair, durability) as own:
            await own.store.command("CONFIG", "SET", "appendfsync", "always")
            await own.place("first")
            await own.store.command("CONFIG", "RESETSTAT")
            names = [VisitorId(f"v{number}") for number in range(BATCH_MAX)]
            assert len(await own.line.join(ROOM, names)) == BATCH_MAX
            for command in ("wait", "waitaof", "set"):
                expected = bool(waits) if command == "set" else waits.get(command, 0)
                assert await own.calls(command) == expected, command
            await own.store.command("CONFIG", "SET", "appendfsync", "no")

    asyncio.run(call())


def test_a_join_is_answered_once_the_disk_has_it(pair: Pair) -> None:
    async def call() -> None:
        async with opened(pair, "disk") as own:
            await own.store.command("CONFIG", "SET", "appendfsync", "always")
            assert await own.place("a") == 1
            # The server no longer forces its file to the disk, so nothing confirms it.
            await own.store.command("CONFIG", "SET", "appendfsync", "no")
            with pytest.raises(Unconfirmed):
                await own.join("b")
            await own.store.command("CONFIG", "SET", "appendfsync", "always")
            assert await own.place("b") == 2
            await own.store.command("CONFIG", "SET", "appendfsync", "no")

    asyncio.run(call())


async def is_alone(store: ValkeyClient) -> bool:
    """Return whether a primary knows that it has no replica."""
    return "connected_slaves:0" in str(await store.command("INFO", "replication"))


def test_readiness_says_that_joins_are_not_confirmed(pair: Pair) -> None:
    async def call() -> None:
        store = ValkeyClient(pair.url, timeout_s=SOON_S)
        await until_async(lambda: keeps_up(store), SOON_S, "the replica keeps up")
        fitness, disk = Fitness(store, "replicated"), Fitness(store, "disk")
        assert await fitness.probe() == ""
        assert "appendfsync is no: set it to always" in await disk.probe()
        await pair.promote()
        try:
            await until_async(lambda: is_alone(store), SOON_S, "it notices")
            await fitness.check()
            assert "has no replica that keeps up" in await fitness.probe()
        finally:
            await pair.demote()
        await fitness.check()
        assert await fitness.probe() == ""
        await store.close()

    asyncio.run(call())


GOOD = {"aof_enabled": "1", "redis_version": "7.2.4"}


@pytest.mark.parametrize(
    ("info", "durability", "appendfsync", "fault"),
    [
        pytest.param({}, "memory", None, "", id="memory"),
        pytest.param(GOOD, "disk", "always", "", id="disk"),
        pytest.param(GOOD, "disk", None, "", id="disk, and settings cannot be read"),
        pytest.param(GOOD, "disk", "everysec", "appendfsync is everysec: set it", id="everysec"),
        pytest.param({"aof_enabled": "0"}, "disk", "always", "appendonly to yes", id="no file"),
        pytest.param({"redis_version": "7.0.15"}, "disk", "always", "Redis 7.2", id="old"),
        pytest.param({}, "replicated", None, "has no replica", id="no replica"),
        pytest.param(
            {"slave0": "ip=::1,port=1,state=online,offset=1,lag=0"}, "replicated", None, "",
            id="a replica",
        ),
        pytest.param(
            {"slave0": "ip=::1,port=1,state=wait_bgsave,offset=0,lag=0"}, "replicated", None,
            "has no replica", id="a replica that loads",
        ),
        pytest.param(
            {"slave0": "ip=::1,port=1,state=online,offset=1,lag=6"}, "replicated", None,
            "has no replica", id="a replica that is late",
        ),
    ],
)  # fmt: skip
def test_why_a_store_cannot_confirm(
    info: dict[str, str], durability: Durability, appendfsync: str | None, fault: str
) -> None:
    found = faults(info, durability, appendfsync)
    assert len(found) == bool(fault)
    assert fault in "".join(found)
    assert "\n" not in "".join(found)


def test_a_store_without_a_file_is_refused_for_disk(pair: Pair) -> None:
    async def call(value: str) -> None:
        store = ValkeyClient(pair.url)
        await store.command("CONFIG", "SET", "appendonly", value)
        await store.close()

    asyncio.run(call("no"))
    try:
        with pytest.raises(Misconfigured, match="DURABILITY=disk: the store keeps no append-only"):
            asyncio.run(refuse_unfit(pair.url, "disk", production=False))
        # The replica has what a restart loses.
        asyncio.run(pair.demote())
        asyncio.run(refuse_unfit(pair.url, "replicated"))
        asyncio.run(refuse_unfit(pair.url))
    finally:
        asyncio.run(call("yes"))


@pytest.mark.parametrize(
    ("command", "durability", "says"),
    [
        (["queue", "--mode", "trial"], "disk", "appendfsync is no: set it to always"),
        (["admitter"], "disk", "appendfsync is no: set it to always"),
        (["up", "--no-box-office"], "disk", "WAITLINE_SYNC=write"),
        (["up", "--no-box-office"], "replicated", "--cluster 3+3"),
        (["up", "--no-box-office", "--cluster", "3+1"], "replicated", "--cluster 3+3"),
        (["queue"], "twice", "WAITLINE_DURABILITY: Input should be"),
    ],
)
def test_a_store_that_cannot_confirm_stops_the_start(  # noqa: PLR0917 - fixtures and the table
    pair: Pair,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: list[str],
    durability: str,
    says: str,
) -> None:
    monkeypatch.setenv("WAITLINE_DURABILITY", durability)
    own = [] if command[0] == "up" else ["--valkey-url", pair.url]
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "waitline", *command, *own, "--data-dir", str(tmp_path / "data")],
        capture_output=True,
        text=True,
        check=False,
        timeout=START_S,
    )
    assert done.returncode == 2
    assert says in " ".join(done.stderr.split())
    assert "WAITLINE_DURABILITY" in done.stderr
    assert done.stderr.count("waitline:") == 1
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("data/valkey*"))
