"""The adapter of Toss Payments, against a server with answers of the documented shape."""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from tests.booking.sale import PRICE
from tests.databases import TestDatabase
from tests.payments.shop import USER, SandboxProcess, Shop, new_key, open_shop
from waitline.booking.checkout import Checkout
from waitline.kernel.errors import Unavailable
from waitline.payment_providers.model import (
    Changed,
    Charged,
    Money,
    NotCharged,
    NotSent,
    RefundState,
    Unseen,
    WebhookEvent,
    WebhookForged,
)
from waitline.payment_providers.toss import Toss
from waitline.trial.machine import free_port

KEY = "test_sk_of_the_tests"
CARD = "customer-1:billing-key-1"
AMOUNT = Money(50_000, "KRW")


class TossApi:
    """Payments by billing key, and the answers that were given to each idempotency key."""

    def __init__(self) -> None:
        self.payments: dict[str, dict[str, Any]] = {}
        self.transactions: list[dict[str, str]] = []
        self.answers: dict[str, tuple[int, dict[str, Any]]] = {}
        self.cancel_status = "DONE"
        self.url = ""

    def application(self) -> web.Application:
        application = web.Application(middlewares=[self._authorized])
        router = application.router
        router.add_post("/v1/billing/{billing}", self._charge)
        router.add_get("/v1/payments/orders/{order}", self._by_order)
        router.add_get("/v1/payments/{payment}", self._find)
        router.add_post("/v1/payments/{payment}/cancel", self._cancel)
        router.add_get("/v1/transactions", self._list)
        return application

    @web.middleware
    async def _authorized(self, request: web.Request, handler: Any) -> web.StreamResponse:  # noqa: ANN401
        expected = "Basic " + b64encode(f"{KEY}:".encode()).decode()
        if request.headers.get("Authorization") != expected:
            return failure(401, "UNAUTHORIZED_KEY")
        key = request.headers.get("Idempotency-Key")
        if key is not None and key in self.answers:
            status, body = self.answers[key]
            return web.json_response(body, status=status)
        response: web.Response = await handler(request)
        if key is not None and response.status < 500:
            assert isinstance(response.body, bytes)
            self.answers[key] = response.status, json.loads(response.body)
        return response

    async def _charge(self, request: web.Request) -> web.Response:
        body = await request.json()
        assert set(body) == {"customerKey", "amount", "orderId", "orderName"}
        match request.match_info["billing"]:
            case "declined":
                return failure(403, "REJECT_CARD_PAYMENT")
            case "busy":
                return failure(409, "IDEMPOTENT_REQUEST_PROCESSING")
            case "broken":
                return failure(500, "FAILED_INTERNAL_SYSTEM_PROCESSING")
            case "dearer":
                body["amount"] += 1
            case _:
                pass
        payment = {
            "paymentKey": f"pay_{len(self.payments) + 1}",
            "orderId": body["orderId"],
            "status": "DONE",
            "totalAmount": body["amount"],
            "balanceAmount": body["amount"],
            "currency": "KRW",
            "cancels": None,
            "method": "카드",
        }
        self.payments[payment["paymentKey"]] = payment
        self._note(payment)
        return web.json_response(payment)

    async def _by_order(self, request: web.Request) -> web.Response:
        for payment in self.payments.values():
            if payment["orderId"] == request.match_info["order"]:
                return web.json_response(payment)
        return failure(404, "NOT_FOUND_PAYMENT")

    async def _find(self, request: web.Request) -> web.Response:
        return web.json_response(self.payments[request.match_info["payment"]])

    async def _cancel(self, request: web.Request) -> web.Response:
        body = await request.json()
        assert body["cancelReason"]
        payment = self.payments[request.match_info["payment"]]
        if payment["balanceAmount"] == 0:
            return failure(400, "ALREADY_CANCELED_PAYMENT")
        if self.cancel_status == "REFUSED":
            return failure(403, "NOT_CANCELABLE_PAYMENT")
        self.give_back(payment, body.get("cancelAmount", payment["balanceAmount"]))
        return web.json_response(payment)

    def give_back(self, payment: dict[str, Any], amount: int) -> None:
        payment["cancels"] = [*(payment["cancels"] or []), {"cancelStatus": self.cancel_status}]
        if self.cancel_status == "DONE":
            payment["balanceAmount"] -= amount
            payment["status"] = "PARTIAL_CANCELED" if payment["balanceAmount"] else "CANCELED"
        self._note(payment)

    def _note(self, payment: dict[str, Any]) -> None:
        number = f"t{len(self.transactions)}"
        self.transactions.append(
            {
                "transactionKey": number,
                "paymentKey": payment["paymentKey"],
                "orderId": payment["orderId"],
            }
        )

    async def _list(self, request: web.Request) -> web.Response:
        after = request.query.get("startingAfter")
        start = 0 if after is None else int(after[1:]) + 1
        return web.json_response(self.transactions[start : start + int(request.query["limit"])])


def failure(status: int, code: str) -> web.Response:
    return web.json_response({"code": code, "message": code}, status=status)


@asynccontextmanager
async def serving() -> AsyncIterator[TossApi]:
    api = TossApi()
    runner = web.AppRunner(api.application())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    api.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield api
    finally:
        await runner.cleanup()


def plays(play: Callable[[TossApi, Toss], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        async with serving() as api:
            provider = Toss(KEY, "", url=api.url)
            try:
                await play(api, provider)
            finally:
                await provider.close()

    asyncio.run(whole())


def test_a_charge_is_made_once_for_each_key() -> None:
    async def play(api: TossApi, provider: Toss) -> None:
        key = new_key()
        first = await provider.charge(key, AMOUNT, CARD)
        assert first == Charged("pay_1", AMOUNT)
        assert await provider.charge(key, AMOUNT, CARD) == first
        assert await provider.fetch_outcome(key, AMOUNT) == first
        assert len(api.payments) == 1
        dearer = await provider.charge(new_key(), AMOUNT, "c:dearer")
        assert dearer == Charged("pay_2", Money(50_001, "KRW"))

    plays(play)


def test_what_is_declined_is_not_charged_and_what_is_not_known_is_unavailable() -> None:
    async def play(_: TossApi, provider: Toss) -> None:
        declined = await provider.charge(new_key(), AMOUNT, "c:declined")
        assert declined == NotCharged("REJECT_CARD_PAYMENT")
        assert isinstance(await provider.charge(new_key(), AMOUNT, "no-billing-key"), NotCharged)
        for method in ("c:busy", "c:broken"):
            with pytest.raises(Unavailable) as error:
                await provider.charge(new_key(), AMOUNT, method)
            assert not isinstance(error.value, NotSent)
        assert await provider.fetch_outcome(new_key(), AMOUNT) == Unseen()

    plays(play)


def test_requests_that_were_certainly_not_sent_are_distinguished() -> None:
    async def play(api: TossApi, _: Toss) -> None:
        for provider in (
            Toss("test_sk_of_another", "", url=api.url),
            Toss(KEY, "", url=f"http://127.0.0.1:{free_port()}"),
        ):
            with pytest.raises(NotSent):
                await provider.charge(new_key(), AMOUNT, CARD)
            await provider.close()

    plays(play)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [("IN_PROGRESS", None), ("ABORTED", NotCharged("ABORTED")), ("EXPIRED", NotCharged("EXPIRED"))],
)
def test_each_state_has_its_outcome(status: str, outcome: NotCharged | None) -> None:
    async def play(api: TossApi, provider: Toss) -> None:
        key = new_key()
        await provider.charge(key, AMOUNT, CARD)
        api.payments["pay_1"]["status"] = status
        assert await provider.fetch_outcome(key, AMOUNT) == outcome

    plays(play)


def test_a_refund_is_made_once_and_of_what_is_left() -> None:
    async def play(api: TossApi, provider: Toss) -> None:
        key = new_key()
        await provider.charge(key, AMOUNT, CARD)
        api.give_back(api.payments["pay_1"], 20_000)
        assert await provider.fetch_outcome(key, AMOUNT) == Charged(
            "pay_1", AMOUNT, refunded=20_000
        )
        for _ in range(2):
            assert (await provider.refund(key, "pay_1", AMOUNT)).state is RefundState.DONE
        assert api.payments["pay_1"]["balanceAmount"] == 0
        assert len(api.payments["pay_1"]["cancels"]) == 2

    plays(play)


@pytest.mark.parametrize(
    ("cancel", "state"),
    [("IN_PROGRESS", RefundState.PENDING), ("REFUSED", RefundState.FAILED)],
)
def test_a_refund_that_is_not_done_is_followed(cancel: str, state: RefundState) -> None:
    async def play(api: TossApi, provider: Toss) -> None:
        key = new_key()
        await provider.charge(key, AMOUNT, CARD)
        api.cancel_status = cancel
        for _ in range(2):
            assert (await provider.refund(key, "pay_1", AMOUNT)).state is state
        # Somebody cancels it in the dashboard.
        api.cancel_status = "DONE"
        api.give_back(api.payments["pay_1"], AMOUNT.amount)
        assert (await provider.refund(key, "pay_1", AMOUNT)).state is RefundState.DONE

    plays(play)


def test_the_list_is_read_page_by_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("waitline.payment_providers.toss.PAGE", 2)

    async def play(api: TossApi, provider: Toss) -> None:
        keys = [new_key() for _ in range(3)]
        for key in keys:
            await provider.charge(key, AMOUNT, CARD)
        api.give_back(api.payments["pay_1"], AMOUNT.amount)
        found: dict[object, tuple[bool | None, Money, int]] = {}
        after: str | None = None
        for _ in range(3):
            page = await provider.list_charges(0, after)
            found |= {one.key: (one.charged, one.money, one.refunded) for one in page.charges}
            after = page.after
        assert after is None
        assert found == {
            keys[0]: (True, AMOUNT, AMOUNT.amount),
            keys[1]: (True, AMOUNT, 0),
            keys[2]: (True, AMOUNT, 0),
        }

    plays(play)


def webhook(order_id: object) -> bytes:
    message = {"eventType": "PAYMENT_STATUS_CHANGED", "data": {"orderId": order_id}}
    return json.dumps(message).encode()


def test_a_webhook_says_only_what_to_query() -> None:
    key = new_key()
    provider = Toss(KEY, "")
    assert provider.parse_webhook({}, webhook(str(key))) == WebhookEvent(key, Changed())
    for body in (webhook("another-shop's"), webhook(7), b"[]", b"{}"):
        assert provider.parse_webhook({}, body) is None
    for body in (b"", b"\xff", b"{", b'{"x":' + b"[" * 5_000):
        with pytest.raises(WebhookForged):
            provider.parse_webhook({}, body)


def test_a_forged_webhook_changes_nothing_and_a_genuine_one_is_followed(
    postgres: TestDatabase, sandbox: SandboxProcess
) -> None:
    async def play(shop: Shop, api: TossApi) -> None:
        provider = Toss(KEY, "", url=api.url)
        checkout = Checkout(shop.sale.database, provider, at_price=True)
        await checkout.pay(await shop.hold(1), USER, PRICE, CARD)
        key = await shop.key()
        for name in (key, new_key()):
            await checkout.webhook({}, webhook(str(name)))
        assert await shop.sale.states("payment") == ["COMPLETED"]
        api.give_back(api.payments["pay_1"], PRICE)
        await checkout.webhook({}, webhook(str(key)))
        assert await shop.sale.states("payment") == ["REFUNDED"]
        assert await shop.flags() == ["refunded_elsewhere"]
        assert await shop.sale.findings() == []
        await provider.close()

    async def whole() -> None:
        async with open_shop(postgres, sandbox) as shop, serving() as api:
            await play(shop, api)

    postgres.wait(whole())
