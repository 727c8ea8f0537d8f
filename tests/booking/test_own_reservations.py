"""The list of a visitor's own reservations: what is in it, in which order, and how much."""

import pytest

from tests.booking.sale import Sale, person, plays
from tests.databases import TestDatabase
from waitline.booking import own_reservations
from waitline.booking.own_reservations import OwnReservations
from waitline.kernel.ids import RoomId

ANN, NAMESAKE = person(7, "1-1"), person(7, "2-2")


async def listed(sale: Sale, holder: str = ANN.holder) -> list[int]:
    own = OwnReservations(sale.database)
    rooms = await own.rooms(ANN.user_id)
    found = await own.listed(ANN.user_id, dict.fromkeys(rooms, holder))
    return [one.reservation.reservation_id for one in found]


def test_each_holder_of_a_name_has_a_list_the_newest_first(postgres: TestDatabase) -> None:
    async def play(sale: Sale) -> None:
        await sale.open()
        for seat, who in ((1, ANN), (2, NAMESAKE), (3, ANN)):
            await sale.reservations.reserve(1, [seat], who)
        assert await listed(sale) == [3, 1]
        assert await listed(sale, NAMESAKE.holder) == [2]
        assert await listed(sale, "3-3") == []
        own = OwnReservations(sale.database)
        assert await own.listed(ANN.user_id, {RoomId("elsewhere"): ANN.holder}) == []
        assert await own.rooms(person(8).user_id) == []

    plays(postgres, play)


def test_a_lapsed_hold_is_not_listed_even_before_it_is_swept(postgres: TestDatabase) -> None:
    async def play(sale: Sale) -> None:
        await sale.open()
        await sale.reservations.reserve(1, [1], ANN)
        await sale.lapse(1)
        assert await listed(sale) == []
        # A payment in progress keeps it.
        await sale.sql("UPDATE reservation SET paying_until = now() + interval '60 s'")
        assert await listed(sale) == [1]

    plays(postgres, play)


def test_the_newest_are_listed_and_no_more_than_the_limit(
    postgres: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_reservations, "LISTED_MAX", 3)

    async def play(sale: Sale) -> None:
        await sale.open(visitor_seats_max=10)
        for seat in range(1, 6):
            await sale.reservations.reserve(1, [seat], ANN)
        assert await listed(sale) == [5, 4, 3]
        # Others of that name, and what was let go, take none of the places.
        for seat in range(6, 10):
            await sale.reservations.reserve(1, [seat], NAMESAKE)
        for number in (5, 4):
            await sale.reservations.cancel(number, ANN)
        assert await listed(sale) == [3, 2, 1]

    plays(postgres, play)


def test_rooms_are_bounded_those_used_last_first(
    postgres: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_reservations, "ROOMS_MAX", 2)

    async def play(sale: Sale) -> None:
        await sale.open()
        for room in ("old", "newer"):
            await sale.sql("INSERT INTO concert (title, venue, room) VALUES ('x', 'x', $1)", room)
            await sale.sql(
                """WITH shown AS (
                    INSERT INTO schedule (concert_id, starts_at)
                    SELECT max(concert_id), now() FROM concert RETURNING schedule_id
                )
                INSERT INTO reservation (schedule_id, user_id, holder, amount, expires_at, state)
                SELECT schedule_id, '7', '1-1', 0, now(), 'CANCELLED' FROM shown"""
            )
        await sale.reservations.reserve(1, [1], ANN)
        assert await OwnReservations(sale.database).rooms(ANN.user_id) == ["room", "newer"]
        await sale.sql("DELETE FROM reservation WHERE state = 'CANCELLED'")

    plays(postgres, play)


def test_a_seat_that_was_removed_keeps_its_name(postgres: TestDatabase) -> None:
    async def play(sale: Sale) -> None:
        await sale.open()
        await sale.reservations.reserve(1, [1], ANN)
        own = OwnReservations(sale.database)
        (before,) = await own.listed(
            ANN.user_id, dict.fromkeys(await own.rooms(ANN.user_id), "1-1")
        )
        await sale.sql(
            """WITH gone AS (DELETE FROM seat WHERE seat_id = 1 RETURNING *)
            INSERT INTO removed_seat SELECT seat_id, schedule_id, section, row_name,
                coalesce(seat_no, seat_number), seat_number, grade, price FROM gone"""
        )
        (after,) = await own.listed(ANN.user_id, dict.fromkeys(await own.rooms(ANN.user_id), "1-1"))
        assert after.seats == before.seats
        assert after.seats[0].label == "s-r-1"
        await sale.sql("DELETE FROM reserved_seat")
        await sale.sql("DELETE FROM reservation")
        await sale.sql("DELETE FROM visitor_seats")

    plays(postgres, play)
