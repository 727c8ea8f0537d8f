"""Signed returns and webhooks: what is accepted, and nothing else."""

import hmac
from hashlib import sha256

import pytest

from waitline.gate.returns import (
    RETURN_S,
    SKEW_S,
    URL_CHARS_MAX,
    ReturnRefused,
    SiteSignatureRefused,
    sign_return,
    verify_return,
    verify_webhook,
)
from waitline.tokens.encoding import base64url

KEY = b"a-site-key-of-the-tests"
NOW_S = 1_800_000_000
URL = "https://shop.example/buy/1?a=%20b&c=+&d"


def signed(url: str = URL, key: bytes = KEY) -> str:
    text = sign_return(key, url, "summer", NOW_S)
    assert text is not None
    return text


def forged(payload: bytes, key: bytes = KEY) -> str:
    text = base64url(payload)
    return (text + b"." + base64url(hmac.digest(key, text, sha256))).decode()


def test_a_signed_return_gives_the_address_back() -> None:
    assert verify_return(KEY, signed(), "summer", NOW_S + RETURN_S) == URL


@pytest.mark.parametrize(
    ("text", "key", "room", "at_s"),
    [
        pytest.param(signed(), KEY, "winter", NOW_S, id="another room"),
        pytest.param(signed(), KEY, "summer", NOW_S + RETURN_S + 1, id="too old"),
        pytest.param(signed(), b"another-site-key", "summer", NOW_S, id="another key"),
        pytest.param(signed(key=b""), b"", "summer", NOW_S, id="no key"),
        pytest.param(signed()[:-1] + "_", KEY, "summer", NOW_S, id="altered MAC"),
        pytest.param("x" + signed(), KEY, "summer", NOW_S, id="altered text"),
        pytest.param(signed() + "=", KEY, "summer", NOW_S, id="padded"),
        pytest.param("", KEY, "summer", NOW_S, id="empty"),
        pytest.param("https://evil.example/", KEY, "summer", NOW_S, id="an address"),
        pytest.param("é.é", KEY, "summer", NOW_S, id="not ASCII"),
        pytest.param(forged(b"{}"), KEY, "summer", NOW_S, id="no members"),
        pytest.param(forged(b"\xff"), KEY, "summer", NOW_S, id="no JSON"),
        pytest.param(
            forged(b'{"u":"javascript:alert(1)","r":"summer","e":9999999999}'),
            KEY, "summer", NOW_S, id="a script",
        ),
        pytest.param("a" * 100_000, KEY, "summer", NOW_S, id="too long"),
    ],
)  # fmt: skip
def test_anything_else_is_refused(text: str, key: bytes, room: str, at_s: int) -> None:
    with pytest.raises(ReturnRefused):
        verify_return(key, text, room, at_s)


def test_a_long_address_loses_its_query_and_then_all() -> None:
    long = "https://shop.example/buy?" + "x" * URL_CHARS_MAX
    assert verify_return(KEY, signed(long), "summer", NOW_S) == "https://shop.example/buy"
    assert sign_return(KEY, "https://shop.example/" + "x" * URL_CHARS_MAX, "r", NOW_S) is None


def webhook(body: bytes, at_s: int = NOW_S, key: bytes = KEY) -> bytes:
    mac = hmac.digest(key, b"%d." % at_s + body, sha256).hex()
    return b"t=%d,v1=%b" % (at_s, mac.encode())


def test_a_webhook_of_the_site() -> None:
    verify_webhook(KEY, webhook(b"{}"), b"{}", NOW_S + SKEW_S)


@pytest.mark.parametrize(
    ("signature", "body", "at_s"),
    [
        pytest.param(webhook(b"{}"), b"{ }", NOW_S, id="another body"),
        pytest.param(webhook(b"{}"), b"{}", NOW_S + SKEW_S + 1, id="old"),
        pytest.param(webhook(b"{}"), b"{}", NOW_S - SKEW_S - 1, id="of the future"),
        pytest.param(webhook(b"{}", key=b"another"), b"{}", NOW_S, id="another key"),
        pytest.param(b"", b"{}", NOW_S, id="none"),
        pytest.param(webhook(b"{}") + b",v1=0", b"{}", NOW_S, id="more"),
    ],
)
def test_any_other_webhook_is_refused(signature: bytes, body: bytes, at_s: int) -> None:
    with pytest.raises(SiteSignatureRefused):
        verify_webhook(KEY, signature, body, at_s)
