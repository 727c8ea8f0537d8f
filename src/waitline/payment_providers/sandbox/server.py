"""The sandbox: a payment provider on this machine that takes no money, and behaves badly if asked.

POST /v1/charges               {key, amount, method}   charge, once per key
POST /v1/charges/{key}/close   {}                      what became of it; none, if nothing has
POST /v1/charges/{key}/refund  {amount}                give it back, once
GET  /v1/charges/{key}                                 what became of it
GET  /v1/charges                                       the latest, oldest first
GET  /health

All but the last need `Authorization: Bearer <key>` and answer with a `ledger.Charge`, or with a
list of them. Each change of a charge is told to the shop's webhook as the same document, signed as
`signatures.py` says. What is asked of a key that was closed before it was charged stays undone.

How it behaves is said in `habits.py`.
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
from waitline.payment_providers.port import ANSWER_BYTES_MAX
from waitline.payment_providers.sandbox import signatures
from waitline.payment_providers.sandbox.behaviour import Effect, Habits
from waitline.payment_providers.sandbox.ledger import (
    Charge,
    KeyReused,
    Ledger,
    NothingToRefund,
)

PROCESSING_MAX = 5_000
"""Charges under way. More are refused with 503, as a provider does that is overrun."""

HANG_S = 60.0
"""How long a charge that is never answered keeps its connection: longer than any shop waits."""

LATEST = 1_000
"""Charges in a list."""

DELIVERIES_MAX = 10_000
"""Messages waiting to be delivered, late ones among them. More are lost, as happens with providers;
whoever relies on messages alone loses money."""

SENDERS = 16
"""Messages that are sent at the same time."""

ATTEMPTS_MAX = 6
RETRY_S = 0.5
SEND_TIMEOUT_S = 5.0
"""A message is sent this often at most, with pauses of twice the last one, for half a minute in
all; the shop may take this long to answer."""

T = TypeVar("T")

log = structlog.get_logger()


class Messages:
    """Tells the shop's webhook what has become of charges, again until it listens.

    Args:
        url: Of the webhook; `None` tells nobody.
        secret: What messages are signed with.
        clock: Tells when.
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
        """Deliver until the block ends; what is not delivered by then is lost."""
        timeout = aiohttp.ClientTimeout(total=SEND_TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout) as self._session:
            try:
                async with asyncio.TaskGroup() as self._group:
                    yield self._group
                    # The way to end a group and all of its tasks.
                    self._group.create_task(_end())
            except* _Ends:
                pass

    def send(self, charge: Charge, *, after_s: float = 0.0) -> None:
        """Deliver a message some time."""
        if self._url is None:
            return
        if self._waiting >= DELIVERIES_MAX:
            log.warning(
                "webhook_message_dropped", charge=str(charge.key), reason="too many messages wait"
            )
            return
        self._waiting += 1
        self._group.create_task(self._deliver(charge.key, msgspec.json.encode(charge), after_s))

    async def post(self, body: bytes) -> bool:
        """Send once; return whether it was taken."""
        assert self._url is not None
        headers = {
            "Content-Type": "application/json",
            signatures.HEADER: signatures.signed(self._secret, body, self._clock.now_ms() // 1_000),
        }
        try:
            async with (
                self._senders,
                self._session.post(self._url, data=body, headers=headers) as response,
            ):
                return response.ok
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    async def send_now(self, charge: Charge) -> None:
        """Deliver before anything else happens, if the webhook listens at once."""
        if self._url is not None and not await self.post(msgspec.json.encode(charge)):
            self.send(charge)

    async def _deliver(self, key: UUID, body: bytes, after_s: float) -> None:
        try:
            await asyncio.sleep(after_s)
            for attempt in range(ATTEMPTS_MAX):
                if await self.post(body):
                    return
                await asyncio.sleep(RETRY_S * 2**attempt)
            log.warning(
                "webhook_message_dropped", charge=str(key), reason="the webhook did not accept it"
            )
        finally:
            self._waiting -= 1


class _Ends(Exception):  # noqa: N818 - reads as what happens
    """The server stops."""


async def _end() -> Never:
    raise _Ends


class _Asked(msgspec.Struct):
    key: UUID
    amount: Annotated[int, msgspec.Meta(gt=0)]
    method: Annotated[str, msgspec.Meta(min_length=1, max_length=50)]


class _Refund(msgspec.Struct):
    amount: int


class SandboxServer:
    """The sandbox as an ASGI application.

    Args:
        ledger: What it has charged.
        habits: How it behaves.
        messages: Tells the shop.
        key: What the shop is known by.
        dice: Decide what happens by chance.
    """

    def __init__(
        self, ledger: Ledger, habits: Habits, messages: Messages, *, key: str, dice: Random
    ) -> None:
        self._ledger = ledger
        self._habits = habits
        self._messages = messages
        self._key = key.encode()
        self._dice = dice
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
                Route("/health", _health, methods=["GET"]),
            ],
            lifespan=self._lifespan,
        )

    @asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        async with self._messages.running() as self._group:
            yield
        self._ledger.close()

    async def _charge(self, request: Request) -> Response:
        self._known(request)
        asked = await _body(request, _Asked)
        if len(self._processing) >= PROCESSING_MAX:
            raise HTTPException(503)
        try:
            charge, new = self._ledger.begin_charge(asked.key, asked.amount, asked.method)
        except KeyReused:
            raise HTTPException(422) from None
        effects = self._habits.effects(asked.method, self._dice)
        if new:
            # What was begun is done, whether or not the shop still listens.
            task = self._group.create_task(self._process(charge, effects))
            self._processing[charge.key] = task
        if (running := self._processing.get(charge.key)) is not None:
            await asyncio.shield(running)
        if Effect.TIMEOUT in effects and new:
            await _never(request)
        return _told(charge)

    async def _process(self, charge: Charge, effects: frozenset[Effect]) -> None:
        try:
            await asyncio.sleep(self._dice.uniform(*self._habits.latency_s))
            if Effect.DECLINE in effects:
                self._ledger.decline_charge(charge, "declined by the bank")
            else:
                self._ledger.complete_charge(charge)
            if Effect.WEBHOOK_FIRST in effects:
                await self._messages.send_now(charge)
            else:
                late = Effect.LATE_WEBHOOK in effects
                self._messages.send(charge, after_s=self._habits.late_s if late else 0.0)
            if Effect.DUPLICATE_WEBHOOK in effects:
                self._messages.send(charge)
        finally:
            del self._processing[charge.key]

    async def _latest(self, request: Request) -> Response:
        self._known(request)
        return _told(self._ledger.latest_charges(LATEST))

    async def _find(self, request: Request) -> Response:
        self._known(request)
        charge = self._ledger.find_charge(request.path_params["key"])
        if charge is None:
            raise HTTPException(404)
        return _told(charge)

    async def _close(self, request: Request) -> Response:
        self._known(request)
        return _told(self._ledger.close_charge(request.path_params["key"]))

    async def _refund(self, request: Request) -> Response:
        self._known(request)
        asked = await _body(request, _Refund)
        try:
            charge, new = self._ledger.refund_charge(request.path_params["key"], asked.amount)
        except NothingToRefund:
            raise HTTPException(409) from None
        if new:
            self._messages.send(charge)
        return _told(charge)

    def _known(self, request: Request) -> None:
        shown = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(shown.encode(), self._key):
            raise HTTPException(401)


async def _health(_request: Request) -> Response:
    return Response(b'{"status":"UP"}', media_type="application/json")


def _told(what: Charge | list[Charge]) -> Response:
    return Response(msgspec.json.encode(what), media_type="application/json")


async def _body(request: Request, kind: type[T]) -> T:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > ANSWER_BYTES_MAX:
            raise HTTPException(413)
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise HTTPException(400, str(error)) from None


async def _never(request: Request) -> None:
    """Return when the shop has hung up, or has waited long enough."""
    with suppress(TimeoutError):
        async with asyncio.timeout(HANG_S):
            while (await request.receive())["type"] != "http.disconnect":
                pass
    raise HTTPException(504)
