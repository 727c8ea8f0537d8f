"""HMAC signatures of the sandbox's webhooks. Pure: the time is an argument.

The header reads `t=<s since the epoch>,v1=<hex>`, with the HMAC-SHA256 of `<t>.<body>` under the
shared secret.

Source: the scheme that Stripe signs its webhooks with.
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
        body: Of the message.
        at_s: The present, in s since the epoch.
    """
    return f"t={at_s},v1={_mac(secret, str(at_s), body)}"


def verify(secret: str, header: str | None, body: bytes, now_s: int) -> None:
    """Return if the webhook is genuine.

    Args:
        secret: Shared with the shop.
        header: Of the request; `None` if it had none.
        body: Of the message.
        now_s: The present, in s since the epoch.

    Raises:
        WebhookForged: The signature is missing, made with another secret or for another body, or
            too old.
    """
    fields = dict(part.split("=", 1) for part in (header or "").split(",") if "=" in part)
    at, mac = fields.get("t", ""), fields.get("v1", "")
    # Constant time for what depends on the secret; the age does not.
    if not hmac.compare_digest(mac.encode(errors="replace"), _mac(secret, at, body).encode()):
        raise WebhookForged("signature")
    if abs(now_s - int(at)) > TOLERANCE_S:
        raise WebhookForged("age")


def _mac(secret: str, at: str, body: bytes) -> str:
    return hmac.new(
        secret.encode(), at.encode(errors="replace") + b"." + body, hashlib.sha256
    ).hexdigest()
