"""Reconciliation: open payments are settled by confirmation or refund."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from typing_extensions import override

from tests.booking.sale import PRICE
from tests.databases import TestDatabase
from tests.payments.shop import (
    DEADLINE_S,
    USER,
    SandboxProcess,
    Shop,
    ledger,
    open_shop,
    plays,
    sandbox_running,
)
from tests.until import until_async
from waitline.booking.checkout import Checkout
from waitline.booking.model import PaymentRunning, PaymentState
from waitline.kernel.errors import Unavailable
from waitline.payment_providers.model import Charged, Money, NotCharged, Refund, Unseen
from waitline.payment_providers.sandbox.adapter import Sandbox

Play = Callable[[Shop], Coroutine[Any, Any, None]]


def test_a_charge_without_an_answer_is_confirmed_afterwards(
    postgres: TestDatabase, sandbox: SandboxProcess
) -> None:
    async def play(shop: Shop) -> None:
        reservation = await shop.unanswered()
        with pytest.raises(PaymentRunning):
            await shop.pay(reservation)
        with pytest.raises(PaymentRunning):
            await shop.sale.reservations.cancel(reservation, USER)
        # It is not looked at before its time, and neither are its seats given away.
        assert await shop.checkout.settle() == 0
        await shop.settled()
        assert await shop.sale.states("payment") == ["COMPLETED"]
        assert await shop.sale.states("reservation") == ["CONFIRMED"]

    plays(postgres, sandbox, play)


def test_a_charge_without_an_answer_goes_back_if_the_seats_are_gone(
    postgres: TestDatabase, sandbox: SandboxProcess
) -> None:
    async def play(shop: Shop) -> None:
        await shop.unanswered()
        await shop.expire()
        assert await shop.sale.states("reservation") == ["EXPIRED"]
        assert (await shop.sale.seats())[0] == "A"
        await shop.settled()
        assert await shop.sale.states("payment") == ["REFUNDED"]
        assert (await shop.charge(await shop.key()))["refunded"] == 1

    plays(postgres, sandbox, play)


def test_seats_stay_as_long_as_a_payment_begun_in_time_may_take(
    postgres: TestDatabase, sandbox: SandboxProcess
) -> None:
    async def play(shop: Shop) -> None:
        await shop.unanswered()
        await shop.sale.sql("UPDATE reservation SET expires_at = listening_now() - interval '1 s'")
        assert await shop.sale.reservations.expire(10) == []
        await shop.settled()
        assert await shop.sale.states("reservation") == ["CONFIRMED"]

    plays(postgres, sandbox, play)


def test_a_disconnected_buyer_is_charged_and_confirmed_or_neither(
    postgres: TestDatabase, sandbox: SandboxProcess
) -> None:
    async def play(shop: Shop) -> None:
        seats = range(1, 11)
        tasks = []
        async with asyncio.TaskGroup() as group:
            for seat in seats:
                reservation = await shop.hold(seat, user=seat)
                call = shop.pay(reservation, "TIMEOUT" if seat % 2 else "CARD", user=seat)
                tasks.append(group.create_task(call))

            async def some_are_under_way() -> bool:
                return len(await shop.sale.states("payment")) >= len(seats) // 2

            await until_async(some_are_under_way, DEADLINE_S)
            for task in tasks:
                task.cancel()
        await shop.settled()
        assert set(await shop.sale.states("payment")) <= {"COMPLETED", "FAILED"}

    plays(postgres, sandbox, play)


def test_the_charge_of_a_payment_that_is_gone_is_refunded_at_once(postgres: TestDatabase) -> None:
    """A standby that lacks the payment has taken over while the provider was charging."""

    async def play(shop: Shop) -> None:
        paying = asyncio.create_task(shop.pay(await shop.hold(1)))
        keys: list[UUID] = []

        async def gone() -> bool:
            rows = await shop.sale.sql("DELETE FROM payment RETURNING charge_key")
            keys.extend(UUID(str(row["charge_key"])) for row in rows)
            return bool(keys)

        await until_async(gone, DEADLINE_S)
        with pytest.raises(Unavailable, match="the payment was lost"):
            await paying
        charge = await shop.charge(keys[0])
        assert (charge["charged"], charge["refunded"]) == (1, 1)

    with sandbox_running("--latency", "2..2") as slow:
        plays(postgres, slow, play)


def test_a_provider_that_is_down_is_asked_when_it_is_back(
    postgres: TestDatabase, tmp_path: Path
) -> None:
    async def charged(shop: Shop) -> None:
        await shop.unanswered()

    async def down(shop: Shop) -> None:
        with pytest.raises(Unavailable):
            await shop.pay(await shop.hold(2))
        await shop.sale.sql("UPDATE payment SET look_at = listening_now()")
        assert await shop.checkout.settle() == 1
        # What was certainly not sent has failed at once.
        assert await shop.sale.states("payment") == ["PENDING", "FAILED"]

    async def back(shop: Shop) -> None:
        await shop.settled()
        assert await shop.sale.states("payment") == ["COMPLETED", "FAILED"]
        assert (await shop.checkout.pay(2, USER, PRICE, "CARD")).state is PaymentState.COMPLETED
        await shop.balance()

    kept = ledger(tmp_path)
    with sandbox_running(*kept) as first:
        _in_turn(postgres, first, charged, seats=2)
    port, webhook_port = int(first.url.rpartition(":")[2]), first.webhook_port
    _in_turn(postgres, first, down)
    with sandbox_running(*kept, port=port, webhook_port=webhook_port) as again:
        _in_turn(postgres, again, back)


def _in_turn(
    postgres: TestDatabase, sandbox: SandboxProcess, play: Play, *, seats: int = 0
) -> None:
    async def whole() -> None:
        async with open_shop(postgres, sandbox, seats=seats) as shop:
            await play(shop)

    postgres.wait(whole())


class Silent(Sandbox):
    """A provider that knows nothing yet, and breaks on what is given back."""

    def __init__(self) -> None:
        super().__init__("k", "s", url="http://127.0.0.1:9")

    @override
    async def fetch_outcome(self, key: UUID, price: Money) -> Charged | NotCharged | Unseen | None:
        return None

    @override
    async def refund(self, key: UUID, provider_ref: str, whole: Money) -> Refund:
        raise ArithmeticError(key, provider_ref, whole)


def test_what_cannot_be_settled_is_looked_at_less_and_less_often(
    postgres: TestDatabase, sandbox: SandboxProcess
) -> None:
    async def play(shop: Shop) -> None:
        silent = Checkout(shop.sale.database, Silent(), at_price=True)
        reservation = await shop.hold(1)
        await shop.pay(reservation)
        await shop.sale.reservations.cancel(reservation, USER)
        await shop.sale.begin(await shop.hold(2), USER)
        await shop.sale.sql("UPDATE payment SET look_at = listening_now()")
        pauses = []
        for _ in range(9):
            assert await silent.settle() == 2
            rows = await shop.sale.sql(
                "SELECT extract(epoch FROM look_at - listening_now())::float8 AS pause FROM payment"
            )
            pauses.append(round(max(row["pause"] for row in rows), -2))
            await shop.sale.sql("UPDATE payment SET look_at = listening_now()")
        assert pauses == sorted(pauses)
        assert pauses[-1] > 500
        # A year of looks is no number too large.
        await shop.sale.sql("UPDATE payment SET looks = 100_000, look_at = listening_now()")
        assert await silent.settle() == 2
        assert await shop.sale.states("payment") == ["REFUNDING", "PENDING"]
        await shop.sale.sql(
            "UPDATE payment SET looks = 0, look_at = listening_now(), "
            "created_at = now() - interval '1 day'"
        )
        assert await silent.settle() == 2
        assert await shop.sale.states("payment") == ["REFUNDING", "FAILED"]
        # On a slow machine, the next look would be overdue by the time of the audit.
        await shop.sale.sql("UPDATE payment SET look_at = listening_now() + interval '1 hour'")

    plays(postgres, sandbox, play)


def test_the_reconciler_runs_until_it_is_stopped(
    postgres: TestDatabase, sandbox: SandboxProcess
) -> None:
    async def play(shop: Shop) -> None:
        reservation = await shop.hold(1)
        await shop.pay(reservation)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(shop.checkout.run())
            await shop.sale.reservations.cancel(reservation, USER)

            async def refunded() -> bool:
                return await shop.sale.states("payment") == ["REFUNDED"]

            await until_async(refunded, DEADLINE_S)
            task.cancel()

    plays(postgres, sandbox, play)
