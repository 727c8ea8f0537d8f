"""Seats held back and complimentary tickets: none is sold to the public, and the audit adds up."""

import pytest

from tests.booking.sale import Sale, person, plays
from tests.booking.test_seat_imports import WHO
from tests.databases import TestDatabase
from waitline.booking.house import (
    HouseSeats,
    SeatNamesAmbiguous,
    SeatNamesUnknown,
    SeatsNotFree,
    SeatsNotHeld,
)
from waitline.booking.model import ReservationState, SeatTaken, SeatUnknown


def test_a_seat_that_is_held_back_is_reserved_by_nobody(postgres: TestDatabase) -> None:
    async def play(sale: Sale) -> None:
        await sale.open()
        house = HouseSeats(sale.database)
        await house.hold(1, [1, 2], "press", who=WHO)
        with pytest.raises(SeatTaken):
            await sale.reservations.reserve(1, [2], person(7))
        assert await sale.seats() == "HHAAAAAAAA"
        await house.release(1, [2], who=WHO)
        await sale.reservations.reserve(1, [2], person(7))
        assert [(one.seat_id, one.reason) for one in await house.listed(1)] == [(1, "press")]

    plays(postgres, play)


def test_all_are_held_or_none(postgres: TestDatabase) -> None:
    async def play(sale: Sale) -> None:
        await sale.open()
        house = HouseSeats(sale.database)
        await sale.reservations.reserve(1, [3], person(7))
        with pytest.raises(SeatsNotFree) as refused:
            await house.hold(1, [2, 3], "house", who=WHO)
        assert refused.value.names == ("s-r-3",)
        with pytest.raises(SeatUnknown):
            await house.hold(1, [2, 99], "house", who=WHO)
        await house.hold(1, [1], "house", who=WHO)
        with pytest.raises(SeatsNotHeld) as not_held:
            await house.release(1, [1, 2], who=WHO)
        assert not_held.value.names == ("s-r-2",)
        assert await sale.seats() == "HARAAAAAAA"

    plays(postgres, play)


def test_seats_are_named_alone_or_with_section_and_row(postgres: TestDatabase) -> None:
    async def play(sale: Sale) -> None:
        await sale.open(3)
        house = HouseSeats(sale.database)
        assert await house.named(1, ["s-r-2", "s/r/s-r-3"]) == [2, 3]
        assert await house.named(1, ["s-r-2", "s-r-2", "s/r/s-r-2"]) == [2], "named twice"
        with pytest.raises(SeatNamesUnknown) as unknown:
            await house.named(1, ["s-r-1", "s-r-9"])
        assert unknown.value.names == ("s-r-9",)
        await sale.sql("ALTER TABLE seat DROP CONSTRAINT IF EXISTS seat_named_once")
        await sale.sql(
            "INSERT INTO seat (schedule_id, section, row_name, row_position, seat_number, grade, "
            "price) VALUES (1, 't', 'r', 1, 's-r-1', 'VIP', 1)"
        )
        with pytest.raises(SeatNamesAmbiguous) as ambiguous:
            await house.named(1, ["s-r-1"])
        assert ambiguous.value.names == ("s-r-1",)
        assert await house.named(1, ["t/r/s-r-1"]) == [4]

    plays(postgres, play)


def test_a_complimentary_ticket_is_confirmed_costs_nothing_and_adds_up(
    postgres: TestDatabase,
) -> None:
    async def play(sale: Sale) -> None:
        await sale.open()
        house = HouseSeats(sale.database)
        await house.hold(1, [1], "house", who=WHO)
        given = await house.give(1, [1, 2], "Kim Minji", who=WHO)
        found = await sale.reservations.find(given)
        assert (found.state, found.amount) == (ReservationState.CONFIRMED, 0)
        assert await sale.seats() == "OOAAAAAAAA"
        assert {(one.seat_id, one.ticket_name) for one in await house.listed(1)} == {
            (1, "Kim Minji"),
            (2, "Kim Minji"),
        }
        with pytest.raises(SeatsNotFree):
            await house.give(1, [2, 3], "Lee", who=WHO)
        assert await sale.findings() == []
        # What was held back is so again; what was free is on sale.
        await sale.reservations.cancel(given, found.buyer, by_operator=True)
        assert await sale.seats() == "HAAAAAAAAA"

    plays(postgres, play)


def test_invited_people_may_have_more_seats_than_a_buyer(postgres: TestDatabase) -> None:
    async def play(sale: Sale) -> None:
        await sale.open(visitor_seats_max=1)
        await HouseSeats(sale.database).give(1, [1, 2, 3], "Band", who=WHO)

    plays(postgres, play)
