"""The single-flight cache: one load at a time, bounded, and nothing kept of a failure."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from waitline.kernel.errors import Unavailable
from waitline.kernel.single_flight import SingleFlightCache

TTL_S = 1.0
ENTRIES_MAX = 3


class Source:
    """Counts loads, which wait until `released`."""

    def __init__(self) -> None:
        self.now_s = 10.0
        self.loads: list[str] = []
        self.error: Exception | None = None
        self.released = asyncio.Event()
        self.released.set()
        self.cache: SingleFlightCache[str, str] = SingleFlightCache(
            self._load, ttl_s=TTL_S, entries_max=ENTRIES_MAX, now_s=lambda: self.now_s
        )

    async def _load(self, key: str) -> str:
        self.loads.append(key)
        count = len(self.loads)
        await self.released.wait()
        if self.error is not None:
            raise self.error
        return f"{key}{count}"


def play(scene: Callable[[Source], Awaitable[None]]) -> None:
    async def run() -> None:
        async with asyncio.timeout(20.0):
            await scene(Source())

    asyncio.run(run())


def test_a_value_is_served_for_its_time() -> None:
    async def scene(source: Source) -> None:
        assert source.cache.cached("a") is None
        assert await source.cache.fetch("a") == "a1"
        source.now_s += TTL_S * 0.99
        assert source.cache.cached("a") == await source.cache.fetch("a") == "a1"
        source.now_s += TTL_S * 0.01
        assert source.cache.cached("a") is None
        assert await source.cache.fetch("a") == "a2"

    play(scene)


def test_however_many_wait_it_is_loaded_once() -> None:
    async def scene(source: Source) -> None:
        source.released.clear()
        waiting = [asyncio.create_task(source.cache.fetch("a")) for _ in range(10)]
        other = asyncio.create_task(source.cache.fetch("b"))
        await asyncio.wait({other}, timeout=0.001)
        source.released.set()
        assert await asyncio.gather(*waiting, other) == ["a1"] * 10 + ["b2"]

    play(scene)


def test_a_cancelled_caller_leaves_the_load_to_the_others() -> None:
    async def scene(source: Source) -> None:
        source.released.clear()
        first, second = (asyncio.create_task(source.cache.fetch("a")) for _ in range(2))
        await asyncio.wait({first}, timeout=0.001)
        first.cancel()
        await asyncio.wait({first})
        source.released.set()
        assert await second == "a1"
        assert source.loads == ["a"]

    play(scene)


def test_a_failure_is_given_to_all_who_wait_and_not_kept() -> None:
    async def scene(source: Source) -> None:
        await source.cache.fetch("a")
        source.now_s += TTL_S
        source.error = Unavailable("gone")
        outcomes = await asyncio.gather(
            source.cache.fetch("a"), source.cache.fetch("a"), return_exceptions=True
        )
        assert [type(outcome) for outcome in outcomes] == [Unavailable, Unavailable]
        assert source.loads == ["a", "a"]
        with pytest.raises(Unavailable):
            await source.cache.fetch("a")
        source.error = None
        assert await source.cache.fetch("a") == "a4"

    play(scene)


def test_the_one_loaded_longest_ago_makes_way() -> None:
    async def scene(source: Source) -> None:
        for key in ("a", "b", "c"):
            await source.cache.fetch(key)
        source.now_s += TTL_S
        for key in ("a", "d"):
            await source.cache.fetch(key)
        assert [source.cache.cached(key) for key in ("a", "d")] == ["a4", "d5"]
        source.now_s -= TTL_S / 2
        assert [source.cache.cached(key) is None for key in ("a", "b", "c", "d")] == [
            False,
            True,
            False,
            False,
        ]

    play(scene)
