"""Schedules that are cancelled or postponed while buyers reserve and pay: all money goes back."""

import asyncio
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from tests.booking.sale import PRICE, Sale, at_once, person
from tests.booking.test_seat_imports import WHO
from tests.databases import DEADLINE_S, TestDatabase
from tests.payments.shop import SandboxProcess, Shop, plays
from waitline.booking.house import HouseSeats
from waitline.booking.model import (
    CancellationClosed,
    ReservationOver,
    ReservationState,
    ScheduleStopped,
)
from waitline.booking.sale_state import ScheduleState
from waitline.booking.stopping import ScheduleNotPostponed, ScheduleStops, StopProgress


def later(hours: float) -> datetime:
    return datetime.now(UTC) + timedelta(hours=hours)  # noqa: TID251 - of the database's clock


async def ended(stops: ScheduleStops) -> StopProgress:
    """Deal with schedule 1 until nothing is left."""
    async with asyncio.timeout(DEADLINE_S):
        while (await stops.end_chunk(1)).live:
            pass
    await stops.end_chunk(1)
    return await stops.progress(1)


async def bought(shop: Shop, seat: int, user: int) -> int:
    reservation = await shop.hold(seat, user=user)
    await shop.pay(reservation, user=user)
    return reservation


def test_a_cancelled_schedule_refunds_everybody(
    postgres: TestDatabase, sandbox: SandboxProcess
) -> None:
    async def play(shop: Shop) -> None:
        stops, house = ScheduleStops(shop.sale.database, late_s=0), HouseSeats(shop.sale.database)
        for seat in (1, 2, 3):
            await bought(shop, seat, seat)
        await shop.hold(4, user=4)
        await house.hold(1, [5, 6], "press", who=WHO)
        await house.give(1, [6, 7], "Lee Jiwoo", who=WHO)
        assert await stops.cancel(1, "The hall is flooded.", who=WHO)
        with pytest.raises(ScheduleStopped):
            await shop.hold(8, user=8)
        progress = await ended(stops)
        assert (progress.state, progress.pending, progress.sold) == (ScheduleState.CANCELLED, 0, 0)
        assert (progress.refunds, progress.refunded, progress.amount) == (3, 0, 3 * PRICE)
        assert not progress.done
        await shop.settled()
        progress = await stops.progress(1)
        assert (progress.refunded, progress.amount_refunded) == (3, 3 * PRICE)
        assert progress.done
        assert await shop.sale.seats() == "AAAAHHAAAA"
        # Again, as after an answer that was lost.
        assert not await stops.cancel(1, "Again.", who=WHO)
        assert (await stops.progress(1)).done

    plays(postgres, sandbox, play)


def test_what_a_killed_process_has_begun_others_end(
    postgres: TestDatabase, sandbox: SandboxProcess
) -> None:
    """The stop itself is the only thing that must be committed: the rest is found again."""

    async def play(shop: Shop) -> None:
        for seat in (1, 2, 3):
            await bought(shop, seat, seat)
        await ScheduleStops(shop.sale.database).cancel(1, None, who=WHO)
        others = [ScheduleStops(shop.sale.database, late_s=0) for _ in range(3)]
        await at_once([other.work for other in others])
        await ended(others[0])
        await shop.settled()
        assert (await others[0].progress(1)).refunded == 3

    plays(postgres, sandbox, play)


def test_payments_under_way_end_refunded(postgres: TestDatabase, sandbox: SandboxProcess) -> None:
    async def play(shop: Shop) -> None:
        stops = ScheduleStops(shop.sale.database, late_s=0)

        async def buy(user: int) -> str:
            try:
                await bought(shop, user, user)
            except (ScheduleStopped, ReservationOver) as refused:
                return type(refused).__name__
            return "bought"

        async def stop() -> str:
            await stops.cancel(1, None, who=WHO)
            return "stopped"

        async def end() -> str:
            await stops.work()
            return "ended"

        calls: list[Any] = [partial(buy, user) for user in range(1, 31)]
        calls[10:10] = [stop, end, end]
        calls[20:20] = [end, end]
        outcomes = await at_once(calls, width=12)
        assert {"stopped", "ended"} < set(outcomes)
        assert set(outcomes) <= {"stopped", "ended", "bought", "ScheduleStopped", "ReservationOver"}
        await shop.settled()
        progress = await ended(stops)
        await shop.settled()
        assert (progress.pending, progress.sold) == (0, 0)
        assert (await stops.progress(1)).done
        assert await shop.sale.seats() == "A" * 30

    plays(postgres, sandbox, play, seats=30)


def test_control_without_the_work_the_money_is_kept(
    postgres: TestDatabase, sandbox: SandboxProcess
) -> None:
    """If this fails, the tests above prove nothing."""

    async def play(shop: Shop) -> None:
        await bought(shop, 1, 1)
        stops = ScheduleStops(shop.sale.database, late_s=0)
        await stops.cancel(1, None, who=WHO)
        await shop.sale.sql("UPDATE schedule SET state_at = now() - interval '1 hour'")
        assert {one.invariant for one in await shop.sale.findings()} == {"B10"}
        assert (await stops.progress(1)).sold == 1
        await ended(stops)

    plays(postgres, sandbox, play)


def test_tickets_of_a_postponed_schedule_stay_valid_and_go_back_until_a_date(
    postgres: TestDatabase, sandbox: SandboxProcess
) -> None:
    async def play(shop: Shop) -> None:
        stops = ScheduleStops(shop.sale.database, late_s=0)
        first, second = await bought(shop, 1, 1), await bought(shop, 2, 2)
        await shop.hold(3, user=3)
        await shop.sale.sql("UPDATE schedule SET cancel_until = now() - interval '1 hour'")
        with pytest.raises(CancellationClosed):
            await shop.sale.reservations.cancel(first, person(1))
        assert await stops.postpone(1, "The singer is ill.", later(1), who=WHO)
        progress = await ended(stops)
        assert (progress.pending, progress.sold, progress.refunds) == (0, 2, 0)
        with pytest.raises(ScheduleStopped):
            await shop.hold(4, user=4)
        await shop.sale.reservations.cancel(first, person(1))
        await shop.sale.sql("UPDATE schedule SET refund_until = now() - interval '1 s'")
        with pytest.raises(CancellationClosed):
            await shop.sale.reservations.cancel(second, person(2))
        await stops.resume(1, who=WHO)
        await shop.hold(4, user=4)
        with pytest.raises(ScheduleNotPostponed):
            await stops.resume(1, who=WHO)
        # Operators may, whatever the deadline.
        before = await shop.sale.reservations.cancel(second, person(2), by_operator=True)
        assert before is ReservationState.CONFIRMED

    plays(postgres, sandbox, play)


def test_a_cancelled_schedule_is_not_postponed(
    postgres: TestDatabase, sandbox: SandboxProcess
) -> None:
    async def play(shop: Shop) -> None:
        stops = ScheduleStops(shop.sale.database, late_s=0)
        await stops.cancel(1, None, who=WHO)
        with pytest.raises(ScheduleStopped):
            await stops.postpone(1, None, later(1), who=WHO)
        with pytest.raises(ScheduleNotPostponed):
            await stops.resume(1, who=WHO)
        await ended(stops)

    plays(postgres, sandbox, play)


def test_a_refund_that_fails_needs_attention(
    postgres: TestDatabase, sandbox: SandboxProcess
) -> None:
    async def play(shop: Shop) -> None:
        stops = ScheduleStops(shop.sale.database, late_s=0)
        await bought(shop, 1, 1)
        await stops.cancel(1, None, who=WHO)
        await ended(stops)
        await shop.sale.sql("UPDATE payment SET flag = 'refund_failed', flagged_at = now()")
        assert (await stops.progress(1)).failed == 1
        (failed,) = await stops.failed(1)
        assert (failed.user_id, failed.amount, failed.flag) == ("1", PRICE, "refund_failed")
        await shop.settled()
        assert await stops.failed(1) == []

    plays(postgres, sandbox, play)


def test_seats_that_are_held_while_buyers_reserve_them_are_one_or_the_other(
    postgres: TestDatabase, sandbox: SandboxProcess
) -> None:
    async def play(shop: Shop) -> None:
        sale: Sale = shop.sale
        house = HouseSeats(sale.database)
        for seat in range(1, 11):
            calls: list[Any] = [
                partial(sale.reservations.reserve, 1, [seat], person(user)) for user in range(8)
            ]
            calls[4:4] = [partial(house.hold, 1, [seat], "press", who=WHO)]
            outcomes = [type(one).__name__ for one in await at_once(calls)]
            assert outcomes.count("Reservation") + outcomes.count("NoneType") == 1, outcomes
        assert set(await sale.seats()) <= {"H", "R"}

    plays(postgres, sandbox, play)
