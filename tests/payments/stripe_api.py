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
    "off_session", "error_on_requires_action", "metadata[charge_key]",
}  # fmt: skip


class StripeApi:
    """Intents, refunds, and the answers that were given to each idempotency key."""

    def __init__(self) -> None:
        self.intents: dict[str, dict[str, Any]] = {}
        self.refunds: list[dict[str, Any]] = []
        self.answers: dict[str, tuple[int, dict[str, Any]]] = {}
        self.url = ""
        # What the search does not see yet.
        self.unsearchable: set[str] = set()

    def application(self) -> web.Application:
        application = web.Application()
        application.router.add_post("/v1/payment_intents", self._once(self._create))
        application.router.add_get("/v1/payment_intents/search", self._search)
        application.router.add_get("/v1/payment_intents/{id}", self._retrieve)
        application.router.add_post("/v1/payment_intents/{id}/cancel", self._once(self._cancel))
        application.router.add_post("/v1/refunds", self._once(self._refund))
        return application

    def _once(self, call: Any) -> Any:  # noqa: ANN401 - a handler
        async def handle(request: web.Request) -> web.Response:
            if request.headers["Authorization"] != f"Bearer {KEY}":
                return _error(401, "invalid_request_error", "api_key_invalid")
            form = {name: values[0] for name, values in parse_qs(await request.text()).items()}
            key = request.headers.get("Idempotency-Key", "")
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
            return 400, _told("invalid_request_error", "parameter_unknown", str(unknown))
        assert (form["confirm"], form["off_session"]) == ("true", "true")
        method = form["payment_method"]
        if method == "pm_missing":
            return 404, _told("invalid_request_error", "resource_missing", "No such PaymentMethod")
        if method == "pm_broken":
            return 500, _told("api_error", None, "Something went wrong")
        if method == "pm_busy":
            return 429, _told("invalid_request_error", "lock_timeout", "Try again")
        number = f"pi_{len(self.intents) + 1}"
        intent = {
            "id": number,
            "object": "payment_intent",
            "amount": int(form["amount"]),
            "currency": form["currency"],
            "metadata": {"charge_key": form["metadata[charge_key]"]},
            "status": {
                "pm_declined": "requires_payment_method",
                "pm_processing": "processing",
                "pm_action": "requires_action",
            }.get(method, "succeeded"),
        }
        self.intents[number] = intent
        if method == "pm_declined":
            received = _told("card_error", "card_declined", "Your card was declined.")
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
        return web.json_response(self.intents[request.match_info["id"]])

    def _cancel(self, request: web.Request, _: dict[str, str]) -> tuple[int, dict[str, Any]]:
        intent = self.intents[request.match_info["id"]]
        if intent["status"] == "succeeded":
            return 400, _told("invalid_request_error", "payment_intent_unexpected_state", "no")
        intent["status"] = "canceled"
        return 200, intent

    def _refund(self, _: web.Request, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        number = form["payment_intent"]
        if any(refund["payment_intent"] == number for refund in self.refunds):
            return 400, _told("invalid_request_error", "charge_already_refunded", "again")
        if self.intents[number]["status"] != "succeeded":
            return 400, _told("invalid_request_error", "payment_intent_unexpected_state", "no")
        refund = {
            "id": f"re_{len(self.refunds) + 1}",
            "object": "refund",
            "amount": int(form["amount"]),
            "payment_intent": number,
            "status": "succeeded",
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


def _told(kind: str, code: str | None, text: str) -> dict[str, Any]:
    return {"error": {"type": kind, "code": code, "message": text}}


def _error(status: int, kind: str, code: str) -> web.Response:
    return web.json_response(_told(kind, code, code), status=status)
