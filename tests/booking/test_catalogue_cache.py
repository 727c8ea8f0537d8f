"""The catalogue in a worker's memory: checked at intervals, whatever strangers request."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from tests.booking.halls import STARTS_AT, hall
from tests.databases import DEADLINE_S, Patient, TestDatabase
from tests.until import until_async
from waitline.booking import catalogue_cache as caches
from waitline.booking.catalogue import Catalogue
from waitline.booking.catalogue_cache import CatalogueCache
from waitline.booking.catalogue_edits import CatalogueEdits
from waitline.booking.catalogue_model import ConcertUnknown, QueueDown, ScheduleUnknown
from waitline.kernel.errors import Unavailable


class Counted:
    """A cache, and the statements that it runs."""

    def __init__(self, url: str) -> None:
        self.statements: Counter[str] = Counter()
        self.database = Patient(
            url, "waitline.booking", on_statement=lambda name, *_: self.statements.update([name])
        )
        self.catalogue = Catalogue(self.database)
        self.cache = CatalogueCache(self.catalogue)


def played(postgres: TestDatabase, story: Callable[[Counted], Awaitable[None]]) -> Counted:
    counted = Counted(postgres.url)

    async def run() -> None:
        try:
            await story(counted)
        finally:
            await counted.database.close()

    postgres.wait(run())
    return counted


def test_it_is_loaded_once_for_all_who_ask_at_once(postgres: TestDatabase) -> None:
    async def story(counted: Counted) -> None:
        schedule = await hall(counted.database, {"R": ["o"]})
        counted.statements.clear()
        cache = counted.cache
        calls: list[Awaitable[object]] = []
        for _ in range(300):
            calls += [cache.current(), cache.concert(1), cache.schedule(schedule)]
        await asyncio.gather(*calls)

    statements = played(postgres, story).statements
    assert statements == {"catalogue_version": 1, "concerts": 1, "newest_schedules": 1}


@pytest.mark.parametrize("kind", ["concert", "schedules", "schedule"])
def test_random_ids_cost_a_check_each_spacing(postgres: TestDatabase, kind: str) -> None:
    rng = random.Random(5)  # noqa: S311 - ids of strangers
    seconds = 0.6

    async def story(counted: Counted) -> None:
        await hall(counted.database, {"R": ["o"]})
        counted.statements.clear()
        loop = asyncio.get_running_loop()
        until_s = loop.time() + seconds

        async def stranger() -> None:
            while loop.time() < until_s:
                with pytest.raises((ConcertUnknown, ScheduleUnknown)):
                    await getattr(counted.cache, kind)(rng.choice([rng.getrandbits(60), -1, 0]))

        await asyncio.gather(*(stranger() for _ in range(100)))

    statements = played(postgres, story).statements
    assert set(statements) == {"catalogue_version", "concerts", "newest_schedules"}
    assert statements["catalogue_version"] <= seconds / caches.SPACING_S + 4


def test_what_was_just_created_is_found(postgres: TestDatabase) -> None:
    async def story(counted: Counted) -> None:
        other = Catalogue(postgres.database)
        for nth in range(1, 6):
            # A stranger's look-up just before must not hide it.
            with pytest.raises(ConcertUnknown):
                await counted.cache.concert(nth)
            concert = await other.create_concert("a", "", "1")
            assert (await counted.cache.concert(nth))[0] == concert
            schedule = await other.create_schedule(nth, STARTS_AT)
            assert await counted.cache.schedule(schedule.schedule_id) == schedule

    played(postgres, story)


@pytest.mark.parametrize("changed_by", ["this process", "another"])
def test_a_change_shows_at_once_or_within_the_interval(
    postgres: TestDatabase, monkeypatch: pytest.MonkeyPatch, changed_by: str
) -> None:
    monkeypatch.setattr(caches, "FRESH_S", 30.0 if changed_by == "this process" else 0.05)

    async def story(counted: Counted) -> None:
        await hall(counted.database, {"R": ["o"]})
        before = (await counted.cache.concert(1))[0]
        edits = CatalogueEdits(postgres.database, "somebody")
        await edits.change_concert(1, {"queue_down": QueueDown.ADMIT})
        assert (await counted.cache.concert(1))[0] == before
        if changed_by == "this process":
            counted.cache.expire()
            assert (await counted.cache.concert(1))[0].queue_down is QueueDown.ADMIT

        async def shows() -> bool:
            return (await counted.cache.concert(1))[0].queue_down is QueueDown.ADMIT

        await until_async(shows, DEADLINE_S)
        assert (await counted.cache.schedule(1)).queue_down is QueueDown.ADMIT

    played(postgres, story)


def test_without_a_change_it_is_not_loaded_again(
    postgres: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caches, "FRESH_S", 0.0)

    async def story(counted: Counted) -> None:
        await hall(counted.database, {"R": ["o"]})
        snapshot = await counted.cache.current()
        counted.statements.clear()
        for _ in range(3):
            assert await counted.cache.current() is snapshot

    assert played(postgres, story).statements == {"catalogue_version": 3}


def test_a_transaction_that_commits_late_is_not_missed(
    postgres: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caches, "FRESH_S", 0.0)

    async def story(counted: Counted) -> None:
        await hall(counted.database, {"R": ["o"]})
        slow = await asyncpg.connect(postgres.url)
        async with slow.transaction():
            await slow.execute("UPDATE concert SET title = 'late' WHERE concert_id = 1")
            await Catalogue(postgres.database).create_concert("newer", "", "1")
            assert (await counted.cache.concert(1))[0].title == "a"
        await slow.close()
        assert (await counted.cache.concert(1))[0].title == "late"

    played(postgres, story)


def test_older_ones_are_looked_up_and_cached(
    postgres: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caches, "SCHEDULES_MAX", 2)
    monkeypatch.setattr(caches, "LISTED_MAX", 2)
    monkeypatch.setattr("waitline.booking.catalogue.LISTED_MAX", 2)

    async def story(counted: Counted) -> None:
        for _ in range(4):
            await hall(counted.database, {"R": ["o"]})
        await postgres.sql("DELETE FROM seat WHERE schedule_id = 2")
        await postgres.sql("DELETE FROM schedule WHERE schedule_id = 2")
        for _ in range(3):
            found, snapshot = await counted.cache.concert(1)
            assert (found.concert_id, snapshot) == (1, None)
            for concert in (1, 4):
                schedules, _ = await counted.cache.schedules(concert)
                assert [one.schedule_id for one in schedules] == [concert]
            assert (await counted.cache.schedule(1)).schedule_id == 1
            with pytest.raises(ScheduleUnknown):
                await counted.cache.schedule(2)

    statements = played(postgres, story).statements
    assert (statements["concert"], statements["schedules"], statements["schedule"]) == (1, 2, 2)


def test_a_database_that_is_down(postgres: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caches, "FRESH_S", 0.0)

    async def story(counted: Counted) -> None:
        await hall(counted.database, {"R": ["o"]})
        concert = await counted.cache.concert(1)

        async def fails(_schedules_max: int) -> str:
            raise Unavailable("down")

        monkeypatch.setattr(counted.catalogue, "version", fails)
        assert await counted.cache.concert(1) == concert
        # Whether another exists cannot be known now.
        with pytest.raises(Unavailable):
            await counted.cache.concert(2)
        monkeypatch.setattr(caches, "STALE_S", 0.0)
        with pytest.raises(Unavailable):
            await counted.cache.concert(1)

    played(postgres, story)
