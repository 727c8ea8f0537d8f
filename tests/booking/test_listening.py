"""The listening clock of the box office: outages and steps of the database's clock end no hold."""

import asyncio
from datetime import datetime, timedelta

import pytest

from tests.booking.sale import HOLD_S, Sale, person
from tests.databases import DEADLINE_S, TestDatabase
from tests.until import until_async
from waitline.booking.model import ReservationState
from waitline.booking.store import Reservations

HOUR_S = 3_600.0

# What the migration lets count after a beat.
GAP_S = 2.0

STEPS = [
    pytest.param(HOUR_S, id="an hour forward, or an outage"),
    pytest.param(16.0, id="16 s forward, or an outage"),
    pytest.param(-HOUR_S, id="an hour back"),
]


class Clocked(Sale):
    """A sale whose database's clock can be set."""

    async def beat(self) -> None:
        await self.reservations.beat()

    async def step(self, forward_s: float) -> None:
        """Put the database's clock forward or back, as its statements see it.

        The last beat moves the other way. Put forward, the clock looks as after an outage of that
        length.
        """
        moved = await self.sql(
            "UPDATE listening SET beat_at = beat_at - make_interval(secs => $1), "
            "lost_s = lost_s - $1 RETURNING 1",
            forward_s,
        )
        assert moved, "no beat yet"

    async def lost_s(self) -> float:
        (row,) = await self.sql("SELECT lost_s FROM listening")
        lost_s: float = row["lost_s"]
        return lost_s

    async def ends_at(self, reservation: int) -> datetime:
        return (await self.reservations.find(reservation)).expires_at

    async def now(self) -> datetime:
        (row,) = await self.sql("SELECT now() AS now")
        now: datetime = row["now"]
        return now


@pytest.fixture
def sale(postgres: TestDatabase) -> Clocked:
    return Clocked(postgres)


@pytest.mark.parametrize("step_s", STEPS)
@pytest.mark.parametrize("beats", [False, True], ids=["before anybody noticed", "afterwards"])
def test_a_step_or_outage_ends_no_hold(sale: Clocked, step_s: float, *, beats: bool) -> None:
    async def play() -> None:
        await sale.open()
        await sale.beat()
        held = await sale.reservations.reserve(1, [1], person(1))
        await sale.step(step_s)
        if beats:
            await sale.beat()
            # `step` has moved what was lost the other way; all of it but the gap is lost again.
            assert -GAP_S <= await sale.lost_s() <= 1
        assert await sale.reservations.expire(100) == []
        found = await sale.reservations.find(held.reservation_id)
        assert found.state is ReservationState.PENDING
        left_s = (found.expires_at - await sale.now()).total_seconds()
        assert HOLD_S - GAP_S - 5 < left_s <= HOLD_S + GAP_S
        assert (await sale.begin(held.reservation_id, 1))["outcome"] == "begun"
        assert await sale.reservations.expire(100) == []
        assert await sale.findings() == []

    sale.postgres.wait(play())


def test_a_hold_ends_while_we_listen(postgres: TestDatabase) -> None:
    sale = Clocked(postgres)
    sale.reservations = Reservations(postgres.database, 0.5)

    async def play() -> None:
        await sale.open()
        await sale.beat()
        held = await sale.reservations.reserve(1, [1], person(1))
        ends_at = await sale.ends_at(held.reservation_id)
        async with asyncio.timeout(DEADLINE_S):
            while not await sale.reservations.expire(100):
                await sale.beat()
        found = await sale.reservations.find(held.reservation_id)
        assert found.state is ReservationState.EXPIRED
        assert found.expires_at == ends_at <= await sale.now()

    sale.postgres.wait(play())


def test_the_end_of_a_hold_moves_with_what_is_lost_until_it_has_expired(sale: Clocked) -> None:
    async def play() -> None:
        await sale.open()
        await sale.beat()
        held = await sale.reservations.reserve(1, [1], person(1))
        assert held.expires_at == held.created_at + timedelta(seconds=HOLD_S)
        assert await sale.ends_at(held.reservation_id) == held.expires_at
        await sale.step(HOUR_S)
        await sale.beat()
        later = held.expires_at + timedelta(seconds=await sale.lost_s())
        assert abs(await sale.ends_at(held.reservation_id) - later) < timedelta(milliseconds=1)
        await sale.sql("UPDATE reservation SET expires_at = listening_now()")
        expected = await sale.ends_at(held.reservation_id)
        await sale.beat()
        assert len(await sale.reservations.expire(100)) == 1
        ended = await sale.ends_at(held.reservation_id)
        assert abs(ended - expected) < timedelta(milliseconds=50)
        await sale.step(HOUR_S)
        await sale.beat()
        assert await sale.ends_at(held.reservation_id) == ended

    sale.postgres.wait(play())


@pytest.mark.parametrize("step_s", STEPS)
def test_a_payment_under_way_keeps_its_seats_and_is_looked_at(sale: Clocked, step_s: float) -> None:
    async def play() -> None:
        await sale.open()
        await sale.beat()
        held = await sale.reservations.reserve(1, [1], person(1))
        await sale.begin(held.reservation_id, 1)
        await sale.sql("UPDATE reservation SET expires_at = listening_now() - interval '1 s'")
        await sale.step(step_s)
        await sale.beat()
        assert await sale.reservations.expire(100) == []
        # Its check is due in as long as before, not in an hour.
        (row,) = await sale.sql(
            "SELECT extract(epoch FROM look_at - listening_now())::float8 AS due_s FROM payment"
        )
        assert 30 - GAP_S - 5 < row["due_s"] <= 30 + GAP_S
        assert await sale.findings() == []

    sale.postgres.wait(play())


@pytest.mark.parametrize("step_s", STEPS)
def test_an_event_is_due_whatever_the_clock(sale: Clocked, step_s: float) -> None:
    async def play() -> None:
        await sale.open()
        await sale.beat()
        await sale.sql("INSERT INTO outbox (topic, payload) VALUES ('t', '{}')")
        await sale.step(step_s)
        await sale.beat()
        await sale.sql("INSERT INTO outbox (topic, payload) VALUES ('t', '{}')")
        taken: set[int] = set()

        async def both() -> bool:
            events = await sale.database.fetch_all(
                "take_events", batch_max=10, pause_s=10.0, pause_max_s=10.0
            )
            taken.update(event["event_no"] for event in events)
            return len(taken) == 2

        # After a step back, time goes on from the beat before it: some ms before the first event.
        await until_async(both, DEADLINE_S)

    sale.postgres.wait(play())


def test_of_many_workers_that_notice_an_outage_one_counts_it(sale: Clocked) -> None:
    async def play() -> None:
        await sale.open()
        await sale.beat()
        await sale.step(HOUR_S)
        before = await sale.sql("SELECT listening_now() AS at")
        async with asyncio.TaskGroup() as workers:
            for _ in range(8):
                workers.create_task(sale.beat())
        after = await sale.sql("SELECT listening_now() AS at")
        assert timedelta(0) <= after[0]["at"] - before[0]["at"] < timedelta(seconds=GAP_S)

    sale.postgres.wait(play())


def test_without_a_beat_the_databases_time_counts(sale: Clocked) -> None:
    """As in a database of an older version."""

    async def play() -> None:
        await sale.open()
        held = await sale.reservations.reserve(1, [1], person(1))
        await sale.lapse(held.reservation_id)
        assert len(await sale.reservations.expire(100)) == 1

    sale.postgres.wait(play())
