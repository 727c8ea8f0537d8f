"""Adapter for Stripe, on Stripe's own library: the extra `waitline[stripe]`.

A charge is a PaymentIntent that is created and confirmed in one call, with a payment method that
the visitor's browser created (`pm_…`). The charge's key is Stripe's idempotency key. It is also in
the metadata, for searches and webhooks.

Not tested against the live service: tests use a local server with recorded answers.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from uuid import UUID

import aiohttp
import msgspec
import stripe
import structlog

from waitline.kernel.errors import Unavailable
from waitline.payment_providers.model import (
    REASON_CHARS_MAX,
    Charged,
    NotCharged,
    Refunded,
    WebhookEvent,
    WebhookForged,
)
from waitline.payment_providers.port import CALL_TIMEOUT_S, CONNECTIONS_MAX

API_URL = "https://api.stripe.com"

HEADER = "stripe-signature"
"""Header of a webhook's signature, in lower case."""

TOLERANCE_S = 300
"""Oldest signature that is accepted, in s. Source: the library's own default."""

CURRENCY = "krw"
"""Currency of all prices; its minor unit is the won."""

log = structlog.get_logger()


class _Intent(msgspec.Struct):
    """Subject of a webhook: a PaymentIntent, or a charge, which has its intent's metadata."""

    id: str
    metadata: dict[str, str] = msgspec.field(default_factory=dict)
    refunded: bool = False


class _Data(msgspec.Struct):
    object: _Intent


class _Message(msgspec.Struct):
    type: str
    data: _Data


class Stripe:
    """A `Provider` that takes real money.

    Args:
        key: The shop's secret key (`sk_…`).
        webhook_secret: Signs Stripe's webhooks (`whsec_…`).
        currency: Currency of amounts, which are in its minor unit.
        url: URL of the API; tests have one of their own.
    """

    def __init__(
        self, key: str, webhook_secret: str, *, currency: str = CURRENCY, url: str = API_URL
    ) -> None:
        self._key = key
        self._webhook_secret = webhook_secret
        self._currency = currency
        self._url = url
        self._client: stripe.StripeClient | None = None
        self._http: stripe.AIOHTTPClient | None = None

    async def charge(self, key: UUID, amount: int, method: str) -> Charged | NotCharged:
        """See `Provider.charge`."""
        try:
            async with self._calling() as intents:
                intent = await intents.create_async(
                    {
                        "amount": amount,
                        "currency": self._currency,
                        "payment_method": method,
                        # Other methods redirect the visitor for confirmation.
                        "allowed_payment_method_types": ["card"],
                        "confirm": True,
                        "off_session": True,
                        "error_on_requires_action": True,
                        "metadata": {"charge_key": str(key)},
                    },
                    {"idempotency_key": str(key)},
                )
        except stripe.CardError as error:
            return _declined(error.code or "declined")
        except stripe.InvalidRequestError as error:
            # An unknown or used payment method, or a bug in the request.
            log.warning("charge_rejected", charge=str(key), reason=str(error))
            return _declined(error.code or "refused")
        if intent.status == "succeeded":
            return Charged(intent.id)
        # Still processing, or waiting for the visitor: `fetch_outcome` distinguishes them.
        raise Unavailable(f"stripe: the charge is {intent.status}")

    async def fetch_outcome(self, key: UUID) -> Charged | NotCharged | None:
        """See `Provider.fetch_outcome`.

        Stripe cannot close an unknown key. Its search index lags by a minute normally and by an
        hour at worst, so a charge that is not found may still exist.
        Source: https://docs.stripe.com/search#data-freshness.
        """
        async with self._calling() as intents:
            found = await intents.search_async(
                {"query": f"metadata['charge_key']:'{key}'", "limit": 1}
            )
            if not found.data:
                return None
            # The index may be stale; this read is not.
            intent = await intents.retrieve_async(found.data[0].id)
            if intent.status.startswith("requires_"):
                # Abandoned: make sure that it is never completed.
                intent = await intents.cancel_async(intent.id)
        if intent.status == "succeeded":
            return Charged(intent.id)
        return _declined("canceled") if intent.status == "canceled" else None

    async def refund(self, key: UUID, provider_ref: str, amount: int) -> None:
        """See `Provider.refund`."""
        try:
            async with self._calling():
                assert self._client is not None
                refund = await self._client.v1.refunds.create_async(
                    {
                        "payment_intent": provider_ref,
                        "amount": amount,
                        "metadata": {"charge_key": str(key)},
                    },
                    {"idempotency_key": f"refund-{key}"},
                )
        except stripe.InvalidRequestError as error:
            if error.code == "charge_already_refunded":
                return
            raise Unavailable(f"stripe: {error.code}: no refund") from None
        # `pending` will succeed; `failed` needs an operator.
        if refund.status not in {"succeeded", "pending"}:
            raise Unavailable(f"stripe: the refund is {refund.status}")

    def parse_webhook(self, headers: Mapping[str, str], body: bytes) -> WebhookEvent | None:
        """See `Provider.parse_webhook`."""
        try:
            stripe.WebhookSignature.verify_header(
                body, headers.get(HEADER), self._webhook_secret, TOLERANCE_S
            )
            message = msgspec.json.decode(body, type=_Message)
        except stripe.SignatureVerificationError:
            raise WebhookForged("signature") from None
        except msgspec.ValidationError:
            # A subject without metadata: not one of our charges.
            return None
        except ValueError:
            raise WebhookForged("body") from None
        subject = message.data.object
        try:
            key = UUID(subject.metadata["charge_key"])
        except (KeyError, ValueError):
            return None
        match message.type:
            case "payment_intent.succeeded":
                return WebhookEvent(key, Charged(subject.id))
            case "payment_intent.payment_failed" | "payment_intent.canceled":
                return WebhookEvent(key, _declined(message.type))
            case "charge.refunded" if subject.refunded:
                return WebhookEvent(key, Refunded())
            case _:
                return None

    async def close(self) -> None:
        """See `Provider.close`."""
        if self._http is not None:
            await self._http.close_async()  # type: ignore[no-untyped-call]  # the library
            self._http = self._client = None

    @asynccontextmanager
    async def _calling(self) -> AsyncIterator["stripe.PaymentIntentService"]:
        """Yield the client, within the timeout of a call.

        Raises:
            Unavailable: No answer, or an answer without an outcome.
        """
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                yield self._connected().v1.payment_intents
        except (stripe.CardError, stripe.InvalidRequestError):
            raise
        except (stripe.StripeError, aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unavailable(f"stripe: {type(error).__name__}: {error}") from None

    def _connected(self) -> stripe.StripeClient:
        # Connections belong to the running loop, and the adapter may be built before that runs.
        if self._client is None:
            trusted = ssl.create_default_context(cafile=stripe.ca_bundle_path)
            self._http = stripe.AIOHTTPClient(
                timeout=CALL_TIMEOUT_S,
                connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX, ssl=trusted),
            )
            self._client = stripe.StripeClient(
                self._key,
                http_client=self._http,
                base_addresses={"api": self._url},
                # The reconciler retries, with a longer backoff.
                max_network_retries=0,
            )
        return self._client


def _declined(reason: str) -> NotCharged:
    return NotCharged(reason[:REASON_CHARS_MAX])
