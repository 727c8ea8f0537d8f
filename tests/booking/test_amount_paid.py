"""The metric of confirmed amounts: each payment counts once, however its charge is found."""

import pytest

from tests.booking.desk import ANN, Desk, plays
from tests.booking.sale import PRICE
from tests.databases import TestDatabase
from waitline.kernel import telemetry
from waitline.kernel.errors import Unavailable


@pytest.fixture
def desk(postgres: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr(telemetry.AMOUNT_PAID, "values", {})
    return Desk(postgres)


def paid() -> dict[tuple[str, ...], float]:
    return telemetry.AMOUNT_PAID.values


def test_a_payment_counts_once(desk: Desk) -> None:
    async def play() -> None:
        await desk.reserve(1)
        for _ in range(2):
            await desk.pay()
        (key,) = desk.till.charged
        # As the webhook after the answer does.
        assert (await desk.sale.confirm(key))["confirmed"] is False
        await desk.checkout.settle()
        assert paid() == {("KRW",): PRICE}

    plays(desk, play)


def test_a_payment_whose_answer_was_lost_counts_when_it_is_settled(desk: Desk) -> None:
    async def play() -> None:
        await desk.reserve(1)
        desk.till.silent = True
        with pytest.raises(Unavailable):
            await desk.checkout.pay(1, ANN, PRICE, "CARD", None)
        assert paid() == {}
        (row,) = await desk.sale.sql(
            "UPDATE payment SET look_at = listening_now() - interval '1 s' RETURNING charge_key"
        )
        # The provider had charged before its answer was lost.
        desk.till.charged.add(row["charge_key"])
        for _ in range(2):
            await desk.checkout.settle()
        assert paid() == {("KRW",): PRICE}

    plays(desk, play)


def test_a_charge_that_came_too_late_does_not_count(desk: Desk) -> None:
    async def play() -> None:
        await desk.reserve(1)
        begun = await desk.sale.begin(1, ANN)
        await desk.sale.database.fetch_one(
            "fail_payment", charge_key=begun["charge_key"], reason="no", who="webhook"
        )
        desk.till.charged.add(begun["charge_key"])
        row = await desk.sale.confirm(begun["charge_key"])
        assert (row["state"], row["confirmed"]) == ("REFUNDING", False)
        await desk.checkout.settle()
        assert paid() == {}

    plays(desk, play)
