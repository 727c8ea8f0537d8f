"""B3: the sweeper puts lapsed seats back on sale, whatever happens to the database meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress

import asyncpg
import pytest
from structlog.testing import capture_logs

from tests.booking.sale import Sale, at_once, person
from tests.databases import DEADLINE_S, TestDatabase
from tests.until import until_async
from waitline.booking.sweeper import CHUNK_MAX, TICK_S, Sweeper


@pytest.fixture
def sale(postgres: TestDatabase) -> Sale:
    return Sale(postgres)


@asynccontextmanager
async def running(sale: Sale) -> AsyncIterator[None]:
    task = asyncio.create_task(Sweeper(sale.reservations).run())
    try:
        yield
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def held(sale: Sale, count: int) -> None:
    """Let as many visitors hold a seat each, and their time be over."""
    await sale.open(count)
    await at_once(
        [lambda n=n: sale.reservations.reserve(1, [n], person(n)) for n in range(1, count + 1)]  # type: ignore[misc]
    )
    await sale.lapse(*range(1, count + 1))


def test_two_rounds_fit_into_what_b3_allows() -> None:
    assert 2 * TICK_S < 2


def test_lapsed_seats_are_on_sale_again_and_others_are_not(sale: Sale) -> None:
    async def play() -> None:
        await held(sale, 3)
        async with running(sale):
            await until_async(lambda: on_sale(sale, "AAA"), DEADLINE_S)
            made = await sale.reservations.reserve(1, [1], person(1))
            other = await sale.reservations.reserve(1, [2], person(2))
            await sale.lapse(other.reservation_id)
            await until_async(lambda: on_sale(sale, "RAA"), DEADLINE_S)
            assert (await sale.reservations.find(made.reservation_id)).state == "PENDING"
        assert await sale.findings() == []

    sale.postgres.wait(play())


def test_many_go_back_in_chunks(sale: Sale) -> None:
    async def play() -> None:
        await held(sale, 2 * CHUNK_MAX + 7)
        counts: list[int] = []
        swept = await Sweeper(sale.reservations, on_expired=counts.append).sweep()
        assert swept == 2 * CHUNK_MAX + 7
        assert counts == [CHUNK_MAX, CHUNK_MAX, 7]
        assert await sale.findings() == []

    sale.postgres.wait(play())


def test_several_sweepers_share_the_work(sale: Sale) -> None:
    async def play() -> None:
        await held(sale, 2 * CHUNK_MAX + 7)
        counts = await at_once([Sweeper(sale.reservations).sweep] * 4)
        # A worker that finds everything taken leaves it to the others.
        left = await Sweeper(sale.reservations).sweep()
        assert sum(counts) + left == 2 * CHUNK_MAX + 7
        assert await sale.findings() == []

    sale.postgres.wait(play())


def test_a_silent_database_is_waited_for(sale: Sale) -> None:
    async def play() -> None:
        await held(sale, 1)
        connection = await asyncpg.connect(sale.postgres.url)
        with capture_logs() as logs:
            async with running(sale):
                async with connection.transaction():
                    await connection.execute("LOCK TABLE reservation")
                    await until_async(lambda: said(logs, "seat_expiry_failed"), DEADLINE_S)
                await until_async(lambda: on_sale(sale, "A"), DEADLINE_S)
                await until_async(lambda: said(logs, "seat_expiry_recovered"), DEADLINE_S)
        await connection.close()

    sale.postgres.wait(play())


def test_a_bug_does_not_end_it(sale: Sale) -> None:
    async def play() -> None:
        await held(sale, 1)
        await sale.sql("UPDATE visitor_seats SET seats = 0")
        with capture_logs() as logs:
            async with running(sale):
                await until_async(lambda: said(logs, "seat_expiry_failed"), DEADLINE_S)
                assert await sale.seats() == "R"
                await sale.sql("UPDATE visitor_seats SET seats = 1")
                await until_async(lambda: on_sale(sale, "A"), DEADLINE_S)

    sale.postgres.wait(play())


async def on_sale(sale: Sale, seats: str) -> bool:
    return await sale.seats() == seats


async def said(logs: Sequence[Mapping[str, object]], event: str) -> bool:
    return any(line["event"] == event for line in logs)
