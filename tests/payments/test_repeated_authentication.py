"""A payment that waits for the visitor's bank: a repeat with its key gets the same answer again."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple

import pytest

from tests.booking.desk import LossyDatabase, request
from tests.booking.sale import PRICE, person
from tests.databases import TestDatabase
from tests.payments import stripe_api
from tests.payments.shop import KEY, SECRET, USER, SandboxProcess, Shop, open_shop
from tests.payments.stripe_api import StripeApi
from waitline.booking.checkout import Checkout
from waitline.booking.idempotency import IdempotencyKeys
from waitline.booking.idempotency_key import IdempotencyKey
from waitline.booking.model import AuthenticationNeeded, PaymentState
from waitline.http.problem_responses import ProblemResponses
from waitline.http.responses import Answer
from waitline.kernel.clock import SystemClock
from waitline.kernel.errors import Unavailable
from waitline.payment_providers.port import Provider
from waitline.payment_providers.sandbox.adapter import Sandbox
from waitline.payment_providers.stripe import Stripe
from waitline.services.booking import answers
from waitline.services.booking.idempotency import Idempotency, key_of
from waitline.services.problems import PROBLEMS

METHODS = {"sandbox": "AUTHENTICATE", "stripe": "pm_action"}


class Counter(NamedTuple):
    """Where a visitor pays with a key, and a reply of the database can be lost."""

    shop: Shop
    database: LossyDatabase
    checkout: Checkout
    method: str

    async def pay(self, reservation: int, key: str = "p", user: int = 7) -> Answer:
        asked = request(key, f"pay {reservation}")
        payer = person(user)

        async def write(given: IdempotencyKey | None) -> Answer:
            paid = await self.checkout.pay(reservation, payer, PRICE, self.method, given)
            return answers.paid("ko", paid)

        problems = ProblemResponses(PROBLEMS, SystemClock())
        idempotency = Idempotency(IdempotencyKeys(self.database), problems, self.checkout.pay_again)
        return await idempotency.once(key_of(asked), payer, asked, write)

    async def needed(self, reservation: int) -> tuple[int, str | None, str | None]:
        """Pay, and return what the visitor's page goes on with."""
        with pytest.raises(AuthenticationNeeded) as error:
            await self.pay(reservation)
        return error.value.payment_id, error.value.client_secret, error.value.url

    async def kept_until(self) -> object:
        rows = await self.shop.sale.sql("SELECT paying_until FROM reservation")
        return rows[0]["paying_until"]


def provided(kind: str, sandbox: SandboxProcess, api: StripeApi) -> Provider:
    if kind == "stripe":
        return Stripe(stripe_api.KEY, stripe_api.SECRET, url=api.url)
    return Sandbox(KEY, SECRET, url=sandbox.url)


@asynccontextmanager
async def opened(
    postgres: TestDatabase, sandbox: SandboxProcess, kind: str
) -> AsyncIterator[Counter]:
    async with AsyncExitStack() as stack:
        shop = await stack.enter_async_context(open_shop(postgres, sandbox))
        api = await stack.enter_async_context(stripe_api.serving())
        provider = provided(kind, sandbox, api)
        stack.push_async_callback(provider.close)
        database = LossyDatabase(postgres.url, "waitline.booking")
        stack.push_async_callback(database.close)
        checkout = Checkout(database, provider, at_price=True)
        yield Counter(shop, database, checkout, METHODS[kind])


@pytest.mark.parametrize("lost", [True, False])
@pytest.mark.parametrize("kind", METHODS)
def test_a_repeat_is_answered_again(
    postgres: TestDatabase, sandbox: SandboxProcess, *, kind: str, lost: bool
) -> None:
    async def play() -> None:
        async with opened(postgres, sandbox, kind) as counter:
            reservation = await counter.shop.hold(1)
            if lost:
                counter.database.lost = "authenticate_payment"
                with pytest.raises(Unavailable):
                    await counter.pay(reservation)
            else:
                await counter.needed(reservation)
            until = await counter.kept_until()
            first = await counter.needed(reservation)
            assert first[1]
            assert await counter.needed(reservation) == first
            assert await counter.shop.sale.states("payment") == ["PENDING"]
            # A repeat does not extend the hold.
            assert await counter.kept_until() == until
            # The secret is with the provider, and nowhere with us.
            for table in ("idempotency", "payment", "evidence"):
                rows = await counter.shop.sale.sql(f"SELECT t::text FROM {table} AS t")  # noqa: S608
                assert rows
                assert not [row for row in rows if "secret" in row["t"]]

    postgres.wait(play())


def test_without_its_key_it_is_another_attempt(
    postgres: TestDatabase, sandbox: SandboxProcess
) -> None:
    async def play() -> None:
        async with opened(postgres, sandbox, "sandbox") as counter:
            reservation = await counter.shop.hold(1)
            first = await counter.needed(reservation)
            with pytest.raises(AuthenticationNeeded) as second:
                await counter.pay(reservation, key="other")
            assert second.value.payment_id != first[0]
            # The first was given up for it, and is answered so.
            assert (await counter.pay(reservation)).status == 400
            assert await counter.shop.sale.states("payment") == ["FAILED", "PENDING"]

    postgres.wait(play())


@pytest.mark.parametrize(("confirmed", "status"), [(True, 201), (False, 400)])
def test_a_repeat_learns_what_the_bank_decided(
    postgres: TestDatabase, sandbox: SandboxProcess, *, confirmed: bool, status: int
) -> None:
    async def play() -> None:
        async with opened(postgres, sandbox, "sandbox") as counter:
            reservation = await counter.shop.hold(1)
            payment, _, _ = await counter.needed(reservation)
            # Its webhook has not come yet.
            await counter.shop.dashboard(
                await counter.shop.key(), "authenticate", confirmed=confirmed
            )
            answer = await counter.pay(reservation)
            assert answer.status == status
            assert await counter.pay(reservation) == answer
            if confirmed:
                assert json.loads(answer.body)["data"]["paymentId"] == payment
                found = await counter.checkout.fetch_payment(payment)
                assert found.payment.state is PaymentState.COMPLETED

    postgres.wait(play())


def test_a_provider_that_cannot_be_reached_changes_nothing(
    postgres: TestDatabase, sandbox: SandboxProcess
) -> None:
    async def play() -> None:
        async with opened(postgres, sandbox, "sandbox") as counter:
            reservation = await counter.shop.hold(1)
            first = await counter.needed(reservation)
            away = Sandbox(KEY, SECRET, url="http://127.0.0.1:9")
            unreached = counter._replace(checkout=Checkout(counter.database, away, at_price=True))
            with pytest.raises(Unavailable):
                await unreached.pay(reservation)
            await away.close()
            assert await counter.needed(reservation) == first

    postgres.wait(play())


def test_the_answer_belongs_to_its_buyer(postgres: TestDatabase, sandbox: SandboxProcess) -> None:
    async def play() -> None:
        async with opened(postgres, sandbox, "sandbox") as counter:
            reservation = await counter.shop.hold(1, user=USER)
            await counter.needed(reservation)
            answer = await counter.pay(reservation, user=8)
            assert b"secret" not in answer.body
            assert answer.status >= 400

    postgres.wait(play())
