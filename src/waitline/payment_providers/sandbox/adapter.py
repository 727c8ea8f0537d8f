"""Adapter for the sandbox; `server.py` describes its API."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import TypeVar
from uuid import UUID

import msgspec

from waitline.kernel.clock import Clock, SystemClock
from waitline.kernel.documents import parse_json
from waitline.kernel.errors import Unavailable
from waitline.kernel.request_context import outgoing
from waitline.payment_providers.model import (
    REASON_CHARS_MAX,
    ActionNeeded,
    Charged,
    ChargePage,
    Disputed,
    DisputeState,
    ListedCharge,
    Money,
    NotCharged,
    NotSent,
    Refund,
    Refunded,
    RefundState,
    Unseen,
    WebhookEvent,
    WebhookForged,
)
from waitline.payment_providers.port import CALL_TIMEOUT_S
from waitline.payment_providers.rest import LIST_BYTES_MAX, ApiAnswer, JsonApi
from waitline.payment_providers.sandbox import signatures
from waitline.payment_providers.sandbox.ledger import Charge, ChargeState

T = TypeVar("T")


class Sandbox:
    """A `Provider` that takes no money.

    Args:
        key: Authenticates this shop.
        webhook_secret: Signs the sandbox's webhooks.
        url: URL of `waitline sandbox-pay`.
        clock: For the age of webhooks.
        timeout_s: Timeout of one call.
    """

    def __init__(
        self,
        key: str,
        webhook_secret: str,
        *,
        url: str,
        clock: Clock | None = None,
        timeout_s: float = CALL_TIMEOUT_S,
    ) -> None:
        self._url = url.rstrip("/")
        self._webhook_secret = webhook_secret
        self._clock = clock or SystemClock()
        self._api = JsonApi("the sandbox", url, f"Bearer {key}", timeout_s=timeout_s)

    async def charge(
        self, key: UUID, price: Money, method: str
    ) -> Charged | NotCharged | ActionNeeded:
        """See `Provider.charge`."""
        charge = await self._post(
            "/v1/charges", {"key": str(key), **price._asdict(), "method": method}
        )
        outcome = _outcome(charge)
        if outcome is None:
            raise Unavailable("the sandbox is still charging")
        if isinstance(outcome, ActionNeeded):
            return outcome._replace(url=f"{self._url}{outcome.url}")
        return outcome

    async def fetch_outcome(
        self,
        key: UUID,
        price: Money,  # noqa: ARG002 - the port's
    ) -> Charged | NotCharged | Unseen | None:
        """See `Provider.fetch_outcome`."""
        outcome = _outcome(await self._post(f"/v1/charges/{key}/close", {}))
        return None if isinstance(outcome, ActionNeeded) else outcome

    async def refund(
        self,
        key: UUID,
        provider_ref: str,  # noqa: ARG002 - the port's
        whole: Money,
    ) -> Refund:
        """See `Provider.refund`."""
        charge = await self._post(f"/v1/charges/{key}/refund", {"amount": whole.amount})
        return Refund(RefundState(charge.refund))

    def parse_webhook(self, headers: Mapping[str, str], body: bytes) -> WebhookEvent | None:
        """See `Provider.parse_webhook`."""
        now_s = self._clock.now_ms() // 1_000
        signatures.verify(self._webhook_secret, headers.get(signatures.HEADER), body, now_s)
        try:
            charge = parse_json(body, Charge)
        except msgspec.DecodeError:
            raise WebhookForged("body") from None
        outcome = _reported(charge)
        return None if outcome is None else WebhookEvent(charge.key, outcome)

    async def list_charges(self, since_ms: int, after: str | None) -> ChargePage:
        """See `Provider.list_charges`."""
        answer = await self._api.call(
            "GET",
            f"/v1/charges?after={after or 0}&since={since_ms}",
            bytes_max=LIST_BYTES_MAX,
        )
        charges = _decoded(answer, list[Charge])
        rows = [
            ListedCharge(
                one.key,
                one.ref,
                bool(one.charged) if one.state is not ChargeState.AUTHENTICATING else None,
                Money(one.taken or one.amount, one.currency),
                one.returned,
            )
            for one in charges
        ]
        return ChargePage(rows, str(charges[-1].number) if charges else None)

    async def close(self) -> None:
        """See `Provider.close`."""
        await self._api.close()

    async def _post(self, path: str, body: Mapping[str, object]) -> Charge:
        answer = await self._api.call("POST", path, body, headers=outgoing())
        return _decoded(answer, Charge)


def _decoded(answer: ApiAnswer, kind: type[T]) -> T:
    """Return the document of an answer with status 200.

    Raises:
        NotSent: The key was rejected.
        Unavailable: Another status, or another document.
    """
    refusal = f"the sandbox answers {answer.status}"
    if answer.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        raise NotSent(refusal)
    if answer.status != HTTPStatus.OK:
        raise Unavailable(refusal)
    try:
        return parse_json(answer.body, kind)
    except msgspec.DecodeError:
        raise Unavailable(refusal) from None


def _outcome(charge: Charge) -> Charged | NotCharged | ActionNeeded | None:
    match charge.state:
        case ChargeState.PROCESSING:
            return None
        case ChargeState.AUTHENTICATING:
            page = f"/v1/charges/{charge.key}/authenticate"
            return ActionNeeded(charge.ref, f"{charge.ref}-secret", page)
        case ChargeState.CHARGED | ChargeState.REFUNDED:
            return Charged(charge.ref, Money(charge.taken, charge.currency), charge.returned)
        case ChargeState.DECLINED | ChargeState.CLOSED:
            return NotCharged(charge.reason[:REASON_CHARS_MAX])


def _reported(charge: Charge) -> Charged | NotCharged | Refunded | Refund | Disputed | None:
    if charge.event == "dispute" and charge.dispute:
        return Disputed(DisputeState(charge.dispute))
    if charge.event == "refund" and charge.refund in {RefundState.PENDING, RefundState.FAILED}:
        return Refund(RefundState(charge.refund))
    if charge.event == "refund" or charge.state is ChargeState.REFUNDED:
        return Refunded(None if charge.returned == charge.taken else charge.returned)
    outcome = _outcome(charge)
    return None if isinstance(outcome, ActionNeeded) else outcome
