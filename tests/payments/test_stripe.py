"""The adapter of Stripe, against a server with answers of the recorded shape."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import pytest

from tests.payments.shop import new_key
from tests.payments.stripe_api import KEY, SECRET, StripeApi, message, serving
from tests.processes import free_port
from waitline.kernel.errors import Unavailable
from waitline.payment_providers.model import (
    Charged,
    NotCharged,
    Refunded,
    WebhookEvent,
    WebhookForged,
)
from waitline.payment_providers.stripe import Stripe

AMOUNT = 50_000


def plays(play: Callable[[StripeApi, Stripe], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        async with serving() as api:
            provider = Stripe(KEY, SECRET, url=api.url)
            try:
                await play(api, provider)
            finally:
                await provider.close()

    asyncio.run(whole())


def test_a_charge_is_made_once_for_each_key() -> None:
    async def play(api: StripeApi, provider: Stripe) -> None:
        key = new_key()
        first = await provider.charge(key, AMOUNT, "pm_card")
        assert first == Charged("pi_1")
        assert await provider.charge(key, AMOUNT, "pm_card") == first
        assert await provider.fetch_outcome(key) == first
        (intent,) = api.intents.values()
        assert (intent["amount"], intent["currency"]) == (AMOUNT, "krw")
        assert await provider.charge(new_key(), AMOUNT, "pm_card") == Charged("pi_2")

    plays(play)


@pytest.mark.parametrize(
    ("method", "reason"),
    [("pm_declined", "card_declined"), ("pm_missing", "resource_missing")],
)
def test_what_is_declined_is_not_charged(method: str, reason: str) -> None:
    async def play(_: StripeApi, provider: Stripe) -> None:
        assert await provider.charge(new_key(), AMOUNT, method) == NotCharged(reason)

    plays(play)


@pytest.mark.parametrize("method", ["pm_broken", "pm_busy", "pm_processing", "pm_action"])
def test_what_is_not_known_is_unavailable(method: str) -> None:
    async def play(_: StripeApi, provider: Stripe) -> None:
        with pytest.raises(Unavailable):
            await provider.charge(new_key(), AMOUNT, method)

    plays(play)


def test_a_wrong_key_and_a_silent_service_are_unavailable() -> None:
    async def play(api: StripeApi, _: Stripe) -> None:
        for provider in (
            Stripe("sk_test_of_somebody", SECRET, url=api.url),
            Stripe(KEY, SECRET, url=f"http://127.0.0.1:{free_port()}"),
        ):
            with pytest.raises(Unavailable):
                await provider.charge(new_key(), AMOUNT, "pm_card")
            await provider.close()

    plays(play)


@pytest.mark.parametrize(
    ("method", "outcome"),
    [
        ("pm_card", Charged("pi_1")),
        ("pm_processing", None),
        ("pm_action", NotCharged("canceled")),
        ("pm_declined", NotCharged("canceled")),
    ],
)
def test_find_asks_again_what_the_search_says_and_closes_what_hangs(
    method: str, outcome: Charged | NotCharged | None
) -> None:
    async def play(api: StripeApi, provider: Stripe) -> None:
        key = new_key()
        with suppress(Unavailable):
            await provider.charge(key, AMOUNT, method)
        assert await provider.fetch_outcome(key) == outcome
        assert (api.intents["pi_1"]["status"] == "canceled") is isinstance(outcome, NotCharged)

    plays(play)


def test_what_cannot_be_found_yet_is_open() -> None:
    async def play(api: StripeApi, provider: Stripe) -> None:
        key = new_key()
        await provider.charge(key, AMOUNT, "pm_card")
        api.unsearchable.add("pi_1")
        assert await provider.fetch_outcome(key) is None

    plays(play)


def test_a_refund_is_made_once() -> None:
    async def play(api: StripeApi, provider: Stripe) -> None:
        key = new_key()
        await provider.charge(key, AMOUNT, "pm_card")
        await provider.refund(key, "pi_1", AMOUNT)
        await provider.refund(key, "pi_1", AMOUNT)
        # Even where the service no longer knows the request.
        api.answers.clear()
        await provider.refund(key, "pi_1", AMOUNT)
        assert [refund["amount"] for refund in api.refunds] == [AMOUNT]

    plays(play)


def test_a_refund_that_is_refused_is_open() -> None:
    async def play(_: StripeApi, provider: Stripe) -> None:
        key = new_key()
        with pytest.raises(Unavailable):
            await provider.charge(key, AMOUNT, "pm_processing")
        with pytest.raises(Unavailable):
            await provider.refund(key, "pi_1", AMOUNT)

    plays(play)


WHOSE = new_key()
META = {"metadata": {"charge_key": str(WHOSE)}}


@pytest.mark.parametrize(
    ("kind", "about", "event"),
    [
        pytest.param(
            "payment_intent.succeeded",
            {"id": "pi_1", **META},
            WebhookEvent(WHOSE, Charged("pi_1")),
            id="charged",
        ),
        pytest.param(
            "payment_intent.payment_failed",
            {"id": "pi_1", **META},
            WebhookEvent(WHOSE, NotCharged("payment_intent.payment_failed")),
            id="declined",
        ),
        pytest.param(
            "payment_intent.canceled",
            {"id": "pi_1", **META},
            WebhookEvent(WHOSE, NotCharged("payment_intent.canceled")),
            id="canceled",
        ),
        pytest.param(
            "charge.refunded",
            {"id": "ch_1", "refunded": True, **META},
            WebhookEvent(WHOSE, Refunded()),
            id="refunded",
        ),
        pytest.param(
            "charge.refunded", {"id": "ch_1", "refunded": False, **META}, None, id="in part"
        ),
        pytest.param("payment_intent.created", {"id": "pi_1", **META}, None, id="of no interest"),
        pytest.param("payment_intent.succeeded", {"id": "pi_9"}, None, id="somebody else's"),
        pytest.param(
            "payment_intent.succeeded",
            {"id": "pi_9", "metadata": {"charge_key": "7"}},
            None,
            id="not a key of ours",
        ),
        pytest.param("balance.available", {"object": "balance"}, None, id="about the balance"),
    ],
)
def test_messages_are_read(kind: str, about: dict[str, Any], event: WebhookEvent | None) -> None:
    assert Stripe(KEY, SECRET).parse_webhook(*message(kind, about)) == event


GENUINE = message("payment_intent.succeeded", {"id": "pi_1", **META})


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        pytest.param({}, GENUINE[1], id="unsigned"),
        pytest.param({"stripe-signature": "?"}, GENUINE[1], id="nonsense"),
        pytest.param(GENUINE[0], GENUINE[1] + b" ", id="changed"),
        pytest.param(GENUINE[0], b"\xff", id="not a text"),
        pytest.param(*message("a", META, secret="whsec_of_another"), id="of somebody else"),
        pytest.param(*message("a", META, age_s=400), id="old"),
    ],
)
def test_forged_and_old_messages_are_refused(headers: dict[str, str], body: bytes) -> None:
    with pytest.raises(WebhookForged):
        Stripe(KEY, SECRET).parse_webhook(headers, body)
