"""The rooms' metrics: what a scrape costs the store, and which rooms it shows."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tests.servers import Server
from waitline.kernel.ids import RoomId
from waitline.kernel.process_metrics import FigureGuard
from waitline.queue.rooms import Rooms, parsed_rules
from waitline.queue.settings import Rules
from waitline.services.queue.metrics import RoomMetrics
from waitline.valkey.client import ValkeyClient

AWAKE = RoomId("awake")

# Numbers in replies have a few more digits later.
BYTES_APART_MAX = 500


class Scrapes:
    """Scrapes of one server's rooms."""

    def __init__(self, server: Server, store: ValkeyClient) -> None:
        self.server = server
        self.rooms = Rooms(store)
        self.metrics = RoomMetrics(self.rooms, FigureGuard())

    async def fill(self, sleeping: int) -> None:
        names = [AWAKE, *(RoomId(f"sleeping-{number}") for number in range(sleeping))]
        await asyncio.gather(*(self.rooms.ensure(name, Rules()) for name in names))
        await self.rooms.wake({AWAKE})

    async def shown(self) -> set[str]:
        """Return the rooms that a scrape shows."""
        found = await self.metrics.collect()
        return {
            labels[metric.family.labels.index("concert_id")]
            for metric in found
            if "concert_id" in metric.family.labels
            for labels, _ in metric.values
        }

    async def cost(self) -> tuple[dict[str, int], int]:
        """Return the store's calls for one scrape, and the bytes that it sends for it."""
        await self.shown()  # Scripts are loaded by the first.
        await self.server.command("CONFIG", "RESETSTAT")
        await self.shown()
        calls: Counter[str] = Counter(await self.server.calls())
        del calls["info"], calls["config|resetstat"]
        sent = await self.server.command("INFO", "stats")
        return dict(calls), sent["total_net_output_bytes"]


@pytest.fixture
def scrape(valkey: Server) -> Callable[[Callable[[Scrapes], Coroutine[Any, Any, Any]]], Any]:
    def run(call: Callable[[Scrapes], Coroutine[Any, Any, Any]]) -> Any:  # noqa: ANN401
        async def with_store() -> Any:  # noqa: ANN401
            store = ValkeyClient(valkey.url, timeout_s=20)
            try:
                return await call(Scrapes(valkey, store))
            finally:
                await store.close()

        return valkey.wait(with_store())

    return run


def test_a_scrape_costs_the_same_with_a_thousand_sleeping_rooms_as_with_one(scrape: Any) -> None:  # noqa: ANN401
    async def costs(scrapes: Scrapes) -> list[tuple[dict[str, int], int]]:
        found = []
        for sleeping in (1, 1_000):
            await scrapes.fill(sleeping)
            found.append(await scrapes.cost())
        return found

    (calls, sent), (calls_later, sent_later) = scrape(costs)
    assert calls_later == calls
    assert abs(sent_later - sent) < BYTES_APART_MAX


def test_a_room_that_is_deleted_is_gone_with_the_next_scrape(scrape: Any) -> None:  # noqa: ANN401
    async def play(scrapes: Scrapes) -> None:
        await scrapes.fill(1)
        assert await scrapes.shown() == {AWAKE}
        assert scrapes.metrics.shows(AWAKE)
        await scrapes.rooms.delete(AWAKE)
        assert await scrapes.shown() == set()
        assert not scrapes.metrics.shows(AWAKE)

    scrape(play)


def test_rules_are_parsed_once_for_all_scrapes(scrape: Any) -> None:  # noqa: ANN401
    async def play(scrapes: Scrapes) -> None:
        names = [RoomId(f"active-{number}") for number in range(50)]
        await asyncio.gather(*(scrapes.rooms.ensure(name, Rules()) for name in names))
        await scrapes.rooms.wake(names)
        await scrapes.shown()
        before = parsed_rules.cache_info()
        assert await scrapes.shown() == set(names)
        assert parsed_rules.cache_info().misses == before.misses
        # A change is seen at once.
        await scrapes.rooms.change(names[0], {"active_max": 7})
        found = await scrapes.metrics.collect()
        (limits,) = [one for one in found if one.family.name == "queue_active_limit"]
        assert dict(limits.values)[names[0],] == 7
        assert dict(limits.values)[names[1],] != 7

    scrape(play)
