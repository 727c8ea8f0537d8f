"""The adapter of Stripe, against a server with answers of the recorded shape."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import pytest

from tests.payments.shop import new_key
from tests.payments.stripe_api import KEY, SECRET, StripeApi, message, serving
from waitline.kernel.errors import Unavailable
from waitline.payment_providers.model import (
    ActionNeeded,
    Changed,
    Charged,
    Disputed,
    DisputeState,
    ListedCharge,
    Money,
    NotCharged,
    NotSent,
    Refund,
    Refunded,
    RefundState,
    WebhookEvent,
    WebhookForged,
)
from waitline.payment_providers.stripe import Stripe
from waitline.trial.machine import free_port

AMOUNT = Money(50_000, "KRW")


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
        assert first == Charged("pi_1", AMOUNT)
        assert await provider.charge(key, AMOUNT, "pm_card") == first
        assert await provider.fetch_outcome(key, AMOUNT) == first
        (intent,) = api.intents.values()
        assert (intent["amount"], intent["currency"]) == (50_000, "krw")
        assert await provider.charge(new_key(), AMOUNT, "pm_card") == Charged("pi_2", AMOUNT)

    plays(play)


@pytest.mark.parametrize(
    ("method", "reason"),
    [("pm_declined", "card_declined"), ("pm_missing", "resource_missing")],
)
def test_what_is_declined_is_not_charged(method: str, reason: str) -> None:
    async def play(_: StripeApi, provider: Stripe) -> None:
        assert await provider.charge(new_key(), AMOUNT, method) == NotCharged(reason)

    plays(play)


@pytest.mark.parametrize("method", ["pm_broken", "pm_busy", "pm_processing"])
def test_what_is_not_known_is_unavailable(method: str) -> None:
    async def play(_: StripeApi, provider: Stripe) -> None:
        with pytest.raises(Unavailable):
            await provider.charge(new_key(), AMOUNT, method)

    plays(play)


def test_requests_that_were_certainly_not_sent_are_distinguished() -> None:
    async def play(api: StripeApi, _: Stripe) -> None:
        for provider in (
            Stripe("sk_test_of_somebody", SECRET, url=api.url),
            Stripe(KEY, SECRET, url=f"http://127.0.0.1:{free_port()}"),
            Stripe(KEY, SECRET, url="http://name.invalid"),
            Stripe(KEY, SECRET, url=api.url.replace("http:", "https:")),
        ):
            with pytest.raises(NotSent):
                await provider.charge(new_key(), AMOUNT, "pm_card")
            await provider.close()

    plays(play)


@pytest.mark.parametrize(
    ("method", "outcome"),
    [
        ("pm_card", Charged("pi_1", AMOUNT)),
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
        assert await provider.fetch_outcome(key, AMOUNT) == outcome
        assert (api.intents["pi_1"]["status"] == "canceled") is isinstance(outcome, NotCharged)

    plays(play)


def test_what_cannot_be_found_yet_is_open() -> None:
    async def play(api: StripeApi, provider: Stripe) -> None:
        key = new_key()
        await provider.charge(key, AMOUNT, "pm_card")
        api.unsearchable.add("pi_1")
        assert await provider.fetch_outcome(key, AMOUNT) is None

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
        assert [refund["amount"] for refund in api.refunds] == [AMOUNT.amount]

    plays(play)


def test_what_the_bank_wants_confirmed_goes_on_in_the_page() -> None:
    async def play(api: StripeApi, provider: Stripe) -> None:
        key = new_key()
        needed = ActionNeeded("pi_1", "pi_1_secret_1")
        assert await provider.charge(key, AMOUNT, "pm_action") == needed
        assert api.intents["pi_1"]["status"] == "requires_action"

    plays(play)


def test_a_charge_that_never_arrived_is_closed() -> None:
    async def play(api: StripeApi, provider: Stripe) -> None:
        key = new_key()
        assert await provider.fetch_outcome(key, AMOUNT) == NotCharged("canceled")
        assert await provider.fetch_outcome(key, AMOUNT) == NotCharged("canceled")
        # It arrives after all.
        with pytest.raises(Unavailable):
            await provider.charge(key, AMOUNT, "pm_card")
        assert [one["status"] for one in api.intents.values()] == ["canceled"]

    plays(play)


def test_a_charge_that_cannot_be_found_yet_is_not_closed() -> None:
    async def play(api: StripeApi, provider: Stripe) -> None:
        key = new_key()
        await provider.charge(key, AMOUNT, "pm_card")
        api.unsearchable.add("pi_1")
        assert await provider.fetch_outcome(key, AMOUNT) is None
        assert [one["status"] for one in api.intents.values()] == ["succeeded"]

    plays(play)


@pytest.mark.parametrize(
    ("method", "charged"),
    [
        ("pm_dearer", Charged("pi_1", Money(50_001, "KRW"))),
        ("pm_yen", Charged("pi_1", Money(50_000, "JPY"))),
    ],
)
def test_what_was_charged_is_reported(method: str, charged: Charged) -> None:
    async def play(_: StripeApi, provider: Stripe) -> None:
        key = new_key()
        assert await provider.charge(key, AMOUNT, method) == charged
        assert await provider.fetch_outcome(key, AMOUNT) == charged

    plays(play)


@pytest.mark.parametrize(
    ("status", "state"),
    [("pending", RefundState.PENDING), ("failed", RefundState.FAILED)],
)
def test_a_refund_is_followed_until_it_is_done(status: str, state: RefundState) -> None:
    async def play(api: StripeApi, provider: Stripe) -> None:
        key = new_key()
        await provider.charge(key, AMOUNT, "pm_card")
        api.refund_status = status
        for _ in range(2):
            assert (await provider.refund(key, "pi_1", AMOUNT)).state is state
        assert len(api.refunds) == 1
        api.refunds[0]["status"] = "succeeded"
        assert (await provider.refund(key, "pi_1", AMOUNT)).state is RefundState.DONE

    plays(play)


def test_only_what_is_left_is_refunded() -> None:
    async def play(api: StripeApi, provider: Stripe) -> None:
        key = new_key()
        await provider.charge(key, AMOUNT, "pm_card")
        api.refunds.append(
            {
                "id": "re_0", "object": "refund", "amount": 20_000, "payment_intent": "pi_1",
                "status": "succeeded", "metadata": {},
            }
        )  # fmt: skip
        assert (await provider.fetch_outcome(key, AMOUNT)) == Charged(
            "pi_1", AMOUNT, refunded=20_000
        )
        assert (await provider.refund(key, "pi_1", AMOUNT)).state is RefundState.DONE
        assert [refund["amount"] for refund in api.refunds] == [20_000, 30_000]

    plays(play)


def test_the_list_is_read_page_by_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("waitline.payment_providers.stripe.PAGE", 2)

    async def play(api: StripeApi, provider: Stripe) -> None:
        keys = [new_key() for _ in range(5)]
        for key in keys:
            await provider.charge(key, AMOUNT, "pm_card")
        after: str | None = None
        found: list[ListedCharge] = []
        for _ in range(3):
            page = await provider.list_charges(0, after)
            found += page.charges
            after = page.after
        assert after is None
        assert [one.key for one in found] == keys
        assert [one.provider_ref for one in found] == [*api.intents]
        assert {(one.charged, one.money, one.refunded) for one in found} == {(True, AMOUNT, 0)}

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
            {"id": "pi_1", "amount": 9, "amount_received": 7, "currency": "krw", **META},
            WebhookEvent(WHOSE, Charged("pi_1", Money(7, "KRW"))),
            id="charged",
        ),
        pytest.param(
            "payment_intent.succeeded",
            {"id": "pi_1", **META},
            WebhookEvent(WHOSE, Changed()),
            id="charged, but not what",
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
            "charge.refunded",
            {"id": "ch_1", "refunded": False, "amount_refunded": 5, **META},
            WebhookEvent(WHOSE, Refunded(5)),
            id="in part",
        ),
        pytest.param(
            "payment_intent.succeeded",
            {"id": "pi_1", "amount_received": 7, "currency": "jpy", **META},
            WebhookEvent(WHOSE, Charged("pi_1", Money(7, "JPY"))),
            id="another amount and currency",
        ),
        pytest.param(
            "charge.refunded",
            {"id": "ch_1", "refunded": True, "payment_intent": "pi_1"},
            WebhookEvent(None, Refunded(), "pi_1"),
            id="refunded without our key",
        ),
        pytest.param(
            "refund.failed",
            {"id": "re_1", "status": "failed", "failure_reason": "lost_or_stolen_card", **META},
            WebhookEvent(WHOSE, Refund(RefundState.FAILED, "lost_or_stolen_card")),
            id="a refund that failed",
        ),
        pytest.param(
            "refund.updated",
            {"id": "re_1", "status": "pending", "payment_intent": "pi_1", "metadata": {}},
            WebhookEvent(None, Refund(RefundState.PENDING), "pi_1"),
            id="a refund that is open",
        ),
        pytest.param(
            "refund.updated", {"id": "re_1", "status": "succeeded", **META}, None, id="one done"
        ),
        *(
            pytest.param(
                kind,
                {"id": "dp_1", "status": status, "payment_intent": "pi_1", "charge": "ch_1"},
                WebhookEvent(None, Disputed(state), "pi_1"),
                id=f"{kind} {status}",
            )
            for kind, status, state in (
                ("charge.dispute.created", "needs_response", DisputeState.OPEN),
                ("charge.dispute.updated", "under_review", DisputeState.OPEN),
                ("charge.dispute.closed", "won", DisputeState.WON),
                ("charge.dispute.closed", "lost", DisputeState.LOST),
                ("charge.dispute.closed", "warning_closed", DisputeState.WON),
            )
        ),
        pytest.param(
            "charge.dispute.closed",
            {"id": "dp_1", "status": "never heard of", "payment_intent": "pi_1"},
            None,
            id="a dispute in an unknown state",
        ),
        pytest.param(
            "charge.dispute.created",
            {"id": "dp_1", "status": "lost", "payment_intent": None},
            None,
            id="a dispute about nothing",
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
