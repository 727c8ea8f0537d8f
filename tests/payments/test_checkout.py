"""Paying: by a real sandbox, on the real database."""

import json
import re
from collections.abc import Callable, Coroutine
from importlib.resources import files
from typing import Any

import pytest

from tests.booking.sale import PRICE, at_once, person
from tests.databases import TestDatabase
from tests.payments.shop import (
    USER,
    SandboxProcess,
    Shop,
    plays,
)
from waitline.booking import checkout
from waitline.booking.buyer import Buyer
from waitline.booking.checkout import Checkout
from waitline.booking.model import (
    AlreadyPaid,
    AmountWrong,
    Declined,
    PaymentState,
    PaymentUnknown,
    ReservationForeign,
    ReservationLapsed,
    ReservationOver,
    ReservationState,
    ReservationUnknown,
)
from waitline.kernel.errors import Refused

Play = Callable[[Shop], Coroutine[Any, Any, None]]


def test_a_payment_confirms_sells_and_tells(
    postgres: TestDatabase, sandbox: SandboxProcess
) -> None:
    async def play(shop: Shop) -> None:
        reservation = await shop.hold(1)
        payment = await shop.pay(reservation)
        assert payment.state is PaymentState.COMPLETED
        assert (payment.reservation_id, payment.user_id) == (reservation, USER.user_id)
        assert (payment.amount, payment.method) == (PRICE, "CARD")
        assert payment.paid_at >= payment.created_at
        found = await shop.checkout.fetch_payment(payment.payment_id)
        assert found == (payment, USER, "room")
        assert await shop.sale.states("reservation") == ["CONFIRMED"]
        assert (await shop.sale.seats())[0] == "O"
        (event,) = await shop.sale.sql("SELECT topic, payload FROM outbox")
        assert event["topic"] == "booking.payment.completed"
        assert json.loads(event["payload"]) == {
            "concertId": "room",
            "userId": USER.user_id,
            "reservationId": reservation,
            "paymentId": payment.payment_id,
            "amount": PRICE,
        }
        with pytest.raises(AlreadyPaid):
            await shop.pay(reservation)

    plays(postgres, sandbox, play)


async def _lapse(shop: Shop) -> None:
    await shop.sale.lapse(1)


async def _cancel(shop: Shop) -> None:
    await shop.sale.reservations.cancel(1, USER)


async def _nothing(_: Shop) -> None:
    """Leave it as it is."""


REFUSED = [
    pytest.param(_nothing, (2, USER, PRICE), ReservationUnknown(), id="unknown"),
    pytest.param(_nothing, (1, person(8), PRICE), ReservationForeign(), id="foreign"),
    pytest.param(_nothing, (1, USER, PRICE + 1), AmountWrong(PRICE), id="not the price"),
    pytest.param(_nothing, (1, USER, 0), AmountWrong(PRICE), id="nothing"),
    pytest.param(_nothing, (1, USER, -PRICE), AmountWrong(PRICE), id="less than nothing"),
    pytest.param(_lapse, (1, USER, PRICE), ReservationLapsed(), id="lapsed"),
    pytest.param(
        Shop.expire, (1, USER, PRICE), ReservationOver(ReservationState.EXPIRED), id="expired"
    ),
    pytest.param(
        _cancel, (1, USER, PRICE), ReservationOver(ReservationState.CANCELLED), id="cancelled"
    ),
]


@pytest.mark.parametrize(("before", "asked", "refusal"), REFUSED)
def test_what_cannot_be_paid_is_not_charged(
    postgres: TestDatabase,
    sandbox: SandboxProcess,
    before: Play,
    asked: tuple[int, Buyer, int],
    refusal: Refused,
) -> None:
    async def play(shop: Shop) -> None:
        await shop.hold(1)
        await before(shop)
        with pytest.raises(type(refusal)) as refused:
            await shop.checkout.pay(*asked, "CARD")
        assert refused.value.args == refusal.args
        assert await shop.sale.states("payment") == []
        await shop.sale.reservations.expire(1)

    plays(postgres, sandbox, play)


def test_every_word_of_the_statement_is_known() -> None:
    text = files("waitline.booking").joinpath("sql/payments.sql").read_text("utf-8")
    header = text.partition("-- returns:")[2].partition("\nWITH")[0]
    assert {*checkout.BEGIN_REFUSED, "begun"} == set(re.findall(r"'(\w+)'", header))


def test_in_a_trial_any_amount_will_do(postgres: TestDatabase, sandbox: SandboxProcess) -> None:
    async def whole(shop: Shop) -> None:
        trial = Checkout(shop.sale.database, shop.provider, at_price=False)
        reservation = await shop.hold(1)
        with pytest.raises(AmountWrong):
            await trial.pay(reservation, USER, 0, "CARD")
        # More than four bytes hold.
        paid = await trial.pay(reservation, USER, 5_000_000_000, "CARD")
        assert paid.amount == 5_000_000_000
        # Only for the audit, which knows production alone.
        await shop.sale.sql("UPDATE payment SET amount = $1", PRICE)

    plays(postgres, sandbox, whole)


def test_a_declined_reservation_can_be_paid_again(
    postgres: TestDatabase, sandbox: SandboxProcess
) -> None:
    async def play(shop: Shop) -> None:
        reservation = await shop.hold(1)
        with pytest.raises(Declined) as declined:
            await shop.pay(reservation, "DECLINE")
        assert declined.value.reason == "declined by the bank"
        assert (await shop.sale.seats())[0] == "R"
        assert (await shop.pay(reservation)).state is PaymentState.COMPLETED
        assert await shop.sale.states("payment") == ["FAILED", "COMPLETED"]

    plays(postgres, sandbox, play)


def test_no_more_payments_are_under_way_than_can_be_carried(
    postgres: TestDatabase, sandbox: SandboxProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkout, "UNDER_WAY_MAX", 2)

    async def play(shop: Shop) -> None:
        held = [await shop.hold(seat, user=seat) for seat in range(1, 9)]
        calls = [lambda r=r, u=u: shop.pay(r, "CARD", user=u) for u, r in enumerate(held, 1)]
        outcomes = await at_once(calls)
        kinds = {type(one).__name__ for one in outcomes}
        assert kinds == {"Payment", "Unavailable"}
        # What was refused was never begun.
        paid = sum(type(one).__name__ == "Payment" for one in outcomes)
        assert await shop.sale.states("payment") == ["COMPLETED"] * paid
        assert await shop.pay(held[-1], user=8) if paid < 8 else True

    plays(postgres, sandbox, play)


def test_unknown_payments_are_not_found(postgres: TestDatabase, sandbox: SandboxProcess) -> None:
    async def play(shop: Shop) -> None:
        with pytest.raises(PaymentUnknown):
            await shop.checkout.fetch_payment(1)

    plays(postgres, sandbox, play)
