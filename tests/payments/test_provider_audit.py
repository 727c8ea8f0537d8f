"""Reconciliation with the provider's list: each kind of difference is found, and nothing else."""

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.booking.sale import PRICE
from tests.databases import TestDatabase
from tests.payments import stripe_api
from tests.payments.shop import (
    KEY,
    SECRET,
    USER,
    WON,
    SandboxProcess,
    Shop,
    new_key,
    open_shop,
    plays,
)
from waitline.booking import provider_audit
from waitline.booking.provider_audit import Comparison, compare
from waitline.cli import app
from waitline.payment_providers.port import Provider
from waitline.payment_providers.sandbox import server
from waitline.payment_providers.stripe import Stripe


async def compared(shop: Shop, provider: Provider | None = None) -> Comparison:
    """Compare all payments, the latest included, and the charges of this sale alone."""
    return await compare(
        shop.sale.database,
        provider or shop.provider,
        since_s=3_600.0,
        now_ms=shop.opened_ms + 3_600_000,
    )


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provider_audit, "LATE_S", 0.0)


def test_what_agrees_is_no_finding(postgres: TestDatabase, sandbox: SandboxProcess) -> None:
    async def play(shop: Shop) -> None:
        await shop.pay(await shop.hold(1))
        reservation = await shop.hold(2)
        await shop.pay(reservation)
        await shop.sale.reservations.cancel(reservation, USER)
        await shop.settled()
        await shop.sale.sql("UPDATE seat SET price = 0 WHERE seat_id = 3")
        await shop.checkout.pay(await shop.hold(3), USER, 0, "FREE")
        await shop.sale.begin(await shop.hold(4), USER)
        found = await compared(shop)
        assert (found.charges, found.payments, found.findings) == (2, 2, [])

    plays(postgres, sandbox, play)


def test_each_difference_is_found(
    postgres: TestDatabase, sandbox: SandboxProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "PAGE", 2)

    async def play(shop: Shop) -> None:
        await shop.sale.sql("UPDATE schedule SET visitor_seats_max = 100")
        changes = {
            "unrecorded": "state = 'FAILED'",
            "amount": "amount = amount + 1",
            "unreturned": "state = 'REFUNDED'",
            "unlisted": "charge_key = gen_random_uuid()",
        }
        for seat, change in enumerate(changes.values(), 1):
            await shop.pay(await shop.hold(seat))
            await shop.sale.sql(
                f"UPDATE payment SET {change} WHERE charge_key = $1",  # noqa: S608
                await newest(shop),
            )
        await shop.pay(await shop.hold(5))
        await shop.dashboard(await newest(shop), "refund", amount=PRICE // 2)
        await shop.provider.charge(new_key(), WON, "CARD")
        texts = {one.text.partition(":")[0] for one in (await compared(shop)).findings}
        expected = {*changes, "returned"}
        assert texts == {f"1 {provider_audit.DAMAGE[kind]}" for kind in expected} | {
            f"2 {provider_audit.DAMAGE['unknown']}"
        }

    async def whole() -> None:
        async with open_shop(postgres, sandbox) as shop:
            await play(shop)

    postgres.wait(whole())


async def newest(shop: Shop) -> Any:  # noqa: ANN401 - a UUID
    rows = await shop.sale.sql("SELECT charge_key FROM payment ORDER BY created_at DESC LIMIT 1")
    return rows[0]["charge_key"]


def test_a_list_that_is_too_long_is_said(
    postgres: TestDatabase, sandbox: SandboxProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider_audit, "CHARGES_MAX", 1)

    async def play(shop: Shop) -> None:
        await shop.pay(await shop.hold(1))
        (finding,) = (await compared(shop)).findings
        assert "choose a shorter time" in finding.text

    plays(postgres, sandbox, play)


def test_with_stripe(postgres: TestDatabase, sandbox: SandboxProcess) -> None:
    async def play(shop: Shop) -> None:
        async with stripe_api.serving() as api:
            provider = Stripe(stripe_api.KEY, stripe_api.SECRET, url=api.url)
            await shop.sale.begin(await shop.hold(1), USER)
            key = await newest(shop)
            await provider.charge(key, WON, "pm_card")
            await shop.sale.confirm(key)
            assert (await compared(shop, provider)).findings == []
            api.intents["pi_1"]["amount_received"] += 1
            (finding,) = (await compared(shop, provider)).findings
            assert provider_audit.DAMAGE["amount"] in finding.text
            await provider.close()

    async def whole() -> None:
        async with open_shop(postgres, sandbox) as shop:
            await play(shop)

    postgres.wait(whole())


def run(postgres: TestDatabase, sandbox: SandboxProcess, *words: str) -> tuple[int, str]:
    env = {
        "WAITLINE_PAYMENT_KEY": KEY,
        "WAITLINE_WEBHOOK_SECRET": SECRET,
        "WAITLINE_PAYMENT_URL": sandbox.url,
    }
    result = CliRunner().invoke(app, [*words, "--database-url", postgres.url], env=env)
    return result.exit_code, result.stdout


def test_the_commands_say_what_needs_attention(
    postgres: TestDatabase, sandbox: SandboxProcess
) -> None:
    async def prepare() -> int:
        async with open_shop(postgres, sandbox) as shop:
            await shop.pay(await shop.hold(1))
            key = await newest(shop)
            await shop.dashboard(key, "refund", amount=PRICE // 2)
            await shop.hear(key, '"event":"refund"')
            rows = await shop.sale.sql("SELECT payment_id FROM payment")
            return int(rows[0]["payment_id"])

    payment = postgres.wait(prepare())
    code, shown = run(postgres, sandbox, "payments", "--json")
    listed = json.loads(shown)
    assert (code, listed["count"]) == (1, 1)
    assert listed["payments"][0]["payment_id"] == payment
    assert listed["payments"][0]["flag"] == "refunded_in_part"
    code, shown = run(postgres, sandbox, "payments")
    assert code == 1
    assert "refunded_in_part" in shown
    assert run(postgres, sandbox, "payments", "acknowledge", str(payment))[0] == 0
    assert run(postgres, sandbox, "payments", "--json")[0] == 0
    code, shown = run(postgres, sandbox, "audit", "--provider", "--json")
    report = json.loads(shown)
    # Other tests have charged in this sandbox, too.
    assert report["charges"] >= 1
    assert all(provider_audit.DAMAGE["unknown"] in one["text"] for one in report["findings"])
    assert code == (1 if report["findings"] else 0)
