"""What a store must be: refused at the start, checked again, and shown by readiness."""

import asyncio
import subprocess
import sys
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from structlog.testing import capture_logs

from tests.databases import TestDatabase
from tests.faults.resp import wire_to
from tests.faults.wire import Fault, Nth
from tests.servers import Server
from tests.until import until_async
from waitline.booking import health
from waitline.http.health import Probe
from waitline.kernel.errors import Misconfigured, Unavailable
from waitline.postgres.pool import Database
from waitline.valkey.client import ValkeyClient
from waitline.valkey.fitness import FULL, Fitness, faults, refuse_unfit

SOON_S = 20.0


@pytest.mark.parametrize(
    ("info", "fault"),
    [
        pytest.param(
            "redis_version:7.2\r\nmaxmemory_policy:noeviction\r\nrole:master", "", id="good"
        ),
        pytest.param("", "", id="nothing"),
        pytest.param("maxmemory_policy:allkeys-lru", "maxmemory-policy to noeviction", id="lru"),
        pytest.param("maxmemory_policy:volatile-ttl", "maxmemory-policy to noeviction", id="ttl"),
        pytest.param("redis_version:6.2.14", "at least 7", id="old"),
        pytest.param("redis_version:10.0.1", "", id="new"),
        pytest.param("role:slave", "address of the primary", id="replica"),
    ],
)
def test_what_is_wrong_with_a_store(info: str, fault: str) -> None:
    found = faults(info)
    assert len(found) == bool(fault)
    assert fault in "".join(found)
    assert "\n" not in "".join(found)


@pytest.fixture
def evicting(server: Server) -> Iterator[Server]:
    """A store that drops data when it is full, as managed services set it up."""
    server.wait(server.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru"))
    yield server
    server.wait(server.command("CONFIG", "SET", "maxmemory-policy", "noeviction"))


def test_a_store_that_evicts_is_refused_at_the_start(evicting: Server) -> None:
    with pytest.raises(Misconfigured, match="noeviction"):
        asyncio.run(refuse_unfit(evicting.url))


def test_a_store_that_does_not_answer_is_no_reason_to_end(tmp_path: Path) -> None:
    with capture_logs() as logs:
        asyncio.run(refuse_unfit(f"unix://{tmp_path}/nothing"))
    assert [line["event"] for line in logs] == ["store_unchecked"]


@pytest.mark.parametrize("command", ["queue", "admitter"])
def test_production_does_not_start_on_it(command: str, evicting: Server, tmp_path: Path) -> None:
    where = ["--valkey-url", evicting.url, "--data-dir", str(tmp_path)]
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "waitline", command, *where],
        capture_output=True,
        text=True,
        check=False,
        timeout=SOON_S,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") <= 2
    assert "noeviction" in done.stderr.replace("\n", " ")


def test_a_policy_that_changes_is_noticed(server: Server) -> None:
    async def call(store: ValkeyClient) -> None:
        fitness = Fitness(store)
        assert await fitness.probe() == ""
        await store.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        try:
            for _ in range(3):
                await fitness.check()
            assert "noeviction" in await fitness.probe()
        finally:
            await store.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
        await fitness.check()
        assert await fitness.probe() == ""

    with capture_logs() as logs:
        on(server, call)
    assert [line["event"] for line in logs] == ["store_unfit"]


def test_a_full_store_is_ready_and_says_so(server: Server) -> None:
    async def call(store: ValkeyClient) -> None:
        fitness = Fitness(store)
        await store.command("CONFIG", "SET", "maxmemory", 1)
        try:
            assert await fitness.probe() == FULL
        finally:
            await store.command("CONFIG", "SET", "maxmemory", 0)
        assert await fitness.probe() == ""

    on(server, call)


@pytest.mark.parametrize(
    "line", ["READONLY a replica", "MISCONF cannot save", "NOREPLICAS too few", "NOPERM no"]
)
def test_a_store_that_takes_no_writes_is_not_ready(line: str, valkey: Server) -> None:
    """Though it answers PING, and reads."""

    async def call() -> None:
        async with wire_to(valkey.url).running() as wire:
            store = ValkeyClient(f"redis://127.0.0.1:{wire.port}")
            says = Fault("says", carried_out=False, says=line)
            wire.plan = Nth(says, lambda request: request.name == "SET")
            probe = Probe(Fitness(store).probe)
            assert (await probe.found()).status == "DOWN"
            assert wire.seen.count("SET") == 1
            # However many ask, a second's probes are one.
            await asyncio.gather(*(probe.found() for _ in range(50)))
            assert wire.seen.count("SET") <= 2
            await until_async(lambda: _is_up(probe), SOON_S)
            await store.close()

    asyncio.run(call())


async def _is_up(probe: Probe) -> bool:
    return (await probe.found()).status == "UP"


def test_settings_that_cannot_be_read_are_said(valkey: Server) -> None:
    async def call() -> None:
        async with wire_to(valkey.url).running() as wire:
            store = ValkeyClient(f"redis://127.0.0.1:{wire.port}")
            no = Fault("says", carried_out=False, says="NOPERM this user has no permissions")
            wire.plan = Nth(no, lambda request: request.name == "INFO")
            fitness = Fitness(store)
            await fitness.check()
            assert "cannot be checked" in fitness.found[0]
            await store.close()

    asyncio.run(call())


def test_a_database_that_is_read_only_is_not_ready(postgres: TestDatabase) -> None:
    """As a primary whose disk is full, which some managed services make read-only."""

    async def call() -> None:
        (row,) = await postgres.sql("SELECT now() AS began")
        database = Database(postgres.url, "waitline.booking", connections_max=2)
        try:
            await until_async(lambda: _pings(database), SOON_S)
            await postgres.sql("ALTER DATABASE waitline SET default_transaction_read_only = on")
            await postgres.sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                # Those of other tests would come back read-only, and stay.
                "WHERE application_name = 'waitline' AND backend_start >= $1",
                row["began"],
            )
            await until_async(lambda: _refused(database), SOON_S)
            assert await database.fetch_all("unsent_events", rows_max=1) == []
        finally:
            await _writable(postgres)
        await until_async(lambda: _pings(database), SOON_S)
        await database.close()

    postgres.wait(call())


async def _writable(postgres: TestDatabase) -> None:
    connection = await asyncpg.connect(postgres.url)
    await connection.execute("SET default_transaction_read_only = off")
    await connection.execute("ALTER DATABASE waitline RESET default_transaction_read_only")
    await connection.close()


async def _pings(database: Database) -> bool:
    try:
        return await health.ping(database) == ""
    except Unavailable:
        return False


async def _refused(database: Database) -> bool:
    try:
        await health.ping(database)
    except Unavailable as error:
        return "read-only" in str(error)
    return False


def on(server: Server, call: Any) -> None:  # noqa: ANN401 - a call on a client
    async def run() -> None:
        store = ValkeyClient(server.url, timeout_s=SOON_S)
        try:
            coroutine: Coroutine[Any, Any, None] = call(store)
            await coroutine
        finally:
            await store.close()

    asyncio.run(run())
