"""Adapter for the sandbox; `server.py` describes its API."""

from collections.abc import Mapping
from uuid import UUID

import aiohttp
import msgspec

from waitline.kernel.clock import Clock, SystemClock
from waitline.kernel.errors import Unavailable
from waitline.payment_providers.model import (
    REASON_CHARS_MAX,
    Charged,
    NotCharged,
    Refunded,
    WebhookEvent,
    WebhookForged,
)
from waitline.payment_providers.port import ANSWER_BYTES_MAX, CALL_TIMEOUT_S, CONNECTIONS_MAX
from waitline.payment_providers.sandbox import signatures
from waitline.payment_providers.sandbox.ledger import Charge, ChargeState

CONNECT_S = 2.0
"""Timeout of connecting, in s: the sandbox is in the same network."""


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
        self._key = key
        self._webhook_secret = webhook_secret
        self._clock = clock or SystemClock()
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, connect=None, sock_connect=CONNECT_S)
        self._session: aiohttp.ClientSession | None = None

    async def charge(self, key: UUID, amount: int, method: str) -> Charged | NotCharged:
        """See `Provider.charge`."""
        charge = await self._post(
            "/v1/charges", {"key": str(key), "amount": amount, "method": method}
        )
        outcome = _outcome(charge)
        if outcome is None:
            raise Unavailable("the sandbox is still charging")
        return outcome

    async def fetch_outcome(self, key: UUID) -> Charged | NotCharged | None:
        """See `Provider.fetch_outcome`."""
        return _outcome(await self._post(f"/v1/charges/{key}/close", {}))

    async def refund(self, key: UUID, provider_ref: str, amount: int) -> None:  # noqa: ARG002
        """See `Provider.refund`."""
        await self._post(f"/v1/charges/{key}/refund", {"amount": amount})

    def parse_webhook(self, headers: Mapping[str, str], body: bytes) -> WebhookEvent | None:
        """See `Provider.parse_webhook`."""
        now_s = self._clock.now_ms() // 1_000
        signatures.verify(self._webhook_secret, headers.get(signatures.HEADER), body, now_s)
        try:
            charge = msgspec.json.decode(body, type=Charge)
        except msgspec.DecodeError:
            raise WebhookForged("body") from None
        if charge.state is ChargeState.REFUNDED:
            return WebhookEvent(charge.key, Refunded())
        outcome = _outcome(charge)
        return None if outcome is None else WebhookEvent(charge.key, outcome)

    async def close(self) -> None:
        """See `Provider.close`."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _post(self, path: str, body: Mapping[str, object]) -> Charge:
        try:
            async with self._connected().post(self._url + path, json=body) as response:
                answer = await _read_body(response)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unavailable(f"the sandbox does not answer: {type(error).__name__}") from None
        try:
            return msgspec.json.decode(answer, type=Charge)
        except msgspec.DecodeError:
            raise Unavailable(f"the sandbox answers {response.status}") from None

    def _connected(self) -> aiohttp.ClientSession:
        # A session belongs to the running loop, and the adapter may be built before that runs.
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX),
                timeout=self._timeout,
                headers={"Authorization": f"Bearer {self._key}"},
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session


async def _read_body(response: aiohttp.ClientResponse) -> bytes:
    """Return the body of a response with status 200.

    Raises:
        Unavailable: Another status, or more than `ANSWER_BYTES_MAX` bytes.
    """
    if response.status != 200:  # noqa: PLR2004
        raise Unavailable(f"the sandbox answers {response.status}")
    body = bytearray()
    async for part in response.content.iter_any():
        body += part
        if len(body) > ANSWER_BYTES_MAX:
            raise Unavailable("the sandbox's answer is too long")
    return bytes(body)


def _outcome(charge: Charge) -> Charged | NotCharged | None:
    match charge.state:
        case ChargeState.PROCESSING:
            return None
        case ChargeState.CHARGED | ChargeState.REFUNDED:
            # A refund was recorded by the caller that made it.
            return Charged(charge.ref)
        case ChargeState.DECLINED | ChargeState.CLOSED:
            return NotCharged(charge.reason[:REASON_CHARS_MAX])
