"""Adapter for Toss Payments, by its HTTP API (core API, version 2022-11-16).

A charge is a payment by billing key: the visitor has registered a card in Toss's page, and the shop
has got a billing key for it. `paymentMethod` is `CUSTOMER_KEY:BILLING_KEY`. The charge's key is the
orderId, and the idempotency key, which Toss keeps for 15 days.

Toss does not sign its webhooks, so a webhook only makes us query Toss. It
cannot close an orderId that it does not know: a lost charge fails after a minute (decision 0021).

Not tested against the live service: tests use a local server with answers of the documented shape.
Source: https://docs.tosspayments.com/reference and https://docs.tosspayments.com/reference/error-codes.
"""

import asyncio
from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from http import HTTPStatus
from typing import TypeVar
from urllib.parse import quote, urlencode
from uuid import UUID

import msgspec

from waitline.kernel.clock import SystemClock
from waitline.kernel.documents import parse_json
from waitline.kernel.errors import Unavailable
from waitline.payment_providers.model import (
    NOT_CHARGEABLE,
    REASON_CHARS_MAX,
    ActionNeeded,
    Changed,
    Charged,
    ChargePage,
    ListedCharge,
    Money,
    NotCharged,
    NotSent,
    Refund,
    RefundState,
    Unseen,
    WebhookEvent,
    WebhookForged,
)
from waitline.payment_providers.rest import LIST_BYTES_MAX, ApiAnswer, JsonApi

API_URL = "https://api.tosspayments.com"

CURRENCY = "KRW"
"""The only currency of payments by billing key; its minor unit is the won. Toss takes USD and JPY
in its payment window alone, with an account for each.
Source: https://tosspayments-dev.oopy.io/17e714bb-fde7-80b6-8df9-efa1a1667e4a."""

ORDER_NAME = "Tickets"
"""Name of an order on the visitor's card statement; Toss requires one."""

PAGE = 100
"""Transactions on a page of the list."""

QUERIES_MAX = 10
"""Payments queried concurrently while the list is read."""

DAY_MS = 86_400_000

KOREA = timezone(timedelta(hours=9))
"""Toss's dates have no offset: they are Korean time."""

# Answers after which the charge may still be made, or was made before.
_OPEN = {"IDEMPOTENT_REQUEST_PROCESSING", "DUPLICATED_ORDER_ID", "ALREADY_PROCESSED_PAYMENT"}
_TAKEN = {"DONE", "CANCELED", "PARTIAL_CANCELED"}
_ENDED = {"ABORTED", "EXPIRED"}

T = TypeVar("T")


class _Cancel(msgspec.Struct, rename="camel"):
    cancel_status: str = "DONE"


class _Payment(msgspec.Struct, rename="camel"):
    payment_key: str
    order_id: str
    status: str
    total_amount: int
    balance_amount: int
    currency: str = CURRENCY
    cancels: list[_Cancel] | None = None

    @property
    def charged(self) -> bool | None:
        """Whether money was taken; `None` while that is open."""
        return None if self.status not in _TAKEN | _ENDED else self.status in _TAKEN

    @property
    def refunded(self) -> int:
        """Amount refunded."""
        return self.total_amount - self.balance_amount

    @property
    def money(self) -> Money:
        """Amount charged, or requested."""
        return Money(self.total_amount, self.currency)


class _Transaction(msgspec.Struct, rename="camel"):
    transaction_key: str
    payment_key: str
    order_id: str


class _Failure(msgspec.Struct):
    code: str = ""


class _Subject(msgspec.Struct, rename="camel"):
    order_id: str = ""


class _Message(msgspec.Struct):
    data: _Subject


class Toss:
    """A `Provider` that takes real money, with a key that begins with `live_`.

    Args:
        key: The shop's secret key (`live_sk_…`, `test_sk_…`).
        webhook_secret: Not used: Toss signs no webhook.
        url: URL of the API; tests have one of their own.
    """

    def __init__(self, key: str, webhook_secret: str, *, url: str = API_URL) -> None:  # noqa: ARG002
        self._api = JsonApi("Toss", url, "Basic " + b64encode(f"{key}:".encode()).decode("ascii"))

    async def charge(
        self, key: UUID, price: Money, method: str
    ) -> Charged | NotCharged | ActionNeeded:
        """See `Provider.charge`."""
        if price.currency != CURRENCY:
            return NotCharged(NOT_CHARGEABLE)
        owner, _, billing = method.partition(":")
        if not billing:
            return NotCharged("INVALID_BILL_KEY_REQUEST")
        answer = await self._api.call(
            "POST",
            f"/v1/billing/{quote(billing, safe='')}",
            {
                "customerKey": owner,
                "amount": price.amount,
                "orderId": str(key),
                "orderName": ORDER_NAME,
            },
            headers={"Idempotency-Key": str(key)},
        )
        if answer.status == HTTPStatus.OK:
            outcome = _outcome(_decoded(answer, _Payment))
            if outcome is None:
                raise Unavailable("Toss: the charge is not done yet")
            return outcome
        code = _failure(answer)
        if code in _OPEN:
            raise Unavailable(f"Toss: {code}")
        return NotCharged(code)

    async def fetch_outcome(self, key: UUID, price: Money) -> Charged | NotCharged | Unseen | None:  # noqa: ARG002
        """See `Provider.fetch_outcome`."""
        answer = await self._api.call("GET", f"/v1/payments/orders/{key}")
        if answer.status == HTTPStatus.NOT_FOUND:
            return Unseen()
        return _outcome(_decoded(answer, _Payment))

    async def refund(self, key: UUID, provider_ref: str, whole: Money) -> Refund:
        """See `Provider.refund`.

        An answer to an idempotency key is stored, so the outcome of a refund is queried first.
        """
        path = f"/v1/payments/{quote(provider_ref, safe='')}"
        payment = _decoded(await self._api.call("GET", path), _Payment)
        if payment.refunded < whole.amount:
            answer = await self._api.call(
                "POST",
                f"{path}/cancel",
                {"cancelReason": "The reservation was cancelled"},
                headers={"Idempotency-Key": f"refund-{key}"},
            )
            if answer.status != HTTPStatus.OK:
                code = _failure(answer)
                if code in _OPEN:
                    raise Unavailable(f"Toss: {code}")
                done = code == "ALREADY_CANCELED_PAYMENT"
                return Refund(RefundState.DONE if done else RefundState.FAILED, code)
            payment = _decoded(answer, _Payment)
        last = payment.cancels[-1].cancel_status if payment.cancels else "DONE"
        if last == "DONE" and payment.refunded >= whole.amount:
            return Refund(RefundState.DONE)
        return Refund(RefundState.FAILED if last == "ABORTED" else RefundState.PENDING, last)

    def parse_webhook(self, headers: Mapping[str, str], body: bytes) -> WebhookEvent | None:  # noqa: ARG002
        """See `Provider.parse_webhook`. It is unsigned, so it only names what to query."""
        try:
            message = parse_json(body, _Message)
        except msgspec.ValidationError:
            return None
        except ValueError:
            raise WebhookForged("body") from None
        try:
            return WebhookEvent(UUID(message.data.order_id), Changed())
        except ValueError:
            return None

    async def list_charges(self, since_ms: int, after: str | None) -> ChargePage:
        """See `Provider.list_charges`.

        The list has a row for each charge and each cancellation; the payment itself is queried.
        """
        asked = {
            "startDate": _korean(since_ms),
            "endDate": _korean(SystemClock().now_ms() + DAY_MS),
            "limit": PAGE,
        } | ({} if after is None else {"startingAfter": after})
        answer = await self._api.call(
            "GET", f"/v1/transactions?{urlencode(asked)}", bytes_max=LIST_BYTES_MAX
        )
        rows = _decoded(answer, list[_Transaction])
        gate = asyncio.Semaphore(QUERIES_MAX)

        async def query(payment_key: str) -> ListedCharge:
            async with gate:
                path = f"/v1/payments/{quote(payment_key, safe='')}"
                return _listed(_decoded(await self._api.call("GET", path), _Payment))

        payment_keys = dict.fromkeys(row.payment_key for row in rows)
        charges = await asyncio.gather(*map(query, payment_keys))
        return ChargePage(charges, rows[-1].transaction_key if len(rows) == PAGE else None)

    async def close(self) -> None:
        """See `Provider.close`."""
        await self._api.close()


def _decoded(answer: ApiAnswer, kind: type[T]) -> T:
    """Return the document of an answer.

    Raises:
        NotSent: The key was rejected.
        Unavailable: Another status, or another document.
    """
    if answer.status != HTTPStatus.OK:
        raise Unavailable(f"Toss answers {answer.status} {_failure(answer)}")
    try:
        return parse_json(answer.body, kind)
    except msgspec.DecodeError:
        raise Unavailable("Toss answers with another document") from None


def _failure(answer: ApiAnswer) -> str:
    """Return the code of a refusal.

    Raises:
        NotSent: The key was rejected.
        Unavailable: Toss failed; nothing is known.
    """
    if answer.status == HTTPStatus.UNAUTHORIZED:
        raise NotSent("Toss turns the key away")
    # A rate limit is not a decision about the charge.
    if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR or answer.status == 429:  # noqa: PLR2004
        raise Unavailable(f"Toss answers {answer.status}")
    try:
        code = parse_json(answer.body, _Failure).code
    except msgspec.DecodeError:
        code = ""
    return (code or str(answer.status))[:REASON_CHARS_MAX]


def _outcome(payment: _Payment) -> Charged | NotCharged | None:
    if payment.charged is None:
        return None
    if not payment.charged:
        return NotCharged(payment.status)
    return Charged(payment.payment_key, payment.money, payment.refunded)


def _korean(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1_000, KOREA).strftime("%Y-%m-%dT%H:%M:%S")


def _listed(payment: _Payment) -> ListedCharge:
    try:
        key = UUID(payment.order_id)
    except ValueError:
        key = None
    return ListedCharge(
        key,
        payment.payment_key,
        payment.charged,
        payment.money,
        payment.refunded,
    )
