"""What is left to sell, counted and reported: to rooms, by one worker for all."""

import asyncio
from collections.abc import Iterator, Sequence

import msgspec
import pytest
from typing_extensions import override

from tests.booking.sale import Sale, person, reserve, run, two
from tests.databases import DEADLINE_S, TestDatabase
from tests.servers import Server
from waitline.booking import load_reporter as subject
from waitline.booking import stock as counting
from waitline.booking.load_reporter import LoadReporter, WorkerLoad
from waitline.booking.stock import StockCounter
from waitline.kernel.errors import Unavailable
from waitline.kernel.events import (
    REPORTER,
    REPORTS,
    REPORTS_KEPT,
    InStock,
    Report,
)
from waitline.valkey.client import ValkeyClient


@pytest.fixture
def sale(postgres: TestDatabase) -> Sale:
    return Sale(postgres)


@pytest.fixture
def store(valkey: Server) -> Iterator[ValkeyClient]:
    made = ValkeyClient(valkey.url, timeout_s=5.0)
    yield made
    valkey.wait(made.close())


def test_the_stock_is_that_of_the_seats(sale: Sale) -> None:
    async def play() -> None:
        stock = StockCounter(sale.database)
        assert await stock.count_by_room() == {}
        await sale.open(10)
        assert await stock.count_by_room() == {"room": InStock(10, 0)}
        held = await sale.reservations.reserve(1, [1, 2, 3], person(7))
        await sale.reservations.reserve(1, [4], person(8))
        assert await stock.count_by_room() == {"room": InStock(6, 2)}
        await sale.reservations.cancel(held.reservation_id, person(7))
        assert await stock.count_by_room() == {"room": InStock(9, 1)}
        await sale.lapse(2)
        await sale.reservations.expire(10)
        assert await stock.count_by_room() == {"room": InStock(10, 0)}

    sale.postgres.wait(play())


def test_a_room_has_the_seats_of_all_its_concerts(sale: Sale) -> None:
    async def play() -> None:
        await sale.open(3)
        await sale.sql("INSERT INTO concert (title, venue, room) VALUES ('c', '', 'room')")
        await sale.sql("INSERT INTO concert (title, venue, room) VALUES ('d', '', 'other')")
        # A hall without seats is not sold out; nobody has laid it out yet.
        for concert in (2, 3, 3):
            await sale.sql(
                "INSERT INTO schedule (concert_id, starts_at) VALUES ($1, '2999-01-01')",
                concert,
            )
        stock = StockCounter(sale.database)
        assert await stock.count_by_room() == {"room": InStock(3, 0)}
        await sale.add_seats(2, 4)
        await sale.add_seats(4, 2)
        assert await stock.count_by_room() == {"room": InStock(7, 0), "other": InStock(2, 0)}

    sale.postgres.wait(play())


def test_only_what_has_changed_is_counted_again(sale: Sale) -> None:
    async def play() -> None:
        await sale.open(3)
        await sale.sql("INSERT INTO schedule (concert_id, starts_at) VALUES (1, '2999-01-01')")
        await sale.add_seats(2, 4)
        known = await counted(sale, {})
        assert set(known) == {1, 2}
        assert await counted(sale, known) == {}
        await sale.reservations.reserve(1, [1], person(7))
        assert set(await counted(sale, known)) == {1}

    async def counted(sale: Sale, known: dict[int, int]) -> dict[int, int]:
        rows = await sale.database.fetch_all(
            "changed_stock",
            known_ids=list(known),
            watermarks=list(known.values()),
            fresh_ids=[],
            schedules_max=10,
            counted_max=10,
        )
        return {row["schedule_id"]: row["watermark"] for row in rows}

    sale.postgres.wait(play())


def test_a_hall_with_many_free_seats_is_counted_less_often(
    sale: Sale, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "SEATS_PER_S", 5)
    now_s = 100.0

    async def play() -> None:
        nonlocal now_s
        stock = StockCounter(sale.database, lambda: now_s)
        await sale.open(10)
        assert await stock.count_by_room() == {"room": InStock(10, 0)}
        await sale.reservations.reserve(1, [1, 2, 3, 4], person(7))
        assert await stock.count_by_room() == {"room": InStock(10, 0)}
        now_s += 2
        assert await stock.count_by_room() == {"room": InStock(6, 1)}
        await sale.reservations.reserve(1, [5, 6], person(8))
        now_s += 1.2
        assert await stock.count_by_room() == {"room": InStock(4, 2)}
        # Few are left: now every one counts.
        await sale.reservations.reserve(1, [7], person(8))
        assert await stock.count_by_room() == {"room": InStock(3, 3)}

    sale.postgres.wait(play())


def test_a_change_that_was_not_committed_yet_is_counted_later(sale: Sale) -> None:
    async def play() -> None:
        await sale.open(3)
        stock = StockCounter(sale.database)
        async with two(sale.postgres.url) as both:
            async with both.first.transaction():
                await run(both.first, "reserve", **reserve(8, 1))
                # Others begin and end meanwhile, with higher numbers.
                await sale.reservations.reserve(1, [2], person(7))
                assert await stock.count_by_room() == {"room": InStock(2, 1)}
            assert await stock.count_by_room() == {"room": InStock(1, 2)}

    sale.postgres.wait(play())


def test_nothing_is_reported_before_all_is_counted(
    sale: Sale, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "COUNTED_MAX", 2)
    monkeypatch.setattr(counting, "REPORTED_MAX", 3)

    async def play() -> None:
        await sale.open(1)
        for schedule in (2, 3, 4, 5):
            await sale.sql("INSERT INTO schedule (concert_id, starts_at) VALUES (1, '2999-01-01')")
            await sale.add_seats(schedule, 1)
        stock = StockCounter(sale.database)
        assert await stock.count_by_room() is None
        # The newest three, and no others.
        assert await stock.count_by_room() == {"room": InStock(3, 0)}
        await sale.sql("INSERT INTO schedule (concert_id, starts_at) VALUES (1, '2999-01-01')")
        await sale.add_seats(6, 5)
        assert await stock.count_by_room() == {"room": InStock(7, 0)}

    sale.postgres.wait(play())


def reports(entries: Sequence[tuple[str, list[str]]]) -> list[Report]:
    return [msgspec.json.decode(fields[1], type=Report) for _, fields in entries]


def test_one_worker_tells_the_stock_for_all(
    sale: Sale, store: ValkeyClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject, "REPORTER_MS", 200)

    async def play() -> None:
        await sale.open(10)
        one, two = (
            LoadReporter(
                StockCounter(sale.database), WorkerLoad(demand=lambda: 0.0), store, name=name
            )
            for name in "ab"
        )
        for _ in range(3):
            await one.publish()
            await two.publish()
        found = reports(await store.command("XRANGE", REPORTS, "-", "+"))
        assert [each.worker for each in found] == ["a", "b"] * 3
        stock = {"room": InStock(10, 0)}
        assert [each.stock for each in found if each.worker == "a"] == [stock] * 3
        assert [each.stock for each in found if each.worker == "b"] == [None] * 3
        # The one has died; the other takes over when its lease is over.
        async with asyncio.timeout(DEADLINE_S):
            while True:
                await two.publish()
                ((_, fields),) = await store.command("XREVRANGE", REPORTS, "+", "-", "COUNT", 1)
                if msgspec.json.decode(fields[1], type=Report).stock == stock:
                    break

    sale.postgres.wait(play())


def test_a_worker_without_database_says_nothing_and_leaves_it_to_others(
    sale: Sale, store: ValkeyClient
) -> None:
    class Broken(StockCounter):
        @override
        async def count_by_room(self) -> dict[str, InStock] | None:
            raise Unavailable("on purpose")

    async def play() -> None:
        await sale.open(10)
        one = LoadReporter(Broken(sale.database), WorkerLoad(demand=lambda: 0.0), store, name="a")
        with pytest.raises(Unavailable):
            await one.publish()
        assert await store.command("EXISTS", REPORTS, REPORTER) == 0
        await LoadReporter(
            StockCounter(sale.database), WorkerLoad(demand=lambda: 0.0), store, name="b"
        ).publish()
        (found,) = reports(await store.command("XRANGE", REPORTS, "-", "+"))
        assert found.stock == {"room": InStock(10, 0)}

    sale.postgres.wait(play())


def test_reports_are_bounded(sale: Sale, store: ValkeyClient) -> None:
    async def play() -> None:
        one = LoadReporter(
            StockCounter(sale.database), WorkerLoad(demand=lambda: 0.0), store, name="a"
        )
        for _ in range(2 * REPORTS_KEPT + 1):
            await one.publish()
        # The store drops them by whole nodes of a hundred.
        assert REPORTS_KEPT <= await store.command("XLEN", REPORTS) <= REPORTS_KEPT + 100

    sale.postgres.wait(play())
