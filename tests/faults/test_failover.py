"""Real failovers and refusals: roles swapped, no room for clients, logins forbidden, restarts."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import asyncpg
import pytest
import redis.asyncio

from tests.databases import TestDatabase
from tests.faults.resp import wire_to
from tests.faults.wire import Wire
from tests.until import until_async
from waitline.booking import health
from waitline.kernel.errors import Unavailable
from waitline.kernel.ids import RoomId, VisitorId
from waitline.postgres.pool import Database
from waitline.queue.limits import Limits
from waitline.queue.listening import Listening
from waitline.queue.model import Again, Joined, Moved, Slot, State, Unsure
from waitline.queue.rooms import Rooms
from waitline.queue.settings import Rules
from waitline.queue.store import Line
from waitline.trial import PostgresServer, ValkeyServer
from waitline.trial.machine import free_port
from waitline.valkey.client import ValkeyClient
from waitline.valkey.fitness import Fitness

SOON_S = 20.0

ROOM = RoomId("failing over")

# Silence after which a visitor is passed over, and the time of a turn; what else may pass before
# either takes effect; and how long nobody is listened to.
IDLE_MS = 5_000
GRACE_MS = 2_000
OUTAGE_S = 2 * (IDLE_MS + GRACE_MS) / 1000


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[ValkeyServer, ValkeyServer, int, int]]:
    ports = free_port(), free_port()
    with tempfile.TemporaryDirectory(prefix="wl-") as name:
        both = [
            ValkeyServer(Path(name) / str(port), args=(f"port {port}", "bind 127.0.0.1"))
            for port in ports
        ]
        for server in both:
            server.start()
        try:
            yield (*both, *ports)  # type: ignore[misc]
        finally:
            for server in both:
                server.stop()


async def ask(server: ValkeyServer, *words: str | int) -> Any:  # noqa: ANN401 - whatever it says
    db = redis.asyncio.Redis.from_url(server.url, decode_responses=True)
    try:
        return await db.execute_command(*words)  # type: ignore[no-untyped-call]  # redis-py
    finally:
        await db.aclose()


async def caught_up(replica: ValkeyServer) -> None:
    async def linked() -> bool:
        info: dict[str, Any] = await ask(replica, "INFO", "replication")
        return bool(info.get("master_link_status") == "up")

    await until_async(linked, SOON_S, "the replica has caught up")


@asynccontextmanager
async def named(first: ValkeyServer) -> AsyncIterator[Wire]:
    """An endpoint as a managed service has one: new connections go to the primary of the day."""
    async with wire_to(first.url).running() as wire:
        yield wire


def _path(server: ValkeyServer) -> str:
    return unquote(urlsplit(server.url).path)


async def joins(line: Line, name: str) -> int | None:
    """Join and return the place; `None` if the store is unavailable."""
    try:
        (outcome,) = await line.join(ROOM, [VisitorId(name)])
    except Unavailable:
        return None
    assert isinstance(outcome, Joined | Again)
    return outcome.place


@pytest.mark.parametrize("traffic", ["joins", "polls"])
def test_a_primary_and_its_replica_swap_roles(
    traffic: str, servers: tuple[ValkeyServer, ValkeyServer, int, int]
) -> None:
    """Old connections lead to a replica then, which answers reads and refuses writes."""
    first, second, first_port, second_port = servers

    async def call() -> None:
        await ask(first, "REPLICAOF", "NO", "ONE")
        await ask(first, "FLUSHALL")
        await ask(second, "REPLICAOF", "127.0.0.1", first_port)
        await caught_up(second)
        async with named(first) as wire:
            client = ValkeyClient(f"redis://127.0.0.1:{wire.port}")
            line, fitness = Line(client), Fitness(client)
            await Rooms(client).ensure(ROOM, Rules(limits=Limits(idle_ms=1000)))
            acknowledged = {name: await joins(line, name) for name in ("a", "b", "c")}
            assert list(acknowledged.values()) == [1, 2, 3]
            await ask(first, "WAIT", 1, 5000)
            wire.retarget(_path(second))
            await ask(second, "REPLICAOF", "NO", "ONE")
            await ask(first, "REPLICAOF", "127.0.0.1", second_port)

            async def recovered() -> bool:
                if traffic == "joins":
                    return await joins(line, "d") is not None
                try:
                    # A poll is a write, since it counts as contact; none is answered for good
                    # by a server that forgets it.
                    await line.status(ROOM, [(VisitorId("a"), 0)])
                except Unavailable:
                    return False
                return wire.connections > 1

            await until_async(recovered, SOON_S, "calls reach the new primary")
            assert await fitness.probe() == ""
            for name, place in acknowledged.items():
                assert await joins(line, name) == place
            await client.close()

    asyncio.run(call())


class Watched:
    """A room whose beats and admissions a test makes itself.

    Attributes:
        lapsed: Turns that have ended.
    """

    def __init__(self, client: ValkeyClient) -> None:
        self.client = client
        self.line, self.rooms = Line(client), Rooms(client)
        self.listening = Listening(client)
        self.lapsed = 0

    async def open(self) -> None:
        limits = Limits(idle_ms=IDLE_MS, ready_ttl_ms=IDLE_MS, admit_per_s=1000)
        await self.rooms.ensure(ROOM, Rules(limits=limits))

    async def beat(self) -> bool:
        """Say that we listen, and let the room know; return whether the store took it."""
        try:
            await self.listening.beat()
            swept = await self.line.sweep(
                ROOM, chunk_max=10, heard_ms=await self.listening.heard_ms()
            )
        except Unavailable:
            return False
        # The replica may lack what the primary has just given, which counts as taken now.
        self.lapsed += 0 if isinstance(swept, Unsure) else swept.lapsed
        return True

    async def passed(self) -> int:
        """Admit until somebody's turn has come; return how many were passed over for silence."""
        await self.rooms.change(ROOM, {"mode": "open"})
        moved: list[Moved] = []

        async def moves() -> bool:
            assert await self.beat()
            heard_ms = await self.listening.heard_ms()
            outcome = await self.line.admit(
                ROOM, holder="", lease_ms=0, chunk_max=1, heard_ms=heard_ms
            )
            if isinstance(outcome, Moved):
                moved.append(outcome)
            return isinstance(outcome, Moved) and outcome.admitted + outcome.passed > 0

        await until_async(moves, SOON_S, "somebody's turn has come")
        await self.rooms.change(ROOM, {"mode": "paused"})
        return moved[-1].passed


def test_the_time_of_a_failover_counts_for_nobody(
    servers: tuple[ValkeyServer, ValkeyServer, int, int],
) -> None:
    """Neither for who waits nor for whose turn it is; silence after it counts as ever."""
    first, second, first_port, second_port = servers

    async def call() -> None:
        await ask(first, "REPLICAOF", "NO", "ONE")
        await ask(first, "FLUSHALL")
        await ask(second, "REPLICAOF", "127.0.0.1", first_port)
        await caught_up(second)
        async with named(first) as wire:
            room = Watched(ValkeyClient(f"redis://127.0.0.1:{wire.port}"))
            await room.open()
            assert await joins(room.line, "inside") == 1
            assert await room.passed() == 0
            assert await joins(room.line, "waits") == 2
            assert await room.beat()
            await ask(first, "WAIT", 1, 5000)
            wire.retarget(_path(second))
            await ask(second, "REPLICAOF", "NO", "ONE")
            await ask(first, "REPLICAOF", "127.0.0.1", second_port)
            await clock_reaches(second, await clock_s(second) + OUTAGE_S)
            await until_async(room.beat, SOON_S, "beats reach the new primary")
            (inside,) = await room.line.validate(ROOM, [VisitorId("inside")])
            assert isinstance(inside, Slot)
            assert inside.state is State.READY
            assert await room.passed() == 0
            assert room.lapsed == 0

            assert await joins(room.line, "silent") == 3
            until_s = await clock_s(second) + (IDLE_MS + GRACE_MS) / 1000

            async def over() -> bool:
                assert await room.beat()
                return await clock_s(second) >= until_s

            await until_async(over, SOON_S, "the silence has lasted")
            assert await room.passed() == 1
            assert room.lapsed == 2
            await room.client.close()

    asyncio.run(call())


async def clock_s(server: ValkeyServer) -> float:
    seconds, micros = await ask(server, "TIME")
    return float(seconds) + float(micros) / 1e6


async def clock_reaches(server: ValkeyServer, at_s: float) -> None:
    async def there() -> bool:
        return await clock_s(server) >= at_s

    await until_async(there, SOON_S, "the clock shows it")


def test_a_server_without_room_for_clients(
    servers: tuple[ValkeyServer, ValkeyServer, int, int],
) -> None:
    first, _, port, _ = servers

    async def call() -> None:
        await ask(first, "REPLICAOF", "NO", "ONE")
        limit = await ask(first, "CONFIG", "GET", "maxclients")
        taken: list[asyncio.StreamWriter] = []
        client = ValkeyClient(f"redis://127.0.0.1:{port}")
        fitness = Fitness(client)
        try:
            await ask(first, "CONFIG", "SET", "maxclients", 20)
            for _ in range(25):
                taken.append((await asyncio.open_connection("127.0.0.1", port))[1])  # noqa: PERF401

            async def refused() -> bool:
                try:
                    await fitness.probe()
                except Unavailable as error:
                    return "max number of clients" in str(error)
                return False

            await until_async(refused, SOON_S, "no room")
        finally:
            for writer in taken:
                writer.close()
        await until_async(lambda: _ready(fitness), SOON_S, "there is room again")
        await ask(first, "CONFIG", "SET", "maxclients", int(limit["maxclients"]))
        await client.close()

    asyncio.run(call())


async def _ready(fitness: Fitness) -> bool:
    try:
        await fitness.probe()
    except Unavailable:
        return False
    return True


async def pings(database: Database) -> bool:
    try:
        await health.ping(database)
    except Unavailable:
        return False
    return True


def test_a_user_that_may_not_log_in_for_a_moment(postgres: TestDatabase) -> None:
    """As while a password is changed. Open connections were ended, as by a failover."""
    url = postgres.url.replace("waitline@", "clerk@")
    terminate = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'clerk'"

    async def call() -> None:
        await postgres.sql("CREATE ROLE clerk LOGIN SUPERUSER")
        database = Database(url, "waitline.booking", connections_max=4, connections_min=4)
        try:
            await until_async(lambda: pings(database), SOON_S)
            await postgres.sql("ALTER ROLE clerk NOLOGIN")
            await postgres.sql(terminate)
            await until_async(lambda: _refused(database), SOON_S, "it is refused")
            await postgres.sql("ALTER ROLE clerk LOGIN")
            await until_async(lambda: pings(database), SOON_S, "it works again")
            # Ended connections are found out before a statement uses them.
            await postgres.sql(terminate)
            await until_async(lambda: pings(database), SOON_S, "it works again")
        finally:
            await database.close()
            await postgres.sql("DROP ROLE clerk")

    postgres.wait(call())


async def _refused(database: Database) -> bool:
    try:
        await health.ping(database)
    except Unavailable as error:
        return "not permitted to log in" in str(error)
    return False


def test_a_database_that_is_restarted(tmp_path: Path) -> None:
    server = PostgresServer(tmp_path / "pg", fsync=False)
    server.start()

    async def call() -> None:
        connection = await asyncpg.connect(server.url)
        await connection.execute("CREATE TABLE outbox (event_no bigint, attempts integer)")
        await connection.close()
        database = Database(server.url, "waitline.booking", connections_max=4, connections_min=4)
        await until_async(lambda: pings(database), SOON_S)
        for _ in range(2):
            await asyncio.to_thread(server.stop)
            assert not await pings(database)
            await asyncio.to_thread(server.start)
            await until_async(lambda: pings(database), SOON_S, "it works again")
        await database.close()

    try:
        asyncio.run(call())
    finally:
        server.stop()
