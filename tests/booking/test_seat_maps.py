"""Which seats are free, read from the real server by several workers."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncpg
import pytest

from tests.booking.halls import STARTS_AT, hall, seats_of
from tests.booking.sale import person, planted
from tests.databases import Patient, TestDatabase
from tests.until import until_async
from waitline.booking import demo, seat_maps
from waitline.booking.catalogue import Catalogue
from waitline.booking.catalogue_model import ScheduleUnknown
from waitline.booking.restored import make_agree
from waitline.booking.seat_imports import SeatImports
from waitline.booking.seat_maps import SeatMaps
from waitline.booking.store import Reservations
from waitline.kernel.errors import Unavailable
from waitline.postgres import statements as sql

# A busy machine is no failure here.
DEADLINE_S = 20.0
ROWS = {"R": ["ooo"], "S": ["oo"]}


class Worker:
    """A process of the booking service, as far as seats go."""

    def __init__(self, url: str) -> None:
        self.statements: list[str] = []
        self.database = Patient(
            url, "waitline.booking", on_statement=lambda name, *_: self.statements.append(name)
        )
        self.seats = SeatMaps(self.database)

    async def free(self, schedule: int) -> list[int]:
        return ids((await self.seats.available(schedule)).plain)

    async def sees(self, schedule: int, free: list[int]) -> None:
        async def seen() -> bool:
            return await self.free(schedule) == free

        await until_async(seen, DEADLINE_S)

    async def since(self, schedule: int, version: str) -> dict[str, Any]:
        received: dict[str, Any] = json.loads((await self.seats.since(schedule, version)).plain)
        return received


def ids(plain: bytes) -> list[int]:
    return [seat["seatId"] for seat in json.loads(plain)]


@asynccontextmanager
async def working(url: str, count: int = 1) -> AsyncIterator[list[Worker]]:
    workers = [Worker(url) for _ in range(count)]
    try:
        yield workers
    finally:
        for worker in workers:
            await worker.database.close()


@asynccontextmanager
async def background(job: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(job)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


HOLD = "UPDATE seat SET state = 'RESERVED', changed = pg_current_xact_id() WHERE seat_id = $1"
FREE = "UPDATE seat SET state = 'AVAILABLE', changed = pg_current_xact_id() WHERE seat_id = $1"

Play = Callable[[TestDatabase, int], Awaitable[None]]


def run(postgres: TestDatabase, play: Play) -> None:
    async def playing() -> None:
        await play(postgres, await hall(postgres.database, ROWS))

    postgres.wait(playing())


def test_seats_are_shown_as_the_contract_says(postgres: TestDatabase) -> None:
    async def play(postgres: TestDatabase, schedule: int) -> None:
        await Reservations(postgres.database, 300.0).reserve(schedule, [2, 4], person(1))
        async with working(postgres.url) as (worker,):
            free = json.loads((await worker.seats.available(schedule)).plain)
            assert free[0] == {
                "seatId": 1,
                "scheduleId": schedule,
                "seatNumber": "R-1-1",
                "grade": "R",
                "price": 1000,
                "status": "AVAILABLE",
            }
            assert [seat["seatId"] for seat in free] == [1, 3, 5]
            every = json.loads((await worker.seats.all_seats(schedule)).plain)
            assert [seat["status"][0] for seat in every] == ["A", "R", "A", "R", "A"]
            sections = json.loads((await worker.seats.sections(schedule)).plain)["sections"]
            assert [(one["grade"], one["total"], one["available"]) for one in sections] == [
                ("R", 3, 2),
                ("S", 2, 1),
            ]

    run(postgres, play)


def test_unknown_schedules_are_refused_and_not_kept(postgres: TestDatabase) -> None:
    async def play(postgres: TestDatabase, schedule: int) -> None:
        async with working(postgres.url) as (worker,):
            for ask in (worker.seats.available, worker.seats.all_seats, worker.seats.sections):
                with pytest.raises(ScheduleUnknown):
                    await ask(schedule + 1)
            with pytest.raises(ScheduleUnknown):
                await worker.seats.since(schedule + 1, "")
            made = await Catalogue(worker.database).create_schedule(1, STARTS_AT)
            assert await worker.free(made.schedule_id) == []

    run(postgres, play)


def test_a_change_is_seen_within_a_second(postgres: TestDatabase) -> None:
    async def play(postgres: TestDatabase, schedule: int) -> None:
        loop = asyncio.get_running_loop()
        took = []
        async with (
            working(postgres.url, 2) as workers,
            background(workers[0].seats.run()),
            background(workers[1].seats.run()),
        ):
            for statement, free in 3 * ((HOLD, [1, 3, 4, 5]), (FREE, [1, 2, 3, 4, 5])):
                await postgres.sql(statement, 2)
                began = loop.time()
                await asyncio.gather(*(worker.sees(schedule, free) for worker in workers))
                took.append(loop.time() - began)
        # On a busy machine one may be late.
        assert sorted(took)[len(took) // 2] < 1.0

    run(postgres, play)


def test_however_many_ask_one_statement_is_run(postgres: TestDatabase) -> None:
    async def play(postgres: TestDatabase, schedule: int) -> None:
        async with working(postgres.url) as (worker,):
            asked = (worker.seats.available(schedule) for _ in range(200))
            answers = await asyncio.gather(*asked)
            assert worker.statements == ["read_seats"]
            # And made once.
            assert len({id(answer) for answer in answers}) == 1
            await worker.seats.sections(schedule)
            await worker.seats.since(schedule, "")
            assert set(worker.statements[1:]) <= {"changed_seats"}

    run(postgres, play)


def test_a_browser_that_was_ahead_of_a_restore_gets_all_seats(postgres: TestDatabase) -> None:
    async def play(postgres: TestDatabase, schedule: int) -> None:
        async with working(postgres.url) as (worker,):
            layout, number = (await worker.since(schedule, ""))["version"].split(".")
            ahead = f"{layout}.{int(number) + 3}"
            await make_agree(worker.database, 0)

            async def renewed() -> bool:
                return (await worker.since(schedule, ahead)).get("full") is True

            await until_async(renewed, DEADLINE_S)
            for _ in range(9):
                # Numbers pass the one that the browser knows.
                await postgres.sql(HOLD, 1)
            await worker.sees(schedule, [2, 3, 4, 5])
            assert (await worker.since(schedule, ahead))["full"]

    run(postgres, play)


def test_a_cancelled_caller_cancels_nobody_else(postgres: TestDatabase) -> None:
    async def play(postgres: TestDatabase, schedule: int) -> None:
        async with working(postgres.url) as (worker,):
            first = asyncio.create_task(worker.seats.available(schedule))
            second = asyncio.create_task(worker.seats.available(schedule))

            async def begun() -> bool:
                return bool(worker.seats._kept)  # noqa: SLF001

            await until_async(begun, DEADLINE_S)
            first.cancel()
            assert ids((await second).plain) == [1, 2, 3, 4, 5]
            assert worker.statements == ["read_seats"]

    run(postgres, play)


def test_tags_are_the_same_on_two_instances(postgres: TestDatabase) -> None:
    async def play(postgres: TestDatabase, schedule: int) -> None:
        async with working(postgres.url, 3) as (early, late, other):
            before = await early.seats.available(schedule)
            await postgres.sql(HOLD, 2)
            await early.sees(schedule, [1, 3, 4, 5])
            for ask in ("available", "all_seats", "sections"):
                documents = [await getattr(worker.seats, ask)(schedule) for worker in (early, late)]
                assert documents[0].etag == documents[1].etag
                assert documents[0].plain == documents[1].plain
            assert (await early.seats.available(schedule)).etag != before.etag
            # Back as it was, by another way.
            await postgres.sql(FREE, 2)
            again = await other.seats.available(schedule)
            assert (again.etag, again.plain) == (before.etag, before.plain)

    run(postgres, play)


async def overtaken(postgres: TestDatabase, schedule: int, worker: Worker) -> None:
    """Commit a transaction after another that began later, and look in between."""
    assert await worker.free(schedule) == [1, 2, 3, 4, 5]
    slow = await asyncpg.connect(postgres.url)
    try:
        async with slow.transaction():
            await slow.execute(HOLD, 1)
            await postgres.sql(HOLD, 2)
            await worker.sees(schedule, [1, 3, 4, 5])
            version = (await worker.since(schedule, ""))["version"]
    finally:
        await slow.close()
    await worker.sees(schedule, [3, 4, 5])
    received = await worker.since(schedule, version)
    assert not received["full"]
    assert {"seatId": 1, "status": "RESERVED"} in received["seats"]


def test_a_transaction_that_is_committed_late_is_not_missed(postgres: TestDatabase) -> None:
    async def play(postgres: TestDatabase, schedule: int) -> None:
        async with working(postgres.url) as (worker,):
            await overtaken(postgres, schedule, worker)

    run(postgres, play)


def test_reading_on_from_the_newest_transaction_would_miss_it(
    postgres: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    right, wrong = "pg_snapshot_xmin(", "pg_snapshot_xmax("

    async def play(postgres: TestDatabase, schedule: int) -> None:
        async with working(postgres.url) as (worker,):
            statements = sql.parse(planted("changed_seats", right, wrong))
            monkeypatch.setattr(worker.database, "_statements", statements)
            monkeypatch.setattr("tests.booking.test_seat_maps.DEADLINE_S", 3.0)
            with pytest.raises(AssertionError, match="not within 3 s"):
                await overtaken(postgres, schedule, worker)

    run(postgres, play)


def test_deltas_follow_the_changes_from_worker_to_worker(postgres: TestDatabase) -> None:
    async def play(postgres: TestDatabase, schedule: int) -> None:
        async with working(postgres.url, 2) as (one, other):
            first = await one.since(schedule, "")
            assert first["full"]
            assert first["seats"] == json.loads((await one.seats.all_seats(schedule)).plain)
            # Both know the same, and the other is now behind for a moment.
            assert await other.since(schedule, first["version"]) == {
                "version": first["version"],
                "full": False,
                "seats": [],
            }
            await postgres.sql(HOLD, 5)
            await postgres.sql(HOLD, 2)
            await one.sees(schedule, [1, 3, 4])
            second = await one.since(schedule, first["version"])
            assert second["seats"] == [
                {"seatId": 2, "status": "RESERVED"},
                {"seatId": 5, "status": "RESERVED"},
            ]
            # It is asked from a version that it has not seen, and reads at once.
            assert await other.since(schedule, second["version"]) == {**second, "seats": []}
            assert await other.since(schedule, first["version"]) == second
            for strange in ("x", "1", second["version"] + "0", "1." + second["version"]):
                assert (await other.since(schedule, strange))["full"]

    run(postgres, play)


def test_seats_that_are_added_are_shown(postgres: TestDatabase) -> None:
    async def play(postgres: TestDatabase, schedule: int) -> None:
        async with working(postgres.url) as (worker,):
            version = (await worker.since(schedule, ""))["version"]
            await SeatImports(postgres.database).add(schedule, seats_of({"A": ["o"]}))
            await worker.sees(schedule, [1, 2, 3, 4, 5, 6])
            assert (await worker.since(schedule, version))["full"]

    run(postgres, play)


def test_another_hall_of_the_same_numbers_is_shown(postgres: TestDatabase) -> None:
    async def play(postgres: TestDatabase, schedule: int) -> None:
        async with working(postgres.url) as (worker,):
            await worker.free(schedule)
            await postgres.sql("UPDATE concert SET origin = 'demo'")
            await demo.load(postgres.database)
            await worker.sees(schedule, list(range(1, 10_001)))
            seat = json.loads((await worker.seats.available(schedule)).plain)[0]
            assert (seat["grade"], seat["price"]) == ("VIP", 50_000)

    run(postgres, play)


def test_a_database_that_is_silent_is_covered_up_for_a_while(
    postgres: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def play(postgres: TestDatabase, schedule: int) -> None:
        async with working(postgres.url) as (worker,):
            known = await worker.seats.available(schedule)

            async def failed() -> bool:
                assert await worker.seats.available(schedule) is known
                return worker.seats._kept[schedule].failed_s > 0  # noqa: SLF001

            holder = await asyncpg.connect(postgres.url)
            try:
                async with holder.transaction(), background(worker.seats.run()):
                    await holder.execute("LOCK TABLE seat IN ACCESS EXCLUSIVE MODE")
                    # Longer than a statement may take, so that one has failed.
                    await until_async(failed, DEADLINE_S)
                    assert await worker.seats.available(schedule) is known
                    monkeypatch.setattr(seat_maps, "STALE_S", 0.1)
                    with pytest.raises(Unavailable):
                        await worker.seats.available(schedule)
                    # Those who were never read have nothing to show.
                    with pytest.raises(Unavailable):
                        await worker.seats.available(schedule + 1)
                    monkeypatch.undo()
                    await holder.execute(HOLD, 1)
            finally:
                await holder.close()
            await worker.sees(schedule, [2, 3, 4, 5])

    run(postgres, play)


def test_only_schedules_that_are_asked_for_are_read(postgres: TestDatabase) -> None:
    async def play(postgres: TestDatabase, schedule: int) -> None:
        other = await hall(postgres.database, ROWS)
        async with working(postgres.url) as (worker,):
            await worker.free(schedule)
            await worker.free(other)
            kept = worker.seats._kept  # noqa: SLF001
            # As if the last who asked had done so a while ago.
            kept[schedule].asked_s -= seat_maps.ASKED_S
            before = {one: kept[one].read_s for one in kept}

            async def polled() -> bool:
                return kept[other].read_s > before[other] + 3 * seat_maps.POLL_S

            async with background(worker.seats.run()):
                await until_async(polled, DEADLINE_S)
            assert kept[schedule].read_s == before[schedule]

    run(postgres, play)


def test_few_schedules_are_kept(postgres: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seat_maps, "SEATS_MAX", 12)

    async def play(postgres: TestDatabase, schedule: int) -> None:
        schedules = [schedule] + [await hall(postgres.database, ROWS) for _ in range(2)]
        async with working(postgres.url) as (worker,):
            for one in schedules:
                await worker.free(one)
            assert list(worker.seats._kept) == schedules[1:]  # noqa: SLF001
            await worker.free(schedules[0])
            assert list(worker.seats._kept) == [schedules[2], schedules[0]]  # noqa: SLF001

    run(postgres, play)
