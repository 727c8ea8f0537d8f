"""Totals of a sale: what the concerts of a room sold."""

from tests.booking.sale import PRICE, Sale, begin, person, plays
from tests.booking.test_rehearsals import rehearsed, traded
from tests.booking.test_seat_imports import WHO
from tests.databases import TestDatabase
from waitline.booking.house import HouseSeats
from waitline.booking.sale_totals import STEPS_MAX, Totals, load_sale_totals
from waitline.kernel.ids import RoomId

ROOM = RoomId("room")


def test_a_sale_is_summed_up(postgres: TestDatabase) -> None:
    async def play(sale: Sale) -> None:
        await sale.open()
        await traded(sale, 1, 100)
        # Another room's sale is not in it.
        await traded(sale, await rehearsed(sale, "other"), 200)
        held = await sale.reservations.reserve(1, [9], person(300))
        await sale.lapse(held.reservation_id)
        await sale.reservations.expire(10)
        await sale.sql(
            "UPDATE payment SET paid_at = created_at + interval '2 s' WHERE paid_at > '-infinity'"
        )
        found = await load_sale_totals(sale.database, ROOM)
        assert found.totals == Totals(
            concerts=1, seats=10, sold=1, held=2, held_back=0, complimentary=0, reservations=6,
            pending=2, confirmed=1, buyers=1, free=0, expired=1, cancelled=2, payments=3,
            declined=1, refunded=0, refunding=1,
            taken={"KRW": PRICE}, given_back={"KRW": 0}, paying_p95_s=2.0,
        )  # fmt: skip
        assert sum(step.reserved for step in found.steps) == 6
        assert sum(step.paid for step in found.steps) == 2
        assert sum(step.expired for step in found.steps) == 1

    plays(postgres, play)


def test_refunds_are_separate_from_revenue(postgres: TestDatabase) -> None:
    async def play(sale: Sale) -> None:
        await sale.open()
        await traded(sale, 1, 100)
        refunding = await sale.sql("SELECT charge_key FROM payment WHERE state = 'REFUNDING'")
        await sale.database.fetch_one(
            "refunded_payment", charge_key=refunding[0]["charge_key"], who="reconciler"
        )
        totals = (await load_sale_totals(sale.database, ROOM)).totals
        assert (totals.refunded, totals.refunding) == (1, 0)
        assert (totals.taken, totals.given_back) == ({"KRW": PRICE}, {"KRW": PRICE})

    plays(postgres, play)


def test_amounts_of_different_currencies_are_not_added_up(postgres: TestDatabase) -> None:
    async def play(sale: Sale) -> None:
        await sale.open()
        await traded(sale, 1, 100)
        await traded(sale, await rehearsed(sale, "abroad"), 200)
        await sale.sql("UPDATE concert SET room = 'room'")
        await sale.sql(
            "UPDATE payment SET currency = 'USD' WHERE reservation_id IN (SELECT reservation_id "
            "FROM reservation WHERE schedule_id <> 1)"
        )
        totals = (await load_sale_totals(sale.database, ROOM)).totals
        assert totals.concerts == 2
        assert list(totals.taken.items()) == [("KRW", PRICE), ("USD", PRICE)]
        assert totals.given_back == {"KRW": 0, "USD": 0}

    plays(postgres, play)


def test_a_long_sale_has_longer_steps(postgres: TestDatabase) -> None:
    async def play(sale: Sale) -> None:
        await sale.open()
        await traded(sale, 1, 100)
        assert (await load_sale_totals(sale.database, ROOM)).width_s == 1
        await sale.sql(
            "UPDATE reservation SET created_at = created_at - interval '3 days' "
            "WHERE reservation_id = 1"
        )
        found = await load_sale_totals(sale.database, ROOM)
        assert found.width_s == 3_600
        assert len(found.steps) == 2 <= STEPS_MAX
        assert [step.reserved for step in found.steps] == [1, 4]
        assert all(step.at_s % 3_600 == 0 for step in found.steps)

    plays(postgres, play)


def test_a_room_without_a_concert_has_sold_nothing(postgres: TestDatabase) -> None:
    async def play(sale: Sale) -> None:
        await sale.open()
        found = await load_sale_totals(sale.database, RoomId("nobody's"))
        assert found.steps == []
        assert found.totals == Totals._make([*[0] * (len(Totals._fields) - 3), {}, {}, None])

    plays(postgres, play)


def test_what_nobody_in_the_line_bought_is_counted_by_itself(postgres: TestDatabase) -> None:
    async def play(sale: Sale) -> None:
        await sale.open()
        house = HouseSeats(sale.database)
        await house.hold(1, [1], "press", who=WHO)
        await house.give(1, [2, 3], "Kim Minji", who=WHO)
        cancelled = await house.give(1, [9], "Lee", who=WHO)
        found = await sale.reservations.find(cancelled)
        await sale.reservations.cancel(cancelled, found.buyer, by_operator=True)
        # Somebody buys twice, and one of the two for nothing.
        await sale.sql("UPDATE seat SET price = 0 WHERE seat_id = 4")
        for seat, price in ((4, 0), (5, PRICE)):
            made = await sale.reservations.reserve(1, [seat], person(7))
            asked = begin(made.reservation_id, 7, price)
            (row,) = await sale.database.fetch_all("begin_payment", **asked)
            await sale.confirm(row["charge_key"])
        totals = (await load_sale_totals(sale.database, ROOM)).totals
        assert (totals.sold, totals.confirmed, totals.buyers) == (4, 3, 1)
        assert (totals.complimentary, totals.held_back, totals.free) == (2, 1, 1)
        assert (totals.payments, totals.taken) == (2, {"KRW": PRICE})

    plays(postgres, play)
