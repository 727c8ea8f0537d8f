"""Charges that no payment has: listed, refunded once after a confirmation, and nothing else is."""

import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from typer.testing import CliRunner, Result

from tests.booking.sale import PRICE
from tests.databases import TestDatabase
from tests.payments import stripe_api
from tests.payments.shop import (
    KEY,
    SECRET,
    WON,
    SandboxProcess,
    Shop,
    new_key,
    open_shop,
    sandbox_running,
)
from tests.payments.stripe_api import StripeApi
from waitline.booking import unknown_charges
from waitline.booking.unknown_charges import RefundMade, RefundOutcome, UnknownCharge
from waitline.cli import app
from waitline.payment_providers.stripe import Stripe


@pytest.fixture
def own_sandbox() -> Iterator[SandboxProcess]:
    """A sandbox in which no other test has charged."""
    with sandbox_running() as running:
        yield running


def run(postgres: TestDatabase, sandbox: SandboxProcess, *words: str) -> Result:
    env = {
        "WAITLINE_PAYMENT_KEY": KEY,
        "WAITLINE_WEBHOOK_SECRET": SECRET,
        "WAITLINE_PAYMENT_URL": sandbox.url,
        "COLUMNS": "200",
    }
    return CliRunner().invoke(app, [*words, "--database-url", postgres.url], env=env)


def refunds(postgres: TestDatabase, sandbox: SandboxProcess, *words: str) -> tuple[int, Any]:
    result = run(postgres, sandbox, "payments", "refund-unknown", "--json", *words)
    return result.exit_code, json.loads(result.stdout)


def test_they_are_refunded_once_after_a_confirmation(
    postgres: TestDatabase, own_sandbox: SandboxProcess
) -> None:
    async def play(work: Callable[[Shop], Awaitable[Any]], seats: int = 0) -> Any:  # noqa: ANN401
        async with open_shop(postgres, own_sandbox, seats=seats) as shop:
            return await work(shop)

    async def charged(shop: Shop) -> tuple[UUID, UUID, UUID]:
        await shop.pay(await shop.hold(1))
        whole, part = new_key(), new_key()
        for key in (whole, part):
            await shop.provider.charge(key, WON, "CARD")
        await shop.dashboard(part, "refund", amount=PRICE // 2)
        await shop.provider.charge(new_key(), WON, "DECLINE")
        return await shop.key(), whole, part

    paid, whole, part = postgres.wait(play(charged, 10))

    def returned() -> list[int]:
        async def look(shop: Shop) -> list[int]:
            return [(await shop.charge(key))["returned"] for key in (paid, whole, part)]

        kept: list[int] = postgres.wait(play(look))
        return kept

    before = [0, 0, PRICE // 2]
    listed = run(postgres, own_sandbox, "payments", "refund-unknown")
    assert listed.exit_code != 0
    assert "repeat the command with --yes" in str(listed.exception)
    assert "another installation" in listed.stdout
    assert str(whole) in listed.stdout
    assert str(paid) not in listed.stdout
    code, shown = refunds(postgres, own_sandbox)
    assert (code, [one["outcome"] for one in shown["charges"]]) == (1, [None, None])
    assert returned() == before
    code, shown = refunds(postgres, own_sandbox, "--yes")
    assert code == 0
    assert [(one["key"], one["amount"], one["currency"]) for one in shown["charges"]] == [
        (str(key), *WON) for key in (whole, part)
    ]
    assert {one["outcome"] for one in shown["charges"]} == {"refunded"}
    assert returned() == [0, PRICE, PRICE]
    nothing = {"charges": [], "without_key": 0, "more": False}
    assert refunds(postgres, own_sandbox, "--yes") == (0, nothing)
    audit = run(postgres, own_sandbox, "audit", "--provider", "--json")
    assert json.loads(audit.stdout)["findings"] == []


def test_a_charge_that_has_a_payment_is_left_alone(
    postgres: TestDatabase, own_sandbox: SandboxProcess
) -> None:
    async def play() -> None:
        async with open_shop(postgres, own_sandbox) as shop:
            await shop.pay(await shop.hold(1))
            key = await shop.key()
            ours = UnknownCharge("any", key, WON, 0)
            made = await unknown_charges.refund(shop.sale.database, shop.provider, ours)
            assert made == RefundMade(RefundOutcome.HAS_PAYMENT)
            assert (await shop.charge(key))["refunded"] == 0

    postgres.wait(play())


def test_a_run_is_bounded(
    postgres: TestDatabase, own_sandbox: SandboxProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unknown_charges, "REFUNDS_MAX", 1)

    async def play() -> None:
        async with open_shop(postgres, own_sandbox) as shop:
            keys = [new_key() for _ in range(2)]
            for key in keys:
                await shop.provider.charge(key, WON, "CARD")

    postgres.wait(play())
    code, first = refunds(postgres, own_sandbox, "--yes")
    assert (code, len(first["charges"]), first["more"]) == (1, 1, True)
    code, second = refunds(postgres, own_sandbox, "--yes")
    assert (code, len(second["charges"]), second["more"]) == (0, 1, False)
    assert second["charges"] != first["charges"]


def with_stripe(
    postgres: TestDatabase,
    sandbox: SandboxProcess,
    play: Callable[[Shop, StripeApi, Stripe], Awaitable[None]],
) -> None:
    async def whole() -> None:
        async with open_shop(postgres, sandbox) as shop, stripe_api.serving() as api:
            provider = Stripe(stripe_api.KEY, stripe_api.SECRET, url=api.url)
            try:
                await play(shop, api, provider)
            finally:
                await provider.close()

    postgres.wait(whole())


def test_without_a_key_of_ours_it_is_never_refunded(
    postgres: TestDatabase, sandbox: SandboxProcess
) -> None:
    async def play(shop: Shop, api: StripeApi, provider: Stripe) -> None:
        for _ in range(2):
            await provider.charge(new_key(), WON, "pm_card")
        # Of the shop's other business, with the same account.
        api.intents["pi_1"]["metadata"] = {}
        found = await unknown_charges.find(shop.sale.database, provider, 0)
        assert ([one.provider_ref for one in found.charges], found.without_key) == (["pi_2"], 1)
        for _ in range(2):
            made = await unknown_charges.refund(shop.sale.database, provider, found.charges[0])
            assert made == RefundMade(RefundOutcome.DONE)
        assert [one["payment_intent"] for one in api.refunds] == ["pi_2"]

    with_stripe(postgres, sandbox, play)


def test_a_refund_that_is_not_made_is_said(postgres: TestDatabase, sandbox: SandboxProcess) -> None:
    async def play(shop: Shop, api: StripeApi, provider: Stripe) -> None:
        await provider.charge(new_key(), WON, "pm_card")
        (one,) = (await unknown_charges.find(shop.sale.database, provider, 0)).charges
        away = Stripe(stripe_api.KEY, stripe_api.SECRET, url="http://127.0.0.1:9")
        made = await unknown_charges.refund(shop.sale.database, away, one)
        await away.close()
        assert made.outcome is RefundOutcome.UNANSWERED
        assert made.reason
        for status, outcome in (
            ("pending", RefundOutcome.PENDING),
            ("failed", RefundOutcome.FAILED),
        ):
            api.refund_status = status
            api.refunds.clear()
            api.answers.clear()
            made = await unknown_charges.refund(shop.sale.database, provider, one)
            assert made.outcome is outcome

    with_stripe(postgres, sandbox, play)
