"""Every error reply of a store, sent in place of a reply: whose fault it is, and what follows."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import pytest

from tests.faults.resp import wire_to
from tests.faults.wire import (
    CLOSED,
    CUT,
    HALF_CLOSED,
    LOST,
    OF_NETWORKS,
    UNANSWERED,
    Fault,
    Nth,
    Request,
    Wire,
)
from tests.servers import Server
from tests.until import until_async
from waitline.kernel.errors import Unavailable
from waitline.kernel.ids import RoomId, VisitorId
from waitline.queue.model import Joined
from waitline.queue.rooms import Rooms
from waitline.queue.settings import Rules
from waitline.queue.store import Line
from waitline.valkey.client import ValkeyClient
from waitline.valkey.replies import CommandError, judge

SOON_S = 20.0

ROOM = RoomId("faulty")

# Error lines: whether they are ours, and whether the connection must go. Source: the servers' own
# source texts, and messages that managed services and proxies send.
LINES = [
    ("OOM command not allowed when used memory > 'maxmemory'.", False, False),
    ("READONLY You can't write against a read only replica.", False, True),
    ("LOADING Valkey is loading the dataset in memory", False, True),
    ("BUSY Valkey is busy running a script. You can only call SCRIPT KILL", False, False),
    ("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is 'no'.", False, True),
    ("CLUSTERDOWN The cluster is down", False, False),
    ("CLUSTERDOWN Hash slot not served", False, False),
    ("MOVED 3999 127.0.0.1:6381", False, True),
    ("ASK 3999 127.0.0.1:6381", False, True),
    ("REDIRECT 127.0.0.1:6381", False, True),
    ("TRYAGAIN Multiple keys request during rehashing of slot", False, False),
    ("CROSSSLOT Keys in request don't hash to the same slot", False, False),
    ("NOAUTH Authentication required.", False, True),
    ("WRONGPASS invalid username-password pair or user is disabled.", False, True),
    ("NOPERM User app has no permissions to run the 'evalsha' command", False, False),
    ("MISCONF Errors writing to the AOF file: No space left on device", False, False),
    ("NOREPLICAS Not enough good replicas to write.", False, True),
    ("EXECABORT Transaction discarded because of previous errors.", False, False),
    ("NOPROTO unsupported protocol version", False, False),
    ("UNBLOCKED force unblock from blocking operation, instance state changed", False, True),
    ("UNBLOCKED the stream key no longer exists", False, False),
    ("NOGROUP No such key or consumer group", False, False),
    ("DENIED Redis is running in protected mode", False, True),
    ("ERR max number of clients reached", False, True),
    ("ERR max number of clients + cluster connections reached", False, True),
    ("ERR Protocol error: invalid bulk length", False, True),
    ("ERR unknown command 'EVALSHA', with args beginning with: 'x'", False, False),
    ("ERR Unknown Redis command called from script", False, False),
    ("ERR operation not permitted", False, False),
    ("ERR invalid password", False, False),
    ("ERR max daily request limit exceeded. Limit: 10000, Usage: 10000", False, False),
    ("ERR max concurrent connections exceeded", False, False),
    ("ERR Connection timed out", False, False),
    ("ERR server closed the connection", False, True),
    ("ERR illegal address: 10.0.0.1:1234", False, False),
    ("upstream failure", False, False),
    ("no healthy upstream", False, False),
    ("SOMETHING that a later version says", False, False),
    ("", False, False),
    ("WRONGTYPE Operation against a key holding the wrong kind of value", True, False),
    ("ERR user_script:7: attempt to index a nil value script: x, on @user_script:7.", True, False),
    ("ERR wrong number of arguments for 'evalsha' command", True, False),
    ("ERR value is not an integer or out of range", True, False),
    ("ERR syntax error", True, False),
]  # fmt: skip


def _id(value: object) -> str | None:
    return value[:24].strip() or "empty" if isinstance(value, str) else None


def over(server: Server, call: Callable[[Wire, ValkeyClient], Coroutine[Any, Any, None]]) -> None:
    """Run a call on a client whose traffic goes through a proxy."""

    async def run() -> None:
        async with asyncio.timeout(SOON_S), wire_to(server.url).running() as wire:
            client = ValkeyClient(f"redis://127.0.0.1:{wire.port}")
            try:
                await call(wire, client)
            finally:
                await client.close()

    asyncio.run(run())


async def joined(client: ValkeyClient, *names: str) -> list[Any]:
    return await Line(client).join(ROOM, [VisitorId(name) for name in names])


async def works(client: ValkeyClient) -> bool:
    try:
        await joined(client, "later")
    except Unavailable:
        return False
    return True


async def pinged(client: ValkeyClient) -> bool:
    try:
        return bool(await client.command("PING") == "PONG")
    except Unavailable:
        return False


def named(name: str) -> Callable[[Request], bool]:
    return lambda request: request.name == name


@pytest.mark.parametrize(("line", "ours", "reconnects"), LINES, ids=_id)
def test_an_error_line_is_ours_or_theirs(
    line: str,
    ours: bool,  # noqa: FBT001 - a column of the table
    reconnects: bool,  # noqa: FBT001 - as above
    valkey: Server,
) -> None:
    async def call(wire: Wire, client: ValkeyClient) -> None:
        await Rooms(client).ensure(ROOM, Rules())
        await joined(client, "before")
        before = wire.connections
        wire.plan = Nth(Fault("says", carried_out=False, says=line), named("join"))
        with pytest.raises(CommandError if ours else Unavailable):
            await joined(client, "during")
        # It recovers by itself, at once: one failure is no reason to pause.
        (outcome,) = await joined(client, "after")
        assert isinstance(outcome, Joined)
        assert outcome.place == 2
        assert wire.connections - before == reconnects

    assert judge(line) == (ours, reconnects)
    over(valkey, call)


@pytest.mark.parametrize(
    "garbage",
    ["HTTP/1.1 400 Bad Request\r\n", "\x00\x16\x03\x01\r\n", "$99999999999999999999\r\n", "+OK\r\n",
     ":7\r\n", "$3\r\nabc\r\n", "*1\r\n-WHAT\r\n\r\n"],
)  # fmt: skip
def test_garbage_in_place_of_a_reply_is_no_bug_of_ours(garbage: str, valkey: Server) -> None:
    async def call(wire: Wire, client: ValkeyClient) -> None:
        await Rooms(client).ensure(ROOM, Rules())
        wire.plan = Nth(Fault("garbage", says=garbage), named("join"))
        with pytest.raises(Unavailable):
            await joined(client, "during")
        (outcome,) = await joined(client, "after")
        assert isinstance(outcome, Joined)

    over(valkey, call)


@pytest.mark.parametrize("fault", OF_NETWORKS, ids=str)
def test_a_broken_connection_loses_nothing_that_was_answered(fault: Fault, valkey: Server) -> None:
    async def call(wire: Wire, client: ValkeyClient) -> None:
        await Rooms(client).ensure(ROOM, Rules())
        wire.plan = Nth(fault, named("join"))
        try:
            (outcome,) = await joined(client, "during")
        except Unavailable:
            assert fault in {LOST, UNANSWERED, CUT}
        else:
            assert isinstance(outcome, Joined)
        await until_async(lambda: works(client), SOON_S)
        if fault in {HALF_CLOSED, CLOSED}:
            assert wire.connections == 2

    over(valkey, call)


def test_a_server_that_takes_no_more_clients_is_unavailable(valkey: Server) -> None:
    """It says so before it was asked anything, and hangs up."""

    async def call(wire: Wire, client: ValkeyClient) -> None:
        await Rooms(client).ensure(ROOM, Rules())
        await wire.break_all()
        wire.first_words = b"-ERR max number of clients reached\r\n"
        loop = asyncio.get_running_loop()
        started_s, before = loop.time(), wire.connections
        # However slow the machine, this takes a second.
        for _ in range(200):
            with pytest.raises(Unavailable, match=r"max number of clients|closed|reset"):
                await joined(client, "during")
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.Event().wait(), 0.005)
        # Attempts pause, half a second in the end; those who call meanwhile are refused at once.
        assert wire.connections - before <= 10 + 2 * (loop.time() - started_s)
        wire.first_words = b""
        await until_async(lambda: works(client), SOON_S)

    over(valkey, call)


def test_a_slow_connect_succeeds_though_every_caller_gives_up(valkey: Server) -> None:
    """It takes longer than any call waits; with one attempt for each call it never would."""

    async def call(wire: Wire, client: ValkeyClient) -> None:
        given_up = asyncio.Event()
        wire.plan = Nth(Fault("slow", once=given_up), named("ROLE"))
        for _ in range(2):
            with pytest.raises(Unavailable, match="not in time"):
                await client.command("PING")
        given_up.set()
        await until_async(lambda: pinged(client), SOON_S)
        assert wire.connections == 1

    over(valkey, call)


def test_an_error_inside_a_transaction_is_an_error(valkey: Server) -> None:
    async def call(_wire: Wire, client: ValkeyClient) -> None:
        await client.command("SET", "text", "text")
        with pytest.raises(CommandError, match="WRONGTYPE"):
            await client.transaction([("SET", "a", 1), ("SADD", "text", "x")], 1.0)
        assert await client.transaction([("SET", "a", 2), ("GET", "a")], 1.0) == ["OK", "2"]

    over(valkey, call)


@pytest.mark.parametrize(
    "line", ["READONLY no writes here", "OOM no memory", "ERR max number of clients reached"]
)
def test_a_transaction_that_a_store_refuses_is_unavailable(line: str, valkey: Server) -> None:
    async def call(wire: Wire, client: ValkeyClient) -> None:
        for name in ("MULTI", "SET", "EXEC"):
            wire.plan = Nth(Fault("says", carried_out=name == "EXEC", says=line), named(name))
            with pytest.raises(Unavailable):
                await client.transaction([("SET", "a", 1)], 1.0)
            await until_async(lambda: pinged(client), SOON_S)
        wire.plan = Nth(Fault("inside", says=f"*1\r\n-{line}\r\n"), named("EXEC"))
        with pytest.raises(Unavailable):
            await client.transaction([("SET", "a", 1)], 1.0)
        await until_async(lambda: pinged(client), SOON_S)
        wire.plan = Nth(Fault("nil", says="*-1\r\n"), named("EXEC"))
        with pytest.raises(Unavailable):
            await client.transaction([("SET", "a", 1)], 1.0)
        await until_async(lambda: pinged(client), SOON_S)
        assert await client.transaction([("SET", "a", 3)], 1.0) == ["OK"]

    over(valkey, call)


def test_a_replica_is_not_taken_for_the_store(valkey: Server) -> None:
    async def call(wire: Wire, client: ValkeyClient) -> None:
        role = "*5\r\n$5\r\nslave\r\n$9\r\n127.0.0.1\r\n:6379\r\n$9\r\nconnected\r\n:0\r\n"
        wire.plan = Nth(Fault("replica", says=role), named("ROLE"))
        with pytest.raises(Unavailable, match="is a replica"):
            await client.command("PING")
        wire.plan = Nth(Fault("forbidden", says="NOPERM no"), named("ROLE"))
        assert await client.command("PING") == "PONG"

    over(valkey, call)


def test_the_name_is_looked_up_at_each_attempt(
    valkey: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a failover a name means another server; the first address may lead nowhere."""

    async def call(wire: Wire, client: ValkeyClient) -> None:
        loop = asyncio.get_running_loop()
        ask, asked = loop.getaddrinfo, []

        async def noted(host: str, port: int, **more: Any) -> Any:  # noqa: ANN401 - the loop's
            asked.append(host)
            return [(2, 1, 6, "", ("127.0.0.254", port)), *await ask(host, port, **more)]

        monkeypatch.setattr(loop, "getaddrinfo", noted)
        assert await client.command("PING") == "PONG"
        await wire.break_all()
        await until_async(lambda: pinged(client), SOON_S)
        assert len(asked) >= 2

    over(valkey, call)
