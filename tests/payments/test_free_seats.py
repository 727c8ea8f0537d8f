"""Seats at price 0: sold without a provider."""

import pytest

from tests.booking.sale import PRICE, begin
from tests.databases import TestDatabase
from tests.payments.shop import USER, SandboxProcess, Shop, plays
from waitline.booking.checkout import Checkout
from waitline.booking.model import AlreadyPaid, AmountWrong, PaymentState
from waitline.payment_providers.sandbox.adapter import Sandbox
from waitline.trial.machine import free_port


def without_provider(shop: Shop, *, at_price: bool = True) -> Checkout:
    provider = Sandbox("key", "secret", url=f"http://127.0.0.1:{free_port()}")
    return Checkout(shop.sale.database, provider, at_price=at_price)


async def give_away(shop: Shop, *seats: int) -> None:
    await shop.sale.sql("UPDATE seat SET price = 0 WHERE seat_id = ANY($1::bigint[])", list(seats))


@pytest.mark.parametrize("at_price", [True, False], ids=["production", "trial"])
def test_a_free_seat_is_sold_and_given_back_without_a_provider(
    *, postgres: TestDatabase, sandbox: SandboxProcess, at_price: bool
) -> None:
    async def play(shop: Shop) -> None:
        await give_away(shop, 1)
        checkout = without_provider(shop, at_price=at_price)
        reservation = await shop.hold(1)
        paid = await checkout.pay(reservation, USER, 0, "FREE")
        assert (paid.state, paid.amount) == (PaymentState.COMPLETED, 0)
        assert (await shop.sale.seats())[0] == "O"
        assert len(await shop.sale.sql("SELECT FROM outbox")) == 1
        with pytest.raises(AlreadyPaid):
            await checkout.pay(reservation, USER, 0, "FREE")
        assert await shop.sale.findings() == []
        await shop.sale.reservations.cancel(reservation, USER)
        assert await checkout.settle() == 1
        assert await shop.sale.states("payment") == ["REFUNDED"]
        assert (await shop.sale.seats())[0] == "A"

    plays(postgres, sandbox, play)


@pytest.mark.parametrize("at_price", [True, False], ids=["production", "trial"])
def test_nothing_is_the_price_of_free_seats_only(
    *, postgres: TestDatabase, sandbox: SandboxProcess, at_price: bool
) -> None:
    async def play(shop: Shop) -> None:
        await give_away(shop, 1)
        checkout = without_provider(shop, at_price=at_price)
        mixed = await shop.hold(1, 2)
        for amount in (0, -1):
            with pytest.raises(AmountWrong):
                await checkout.pay(mixed, USER, amount, "FREE")
        if at_price:
            free = await shop.hold(3)
            await shop.sale.sql("UPDATE reservation SET amount = 0 WHERE reservation_id = $1", free)
            with pytest.raises(AmountWrong):
                await checkout.pay(free, USER, 1, "CARD")
            await shop.sale.reservations.cancel(free, USER)
            await shop.sale.sql("UPDATE reserved_seat SET price = 0 WHERE seat_id = 3")
        # The sum goes the usual way.
        paid = await shop.checkout.pay(mixed, USER, PRICE, "CARD")
        assert paid.amount == PRICE

    plays(postgres, sandbox, play)


def test_a_process_that_dies_in_between_leaves_it_to_the_reconciler(
    postgres: TestDatabase, sandbox: SandboxProcess
) -> None:
    async def play(shop: Shop) -> None:
        await give_away(shop, 1, 2)
        for seat, lost in ((1, False), (2, True)):
            reservation = await shop.hold(seat)
            await shop.sale.sql("UPDATE payment SET look_at = now() + interval '1 h'")
            (row,) = await shop.sale.database.fetch_all(
                "begin_payment", **begin(reservation, USER, 0)
            )
            assert row["outcome"] == "begun"
            if lost:
                await shop.sale.lapse(reservation)
                await shop.sale.reservations.expire(10)
        await shop.sale.sql("UPDATE payment SET look_at = listening_now()")
        checkout = without_provider(shop)
        assert await checkout.settle() == 2
        await shop.sale.sql("UPDATE payment SET look_at = listening_now()")
        await checkout.settle()
        rows = await shop.sale.sql("SELECT state FROM payment ORDER BY created_at")
        assert [row["state"] for row in rows] == ["COMPLETED", "REFUNDED"]

    plays(postgres, sandbox, play)
