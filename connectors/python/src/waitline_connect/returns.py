"""Signed returns: where the waiting page sends a visitor back to. Pure.

The queue follows no address that the site has not signed, so a link to the waiting page cannot
redirect to a foreign site.
"""

import hmac
import json
from base64 import urlsafe_b64encode
from typing import Final

RETURN_S: Final = 24 * 3600
"""How long, in seconds, a way back is valid: longer than anybody stands in line."""

ADDRESS_MAX: Final = 2_000
"""Longest address, in characters; a longer one loses its query string."""


def sign_return(key: bytes, address: str, room: str, *, now_s: int) -> str:
    """Return the value of `return=` for the waiting page; empty if the address is too long.

    Args:
        key: The site key, which the site shares with the queue.
        address: Absolute URL to come back to.
        room: The room that guards it.
        now_s: The time, in s since the epoch.
    """
    if len(address) > ADDRESS_MAX:
        address = address.partition("?")[0]
    if len(address) > ADDRESS_MAX:
        return ""
    fields = {"u": address, "r": room, "e": now_s + RETURN_S}
    text = json.dumps(fields, separators=(",", ":"), ensure_ascii=False)
    encoded = base64url(text.encode())
    return f"{encoded}.{base64url(hmac.digest(key, encoded.encode(), 'sha256'))}"


def bind(key: bytes, token: str, secret: str) -> str:
    """Return the mark that makes a pass valid in one browser alone, the one that has the secret."""
    return base64url(hmac.digest(key, f"bound\n{token}\n{secret}".encode(), "sha256"))


def base64url(data: bytes) -> str:
    """Encode without padding. Source: RFC 7515 section 2."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()
