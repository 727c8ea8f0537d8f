"""How the sandbox signs its messages, and how that is checked. Pure: the time is an argument.

The header reads `t=<s since the epoch>,v1=<hex>`, with the HMAC-SHA256 of `<t>.<body>` under the
secret that both sides know.

Source: the scheme that Stripe signs its webhooks with.
"""

import hashlib
import hmac

from waitline.payment_providers.model import WebhookForged

HEADER = "sandbox-signature"
"""Name of the header, in lower case."""

TOLERANCE_S = 300
"""How much older or newer than our clock a signature may be. Clocks differ by seconds; whoever has
listened in may send a message again for as long as this, to no effect: each is taken once."""


def signed(secret: str, body: bytes, at_s: int) -> str:
    """Return the header's value for a message.

    Args:
        secret: What both sides know.
        body: Of the message.
        at_s: The present, in s since the epoch.
    """
    return f"t={at_s},v1={_mac(secret, str(at_s), body)}"


def check(secret: str, header: str | None, body: bytes, now_s: int) -> None:
    """Return if the message is genuine.

    Args:
        secret: What both sides know.
        header: What came with it; `None` if nothing did.
        body: Of the message.
        now_s: The present, in s since the epoch.

    Raises:
        WebhookForged: It is unsigned, or signed by somebody else, or for another body, or too old.
    """
    fields = dict(part.split("=", 1) for part in (header or "").split(",") if "=" in part)
    at, mac = fields.get("t", ""), fields.get("v1", "")
    # The age tells nothing about the secret; only the comparison must take the same time always.
    if not hmac.compare_digest(mac.encode(errors="replace"), _mac(secret, at, body).encode()):
        raise WebhookForged("signature")
    if abs(now_s - int(at)) > TOLERANCE_S:
        raise WebhookForged("age")


def _mac(secret: str, at: str, body: bytes) -> str:
    return hmac.new(
        secret.encode(), at.encode(errors="replace") + b"." + body, hashlib.sha256
    ).hexdigest()
