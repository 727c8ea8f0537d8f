"""HTTP API and webhooks of the sandbox: a payment provider that takes no money.

POST /v1/charges               {key, amount, currency, method}   charge, once per key
POST /v1/charges/{key}/close   {}                      outcome; an unknown key is closed
POST /v1/charges/{key}/refund  {amount}                refund, once
GET  /v1/charges/{key}                                 outcome
GET  /v1/charges                                       the latest, oldest first
GET  /v1/charges?after=N&since=MS                      a page of all, after position N
POST /v1/charges/{key}/authenticate  {confirmed}       the visitor's result of 3-D Secure
POST /dashboard/{key}/refund   {amount, state}         a refund made in the dashboard
POST /dashboard/{key}/dispute  {state}                 a dispute of the visitor's bank
GET  /health

All but the last need `Authorization: Bearer <key>`. The answer is a `ledger.Charge`, or a list of
them. Each outcome is also sent to the shop's webhook, as the same document, signed by
`signatures.py`. A closed key is never charged. `behaviour.py` injects faults.
"""

import asyncio
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from random import Random
from typing import Annotated, Never, TypeVar
from uuid import UUID

import aiohttp
import msgspec
import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from waitline.kernel.clock import Clock
from waitline.kernel.documents import parse_json
from waitline.payment_providers.model import DisputeState, Money, RefundState
from waitline.payment_providers.port import ANSWER_BYTES_MAX
from waitline.payment_providers.sandbox import signatures
from waitline.payment_providers.sandbox.behaviour import Effect, SandboxBehaviour
from waitline.payment_providers.sandbox.ledger import (
    Charge,
    KeyReused,
    Ledger,
    NothingToRefund,
)

PROCESSING_MAX = 5_000
"""Load shedding: most charges in progress. Further requests get 503, as from an overloaded
provider."""

HANG_S = 60.0
"""How long a request with the effect TIMEOUT stays open, in s: longer than any shop's timeout."""

LATEST = 1_000
"""Most charges in a list."""

PAGE = 100
"""Charges on a page of the whole list, about 40 KB."""

DELIVERIES_MAX = 10_000
"""Most webhooks waiting for delivery, late ones included. More are dropped, as can happen at real
providers; a shop must not rely on webhooks alone."""

SENDERS = 16
"""Webhooks sent concurrently."""

ATTEMPTS_MAX = 6
RETRY_S = 0.5
SEND_TIMEOUT_S = 5.0
"""Delivery of a webhook: attempts, first pause of the exponential backoff (half a minute in all),
and timeout of an attempt."""

T = TypeVar("T")

log = structlog.get_logger()


class WebhookSender:
    """Delivers webhooks to the shop, with retries.

    Args:
        url: URL of the shop's webhook; `None` sends nothing.
        secret: Signs the webhooks.
        clock: For the signatures' timestamps.
    """

    def __init__(self, url: str | None, secret: str, clock: Clock) -> None:
        self._url = url
        self._secret = secret
        self._clock = clock
        self._waiting = 0
        self._senders = asyncio.Semaphore(SENDERS)
        self._group: asyncio.TaskGroup
        self._session: aiohttp.ClientSession

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.TaskGroup]:
        """Deliver until the block ends; undelivered webhooks are dropped then."""
        timeout = aiohttp.ClientTimeout(total=SEND_TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout) as self._session:
            try:
                async with asyncio.TaskGroup() as self._group:
                    yield self._group
                    # A task group has no cancel of its own.
                    self._group.create_task(_stop())
            except* _Stop:
                pass

    def enqueue(self, charge: Charge, *, after_s: float = 0.0) -> None:
        """Deliver a webhook in the background, after a delay."""
        if self._url is None:
            return
        if self._waiting >= DELIVERIES_MAX:
            log.warning(
                "webhook_message_dropped", charge=str(charge.key), reason="the queue is full"
            )
            return
        self._waiting += 1
        self._group.create_task(self._deliver(charge.key, msgspec.json.encode(charge), after_s))

    async def post_once(self, body: bytes) -> bool:
        """Try to deliver once; return whether the shop accepted it."""
        assert self._url is not None
        headers = {
            "Content-Type": "application/json",
            signatures.HEADER: signatures.sign(self._secret, body, self._clock.now_ms() // 1_000),
        }
        try:
            async with (
                self._senders,
                self._session.post(self._url, data=body, headers=headers) as response,
            ):
                return response.ok
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    async def deliver_first(self, charge: Charge) -> None:
        """Try to deliver a webhook now; enqueue it if the shop does not accept it."""
        if self._url is not None and not await self.post_once(msgspec.json.encode(charge)):
            self.enqueue(charge)

    async def _deliver(self, key: UUID, body: bytes, after_s: float) -> None:
        try:
            await asyncio.sleep(after_s)
            for attempt in range(ATTEMPTS_MAX):
                if await self.post_once(body):
                    return
                await asyncio.sleep(RETRY_S * 2**attempt)
            log.warning(
                "webhook_message_dropped", charge=str(key), reason="the webhook did not accept it"
            )
        finally:
            self._waiting -= 1


class _Stop(Exception):  # noqa: N818 - a signal, no error
    """Ends the task group."""


async def _stop() -> Never:
    raise _Stop


class _ChargeBody(msgspec.Struct):
    key: UUID
    amount: Annotated[int, msgspec.Meta(gt=0)]
    currency: Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$")]
    method: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class _RefundBody(msgspec.Struct):
    amount: int


class _ConfirmedBody(msgspec.Struct):
    confirmed: bool = True


class _ReturnBody(msgspec.Struct):
    amount: Annotated[int, msgspec.Meta(gt=0)]
    state: RefundState = RefundState.DONE


class _DisputeBody(msgspec.Struct):
    state: DisputeState


class SandboxServer:
    """The sandbox as an ASGI application.

    Args:
        ledger: Its charges.
        behaviour: Latency and faults.
        webhooks: Delivers outcomes to the shop.
        key: Authenticates the shop.
        rng: Draws latency and faults.
    """

    def __init__(
        self,
        ledger: Ledger,
        behaviour: SandboxBehaviour,
        webhooks: WebhookSender,
        *,
        key: str,
        rng: Random,
    ) -> None:
        self._ledger = ledger
        self._behaviour = behaviour
        self._webhooks = webhooks
        self._key = key.encode()
        self._rng = rng
        self._processing: dict[UUID, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup

    def app(self) -> Starlette:
        """Return the application."""
        return Starlette(
            routes=[
                Route("/v1/charges", self._charge, methods=["POST"]),
                Route("/v1/charges", self._latest, methods=["GET"]),
                Route("/v1/charges/{key:uuid}", self._find, methods=["GET"]),
                Route("/v1/charges/{key:uuid}/close", self._close, methods=["POST"]),
                Route("/v1/charges/{key:uuid}/refund", self._refund, methods=["POST"]),
                Route("/v1/charges/{key:uuid}/authenticate", self._confirm, methods=["POST"]),
                Route("/dashboard/{key:uuid}/refund", self._return, methods=["POST"]),
                Route("/dashboard/{key:uuid}/dispute", self._dispute, methods=["POST"]),
                Route("/health", _health, methods=["GET"]),
            ],
            lifespan=self._lifespan,
        )

    @asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        async with self._webhooks.running() as self._group:
            yield
        self._ledger.close()

    async def _charge(self, request: Request) -> Response:
        self._authenticate(request)
        body = await _body(request, _ChargeBody)
        if len(self._processing) >= PROCESSING_MAX:
            raise HTTPException(503)
        try:
            charge, new = self._ledger.begin_charge(
                body.key, Money(body.amount, body.currency), body.method
            )
        except KeyReused:
            raise HTTPException(422) from None
        effects = self._behaviour.draw_effects(body.method, self._rng)
        if new:
            # A task of its own: it completes even if the shop disconnects.
            task = self._group.create_task(self._process(charge, effects))
            self._processing[charge.key] = task
        if (running := self._processing.get(charge.key)) is not None:
            await asyncio.shield(running)
        if Effect.TIMEOUT in effects and new:
            await _hang(request)
        return _answer(charge)

    async def _process(self, charge: Charge, effects: frozenset[Effect]) -> None:
        try:
            await asyncio.sleep(self._rng.uniform(*self._behaviour.latency_s))
            if Effect.DECLINE in effects:
                self._ledger.decline_charge(charge, "declined by the bank")
            elif Effect.AUTHENTICATE in effects:
                self._ledger.authenticate_charge(charge)
                return
            else:
                self._ledger.complete_charge(
                    charge,
                    more=1 if Effect.OTHER_AMOUNT in effects else 0,
                    currency=_OTHER.get(charge.currency, "JPY")
                    if Effect.OTHER_CURRENCY in effects
                    else None,
                )
            if Effect.WEBHOOK_FIRST in effects:
                await self._webhooks.deliver_first(charge)
            else:
                late = Effect.LATE_WEBHOOK in effects
                self._webhooks.enqueue(charge, after_s=self._behaviour.late_s if late else 0.0)
            if Effect.DUPLICATE_WEBHOOK in effects:
                self._webhooks.enqueue(charge)
        finally:
            del self._processing[charge.key]

    async def _latest(self, request: Request) -> Response:
        self._authenticate(request)
        after = request.query_params.get("after")
        if after is None:
            return _answer(self._ledger.latest_charges(LATEST))
        since = request.query_params.get("since", "0")
        if not (after.isdecimal() and since.isdecimal()):
            raise HTTPException(400)
        return _answer(self._ledger.charges_after(int(after), int(since), PAGE))

    async def _find(self, request: Request) -> Response:
        self._authenticate(request)
        charge = self._ledger.find_charge(request.path_params["key"])
        if charge is None:
            raise HTTPException(404)
        return _answer(charge)

    async def _close(self, request: Request) -> Response:
        self._authenticate(request)
        return _answer(self._ledger.close_charge(request.path_params["key"]))

    async def _refund(self, request: Request) -> Response:
        self._authenticate(request)
        body = await _body(request, _RefundBody)
        key = request.path_params["key"]
        known = self._ledger.find_charge(key)
        try:
            charge, new = self._ledger.refund_charge(key, body.amount, _refund_state(known))
        except NothingToRefund:
            raise HTTPException(409) from None
        if new:
            self._webhooks.enqueue(charge)
        return _answer(charge)

    async def _confirm(self, request: Request) -> Response:
        self._authenticate(request)
        body = await _body(request, _ConfirmedBody)
        charge = self._ledger.confirm_charge(request.path_params["key"], confirmed=body.confirmed)
        if charge is None:
            raise HTTPException(409)
        self._webhooks.enqueue(charge)
        return _answer(charge)

    async def _return(self, request: Request) -> Response:
        self._authenticate(request)
        body = await _body(request, _ReturnBody)
        charge = self._known(request)
        try:
            self._ledger.return_money(charge, body.amount, body.state)
        except NothingToRefund:
            raise HTTPException(409) from None
        self._webhooks.enqueue(charge)
        return _answer(charge)

    async def _dispute(self, request: Request) -> Response:
        self._authenticate(request)
        body = await _body(request, _DisputeBody)
        charge = self._ledger.dispute_charge(self._known(request), body.state)
        self._webhooks.enqueue(charge)
        return _answer(charge)

    def _known(self, request: Request) -> Charge:
        charge = self._ledger.find_charge(request.path_params["key"])
        if charge is None or not charge.charged:
            raise HTTPException(404)
        return charge

    def _authenticate(self, request: Request) -> None:
        presented = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(presented.encode(), self._key):
            raise HTTPException(401)


_OTHER = {"JPY": "KRW"}
"""Currency in which the effect OTHER_CURRENCY takes a charge, by that of the price; else JPY."""


def _refund_state(charge: Charge | None) -> RefundState:
    words = () if charge is None else charge.method.split("+")
    if Effect.REFUND_PENDING in words:
        return RefundState.PENDING
    return RefundState.FAILED if Effect.REFUND_FAIL in words else RefundState.DONE


async def _health(_request: Request) -> Response:
    return Response(b'{"status":"UP"}', media_type="application/json")


def _answer(what: Charge | list[Charge]) -> Response:
    return Response(msgspec.json.encode(what), media_type="application/json")


async def _body(request: Request, kind: type[T]) -> T:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > ANSWER_BYTES_MAX:
            raise HTTPException(413)
    try:
        return parse_json(bytes(body), kind)
    except msgspec.DecodeError as error:
        raise HTTPException(400, str(error)) from None


async def _hang(request: Request) -> None:
    """Leave the request unanswered until the shop disconnects."""
    with suppress(TimeoutError):
        async with asyncio.timeout(HANG_S):
            while (await request.receive())["type"] != "http.disconnect":
                pass
    raise HTTPException(504)
