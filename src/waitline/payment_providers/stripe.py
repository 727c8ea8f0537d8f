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
from typing import Any
from uuid import UUID

import aiohttp
import msgspec
import stripe
import structlog

from waitline.kernel.documents import parse_json
from waitline.kernel.errors import Unavailable
from waitline.payment_providers import stripe_events, stripe_units
from waitline.payment_providers.model import (
    NOT_CHARGEABLE,
    ActionNeeded,
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
from waitline.payment_providers.port import CALL_TIMEOUT_S, CONNECTIONS_MAX
from waitline.payment_providers.rest import CONNECT_S, NOT_SENT

API_URL = "https://api.stripe.com"

HEADER = "stripe-signature"
"""Header of a webhook's signature, in lower case."""

TOLERANCE_S = 300
"""Oldest signature that is accepted, in s. Source: the library's own default."""

log = structlog.get_logger()


PAGE = 100
"""Rows of a page of a list, and most refunds read of a charge. Source: Stripe's maximum."""


class Stripe:
    """A `Provider` that takes real money.

    Args:
        key: The shop's secret key (`sk_…`).
        webhook_secret: Signs Stripe's webhooks (`whsec_…`).
        url: URL of the API; tests have one of their own.
    """

    def __init__(self, key: str, webhook_secret: str, *, url: str = API_URL) -> None:
        self._key = key
        self._webhook_secret = webhook_secret
        self._url = url
        self._client: stripe.StripeClient | None = None
        self._http: stripe.AIOHTTPClient | None = None

    async def charge(
        self, key: UUID, price: Money, method: str
    ) -> Charged | NotCharged | ActionNeeded:
        """See `Provider.charge`."""
        if not stripe_units.chargeable(price):
            return stripe_events.declined(NOT_CHARGEABLE)
        try:
            async with self._calling() as intents:
                intent = await intents.create_async(
                    {
                        "amount": stripe_units.units(price),
                        "currency": price.currency.lower(),
                        "payment_method": method,
                        # Other methods redirect the visitor for confirmation.
                        "allowed_payment_method_types": ["card"],
                        "confirm": True,
                        # Confirmation by the bank (3-D Secure) continues in the visitor's page.
                        "use_stripe_sdk": True,
                        "metadata": {"charge_key": str(key)},
                    },
                    {"idempotency_key": str(key)},
                )
        except stripe.CardError as error:
            return stripe_events.declined(error.code or "declined")
        except stripe.InvalidRequestError as error:
            # An unknown or used payment method, or a bug in the request.
            log.warning("charge_rejected", charge=str(key), reason=str(error))
            return stripe_events.declined(error.code or "refused")
        if intent.status == "succeeded":
            return _charged(intent)
        if intent.status == "requires_action":
            redirect = getattr(intent.next_action, "redirect_to_url", None)
            url = None if redirect is None else redirect.url
            return ActionNeeded(intent.id, intent.client_secret, url)
        # Still processing: `fetch_outcome` returns how it ends.
        raise Unavailable(f"stripe: the charge is {intent.status}")

    async def fetch_outcome(self, key: UUID, price: Money) -> Charged | NotCharged | Unseen | None:
        """See `Provider.fetch_outcome`.

        Stripe's search index lags by a minute normally and by an hour at worst, so a charge that is
        not found may still exist. The idempotency key decides: see `_close_unseen`.
        Source: https://docs.stripe.com/search#data-freshness.
        """
        async with self._calling() as intents:
            found = await intents.search_async(
                {"query": f"metadata['charge_key']:'{key}'", "limit": 1}
            )
            if not found.data:
                return await self._close_unseen(intents, key, price)
            return await self._outcome(intents, found.data[0].id)

    async def _close_unseen(
        self, intents: "stripe.PaymentIntentService", key: UUID, price: Money
    ) -> NotCharged | None:
        """Use up the idempotency key of a charge that is not found, so that it is never made.

        A key belongs to its first request; another request with it is refused. So an intent that
        nobody can confirm either takes the key, or shows that the charge arrived before.
        Source: https://docs.stripe.com/api/idempotent_requests.
        """
        if not stripe_units.chargeable(price):
            # Never sent.
            return stripe_events.declined(NOT_CHARGEABLE)
        try:
            intent = await intents.create_async(
                {
                    "amount": stripe_units.units(price),
                    "currency": price.currency.lower(),
                    "metadata": {"charge_key": str(key), "closed": "true"},
                },
                {"idempotency_key": str(key)},
            )
        except stripe.IdempotencyError:
            # It has arrived. The webhook or the search brings its outcome.
            return None
        outcome = await self._outcome(intents, intent.id)
        return outcome if isinstance(outcome, NotCharged) else None

    async def _outcome(
        self, intents: "stripe.PaymentIntentService", number: str
    ) -> Charged | NotCharged | None:
        # The search index and a repeated answer may be stale; this read is not.
        intent = await intents.retrieve_async(number, {"expand": ["latest_charge"]})
        if intent.status.startswith("requires_"):
            # Abandoned: make sure that it is never completed.
            intent = await intents.cancel_async(intent.id)
        if intent.status == "succeeded":
            return _charged(intent)
        return stripe_events.declined("canceled") if intent.status == "canceled" else None

    async def refund(self, key: UUID, provider_ref: str, whole: Money) -> Refund:
        """See `Provider.refund`.

        An answer to an idempotency key is stored, so the outcome of a refund is read from the list
        of the charge's refunds.
        """
        amount = stripe_units.units(whole)
        try:
            async with self._calling():
                assert self._client is not None
                refunds = self._client.v1.refunds
                made = (
                    await refunds.list_async({"payment_intent": provider_ref, "limit": PAGE})
                ).data
                sums = dict.fromkeys(RefundState, 0)
                for one in made:
                    sums[stripe_events.refund_state(one.status)] += one.amount
                if sums[RefundState.DONE] >= amount:
                    return Refund(RefundState.DONE)
                left = amount - sums[RefundState.DONE] - sums[RefundState.PENDING]
                if left <= 0:
                    return Refund(RefundState.PENDING)
                ours = [one for one in made if _key_of(one.metadata) == key]
                if ours:
                    return stripe_events.refund(ours[0].status, ours[0].failure_reason)
                refund = await refunds.create_async(
                    {
                        "payment_intent": provider_ref,
                        "amount": left,
                        "metadata": {"charge_key": str(key)},
                    },
                    {"idempotency_key": f"refund-{key}"},
                )
        except stripe.InvalidRequestError as error:
            if error.code == "charge_already_refunded":
                return Refund(RefundState.DONE)
            if error.code == "charge_disputed":
                return Refund(RefundState.FAILED, error.code)
            raise Unavailable(f"stripe: {error.code}: no refund") from None
        return stripe_events.refund(refund.status, refund.failure_reason)

    def parse_webhook(self, headers: Mapping[str, str], body: bytes) -> WebhookEvent | None:
        """See `Provider.parse_webhook`."""
        try:
            stripe.WebhookSignature.verify_header(
                body, headers.get(HEADER), self._webhook_secret, TOLERANCE_S
            )
            message = parse_json(body, stripe_events.Message)
        except stripe.SignatureVerificationError:
            raise WebhookForged("signature") from None
        except msgspec.ValidationError:
            # An object of another shape: not one of our charges.
            return None
        except ValueError:
            raise WebhookForged("body") from None
        return stripe_events.parse_message(message)

    async def list_charges(self, since_ms: int, after: str | None) -> ChargePage:
        """See `Provider.list_charges`."""
        async with self._calling() as intents:
            asked: stripe.params.PaymentIntentListParams = {
                "created": {"gte": since_ms // 1_000},
                "limit": PAGE,
                "expand": ["data.latest_charge"],
            }
            if after is not None:
                asked["starting_after"] = after
            page = await intents.list_async(asked)
        rows = [_listed(intent) for intent in page.data]
        return ChargePage(rows, page.data[-1].id if page.has_more and page.data else None)

    async def close(self) -> None:
        """See `Provider.close`."""
        if self._http is not None:
            await self._http.close_async()  # type: ignore[no-untyped-call]  # the library
            self._http = self._client = None

    @asynccontextmanager
    async def _calling(self) -> AsyncIterator["stripe.PaymentIntentService"]:
        """Yield the client, within the timeout of a call.

        Raises:
            NotSent: There was no connection, or the key was rejected.
            Unavailable: No answer, or an answer without an outcome.
        """
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                yield self._connected().v1.payment_intents
        except (stripe.CardError, stripe.InvalidRequestError):
            raise
        except (stripe.AuthenticationError, stripe.PermissionError) as error:
            raise NotSent(f"stripe turns the key away: {error}") from None
        except stripe.APIConnectionError as error:
            kind = NotSent if isinstance(error.__cause__, NOT_SENT) else Unavailable
            raise kind(f"stripe: {type(error.__cause__).__name__}") from None
        except (stripe.StripeError, aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unavailable(f"stripe: {type(error).__name__}: {error}") from None

    def _connected(self) -> stripe.StripeClient:
        # Connections belong to the running loop, and the adapter may be built before that runs.
        if self._client is None:
            trusted = ssl.create_default_context(cafile=stripe.ca_bundle_path)
            self._http = stripe.AIOHTTPClient(
                timeout=aiohttp.ClientTimeout(
                    total=CALL_TIMEOUT_S, connect=CONNECT_S, sock_connect=CONNECT_S
                ),
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


def _charged(intent: "stripe.PaymentIntent") -> Charged:
    money = stripe_units.money_of(intent.amount_received, intent.currency)
    return Charged(intent.id, money, _refunded(intent))


def _listed(intent: "stripe.PaymentIntent") -> ListedCharge:
    charged = {"succeeded": True, "processing": None}.get(intent.status, False)
    number = intent.amount_received if charged else intent.amount
    return ListedCharge(
        _key_of(intent.metadata),
        intent.id,
        charged,
        stripe_units.money_of(number, intent.currency),
        _refunded(intent),
    )


def _refunded(intent: "stripe.PaymentIntent") -> int:
    charge = intent.latest_charge
    # An id where the answer does not hold the charge itself.
    number = charge.amount_refunded if isinstance(charge, stripe.Charge) else 0
    return stripe_units.minor_units(number, intent.currency.upper())


def _key_of(metadata: Any) -> UUID | None:  # noqa: ANN401 - an object of the library
    """Return the charge's key in the metadata of an object, if it is ours."""
    try:
        return UUID(metadata["charge_key"])
    except (KeyError, TypeError, ValueError):
        return None
