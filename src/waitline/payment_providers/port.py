"""The port: what the box office asks of any payment provider.

Every adapter keeps these promises; the tests of each hold it to them.
"""

from collections.abc import Mapping
from typing import Protocol
from uuid import UUID

from waitline.payment_providers.model import Charged, Event, NotCharged

WEBHOOK_PATH = "/api/v1/payments/webhook"
"""Route of the booking service that takes the provider's webhooks."""

CALL_TIMEOUT_S = 10.0
"""How long one call may take. Card networks answer within seconds; whoever is silent for longer
tells the outcome later, and the visitor has long looked away."""

CONNECTIONS_MAX = 512
"""Connections to the provider, per process. At a second for each charge they carry 512 payments a
second, about as many as a process can serve."""

ANSWER_BYTES_MAX = 65_536
"""Bytes of an answer or a message that are worth reading; the longest genuine ones have a few
thousand."""


class Provider(Protocol):
    """Charges and refunds, each once per key, however often it is asked."""

    async def charge(self, key: UUID, amount: int, method: str) -> Charged | NotCharged:
        """Take the money, unless it is taken already.

        Args:
            key: Names the attempt; a repeat with the same key charges nothing more.
            amount: In minor units, more than 0.
            method: How the visitor pays, in the provider's words.

        Raises:
            Unavailable: No answer in time. The money may be taken now, or later.
        """
        ...

    async def find(self, key: UUID) -> Charged | NotCharged | None:
        """Say what has become of a charge.

        Where the provider can do that, one that it has never heard of is closed, so that a request
        still on its way takes no money: `NotCharged`.

        Returns:
            `None` where the outcome may yet change.

        Raises:
            Unavailable: No answer in time.
        """
        ...

    async def refund(self, key: UUID, provider_ref: str, amount: int) -> None:
        """Give the money back, unless that is done already.

        Args:
            key: Of the charge; also names the refund.
            provider_ref: Of the charge.
            amount: All of it, in minor units.

        Raises:
            Unavailable: Not known to be done; to be asked again.
        """
        ...

    def event(self, headers: Mapping[str, str], body: bytes) -> Event | None:
        """Read a message that the provider has sent.

        Args:
            headers: Of the request, names in lower case.
            body: Of the request, byte for byte.

        Returns:
            `None` for a message about something else.

        Raises:
            WebhookForged: It is not the provider's, or too old.
        """
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...
