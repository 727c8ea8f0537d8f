"""Webhooks: early, late, duplicate and forged ones."""

import pytest

from tests.databases import TestDatabase
from tests.payments.shop import (
    DEADLINE_S,
    USER,
    WON,
    SandboxProcess,
    Shop,
    new_key,
    plays,
)
from tests.until import until_async
from waitline.booking.model import Declined, PaymentState
from waitline.payment_providers.model import WebhookForged


def test_messages_may_come_twice(postgres: TestDatabase, sandbox: SandboxProcess) -> None:
    async def play(shop: Shop) -> None:
        await shop.pay(await shop.hold(1), "DUPLICATE_WEBHOOK")
        key = await shop.key()

        async def both_are_there() -> bool:
            return len(shop.mailbox.about(key)) == 2

        await until_async(both_are_there, DEADLINE_S)
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
            # What the sandbox still had to tell of an earlier test comes here too.
            if str(await shop.key()).encode() in body:
                states.extend(await shop.sale.states("payment"))

        shop.mailbox.read = read
        reservation = await shop.hold(1)
        if "TIMEOUT" in method:
            await shop.unanswered(method, reservation)
        else:
            assert (await shop.pay(reservation, method)).state is PaymentState.COMPLETED
        assert states == ["COMPLETED"]
        assert len(await shop.sale.sql("SELECT FROM outbox")) == 1

    plays(postgres, sandbox, play)


def test_a_webhook_may_report_a_decline_first(
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
        await shop.unanswered("TIMEOUT+LATE_WEBHOOK")
        await shop.expire()
        letter = await shop.letter(await shop.key())
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
        reservation = await shop.unanswered()
        key = await shop.key()
        await shop.sale.database.fetch_one(
            "fail_payment", charge_key=key, reason="given up", who="webhook"
        )
        assert (await shop.pay(reservation)).state is PaymentState.COMPLETED
        await shop.checkout.webhook(*await shop.letter(key))
        assert await shop.sale.states("payment") == ["REFUNDING", "COMPLETED"]

    plays(postgres, sandbox, play)


def test_the_message_of_a_refund_ends_it(postgres: TestDatabase, sandbox: SandboxProcess) -> None:
    async def play(shop: Shop) -> None:
        reservation = await shop.hold(1)
        await shop.pay(reservation)
        await shop.sale.reservations.cancel(reservation, USER)
        key = await shop.key()
        charge = await shop.charge(key)
        await shop.provider.refund(key, charge["ref"], WON)
        await shop.checkout.webhook(*await shop.letter(key, "REFUNDED"))
        assert await shop.sale.states("payment") == ["REFUNDED"]

    plays(postgres, sandbox, play)


def test_a_message_about_somebody_elses_charge_changes_nothing(
    postgres: TestDatabase, sandbox: SandboxProcess
) -> None:
    async def play(shop: Shop) -> None:
        key = new_key()
        for method in ("CARD", "DECLINE"):
            key = new_key()
            await shop.provider.charge(key, WON, method)
            await shop.checkout.webhook(*await shop.letter(key))
        assert await shop.sale.states("payment") == []

    plays(postgres, sandbox, play)


def test_forged_and_changed_messages_are_refused(
    postgres: TestDatabase, sandbox: SandboxProcess
) -> None:
    async def play(shop: Shop) -> None:
        await shop.unanswered("TIMEOUT+DECLINE")
        headers, body = await shop.letter(await shop.key())
        forged = body.replace(b"DECLINED", b"CHARGED")
        assert forged != body
        for attempt in (({}, forged), (headers, forged), (headers, b"")):
            with pytest.raises(WebhookForged):
                await shop.checkout.webhook(*attempt)
        assert await shop.sale.states("payment") == ["PENDING"]
        await shop.checkout.webhook(headers, body)
        assert await shop.sale.states("payment") == ["FAILED"]

    plays(postgres, sandbox, play)
