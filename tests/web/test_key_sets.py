"""Key sets of shops: fetched seldom, and kept while their address does not answer."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from tests.shop import STALLED_S, KeyAddress, shop
from waitline.kernel.errors import Unavailable
from waitline.services.queue import statements
from waitline.services.queue.statements import REFETCH_S, KeySets

ONE, TWO = shop("EdDSA", "k1"), shop("ES256", "k2")


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now_s = 0.0


@pytest.fixture
def address() -> Iterator[KeyAddress]:
    with KeyAddress(ONE).served() as served:
        yield served


@asynccontextmanager
async def opened(clock: Clock) -> AsyncIterator[KeySets]:
    sets = KeySets(lambda: clock.now_s)
    running = asyncio.ensure_future(sets.run())
    try:
        yield sets
    finally:
        running.cancel()
        await asyncio.wait((running,))


async def kids(sets: KeySets, url: str) -> list[str | None]:
    return [key.kid for key in await sets.keys(url)]


def test_new_keys_serve_soon_and_old_ones_stay_in_an_outage(address: KeyAddress) -> None:
    async def play() -> None:
        clock = Clock()
        async with opened(clock) as sets:
            assert await kids(sets, address.url) == ["k1"]
            address.publish(ONE, TWO)
            assert await kids(sets, address.url) == ["k1"]
            assert len(await sets.newer_keys(address.url)) == 1
            assert address.asked == 1
            clock.now_s += REFETCH_S
            assert await kids(sets, address.url) == ["k1", "k2"]
            for answer in ((500, b""), (200, b"{}"), (302, b"")):
                address.answer = (answer[0], {"Location": "/elsewhere"}, answer[1])
                clock.now_s += REFETCH_S
                assert await kids(sets, address.url) == ["k1", "k2"]
            address.publish(TWO)
            clock.now_s += REFETCH_S
            assert await kids(sets, address.url) == ["k2"]

    with capture_logs() as logged:
        asyncio.run(play())
    # One line when it begins to fail and one when it works again, not one for each try.
    assert [line["event"] for line in logged] == ["shop_keys_failed", "shop_keys_recovered"]


def test_nobody_waits_for_a_slow_address_while_there_are_keys(
    address: KeyAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The fetch itself takes as long as the address is silent.
    monkeypatch.setattr(statements, "TIMEOUT_S", 2 * STALLED_S)

    async def play() -> None:
        clock = Clock()
        async with opened(clock) as sets:
            assert await kids(sets, address.url) == ["k1"]
            clock.now_s += REFETCH_S
            with address.stalled():
                started = time.monotonic()
                found = await asyncio.gather(*(kids(sets, address.url) for _ in range(50)))
                took_s = time.monotonic() - started
            assert found == [["k1"]] * 50
            assert took_s < STALLED_S / 2

    asyncio.run(play())
    assert address.asked == 2


def test_an_address_that_never_answered_has_no_keys() -> None:
    async def play() -> None:
        clock = Clock()
        async with opened(clock) as sets:
            with pytest.raises(Unavailable):
                await sets.keys("http://127.0.0.1:9/keys")

    asyncio.run(play())


def test_no_redirect_is_followed(address: KeyAddress) -> None:
    with KeyAddress(TWO).served() as elsewhere:
        address.answer = (302, {"Location": elsewhere.url}, b"")

        async def play() -> None:
            clock = Clock()
            async with opened(clock) as sets:
                with pytest.raises(Unavailable):
                    await sets.keys(address.url)

        asyncio.run(play())
        assert elsewhere.asked == 0
