"""Every script of the queue with every fault of the wire: never a bug, and sound afterwards."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import pytest

from tests.faults.resp import wire_to
from tests.faults.wire import OF_NETWORKS, SILENT, Fault, Nth, Request, Wire
from tests.servers import Server
from tests.until import until_async
from waitline.kernel import backoff
from waitline.kernel.errors import Refused, Unavailable
from waitline.kernel.ids import RoomId, VisitorId
from waitline.queue import audit, listening, rooms, store
from waitline.queue.decision import Decision, Memory, Reason, ShopReport
from waitline.queue.listening import Listening
from waitline.queue.model import Again, Joined, Slot
from waitline.queue.rooms import Rooms
from waitline.queue.settings import Rules
from waitline.queue.store import Line
from waitline.valkey.client import ValkeyClient
from waitline.valkey.scripts import Script

SOON_S = 20.0

ROOM, OTHER = RoomId("room"), RoomId("other")

SCRIPTS = sorted(
    value.name
    for module in (store, rooms, listening)
    for value in vars(module).values()
    if isinstance(value, Script)
)

# Errors that a server may send in place of any reply, whether it has carried out the script or not.
ERRORS = [
    "OOM command not allowed",
    "READONLY You can't write against a read only replica.",
    "LOADING loading the dataset",
    "MISCONF cannot persist",
    "NOREPLICAS not enough",
    "ERR max number of clients reached",
    "ERR unknown command 'EVALSHA'",
    "NOSCRIPT No matching script.",
    "NOPERM no permissions",
    "MOVED 1 127.0.0.1:1",
]

FAULTS = [
    *OF_NETWORKS,
    *(Fault(f"{line[:9]}, undone", carried_out=False, says=line) for line in ERRORS),
    *(Fault(f"{line[:9]}, done", says=line) for line in ERRORS),
]


class Calls:
    """One call for each script, and what the calls were answered."""

    def __init__(self, client: ValkeyClient) -> None:
        self.client = client
        self.line, self.rooms = Line(client), Rooms(client)
        self.places: dict[str, int] = {}
        self._number = 0

    async def join(self) -> object:
        self._number += 1
        name = f"v{self._number}"
        (outcome,) = await self.line.join(ROOM, [VisitorId(name)])
        assert isinstance(outcome, Joined | Again | Unavailable), outcome
        if not isinstance(outcome, Unavailable):
            self.places[name] = outcome.place
        return outcome

    def of(self, script: str) -> Callable[[], Awaitable[object]]:
        somebody, claim = [VisitorId("v1")], [(VisitorId("nobody"), 1)]
        decision = Decision(
            Reason.FULL,
            1.0,
            None,
            0.0,
            ShopReport(1, 0, 0.0, 1),
            Memory(1.0, 0.0, 0.0, 0.0, 0, 0, 0),
        )
        calls: dict[str, Callable[[], Awaitable[object]]] = {
            "join": self.join,
            "status": lambda: self.line.status(ROOM, [(somebody[0], 0)]),
            "rejoin": lambda: self.line.rejoin(ROOM, claim),
            "validate": lambda: self.line.validate(ROOM, somebody),
            "activate": lambda: self.line.activate(ROOM, claim),
            "extend": lambda: self.line.extend(ROOM, claim),
            "leave": lambda: self.line.leave(ROOM, claim),
            "admit": lambda: self.line.admit(ROOM, holder="h", lease_ms=1000, chunk_max=10),
            "sweep": lambda: self.line.sweep(ROOM, chunk_max=10),
            "subscribe": lambda: self.line.subscribe(ROOM, somebody[0]),
            "open": lambda: self.rooms.create(OTHER, Rules()),
            "change": lambda: self.rooms.change(ROOM, {"active_max": 100}),
            "reset": lambda: self.rooms.reset(OTHER),
            "delete": lambda: self.rooms.delete(OTHER, force=True),
            "survey": lambda: self.rooms.survey(ROOM),
            "decide": lambda: self.rooms.decide(ROOM, None, decision),
            "listen": Listening(self.client).beat,
        }
        return calls[script]


def is_named(name: str) -> Callable[[Request], bool]:
    # A script that a server has forgotten comes again as its source.
    return lambda request: request.name in {name, "EVAL"}


async def pinged(client: ValkeyClient) -> bool:
    with suppress(Unavailable):
        return bool(await client.command("PING") == "PONG")
    return False


async def prepared(wire: Wire) -> Calls:
    client = ValkeyClient(f"redis://127.0.0.1:{wire.port}")
    calls = Calls(client)
    await calls.rooms.ensure(ROOM, Rules())
    await calls.join()
    return calls


async def spoiled(calls: Calls, wire: Wire, script: str, fault: Fault) -> None:
    """Make one call with a fault, and check that it was answered as unavailable or well."""
    with suppress(Unavailable, Refused):
        await calls.rooms.ensure(OTHER, Rules())
    wire.plan = plan = Nth(fault, is_named(script))
    try:
        await calls.of(script)()
    except Unavailable:
        pass
    except Refused:
        # What was done before the reply was lost is not done again.
        assert script in {"subscribe", "open", "reset", "delete"}
    assert plan.done, f"{script}: {fault} did not happen"
    await until_async(lambda: pinged(calls.client), SOON_S, f"{script}: {fault}: it recovers")


async def is_sound(calls: Calls) -> None:
    """Check the room against what visitors were answered."""
    for name, place in calls.places.items():
        (outcome,) = await calls.line.status(ROOM, [(VisitorId(name), 0)])
        assert getattr(outcome, "place", None) == place, name
    assert len(set(calls.places.values())) == len(calls.places)
    assert audit.examine(await audit.take_snapshot(calls.client, ROOM)) == []


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each fault ends a connection that is young, so pauses would be as long as they get."""
    monkeypatch.setattr(backoff, "MOST_S", 0.005)


def check_all(script: str, faults: Sequence[Fault], valkey: Server) -> None:
    async def call() -> None:
        async with asyncio.timeout(60), wire_to(valkey.url).running() as wire:
            calls = await prepared(wire)
            for fault in faults:
                await spoiled(calls, wire, script, fault)
            await is_sound(calls)
            await calls.client.close()

    asyncio.run(call())


@pytest.mark.parametrize("script", SCRIPTS)
def test_no_fault_of_the_wire_is_a_bug(script: str, valkey: Server) -> None:
    """A third of the faults with each script, so that each meets a third of the scripts."""
    check_all(script, FAULTS[SCRIPTS.index(script) % 3 :: 3], valkey)


@pytest.mark.long
@pytest.mark.parametrize("script", SCRIPTS)
def test_no_fault_of_the_wire_is_a_bug_in_any_script(script: str, valkey: Server) -> None:
    check_all(script, FAULTS, valkey)


@pytest.mark.long
@pytest.mark.parametrize("script", SCRIPTS)
def test_a_store_that_falls_silent_at_any_script(script: str, valkey: Server) -> None:
    async def call() -> None:
        async with asyncio.timeout(60), wire_to(valkey.url).running() as wire:
            calls = await prepared(wire)
            await spoiled(calls, wire, script, SILENT)
            await is_sound(calls)
            await calls.client.close()

    asyncio.run(call())


def test_a_crowd_gets_what_it_was_answered(valkey: Server) -> None:
    """Many join while every fourth exchange is spoiled, each in another way."""

    async def call() -> None:
        async with asyncio.timeout(60), wire_to(valkey.url).running() as wire:
            calls = await prepared(wire)
            count = 0

            def plan(request: Request) -> Fault | None:
                nonlocal count
                if request.name not in {"join", "EVAL"}:
                    return None
                count += 1
                return FAULTS[count // 4 % len(FAULTS)] if count % 4 == 0 else None

            wire.plan = plan
            for _ in range(150):
                with suppress(Unavailable):
                    await calls.join()
                await until_async(lambda: pinged(calls.client), SOON_S)
            wire.plan = lambda _request: None
            await until_async(lambda: pinged(calls.client), SOON_S)
            assert len(calls.places) > 20
            await is_sound(calls)
            await calls.client.close()

    asyncio.run(call())


def test_a_poll_that_cannot_be_counted_is_not_answered(valkey: Server) -> None:
    """A server that became a replica answers reads; a visitor's poll counts as contact."""

    async def call() -> None:
        client = ValkeyClient(valkey.url)
        line = Line(client)
        await Rooms(client).ensure(ROOM, Rules())
        await line.join(ROOM, [VisitorId("a")])
        assert not isinstance((await line.status(ROOM, [(VisitorId("a"), 0)]))[0], Slot)
        # As if a long time had passed since the visitor was heard.
        await client.command("HSET", "wl:{room}:heard", "a", "1:1")
        await client.command("REPLICAOF", "127.0.0.1", 1)
        try:
            with pytest.raises(Unavailable, match="READONLY"):
                await line.status(ROOM, [(VisitorId("a"), 0)])
        finally:
            await client.close()
            await valkey.command("REPLICAOF", "NO", "ONE")

    valkey.wait(call())
