"""A real cluster in which slots move, primaries die, and nodes refuse commands for a while."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from tests import clusters
from tests.faults.resp import Resp
from tests.faults.wire import Fault, Request, Wire
from tests.processes import halted
from tests.servers import ClusterServer, Server, running_cluster
from tests.until import until_async
from waitline.kernel import telemetry
from waitline.kernel.errors import Unavailable
from waitline.kernel.ids import RoomId, VisitorId
from waitline.queue import audit, keys
from waitline.queue.model import Again, Joined, Waiting
from waitline.queue.rooms import Rooms
from waitline.queue.settings import Rules
from waitline.queue.store import Line
from waitline.trial.machine import free_port
from waitline.trial.valkey_cluster import Size, ValkeyCluster
from waitline.valkey.client import ValkeyClient
from waitline.valkey.fitness import Fitness
from waitline.valkey.slots import SLOTS, slot_of

SOON_S = 20.0

# Timeout of a call that is answered in the end, and of one that waits for it in vain.
CALL_S = 2.0

Move = Callable[[ValkeyCluster, int, int], Coroutine[Any, Any, None]]

ROOM = RoomId("on the move")
SLOT = slot_of(keys.of(ROOM).room)

AGAIN = [
    "READONLY You can't write against a read only replica.",
    "LOADING Valkey is loading the dataset in memory",
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "CLUSTERDOWN Hash slot not served",
    "TRYAGAIN Multiple keys request during rehashing of slot",
]


@pytest.fixture(scope="module")
def served() -> Iterator[ClusterServer]:
    with running_cluster(Size(3, 3)) as server:
        yield server


@pytest.fixture
def cluster(served: ClusterServer) -> ValkeyCluster:
    served.wait(served.clear())
    return served.cluster


Call = Callable[[ValkeyClient], Coroutine[Any, Any, None]]


def run(cluster: ValkeyCluster, call: Call) -> None:
    async def opened() -> None:
        store = ValkeyClient(cluster.url, timeout_s=CALL_S)
        try:
            await Rooms(store).ensure(ROOM, Rules())
            await call(store)
        finally:
            await store.close()

    asyncio.run(opened())


async def place(store: ValkeyClient, name: str) -> int:
    (found,) = await Line(store).join(ROOM, [VisitorId(name)])
    assert isinstance(found, Joined | Again)
    return found.place


async def other(cluster: ValkeyCluster) -> int:
    """A primary that does not hold the room."""
    holders = [await clusters.owner(cluster, slot) for slot in (0, 8_000, 16_000)]
    holder = await clusters.owner(cluster, SLOT)
    return next(index for index in holders if index != holder)


def redirects(code: str) -> float:
    return telemetry.STORE_REDIRECTS.values.get((code,), 0.0)


@pytest.mark.parametrize("how", [clusters.move, clusters.move_at_once])
def test_a_room_moves_with_its_slot(cluster: ValkeyCluster, how: Move) -> None:
    async def call(store: ValkeyClient) -> None:
        names = [f"v{number}" for number in range(20)]
        places = [await place(store, name) for name in names]
        to = await other(cluster)
        # It does not know the scripts.
        await cluster.send(to, "SCRIPT", "FLUSH")
        await how(cluster, SLOT, to)
        moved = redirects("MOVED")
        assert [await place(store, name) for name in names] == places
        assert redirects("MOVED") == moved + 1, "the client learns it from one redirect"
        snapshot = await audit.take_snapshot(store, ROOM)
        assert len(snapshot.waiting) == len(names)
        assert audit.examine(snapshot) == []

    run(cluster, call)


def test_the_first_call_after_a_move_may_be_any(cluster: ValkeyCluster) -> None:
    async def call(store: ValkeyClient) -> None:
        first = await place(store, "a")
        for read in range(3):
            await clusters.move(cluster, SLOT, await other(cluster))
            if read == 0:
                assert await store.command("EXISTS", *keys.of(ROOM)) == 5
            elif read == 1:
                assert (await audit.take_snapshot(store, ROOM)).waiting == {"a": first}
            else:
                assert await Line(store).leave(ROOM, [(VisitorId("a"), 0)]) != []

    run(cluster, call)


def test_while_keys_are_on_their_way_calls_wait_for_them(cluster: ValkeyCluster) -> None:
    """Some keys of a room are missing, so that no node can carry out its scripts meanwhile."""

    async def call(store: ValkeyClient) -> None:
        await place(store, "a")
        to = await other(cluster)
        source = await clusters.begin_move(cluster, SLOT, to)
        try:
            tried = redirects("TRYAGAIN")
            started_s = asyncio.get_running_loop().time()
            with pytest.raises(Unavailable, match="TRYAGAIN"):
                await place(store, "b")
            # Its timeout ends it, and it is not repeated at full load.
            assert asyncio.get_running_loop().time() - started_s < 5 * CALL_S
            assert 3 <= redirects("TRYAGAIN") - tried <= 50
            waiting = asyncio.create_task(Line(store).status(ROOM, [(VisitorId("a"), 0)]))
            await clusters.move_keys(cluster, SLOT, source, to)
        finally:
            await clusters.end_move(cluster, SLOT, source, to)
        (found,) = await waiting
        assert isinstance(found, Waiting)
        assert await place(store, "b") == 2

    run(cluster, call)


def test_the_map_of_a_primary_that_was_cut_off_is_refused() -> None:
    """It believes that it still holds the slot, and takes writes; its epoch says that it is old."""
    with running_cluster(Size(3, 0)) as served:
        cluster, key = served.cluster, keys.of(ROOM).record

        async def call(store: ValkeyClient) -> None:
            old, to = await clusters.owner(cluster, SLOT), await other(cluster)
            ids = [await cluster.send(index, "CLUSTER", "MYID") for index in range(3)]
            for index in range(3):
                # No node takes another for lost while this runs.
                await cluster.send(index, "CONFIG", "SET", "cluster-node-timeout", 60_000)
            # It hears nobody, and is sure that there is nobody to hear.
            await cluster.send(old, "CONFIG", "SET", "cluster-require-full-coverage", "no")
            for index in {0, 1, 2} - {old}:
                await cluster.send(old, "CLUSTER", "FORGET", ids[index])
            await cluster.send(to, "CLUSTER", "SETSLOT", SLOT, "IMPORTING", ids[old])
            await cluster.send(to, "CLUSTER", "SETSLOT", SLOT, "NODE", ids[to])
            with halted([cluster.nodes[old].pid]):
                await until_async(
                    lambda: takes(store, key, "after"), SOON_S, "the new one is known"
                )
            for index in {0, 1, 2} - {old}:
                cluster.nodes[index].kill()
            before = await maps_given(cluster, old)

            async def refused() -> bool:
                assert not await takes(store, key, "since"), "the old one was believed"
                return await maps_given(cluster, old) >= before + 3

            await until_async(refused, SOON_S, "the old one has been asked for its map")
            # The control: it would take it.
            assert await cluster.send(old, "HGET", key, "since") is None
            assert await cluster.send(old, "HSET", key, "control", 1) == 1

        run(cluster, call)


async def maps_given(cluster: ValkeyCluster, index: int) -> int:
    """How often a node was asked for its map of slots."""
    stats = str(await cluster.send(index, "INFO", "commandstats"))
    _, _, rest = stats.partition("cmdstat_cluster|slots:calls=")
    return int(rest.partition(",")[0] or 0)


async def takes(store: ValkeyClient, key: str, field: str) -> bool:
    """Whether somebody takes a write."""
    with suppress(Unavailable):
        await store.command("HSET", key, field, 1)
        return True
    return False


def test_a_single_key_is_asked_for_where_it_goes(cluster: ValkeyCluster) -> None:
    async def call(store: ValkeyClient) -> None:
        room = keys.of(ROOM)
        to = await other(cluster)
        source = await clusters.begin_move(cluster, SLOT, to)
        try:
            asked = redirects("ASK")
            await store.command("HSET", room.record, "w0", 1)
            assert await store.command("HGETALL", room.record) == ["w0", "1"]
            assert redirects("ASK") == asked + 2
            assert await cluster.send(source, "EXISTS", room.room) == 1
        finally:
            await clusters.move_keys(cluster, SLOT, source, to)
            await clusters.end_move(cluster, SLOT, source, to)
        assert await store.command("HGETALL", room.record) == ["w0", "1"]

    run(cluster, call)


@asynccontextmanager
async def on_the_wire(cluster: ValkeyCluster) -> AsyncIterator[tuple[Wire, ValkeyClient]]:
    """Put a proxy in front of the node that holds the room; the cluster announces its port.

    The client is new, so it has learnt that port.
    """
    index = await clusters.owner(cluster, SLOT)
    wire = Wire(Resp, unquote(urlsplit(cluster.nodes[index].url).path))
    async with wire.running():
        await cluster.send(index, "CONFIG", "SET", "cluster-announce-port", wire.port)

        async def announced(port: int) -> bool:
            for node in range(len(cluster.nodes)):
                said = await clusters.said_by(cluster, node, SLOT)
                if said != port:
                    return False
            return True

        await until_async(lambda: announced(wire.port), SOON_S, "all nodes know the new port")
        store = ValkeyClient(cluster.url, timeout_s=CALL_S)
        try:
            yield wire, store
        finally:
            await store.close()
            wire.plan = lambda _request: None
            await cluster.send(index, "CONFIG", "SET", "cluster-announce-port", 0)
            port = cluster.port(index)
            await until_async(lambda: announced(port), SOON_S, "all nodes know the old port")


@pytest.mark.parametrize("says", AGAIN, ids=lambda says: says.split()[0])
def test_a_node_that_carries_nothing_out_is_asked_again(cluster: ValkeyCluster, says: str) -> None:
    fault = Fault("says", carried_out=False, says=says)

    async def call(_store: ValkeyClient) -> None:
        async with on_the_wire(cluster) as (wire, store):
            left = [2]

            def twice(request: Request) -> Fault | None:
                if request.name != "join" or not left[0]:
                    return None
                left[0] -= 1
                return fault

            assert await place(store, "a") == 1
            wire.plan = twice
            assert await place(store, "b") == 2
            assert left == [0]
            wire.plan = lambda request: fault if request.name in {"join", "EVAL"} else None
            started_s = asyncio.get_running_loop().time()
            with pytest.raises(Unavailable):
                await place(store, "c")
            assert asyncio.get_running_loop().time() - started_s < 5 * CALL_S

            async def again() -> bool:
                try:
                    return await place(store, "c") == 3
                except Unavailable:
                    return False

            wire.plan = lambda _request: None
            await until_async(again, SOON_S, "calls are carried out again")

    run(cluster, call)


def test_a_node_that_hangs_up_is_not_asked_twice(cluster: ValkeyCluster) -> None:
    """What became of the call is unknown, so only its caller may repeat it."""

    async def call(_store: ValkeyClient) -> None:
        async with on_the_wire(cluster) as (wire, store):
            await place(store, "a")
            seen = len(wire.seen)
            unanswered = Fault("unanswered", bytes_max=0, closes=True)
            wire.plan = lambda request: unanswered if request.name == "join" else None
            with pytest.raises(Unavailable):
                await place(store, "b")
            assert wire.seen[seen:].count("join") == 1

    run(cluster, call)


def test_a_primary_dies_and_its_replica_takes_over(cluster: ValkeyCluster) -> None:
    async def call(store: ValkeyClient) -> None:
        fitness = Fitness(store)
        names = [f"v{number}" for number in range(50)]
        places = [await place(store, name) for name in names]
        holder = await clusters.owner(cluster, SLOT)
        await cluster.send(holder, "WAIT", 1, 5_000)
        rooms = {
            await clusters.owner(cluster, slot_of(keys.of(room).room)): room
            for room in map(RoomId, "abcdefgh")
        }
        elsewhere = next(room for index, room in rooms.items() if index != holder)
        await Rooms(store).ensure(elsewhere, Rules())
        cluster.nodes[holder].kill()
        try:
            # The rooms of the other primaries are served, so the service is ready.
            assert str(cluster.port(holder)) in await fitness.probe()
            (found,) = await Line(store).join(elsewhere, [VisitorId("a")])
            assert isinstance(found, Joined)

            async def recovered() -> bool:
                try:
                    return await place(store, "v0") == places[0]
                except Unavailable:
                    return False

            await until_async(recovered, SOON_S, "the replica has taken over")
            assert [await place(store, name) for name in names] == places
            assert audit.examine(await audit.take_snapshot(store, ROOM)) == []
            assert await fitness.probe() == ""
        finally:
            cluster.nodes[holder].start()

    run(cluster, call)


def test_seeds_that_are_dead_do_no_harm(cluster: ValkeyCluster) -> None:
    async def call() -> None:
        login, _, hosts = cluster.url.rpartition("@")
        dead = f"127.0.0.1:{free_port()}"
        store = ValkeyClient(f"{login}@{dead},{hosts.split(',')[4]}", timeout_s=2.0)
        await Rooms(store).ensure(ROOM, Rules())
        await store.close()
        store = ValkeyClient(f"{login}@{dead}")
        with pytest.raises(Unavailable, match=f"the store at {dead} cannot be reached"):
            await Rooms(store).names()
        await store.close()

    asyncio.run(call())


def test_addresses_of_the_wrong_kind_are_named(cluster: ValkeyCluster, valkey: Server) -> None:
    async def call() -> None:
        first = await clusters.owner(cluster, 0)
        store = ValkeyClient(cluster.node_url(first))
        elsewhere = next(name for name in "abcdef" if slot_of(name) > SLOTS // 2)
        with pytest.raises(Unavailable, match=r"node of a cluster: .* redis\+cluster://"):
            await store.command("GET", elsewhere)
        await store.close()
        port = free_port()
        await valkey.command("CONFIG", "SET", "port", port)
        store = ValkeyClient(f"redis+cluster://127.0.0.1:{port}")
        with pytest.raises(Unavailable, match="it is not a cluster; write redis://"):
            await Rooms(store).names()
        await store.close()

    valkey.wait(call())
