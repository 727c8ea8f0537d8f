"""The adapter of Stripe, by Stripe's own library: the extra `waitline[stripe]`.

A charge is a PaymentIntent that is created and confirmed in one call, with a payment method that
the visitor's browser has made (`pm_…`). Its idempotency key is the charge's key, which is also in
its metadata, so that it can be found and so that messages name it.

What this has not seen is the live service: it is tested against answers of the recorded shape, from
a server on the same machine.
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
    Event,
    NotCharged,
    Refunded,
    WebhookForged,
)
from waitline.payment_providers.port import CALL_TIMEOUT_S, CONNECTIONS_MAX

API_URL = "https://api.stripe.com"

HEADER = "stripe-signature"
"""Name of the header that carries a message's signature, in lower case."""

TOLERANCE_S = 300
"""How old a signature may be. Source: the library's own default."""

CURRENCY = "krw"
"""In which prices are; its minor unit is the won."""

log = structlog.get_logger()


class _Intent(msgspec.Struct):
    """What a message is about: a PaymentIntent, or a charge, which has its intent's metadata."""

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
        webhook_secret: What messages are signed with (`whsec_…`).
        currency: In which amounts are, in its minor unit.
        url: Where the service answers; tests have one of their own.
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
                        # Others than cards would have to be confirmed elsewhere.
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
            # No such payment method, or one that is used up; or we ask for what cannot be.
            log.warning("charge_rejected", charge=str(key), reason=str(error))
            return _declined(error.code or "refused")
        if intent.status == "succeeded":
            return Charged(intent.id)
        # Still processing, or waiting for what nobody will do: `find` knows the one from the other.
        raise Unavailable(f"stripe: the charge is {intent.status}")

    async def find(self, key: UUID) -> Charged | NotCharged | None:
        """See `Provider.find`.

        What was never heard of cannot be closed here. The search lags behind, by a minute as a rule
        and by an hour at the worst, so not to be found means nothing yet.
        Source: https://docs.stripe.com/search#data-freshness.
        """
        async with self._calling() as intents:
            found = await intents.search_async(
                {"query": f"metadata['charge_key']:'{key}'", "limit": 1}
            )
            if not found.data:
                return None
            # The search may tell an old state; this does not.
            intent = await intents.retrieve_async(found.data[0].id)
            if intent.status.startswith("requires_"):
                # Nobody will take it further, so nobody shall.
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
        # One that is pending is on its way; one that has failed is for people to mend.
        if refund.status not in {"succeeded", "pending"}:
            raise Unavailable(f"stripe: the refund is {refund.status}")

    def event(self, headers: Mapping[str, str], body: bytes) -> Event | None:
        """See `Provider.event`."""
        try:
            stripe.WebhookSignature.verify_header(
                body, headers.get(HEADER), self._webhook_secret, TOLERANCE_S
            )
            message = msgspec.json.decode(body, type=_Message)
        except stripe.SignatureVerificationError:
            raise WebhookForged("signature") from None
        except msgspec.ValidationError:
            # About something that has no metadata.
            return None
        except ValueError:
            raise WebhookForged("body") from None
        told = message.data.object
        try:
            key = UUID(told.metadata["charge_key"])
        except (KeyError, ValueError):
            return None
        match message.type:
            case "payment_intent.succeeded":
                return Event(key, Charged(told.id))
            case "payment_intent.payment_failed" | "payment_intent.canceled":
                return Event(key, _declined(message.type))
            case "charge.refunded" if told.refunded:
                return Event(key, Refunded())
            case _:
                return None

    async def close(self) -> None:
        """See `Provider.close`."""
        if self._http is not None:
            await self._http.close_async()  # type: ignore[no-untyped-call]  # the library
            self._http = self._client = None

    @asynccontextmanager
    async def _calling(self) -> AsyncIterator["stripe.PaymentIntentService"]:
        """Lend the library, within the time of a call.

        Raises:
            Unavailable: No answer, or one that leaves open what was done.
        """
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                yield self._connected().v1.payment_intents
        except (stripe.CardError, stripe.InvalidRequestError):
            raise
        except (stripe.StripeError, aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unavailable(f"stripe: {type(error).__name__}: {error}") from None

    def _connected(self) -> stripe.StripeClient:
        # Connections belong to a running loop, and this may be made before there is one.
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
                # The reconciler asks again, and later.
                max_network_retries=0,
            )
        return self._client


def _declined(reason: str) -> NotCharged:
    return NotCharged(reason[:REASON_CHARS_MAX])
