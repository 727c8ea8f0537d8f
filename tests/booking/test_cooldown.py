"""Who lets seats go again and again reserves nothing for a while: at, below and above the limit."""

import asyncpg
import pytest

from tests.booking.sale import HOLD_S, Sale, person, plays
from tests.databases import TestDatabase
from waitline.booking.buyer import Buyer
from waitline.booking.cooldown import CooldownRule, Cooldowns, CoolingDown
from waitline.booking.store import Reservations

RULE = CooldownRule(drops=3, window_s=600.0, first_s=60.0, most_s=200.0)
ANN = person(7, "1-1")


class Floor:
    """A sale whose reservations have a rule."""

    def __init__(self, sale: Sale, rule: CooldownRule = RULE) -> None:
        self.sale = sale
        self.reservations = Reservations(sale.database, HOLD_S, rule)

    async def drop(self, times: int = 1, who: Buyer = ANN) -> None:
        for _ in range(times):
            held = await self.reservations.reserve(1, [1], who)
            await self.reservations.cancel(held.reservation_id, who)

    async def wait_s(self, who: Buyer = ANN) -> int:
        """For how long nothing is reserved; 0 if a seat is."""
        try:
            held = await self.reservations.reserve(1, [1], who)
        except CoolingDown as cooling:
            return cooling.retry_after_s
        # An operator's cancellation does not count.
        await self.reservations.cancel(held.reservation_id, who, by_operator=True)
        return 0

    async def later(self, seconds: float) -> None:
        """Let time pass, for drops and cool-downs."""
        await self.sale.sql(
            "UPDATE cooldown SET changed_at = changed_at - make_interval(secs => $1), "
            "cool_until = cool_until - make_interval(secs => $1), "
            "drops = ARRAY(SELECT d - make_interval(secs => $1) FROM unnest(drops) AS d)",
            seconds,
        )


def test_below_the_limit_nobody_waits_and_at_it_a_minute(postgres: TestDatabase) -> None:
    async def play(sale: Sale) -> None:
        await sale.open()
        floor = Floor(sale)
        await floor.drop(2)
        assert await floor.wait_s() == 0
        await floor.drop()
        assert 50 <= await floor.wait_s() <= 60

    plays(postgres, play)


def test_each_further_drop_doubles_it_up_to_the_most(postgres: TestDatabase) -> None:
    rule = CooldownRule(drops=3, window_s=6_000.0, first_s=60.0, most_s=200.0)

    async def play(sale: Sale) -> None:
        await sale.open()
        floor = Floor(sale, rule)
        await floor.drop(3)
        for before, expected in ((61, 120), (121, 200), (201, 200)):
            await floor.later(before)
            await floor.drop()
            assert expected - 20 <= await floor.wait_s() <= expected

    plays(postgres, play)


def test_drops_that_are_older_than_the_window_do_not_count(postgres: TestDatabase) -> None:
    async def play(sale: Sale) -> None:
        await sale.open()
        floor = Floor(sale)
        await floor.drop(2)
        await floor.later(601)
        await floor.drop(2)
        assert await floor.wait_s() == 0
        await floor.drop()
        assert await floor.wait_s() > 0

    plays(postgres, play)


def test_a_cool_down_that_is_long_over_is_followed_by_a_short_one(postgres: TestDatabase) -> None:
    async def play(sale: Sale) -> None:
        await sale.open()
        floor = Floor(sale)
        await floor.drop(3)
        await floor.later(61)
        await floor.drop()
        await floor.later(120 + 601)
        await floor.drop(3)
        assert 50 <= await floor.wait_s() <= 60

    plays(postgres, play)


def test_silence_counts_and_an_attempt_to_pay_does_not(postgres: TestDatabase) -> None:
    async def play(sale: Sale) -> None:
        await sale.open()
        floor = Floor(sale)
        await floor.drop()
        silent = [await floor.reservations.reserve(1, [seat], ANN) for seat in (2, 3)]
        tried = await floor.reservations.reserve(1, [4], ANN)
        begun = await sale.begin(tried.reservation_id, ANN)
        await sale.database.fetch_one(
            "fail_payment", charge_key=begun["charge_key"], reason="no", who="webhook"
        )
        await sale.lapse(tried.reservation_id, silent[0].reservation_id)
        assert len(await floor.reservations.expire(10)) == 2
        assert await floor.wait_s() == 0
        await floor.drop()
        assert await floor.wait_s() > 0

    plays(postgres, play)


def test_several_that_expire_at_once_count_each(postgres: TestDatabase) -> None:
    async def play(sale: Sale) -> None:
        await sale.open()
        floor = Floor(sale)
        held = [await floor.reservations.reserve(1, [seat], ANN) for seat in (1, 2, 3)]
        await sale.lapse(*(one.reservation_id for one in held))
        assert len(await floor.reservations.expire(10)) == 3
        assert 50 <= await floor.wait_s() <= 60

    plays(postgres, play)


def test_it_is_the_holders_and_holds_in_every_schedule(postgres: TestDatabase) -> None:
    async def play(sale: Sale) -> None:
        await sale.open()
        await sale.sql(
            "INSERT INTO schedule (concert_id, starts_at) VALUES (1, now() + interval '1 day')"
        )
        await sale.add_seats(2, 2)
        floor = Floor(sale)
        await floor.drop(3)
        with pytest.raises(CoolingDown):
            await floor.reservations.reserve(2, [11], ANN)
        # Another place of the same name, and somebody else.
        assert await floor.wait_s(person(7, "2-2")) == 0
        assert await floor.wait_s(person(8, "1-1")) == 0

    plays(postgres, play)


def test_an_operator_and_a_refund_count_for_nobody(postgres: TestDatabase) -> None:
    async def play(sale: Sale) -> None:
        await sale.open()
        floor = Floor(sale)
        for _ in range(4):
            held = await floor.reservations.reserve(1, [1], ANN)
            await floor.reservations.cancel(held.reservation_id, ANN, by_operator=True)
        held = await floor.reservations.reserve(1, [1], ANN)
        begun = await sale.begin(held.reservation_id, ANN)
        await sale.confirm(begun["charge_key"])
        await floor.reservations.cancel(held.reservation_id, ANN)
        assert await sale.sql("SELECT FROM cooldown") == []

    plays(postgres, play)


def test_without_a_limit_nothing_is_counted(postgres: TestDatabase) -> None:
    async def play(sale: Sale) -> None:
        await sale.open()
        floor = Floor(sale, CooldownRule(drops=0))
        await floor.drop(8)
        assert await sale.sql("SELECT FROM cooldown") == []

    plays(postgres, play)


def test_what_no_longer_counts_is_forgotten_and_what_is_kept_is_bounded(
    postgres: TestDatabase,
) -> None:
    async def play(sale: Sale) -> None:
        await sale.open()
        floor = Floor(sale)
        await floor.drop(3)
        await floor.later(61)
        await floor.drop(1)
        ((kept,),) = await sale.sql("SELECT cardinality(drops) FROM cooldown")
        assert kept == RULE.drops
        await floor.later(700)
        cooldowns = Cooldowns(sale.database, RULE)
        await cooldowns.purge()
        assert len(await sale.sql("SELECT FROM cooldown")) == 1
        await floor.later(101)
        await cooldowns.purge()
        assert await sale.sql("SELECT FROM cooldown") == []

    plays(postgres, play)


def test_a_locked_row_of_drops_refuses_nothing_else(postgres: TestDatabase) -> None:
    """A locked row delays no other holder's seats, and no drop is lost."""

    async def play(sale: Sale) -> None:
        await sale.open()
        floor = Floor(sale)
        await floor.drop()
        held = await floor.reservations.reserve(1, [1], ANN)
        other = await floor.reservations.reserve(1, [2], person(8, "3-3"))
        await sale.lapse(held.reservation_id, other.reservation_id)
        connection = await asyncpg.connect(sale.postgres.url)
        try:
            async with connection.transaction():
                await connection.execute("SELECT FROM cooldown FOR UPDATE")
                expired = await floor.reservations.expire(10)
                assert [one.reservation_id for one in expired] == [other.reservation_id]
        finally:
            await connection.close()
        assert len(await floor.reservations.expire(10)) == 1
        await floor.drop()
        assert await floor.wait_s() > 0

    plays(postgres, play)
