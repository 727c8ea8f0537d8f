"""HMAC signatures of the sandbox's webhooks. Pure: the time is an argument.

The header is `t=<s since the epoch>,v1=<hex>`, with the HMAC-SHA256 of `<t>.<body>` under the
shared secret.

Source: the signatures of Stripe's webhooks.
"""

import hashlib
import hmac

from waitline.payment_providers.model import WebhookForged

HEADER = "sandbox-signature"
"""Name of the header, in lower case."""

TOLERANCE_S = 300
"""Tolerance between a signature's time and our clock, in s. Replays within it have no effect: each
outcome is recorded once."""


def sign(secret: str, body: bytes, at_s: int) -> str:
    """Return the header's value for a webhook.

    Args:
        secret: Shared with the shop.
        body: Body of the webhook.
        at_s: The current time, in s since the epoch.
    """
    return f"t={at_s},v1={_mac(secret, str(at_s), body)}"


def verify(secret: str, header: str | None, body: bytes, now_s: int) -> None:
    """Check that the webhook is genuine.

    Args:
        secret: Shared with the shop.
        header: Header of the request; `None` if it has none.
        body: Body of the webhook.
        now_s: The current time, in s since the epoch.

    Raises:
        WebhookForged: The signature is missing, wrong or too old.
    """
    fields = dict(part.split("=", 1) for part in (header or "").split(",") if "=" in part)
    at, mac = fields.get("t", ""), fields.get("v1", "")
    # Compared in constant time, because the MAC depends on the secret; the age does not.
    if not hmac.compare_digest(mac.encode(errors="replace"), _mac(secret, at, body).encode()):
        raise WebhookForged("signature")
    if abs(now_s - int(at)) > TOLERANCE_S:
        raise WebhookForged("age")


def _mac(secret: str, at: str, body: bytes) -> str:
    return hmac.new(
        secret.encode(), at.encode(errors="replace") + b"." + body, hashlib.sha256
    ).hexdigest()
