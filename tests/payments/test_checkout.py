"""Paying: by a real sandbox, on the real database, with everything that goes wrong."""

import asyncio
import json
import re
from collections.abc import Callable, Coroutine
from importlib.resources import files
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from typing_extensions import override

from tests.booking.sale import PRICE, at_once
from tests.databases import TestDatabase
from tests.payments.shop import (
    DEADLINE_S,
    USER,
    SandboxProcess,
    Shop,
    ledger,
    new_key,
    open_shop,
    plays,
    sandbox_running,
)
from waitline.booking import checkout
from waitline.booking.checkout import Checkout
from waitline.booking.model import (
    AlreadyPaid,
    AmountWrong,
    Declined,
    PaymentRunning,
    PaymentState,
    PaymentUnknown,
    ReservationForeign,
    ReservationLapsed,
    ReservationOver,
    ReservationState,
    ReservationUnknown,
)
from waitline.errors import Refused, Unavailable
from waitline.payments.model import Charged, NotCharged, WebhookForged
from waitline.payments.sandbox import Sandbox

Play = Callable[[Shop], Coroutine[Any, Any, None]]


def test_a_payment_confirms_sells_and_tells(
    postgres: TestDatabase, sandbox: SandboxProcess
) -> None:
    async def play(shop: Shop) -> None:
        reservation = await shop.hold(1)
        payment = await shop.pay(reservation)
        assert payment.state is PaymentState.COMPLETED
        assert (payment.reservation_id, payment.user_id) == (reservation, USER)
        assert (payment.amount, payment.method) == (PRICE, "CARD")
        assert payment.paid_at >= payment.created_at
        assert await shop.checkout.find(payment.payment_id) == payment
        assert await shop.sale.states("reservation") == ["CONFIRMED"]
        assert (await shop.sale.seats())[0] == "O"
        (event,) = await shop.sale.sql("SELECT topic, payload FROM outbox")
        assert event["topic"] == "booking.payment.completed"
        assert json.loads(event["payload"]) == {
            "concertId": "room",
            "userId": str(USER),
            "reservationId": reservation,
            "paymentId": payment.payment_id,
            "amount": PRICE,
        }
        with pytest.raises(AlreadyPaid):
            await shop.pay(reservation)

    plays(postgres, sandbox, play)


async def _lapse(shop: Shop) -> None:
    await shop.sale.lapse(1)


async def _expire(shop: Shop) -> None:
    await shop.sale.lapse(1)
    await shop.sale.reservations.expire(1)


async def _cancel(shop: Shop) -> None:
    await shop.sale.reservations.cancel(1, USER)


async def _nothing(_: Shop) -> None:
    """Leave it as it is."""


REFUSED = [
    pytest.param(_nothing, (2, USER, PRICE), ReservationUnknown(), id="unknown"),
    pytest.param(_nothing, (1, USER + 1, PRICE), ReservationForeign(), id="foreign"),
    pytest.param(_nothing, (1, USER, PRICE + 1), AmountWrong(PRICE), id="not the price"),
    pytest.param(_nothing, (1, USER, 0), AmountWrong(PRICE), id="nothing"),
    pytest.param(_nothing, (1, USER, -PRICE), AmountWrong(PRICE), id="less than nothing"),
    pytest.param(_lapse, (1, USER, PRICE), ReservationLapsed(), id="lapsed"),
    pytest.param(
        _expire, (1, USER, PRICE), ReservationOver(ReservationState.EXPIRED), id="expired"
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
    asked: tuple[int, int, int],
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


def test_a_charge_without_an_answer_is_confirmed_afterwards(
    postgres: TestDatabase, sandbox: SandboxProcess
) -> None:
    async def play(shop: Shop) -> None:
        reservation = await shop.hold(1)
        with pytest.raises(Unavailable):
            await shop.hasty.pay(reservation, USER, PRICE, "TIMEOUT")
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
        reservation = await shop.hold(1)
        with pytest.raises(Unavailable):
            await shop.hasty.pay(reservation, USER, PRICE, "TIMEOUT")
        await _expire(shop)
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
        reservation = await shop.hold(1)
        with pytest.raises(Unavailable):
            await shop.hasty.pay(reservation, USER, PRICE, "TIMEOUT")
        await shop.sale.sql("UPDATE reservation SET expires_at = now() - interval '1 s'")
        assert await shop.sale.reservations.expire(10) == []
        await shop.settled()
        assert await shop.sale.states("reservation") == ["CONFIRMED"]

    plays(postgres, sandbox, play)


def test_messages_may_come_twice(postgres: TestDatabase, sandbox: SandboxProcess) -> None:
    async def play(shop: Shop) -> None:
        await shop.pay(await shop.hold(1), "DUPLICATE_WEBHOOK")
        key = await shop.key()

        async def both_are_there() -> bool:
            return len(shop.mailbox.about(key)) == 2

        await shop.until(both_are_there)
        for letter in shop.mailbox.about(key) * 2:
            await shop.checkout.webhook(*letter)
        assert await shop.sale.states("payment") == ["COMPLETED"]
        assert len(await shop.sale.sql("SELECT FROM outbox")) == 1

    plays(postgres, sandbox, play)


@pytest.mark.parametrize("method", ["WEBHOOK_FIRST", "WEBHOOK_FIRST+TIMEOUT"])
def test_a_message_may_come_before_the_answer(
    postgres: TestDatabase, sandbox: SandboxProcess, method: str
) -> None:
    async def play(shop: Shop) -> None:
        states: list[str] = []

        async def read(headers: dict[str, str], body: bytes) -> None:
            await shop.checkout.webhook(headers, body)
            states.extend(await shop.sale.states("payment"))

        shop.mailbox.read = read
        reservation = await shop.hold(1)
        if "TIMEOUT" in method:
            with pytest.raises(Unavailable):
                await shop.hasty.pay(reservation, USER, PRICE, method)
        else:
            assert (await shop.pay(reservation, method)).state is PaymentState.COMPLETED
        assert states == ["COMPLETED"]
        assert len(await shop.sale.sql("SELECT FROM outbox")) == 1

    plays(postgres, sandbox, play)


def test_a_declined_payment_may_be_told_first_by_a_message(
    postgres: TestDatabase, sandbox: SandboxProcess
) -> None:
    async def play(shop: Shop) -> None:
        shop.mailbox.read = shop.checkout.webhook
        with pytest.raises(Declined):
            await shop.pay(await shop.hold(1), "DECLINE+WEBHOOK_FIRST")
        assert await shop.sale.states("payment") == ["FAILED"]

    plays(postgres, sandbox, play)


def test_a_message_that_comes_after_the_seats_are_gone_leads_to_a_refund(
    postgres: TestDatabase, sandbox: SandboxProcess
) -> None:
    async def play(shop: Shop) -> None:
        reservation = await shop.hold(1)
        with pytest.raises(Unavailable):
            await shop.hasty.pay(reservation, USER, PRICE, "TIMEOUT+LATE_WEBHOOK")
        await _expire(shop)
        letter = await _letter(shop, await shop.key())
        await shop.checkout.webhook(*letter)
        assert await shop.sale.states("payment") == ["REFUNDING"]
        # Nothing need come due: a refund is begun at once.
        assert await shop.checkout.settle() == 1
        assert await shop.sale.states("payment") == ["REFUNDED"]
        await shop.checkout.webhook(*letter)
        assert await shop.sale.states("payment") == ["REFUNDED"]

    plays(postgres, sandbox, play)


def test_a_charge_that_comes_to_light_after_it_was_given_up_goes_back(
    postgres: TestDatabase, sandbox: SandboxProcess
) -> None:
    """The attempt was taken for failed, and another has been paid since."""

    async def play(shop: Shop) -> None:
        reservation = await shop.hold(1)
        with pytest.raises(Unavailable):
            await shop.hasty.pay(reservation, USER, PRICE, "TIMEOUT")
        key = await shop.key()
        await shop.sale.database.one("fail_payment", charge_key=key, reason="given up")
        assert (await shop.pay(reservation)).state is PaymentState.COMPLETED
        await shop.checkout.webhook(*await _letter(shop, key))
        assert await shop.sale.states("payment") == ["REFUNDING", "COMPLETED"]

    plays(postgres, sandbox, play)


def test_the_message_of_a_refund_ends_it(postgres: TestDatabase, sandbox: SandboxProcess) -> None:
    async def play(shop: Shop) -> None:
        reservation = await shop.hold(1)
        await shop.pay(reservation)
        await shop.sale.reservations.cancel(reservation, USER)
        key = await shop.key()
        charge = await shop.charge(key)
        await shop.provider.refund(key, charge["ref"], PRICE)
        await shop.checkout.webhook(*await _letter(shop, key, "REFUNDED"))
        assert await shop.sale.states("payment") == ["REFUNDED"]

    plays(postgres, sandbox, play)


def test_a_message_about_somebody_elses_charge_changes_nothing(
    postgres: TestDatabase, sandbox: SandboxProcess
) -> None:
    async def play(shop: Shop) -> None:
        key = new_key()
        for method in ("CARD", "DECLINE"):
            key = new_key()
            await shop.provider.charge(key, PRICE, method)
            await shop.checkout.webhook(*await _letter(shop, key))
        assert await shop.sale.states("payment") == []

    plays(postgres, sandbox, play)


def test_forged_and_changed_messages_are_refused(
    postgres: TestDatabase, sandbox: SandboxProcess
) -> None:
    async def play(shop: Shop) -> None:
        reservation = await shop.hold(1)
        with pytest.raises(Unavailable):
            await shop.hasty.pay(reservation, USER, PRICE, "TIMEOUT+DECLINE")
        headers, body = await _letter(shop, await shop.key())
        forged = body.replace(b"DECLINED", b"CHARGED")
        assert forged != body
        for attempt in (({}, forged), (headers, forged), (headers, b"")):
            with pytest.raises(WebhookForged):
                await shop.checkout.webhook(*attempt)
        assert await shop.sale.states("payment") == ["PENDING"]
        await shop.checkout.webhook(headers, body)
        assert await shop.sale.states("payment") == ["FAILED"]

    plays(postgres, sandbox, play)


def test_whoever_hangs_up_is_charged_and_confirmed_or_neither(
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

            await shop.until(some_are_under_way)
            for task in tasks:
                task.cancel()
        await shop.settled()
        assert set(await shop.sale.states("payment")) <= {"COMPLETED", "FAILED"}

    plays(postgres, sandbox, play)


def test_a_provider_that_is_down_is_asked_when_it_is_back(
    postgres: TestDatabase, tmp_path: Path
) -> None:
    async def charged(shop: Shop) -> None:
        with pytest.raises(Unavailable):
            await shop.hasty.pay(await shop.hold(1), USER, PRICE, "TIMEOUT")

    async def down(shop: Shop) -> None:
        with pytest.raises(Unavailable):
            await shop.pay(await shop.hold(2))
        await shop.sale.sql("UPDATE payment SET look_at = now()")
        assert await shop.checkout.settle() == 2
        assert await shop.sale.states("payment") == ["PENDING", "PENDING"]

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
        super().__init__("http://127.0.0.1:9", "k", "s")

    @override
    async def find(self, key: UUID) -> Charged | NotCharged | None:
        return None

    @override
    async def refund(self, key: UUID, provider_ref: str, amount: int) -> None:
        raise ArithmeticError(key, provider_ref, amount)


def test_what_cannot_be_settled_is_looked_at_less_and_less_often(
    postgres: TestDatabase, sandbox: SandboxProcess
) -> None:
    async def play(shop: Shop) -> None:
        silent = Checkout(shop.sale.database, Silent(), at_price=True)
        reservation = await shop.hold(1)
        await shop.pay(reservation)
        await shop.sale.reservations.cancel(reservation, USER)
        await shop.sale.begin(await shop.hold(2), USER)
        await shop.sale.sql("UPDATE payment SET look_at = now()")
        pauses = []
        for _ in range(9):
            assert await silent.settle() == 2
            rows = await shop.sale.sql(
                "SELECT extract(epoch FROM look_at - now())::float8 AS pause FROM payment"
            )
            pauses.append(round(max(row["pause"] for row in rows), -1))
            await shop.sale.sql("UPDATE payment SET look_at = now()")
        assert pauses == sorted(pauses)
        assert pauses[-1] > 500
        # A year of looks is no number too large.
        await shop.sale.sql("UPDATE payment SET looks = 100_000, look_at = now()")
        assert await silent.settle() == 2
        assert await shop.sale.states("payment") == ["REFUNDING", "PENDING"]
        await shop.sale.sql(
            "UPDATE payment SET looks = 0, look_at = now(), created_at = now() - interval '1 day'"
        )
        assert await silent.settle() == 2
        assert await shop.sale.states("payment") == ["REFUNDING", "FAILED"]

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

            await shop.until(refunded)
            task.cancel()

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
            await shop.checkout.find(1)

    plays(postgres, sandbox, play)


async def _letter(shop: Shop, key: UUID, about: str = "") -> tuple[dict[str, str], bytes]:
    """Wait for what the sandbox says of a charge."""
    found: list[tuple[dict[str, str], bytes]] = []

    async def there() -> bool:
        found[:] = [one for one in shop.mailbox.about(key) if about.encode() in one[1]]
        return bool(found)

    async with asyncio.timeout(DEADLINE_S):
        await shop.until(there)
    return found[0]
