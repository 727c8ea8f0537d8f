"""Payments are charged, compared and refunded in the currency of their concert."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pydantic import SecretStr

from tests.booking.sale import PRICE, begin
from tests.databases import TestDatabase
from tests.payments import stripe_api
from tests.payments.shop import USER, SandboxProcess, Shop, new_key, open_shop, plays
from tests.payments.stripe_api import StripeApi, message
from waitline.booking import provider_audit
from waitline.booking.checkout import Checkout
from waitline.booking.model import Declined, PaymentState
from waitline.booking.provider_audit import DAMAGE, compare
from waitline.kernel.errors import Misconfigured
from waitline.payment_providers.model import NOT_CHARGEABLE, Money, NotCharged
from waitline.payment_providers.stripe import Stripe
from waitline.payment_providers.toss import Toss
from waitline.services.booking.process import check_currencies
from waitline.settings import Settings

# Currency, price in its minor units, and the number by which Stripe means it.
CURRENCIES = [
    ("KRW", PRICE, PRICE),
    ("USD", 12_050, 12_050),
    ("KWD", 5_120, 5_120),
    ("ISK", 9_900, 990_000),
    ("MGA", 500_000, 5_000),
]


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provider_audit, "LATE_S", 0.0)


async def priced(shop: Shop, currency: str, price: int = PRICE) -> None:
    await shop.sale.sql("UPDATE concert SET currency = $1", currency)
    await shop.sale.sql("UPDATE seat SET price = $1", price)


async def found(shop: Shop, provider: Any) -> list[str]:  # noqa: ANN401 - a Provider
    """The kinds of what differs between the provider's list and the payments."""
    compared = await compare(
        shop.sale.database, provider, since_s=3_600.0, now_ms=shop.opened_ms + 3_600_000
    )
    texts = [one.text.partition(": ")[0].partition(" ")[2] for one in compared.findings]
    return [kind for kind, text in DAMAGE.items() if text.partition(": ")[0] in texts]


@asynccontextmanager
async def with_stripe(shop: Shop) -> AsyncIterator[tuple[StripeApi, Stripe, Checkout]]:
    async with stripe_api.serving() as api:
        provider = Stripe(stripe_api.KEY, stripe_api.SECRET, url=api.url)
        try:
            yield api, provider, Checkout(shop.sale.database, provider, at_price=True)
        finally:
            await provider.close()


def opens(
    postgres: TestDatabase,
    sandbox: SandboxProcess,
    play: Callable[[Shop], Coroutine[Any, Any, None]],
) -> None:
    """Play in a shop whose money is not in the sandbox's books."""

    async def whole() -> None:
        async with open_shop(postgres, sandbox) as shop:
            await play(shop)

    postgres.wait(whole())


async def settled(shop: Shop, checkout: Checkout) -> None:
    await shop.sale.sql("UPDATE payment SET look_at = listening_now()")
    await checkout.settle()


@pytest.mark.parametrize(("currency", "price", "number"), CURRENCIES)
def test_stripe_charges_and_refunds_in_the_currency_of_the_concert(
    *,
    postgres: TestDatabase,
    sandbox: SandboxProcess,
    currency: str,
    price: int,
    number: int,
) -> None:
    async def play(shop: Shop) -> None:
        await priced(shop, currency, price)
        async with with_stripe(shop) as (api, provider, checkout):
            reservation = await shop.hold(1)
            paid = await checkout.pay(reservation, USER, price, "pm_card")
            assert (paid.state, paid.amount) == (PaymentState.COMPLETED, price)
            intent = api.intents["pi_1"]
            assert (intent["amount"], intent["currency"]) == (number, currency.lower())
            # The webhook of the charge, and the list, say the same money.
            key = await shop.key()
            about = {**intent, "metadata": {"charge_key": str(key)}}
            await checkout.webhook(*message("payment_intent.succeeded", about))
            assert await shop.sale.states("payment") == ["COMPLETED"]
            assert await found(shop, provider) == []
            await shop.sale.reservations.cancel(reservation, USER)
            await settled(shop, checkout)
            assert [one["amount"] for one in api.refunds] == [number]
            rows = await shop.sale.sql("SELECT state, currency, refunded FROM payment")
            assert tuple(rows[0].values()) == ("REFUNDED", currency, price)
            assert await found(shop, provider) == []

    opens(postgres, sandbox, play)


def test_a_lost_charge_is_closed_in_its_currency(
    postgres: TestDatabase, sandbox: SandboxProcess
) -> None:
    async def play(shop: Shop) -> None:
        await priced(shop, "ISK")
        async with with_stripe(shop) as (api, _, checkout):
            await shop.sale.begin(await shop.hold(1), USER)
            await settled(shop, checkout)
            assert await shop.sale.states("payment") == ["FAILED"]
            (intent,) = api.intents.values()
            assert (intent["amount"], intent["currency"]) == (PRICE * 100, "isk")

    opens(postgres, sandbox, play)


@pytest.mark.parametrize(
    ("received", "currency"),
    [(12_051, "usd"), (12_050, "eur"), (12_050, "jpy"), (120, "usd")],
)
def test_a_webhook_of_other_money_does_not_confirm(
    postgres: TestDatabase, sandbox: SandboxProcess, received: int, currency: str
) -> None:
    async def play(shop: Shop) -> None:
        await priced(shop, "USD", 12_050)
        async with with_stripe(shop) as (_, __, checkout):
            reservation = await shop.hold(1)
            await shop.sale.database.fetch_all("begin_payment", **begin(reservation, USER, 12_050))
            about = {
                "id": "pi_1",
                "amount_received": received,
                "currency": currency,
                "metadata": {"charge_key": str(await shop.key())},
            }
            await checkout.webhook(*message("payment_intent.succeeded", about))
            rows = await shop.sale.sql(
                "SELECT state, flag, charged, charged_currency, currency FROM payment"
            )
            assert tuple(rows[0].values()) == (
                "REFUNDING", "charged_otherwise", received, currency.upper(), "USD",
            )  # fmt: skip
            assert await shop.sale.states("reservation") == ["PENDING"]

    opens(postgres, sandbox, play)


def test_a_charge_in_another_currency_is_refunded_in_that_one(
    postgres: TestDatabase, sandbox: SandboxProcess
) -> None:
    async def play(shop: Shop) -> None:
        await priced(shop, "ISK", 9_900)
        async with with_stripe(shop) as (api, provider, checkout):
            with pytest.raises(Declined):
                await checkout.pay(await shop.hold(1), USER, 9_900, "pm_yen")
            # 990 000 in yen, of which Stripe counts no hundredths.
            await settled(shop, checkout)
            assert [one["amount"] for one in api.refunds] == [990_000]
            assert await shop.sale.states("payment") == ["REFUNDED"]
            assert await found(shop, provider) == []

    opens(postgres, sandbox, play)


@pytest.mark.parametrize(
    "change", ["amount = amount + 1", "currency = 'EUR'"], ids=["amount", "currency"]
)
def test_the_audit_compares_amount_and_currency(
    postgres: TestDatabase, sandbox: SandboxProcess, change: str
) -> None:
    async def play(shop: Shop) -> None:
        await priced(shop, "USD")
        async with with_stripe(shop) as (_, provider, checkout):
            await checkout.pay(await shop.hold(1), USER, PRICE, "pm_card")
            assert await found(shop, provider) == []
            await shop.sale.sql(f"UPDATE payment SET {change}")  # noqa: S608
            assert await found(shop, provider) == ["amount"]

    opens(postgres, sandbox, play)


@pytest.mark.parametrize("currency", ["USD", "KWD", "JPY", "UGX"])
def test_the_sandbox_takes_any_currency(
    postgres: TestDatabase, sandbox: SandboxProcess, currency: str
) -> None:
    async def play(shop: Shop) -> None:
        await priced(shop, currency)
        reservation = await shop.hold(1)
        assert (await shop.pay(reservation)).state is PaymentState.COMPLETED
        assert (await shop.charge(await shop.key()))["currency"] == currency
        assert await found(shop, shop.provider) == []
        with pytest.raises(Declined):
            await shop.pay(await shop.hold(2), "OTHER_CURRENCY")
        await shop.sale.reservations.cancel(reservation, USER)
        await shop.settled()
        assert await shop.sale.states("payment") == ["REFUNDED", "REFUNDED"]
        assert await found(shop, shop.provider) == []

    plays(postgres, sandbox, play)


def test_what_a_provider_does_not_charge_is_not_sent() -> None:
    async def play() -> None:
        async with stripe_api.serving() as api:
            # Stripe's fake would answer for Toss with 404: neither is asked.
            for provider, price in (
                (Stripe(stripe_api.KEY, stripe_api.SECRET, url=api.url), Money(5_124, "KWD")),
                (Stripe(stripe_api.KEY, stripe_api.SECRET, url=api.url), Money(500, "UGX")),
                (Toss("test_sk_of_the_tests", "", url=api.url), Money(500, "USD")),
            ):
                outcome = await provider.charge(new_key(), price, "CUSTOMER:pm_card")
                assert outcome == NotCharged(NOT_CHARGEABLE)
                await provider.close()
            assert api.requests == {}

    asyncio.run(play())


@pytest.mark.parametrize(
    ("provider", "currency", "fault"),
    [
        (
            "toss",
            "USD",
            "concert 1 has prices in USD, but the payment provider is 'toss', which charges KRW",
        ),
        (
            "stripe",
            "UGX",
            "concert 1 has prices in UGX, but the payment provider is 'stripe', which does",
        ),
        ("toss", "KRW", ""),
        ("stripe", "USD", ""),
        ("sandbox", "UGX", ""),
        ("none", "UGX", ""),
    ],
)
def test_the_start_refuses_concerts_that_cannot_be_paid(
    postgres: TestDatabase, sandbox: SandboxProcess, provider: str, currency: str, fault: str
) -> None:
    async def play(shop: Shop) -> None:
        await priced(shop, currency)
        settings = Settings(database_url=SecretStr(postgres.url), payment_provider=provider)
        if not fault:
            await check_currencies(settings)
            return
        with pytest.raises(Misconfigured, match=fault):
            await check_currencies(settings)
        # What can no longer be sold is no reason.
        await shop.sale.sql("UPDATE schedule SET sale_state = 'CANCELLED'")
        await check_currencies(settings)

    opens(postgres, sandbox, play)
