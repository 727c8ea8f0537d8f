"""Q7: what was acknowledged survives the death of the room's primary, by the visitors' own log.

The primary is killed, or frozen until its replica has taken over and then continued. It admits
nobody when it comes back.
"""

import asyncio
from collections.abc import Iterator

import pytest

from tests.replicas import SOON_S, Pair, running_pair
from tests.until import until_async
from waitline.kernel.ids import VisitorId
from waitline.queue import audit
from waitline.queue.model import Joined
from waitline.queue.rooms import Rooms
from waitline.queue.settings import Rules
from waitline.queue.store import Line
from waitline.sales.http_client import HttpClient
from waitline.valkey.address import Address, parse
from waitline.valkey.client import ValkeyClient
from waitline.valkey.connection import Connection
from waitline.valkey.durability import Durability
from waitline_bench.failover import ROOM, AnsweredEntry, Entrants, Fault, compare, fail_over

LOAD_S = 1.0

RIGHT = {"lost": 0, "moved": 0, "twice": 0, "unordered": 0, "turns_lost": 0}


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with running_pair() as servers:
        yield servers


@pytest.mark.parametrize(
    "fault",
    [
        "freeze",
        pytest.param("kill", marks=pytest.mark.long),
        pytest.param("lag", marks=pytest.mark.long),
    ],
)
def test_what_is_replicated_survives_its_primary(fault: Fault) -> None:
    figures = fail_over("replicated", fault, LOAD_S)
    assert figures["joins"] > 0
    assert figures["refused"].keys() <= {503}
    assert figures["turns"] > 0
    assert {name: figures[name] for name in RIGHT} == RIGHT
    assert figures["findings"] == []
    assert not figures["admitted_by_old"]


@pytest.mark.long
@pytest.mark.parametrize("durability", ["memory", "disk"])
@pytest.mark.parametrize("fault", ["freeze", "kill", "lag"])
def test_what_is_left_of_other_joins_is_a_line(durability: Durability, fault: Fault) -> None:
    """They may be lost, which `waitline-bench failover` measures; those that are left are right."""
    figures = fail_over(durability, fault, LOAD_S)
    if fault == "lag":
        # The control of the test above: the same fault does lose what no replica has confirmed.
        assert figures["lost"] > 0
        assert figures["turns_lost"] > 0
    assert figures["moved"] == 0
    assert figures["unordered"] == 0
    assert figures["findings"] == []
    assert not figures["admitted_by_old"]


def test_the_audit_notices_each_damage(pair: Pair) -> None:
    async def call() -> None:
        store = ValkeyClient(pair.url)
        await Rooms(store).ensure(ROOM, Rules())
        names = [VisitorId(name) for name in "abc"]
        joined = await Line(store).join(ROOM, names)
        seen = await audit.take_snapshot(store, ROOM)
        await store.close()
        right = {
            str(name): AnsweredEntry(one.place, float(number), number + 0.5, 0)
            for number, (name, one) in enumerate(zip(names, joined, strict=True))
            if isinstance(one, Joined)
        }

        def found_in(
            answers: dict[str, AnsweredEntry],
            activated: str = "",
            leaving: str = "",
            left: str = "",
        ) -> dict[str, int]:
            turns = set(activated), set(leaving), set(left)
            return compare(Entrants(HttpClient("http://127.0.0.1"), answers, *turns), seen)

        assert found_in(right) == RIGHT
        for damage, found in (
            ({"d": AnsweredEntry(4, 3.0, 3.5, 0)}, {"lost": 1}),
            ({"d": AnsweredEntry(3, 3.0, 3.5, 0)}, {"lost": 1, "twice": 1}),
            ({"c": AnsweredEntry(9, 2.0, 2.5, 0)}, {"moved": 1}),
            ({"a": AnsweredEntry(1, 1.6, 1.7, 0)}, {"unordered": 1}),
        ):
            assert found_in(right | damage) == RIGHT | found
        # Nobody is active, and nobody has left.
        assert found_in(right, "ab") == RIGHT | {"turns_lost": 2}
        assert found_in(right, "a", "a") == RIGHT
        assert found_in(right, "a", "a", "a") == RIGHT | {"turns_lost": 1}

    asyncio.run(call())


def test_a_connection_follows_the_primary_that_sentinels_name(pair: Pair) -> None:
    """The old one still takes writes, as one that was cut off does."""
    seeds = [parse(url).seeds[0] for url in (pair.url, pair.replica_url)]

    async def call() -> None:
        await pair.promote()
        named = seeds[0]

        async def locate() -> Address:
            return named

        connection = Connection(seeds[0], locate=locate)

        async def port() -> int:
            return int((await connection.call(("CONFIG", "GET", "port"), SOON_S))[1])

        async def moved() -> bool:
            return await port() == pair.replica_port

        assert await port() == pair.port
        named = seeds[1]
        await until_async(moved, SOON_S, "the connection leads to the new primary")
        connection.close()
        await pair.demote()

    asyncio.run(call())
