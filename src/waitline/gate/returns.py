"""Signed return addresses, webhooks, marks of bound passes: HMAC-SHA256 with the site key. Pure.

The waiting page sends visitors only to addresses that the gate or a connector has signed, so it is
no open redirect.
"""

import hmac
import re
from hashlib import sha256
from typing import Final

import msgspec

from waitline.kernel.errors import Refused
from waitline.tokens.encoding import base64url, from_base64url

URL_CHARS_MAX: Final = 2_000
"""Longest address that is signed, in characters: encoded and with a pass behind it, it still fits
into a request line."""

RETURN_CHARS_MAX: Final = 4_096
"""Longest signed return, in characters; longer ones are refused unparsed."""

RETURN_S: Final = 86_400
"""How long a signed return is valid, in s: a day, longer than a line."""

SKEW_S: Final = 300
"""Largest difference between the time of a webhook and ours, in s; an older one could be a
replay."""

_SIGNATURE = re.compile(rb"t=(\d{1,12}),v1=([0-9a-f]{64})")


class ReturnRefused(Refused):
    """A return address is not signed for this room, or its time is over."""


class SiteSignatureRefused(Refused):
    """A webhook of a site is not signed with the site key, or is too old."""


class _Return(msgspec.Struct, frozen=True):
    u: str
    r: str
    e: int


def sign_return(key: bytes, url: str, room: str, now_s: int) -> str | None:
    """Return the signed form of an address to return to; `None` if it is too long.

    An address that is too long is signed without its query.

    Args:
        key: The site key.
        url: The absolute address.
        room: The room whose line the visitor joins.
        now_s: The present time, in s since the epoch.
    """
    if len(url) > URL_CHARS_MAX:
        url = url.partition("?")[0]
        if len(url) > URL_CHARS_MAX:
            return None
    payload = base64url(msgspec.json.encode(_Return(url, room, now_s + RETURN_S)))
    return (payload + b"." + base64url(_mac(key, payload))).decode("ascii")


def verify_return(key: bytes, text: str, room: str, now_s: int) -> str:
    """Return the address that a signed return holds.

    Raises:
        ReturnRefused: It is not signed with the key, for another room, or its time is over.
    """
    if not key or len(text) > RETURN_CHARS_MAX or not text.isascii():
        raise ReturnRefused
    payload, _, mac = text.encode("ascii").partition(b".")
    # Compared as text: base64url has several forms of some bytes.
    if not hmac.compare_digest(base64url(_mac(key, payload)), mac):
        raise ReturnRefused
    try:
        found = msgspec.json.decode(from_base64url(payload), type=_Return)
    except (msgspec.MsgspecError, ValueError):
        raise ReturnRefused from None
    if found.r != room or found.e < now_s or not found.u.startswith(("https://", "http://")):
        raise ReturnRefused
    return found.u


def pass_mark(key: bytes, token: str, secret: str) -> str:
    """Return the mark that makes a pass valid in one browser alone, the one that has the secret."""
    return base64url(_mac(key, f"bound\n{token}\n{secret}".encode())).decode("ascii")


def verify_webhook(key: bytes, signature: bytes, body: bytes, now_s: int) -> None:
    """Check the signature of a site's webhook: `t=TIME,v1=HEX`, HMAC over `TIME.BODY`.

    Raises:
        SiteSignatureRefused: It is not the site's, or too old.
    """
    found = _SIGNATURE.fullmatch(signature)
    if not key or found is None or abs(now_s - int(found[1])) > SKEW_S:
        raise SiteSignatureRefused
    expected = _mac(key, found[1] + b"." + body).hex().encode("ascii")
    if not hmac.compare_digest(expected, found[2]):
        raise SiteSignatureRefused


def _mac(key: bytes, text: bytes) -> bytes:
    return hmac.digest(key, text, sha256)
