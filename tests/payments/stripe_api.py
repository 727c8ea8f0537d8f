"""As much of Stripe's API as the adapter uses, with answers of the shape that it documents.

Payment methods decide what happens, as the service's own test methods do.
"""

import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs

from aiohttp import web

from waitline.kernel.clock import SystemClock

KEY = "sk_test_of_the_tests"
SECRET = "whsec_of_the_tests"

CREATE_PARAMS = {
    "amount", "currency", "payment_method", "allowed_payment_method_types[0]", "confirm",
    "use_stripe_sdk", "metadata[charge_key]", "metadata[closed]",
}  # fmt: skip


class StripeApi:
    """Intents, refunds, and the answers that were given to each idempotency key."""

    def __init__(self) -> None:
        self.intents: dict[str, dict[str, Any]] = {}
        self.refunds: list[dict[str, Any]] = []
        # To the request that used a key first; another request with it is refused.
        self.answers: dict[str, tuple[int, dict[str, Any]]] = {}
        self.requests: dict[str, tuple[str, str]] = {}
        # What becomes of the next refunds.
        self.refund_status = "succeeded"
        self.url = ""
        # What the search does not see yet.
        self.unsearchable: set[str] = set()

    def application(self) -> web.Application:
        application = web.Application()
        application.router.add_post("/v1/payment_intents", self._once(self._create))
        application.router.add_get("/v1/payment_intents", self._list)
        application.router.add_get("/v1/payment_intents/search", self._search)
        application.router.add_get("/v1/payment_intents/{id}", self._retrieve)
        application.router.add_post("/v1/payment_intents/{id}/cancel", self._once(self._cancel))
        application.router.add_post("/v1/refunds", self._once(self._refund))
        application.router.add_get("/v1/refunds", self._refunds)
        return application

    def _once(self, call: Any) -> Any:  # noqa: ANN401 - a handler
        async def handle(request: web.Request) -> web.Response:
            if request.headers["Authorization"] != f"Bearer {KEY}":
                return _error(401, "invalid_request_error", "api_key_invalid")
            form = {name: values[0] for name, values in parse_qs(await request.text()).items()}
            key = request.headers.get("Idempotency-Key", "")
            asked = request.path, await request.text()
            if self.requests.setdefault(key, asked) != asked and key:
                return _error(400, "idempotency_error", "idempotency_key_in_use")
            if key not in self.answers:
                status, body = call(request, form)
                if status >= 500 or not key:
                    return web.json_response(body, status=status)
                self.answers[key] = status, body
            status, body = self.answers[key]
            return web.json_response(body, status=status)

        return handle

    def _create(self, _: web.Request, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        if unknown := form.keys() - CREATE_PARAMS:
            return 400, _error_answer("invalid_request_error", "parameter_unknown", str(unknown))
        confirmed = form.get("confirm") == "true"
        method = form["payment_method"] if confirmed else "none"
        if method == "pm_missing":
            return 404, _error_answer(
                "invalid_request_error", "resource_missing", "No such PaymentMethod"
            )
        if method == "pm_broken":
            return 500, _error_answer("api_error", None, "Something went wrong")
        if method == "pm_busy":
            return 429, _error_answer("invalid_request_error", "lock_timeout", "Try again")
        number = f"pi_{len(self.intents) + 1}"
        intent: dict[str, Any] = {
            "id": number,
            "object": "payment_intent",
            "amount": int(form["amount"]),
            "currency": form["currency"],
            "metadata": {"charge_key": form["metadata[charge_key]"]},
            "status": {
                "none": "requires_payment_method",
                "pm_declined": "requires_payment_method",
                "pm_processing": "processing",
                "pm_action": "requires_action",
            }.get(method, "succeeded"),
            "client_secret": f"{number}_secret_1",
            "next_action": {"type": "use_stripe_sdk"} if method == "pm_action" else None,
            "latest_charge": f"ch_{number}",
        }
        if method == "pm_dearer":
            intent["amount"] += 1
        if method == "pm_yen":
            intent["currency"] = "jpy"
        intent["amount_received"] = intent["amount"] if intent["status"] == "succeeded" else 0
        self.intents[number] = intent
        if method == "pm_declined":
            received = _error_answer("card_error", "card_declined", "Your card was declined.")
            received["error"]["payment_intent"] = intent
            return 402, received
        return 200, dict(intent)

    async def _search(self, request: web.Request) -> web.Response:
        found = [
            intent
            for number, intent in self.intents.items()
            if f"metadata['charge_key']:'{intent['metadata']['charge_key']}'"
            == request.query["query"]
            and number not in self.unsearchable
        ]
        return web.json_response(
            {
                "object": "search_result",
                "url": "/v1/payment_intents/search",
                "has_more": False,
                # Old news: the adapter must look again.
                "data": [{**intent, "status": "processing"} for intent in found],
            }
        )

    async def _retrieve(self, request: web.Request) -> web.Response:
        return web.json_response(self._expanded(self.intents[request.match_info["id"]]))

    async def _list(self, request: web.Request) -> web.Response:
        after = request.query.get("starting_after")
        numbers = [*self.intents]
        start = numbers.index(after) + 1 if after else 0
        limit = int(request.query["limit"])
        page = [self._expanded(self.intents[one]) for one in numbers[start : start + limit]]
        return web.json_response(
            {
                "object": "list",
                "url": "/v1/payment_intents",
                "has_more": start + limit < len(numbers),
                "data": page,
            }
        )

    def _expanded(self, intent: dict[str, Any]) -> dict[str, Any]:
        done = [one for one in self.refunds if one["payment_intent"] == intent["id"]]
        charge = {
            "id": intent["latest_charge"],
            "object": "charge",
            "amount_refunded": sum(one["amount"] for one in done if one["status"] != "failed"),
        }
        return {**intent, "latest_charge": charge}

    async def _refunds(self, request: web.Request) -> web.Response:
        number = request.query["payment_intent"]
        found = [one for one in self.refunds if one["payment_intent"] == number]
        return web.json_response(
            {"object": "list", "url": "/v1/refunds", "has_more": False, "data": found[::-1]}
        )

    def _cancel(self, request: web.Request, _: dict[str, str]) -> tuple[int, dict[str, Any]]:
        intent = self.intents[request.match_info["id"]]
        if intent["status"] == "succeeded":
            return 400, _error_answer(
                "invalid_request_error", "payment_intent_unexpected_state", "no"
            )
        intent["status"] = "canceled"
        return 200, intent

    def _refund(self, _: web.Request, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        number = form["payment_intent"]
        gone = sum(
            refund["amount"]
            for refund in self.refunds
            if refund["payment_intent"] == number and refund["status"] != "failed"
        )
        if gone >= self.intents[number]["amount"]:
            return 400, _error_answer("invalid_request_error", "charge_already_refunded", "again")
        if self.intents[number]["status"] != "succeeded":
            return 400, _error_answer(
                "invalid_request_error", "payment_intent_unexpected_state", "no"
            )
        refund = {
            "id": f"re_{len(self.refunds) + 1}",
            "object": "refund",
            "amount": int(form["amount"]),
            "payment_intent": number,
            "status": self.refund_status,
            "failure_reason": "expired_or_canceled_card"
            if self.refund_status == "failed"
            else None,
            "metadata": {"charge_key": form["metadata[charge_key]"]}
            if "metadata[charge_key]" in form
            else {},
        }
        self.refunds.append(refund)
        return 200, refund


@asynccontextmanager
async def serving() -> AsyncIterator[StripeApi]:
    api = StripeApi()
    runner = web.AppRunner(api.application())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    api.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield api
    finally:
        await runner.cleanup()


def message(
    kind: str, about: dict[str, Any], *, age_s: int = 0, secret: str = SECRET
) -> tuple[dict[str, str], bytes]:
    """Sign a message as the service does."""
    body = json.dumps(
        {"id": "evt_1", "object": "event", "type": kind, "data": {"object": about}}
    ).encode()
    at = SystemClock().now_ms() // 1_000 - age_s
    mac = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return {"stripe-signature": f"t={at},v1={mac}"}, body


def _error_answer(kind: str, code: str | None, text: str) -> dict[str, Any]:
    return {"error": {"type": kind, "code": code, "message": text}}


def _error(status: int, kind: str, code: str) -> web.Response:
    return web.json_response(_error_answer(kind, code, code), status=status)
