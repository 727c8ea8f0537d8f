"""Statements of shops: what proves that a shop vouches for a visitor, and nothing else."""

import hmac
import json
import unicodedata
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.shop import Shop, b64, shop, sign
from waitline.kernel.ids import RoomId, VisitorId
from waitline.kernel.setting import SettingError
from waitline.queue.relations import RoomIdentity
from waitline.queue.settings import Rules
from waitline.tokens.shop_keys import KEYS_MAX, PRIVATE, parse_jwk, parse_key, parse_key_set
from waitline.tokens.statements import (
    AGE_MAX_S,
    LEEWAY_S,
    STATEMENT_CHARS_MAX,
    StatementFault,
    StatementRejected,
    verify_statement,
)

ROOM, VISITOR = RoomId("콘서트-1"), VisitorId("user-42")
NOW_S = 1_764_000_000
KINDS = ["EdDSA", "ES256", "RS256"]
TIMES = {"iat": NOW_S, "exp": NOW_S + 300}
CLAIMS: dict[str, Any] = {"sub": VISITOR, "aud": ROOM, **TIMES}


def check(keys: list[Shop], text: str, at_s: float = NOW_S) -> StatementFault | None:
    """Return what is wrong with a statement; `None` if it is good."""
    try:
        verify_statement([parse_jwk(key.jwk) for key in keys], ROOM, VISITOR, text, at_s)
    except StatementRejected as rejected:
        return rejected.fault
    return None


def stated(signer: Shop, **claims: object) -> str:
    return signer.sign(ROOM, VISITOR, **(TIMES | claims))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["pem", "jwk", "jwk without kid"])
def test_a_good_statement(kind: str, form: str) -> None:
    signer = shop(kind, "k1")
    text = signer.pem
    if form != "pem":
        jwk = signer.jwk
        text = json.dumps(jwk if form == "jwk" else {**jwk, "kid": None})
    key = parse_key(text)
    assert key.algorithm == kind
    verify_statement([key], ROOM, VISITOR, stated(signer), NOW_S)


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param({"name": "Kim", "roles": ["a"]}, id="further claims"),
        pytest.param({"iat": NOW_S + 0.5, "exp": NOW_S + 0.75}, id="fractions"),
        pytest.param({"aud": unicodedata.normalize("NFD", ROOM)}, id="another normal form"),
        pytest.param({"nbf": NOW_S}, id="not before now"),
        pytest.param({"exp": NOW_S + 10**9}, id="for ever, but not older than 10 minutes"),
    ],
)
def test_other_good_statements(claims: dict[str, Any]) -> None:
    assert check([shop("EdDSA")], stated(shop("EdDSA"), **claims)) is None


@pytest.mark.parametrize(
    ("after_s", "fault"),
    [
        pytest.param(-LEEWAY_S, None, id="the shop's clock is ahead"),
        pytest.param(-LEEWAY_S - 1, StatementFault.FUTURE, id="from the future"),
        pytest.param(AGE_MAX_S + LEEWAY_S, None, id="as old as may be"),
        pytest.param(AGE_MAX_S + LEEWAY_S + 1, StatementFault.OLD, id="too old"),
    ],
)
def test_age(after_s: int, fault: StatementFault | None) -> None:
    text = stated(shop("EdDSA"), exp=NOW_S + 10_000)
    assert check([shop("EdDSA")], text, NOW_S + after_s) is fault


@pytest.mark.parametrize(
    ("after_s", "fault"), [(LEEWAY_S - 1, None), (LEEWAY_S, StatementFault.EXPIRED)]
)
def test_expiry(after_s: int, fault: StatementFault | None) -> None:
    text = stated(shop("EdDSA"), exp=NOW_S + 60)
    assert check([shop("EdDSA")], text, NOW_S + 60 + after_s) is fault


F = StatementFault


@pytest.mark.parametrize(
    ("claims", "fault"),
    [
        pytest.param({"aud": "other"}, F.AUDIENCE, id="another room"),
        pytest.param({"aud": [ROOM]}, F.AUDIENCE, id="list of rooms"),
        pytest.param({"aud": None}, F.AUDIENCE, id="no room"),
        pytest.param({"aud": f"{ROOM} "}, F.AUDIENCE, id="room and a space"),
        pytest.param({"sub": "user-43"}, F.SUBJECT, id="another visitor"),
        pytest.param({"sub": None}, F.SUBJECT, id="no visitor"),
        pytest.param({"sub": 42}, F.SUBJECT, id="a number"),
        pytest.param({"sub": ""}, F.SUBJECT, id="empty visitor"),
        pytest.param({"sub": "user-42\0"}, F.SUBJECT, id="control character"),
        pytest.param({"sub": "\ud800"}, F.SUBJECT, id="half a character"),
        pytest.param({"iat": None}, F.CLAIMS, id="no iat"),
        pytest.param({"exp": None}, F.CLAIMS, id="no exp"),
        pytest.param({"iat": str(NOW_S)}, F.CLAIMS, id="iat of text"),
        pytest.param({"exp": True}, F.CLAIMS, id="exp of truth"),
        pytest.param({"exp": float("inf")}, F.CLAIMS, id="exp without end"),
        pytest.param({"iat": float("nan")}, F.CLAIMS, id="iat that is no number"),
        pytest.param({"nbf": NOW_S + 60}, F.FUTURE, id="not before later"),
        pytest.param({"nbf": "soon"}, F.CLAIMS, id="nbf of text"),
        pytest.param({"exp": 10**400}, F.CLAIMS, id="exp beyond all numbers"),
        pytest.param({"exp": NOW_S * 1_000}, F.CLAIMS, id="exp in ms"),
        pytest.param({"iat": -1}, F.CLAIMS, id="iat before all time"),
    ],
)
def test_bad_claims(claims: dict[str, Any], fault: StatementFault) -> None:
    assert check([shop("EdDSA")], stated(shop("EdDSA"), **claims)) is fault


@pytest.mark.parametrize(
    ("header", "fault"),
    [
        pytest.param({"jwk": shop("EdDSA", "evil").jwk}, F.HEADER, id="key in the header"),
        pytest.param({"jku": "https://evil.example/keys"}, F.HEADER, id="address of keys"),
        pytest.param({"x5c": ["AAAA"]}, F.HEADER, id="certificate"),
        pytest.param({"x5u": "https://evil.example"}, F.HEADER, id="address of certificates"),
        pytest.param({"crit": ["exp"]}, F.HEADER, id="critical extension"),
        pytest.param({"zip": "DEF"}, F.HEADER, id="compressed"),
        pytest.param({"cty": "JWT"}, F.HEADER, id="nested"),
        pytest.param({"typ": "waitline-pass+jwt"}, F.HEADER, id="one of our passes"),
        pytest.param({"kid": "k2"}, F.KEY, id="kid of no key"),
        pytest.param({"kid": "../k1"}, F.KEY, id="path"),
        pytest.param({"typ": "jwt"}, None, id="type in lower case"),
        pytest.param({"x5t": "AAAA"}, None, id="thumbprint"),
    ],
)
def test_headers(header: dict[str, Any], fault: StatementFault | None) -> None:
    signer = shop("EdDSA", "k1")
    assert check([signer], signer.sign(ROOM, VISITOR, header=header, **TIMES)) is fault


def test_a_kid_that_is_no_text() -> None:
    signer = shop("EdDSA", "k1")
    _, claims, signature = stated(signer).split(".")
    header = b64(json.dumps({"alg": "EdDSA", "kid": 1}).encode())
    assert check([signer], f"{header}.{claims}.{signature}") is F.HEADER


@pytest.mark.parametrize("kind", KINDS)
def test_algorithms_are_the_keys(kind: str) -> None:
    """Neither none, nor the public key as a secret, nor another algorithm of the same family."""
    signer = shop(kind)
    claims = json.dumps(CLAIMS).encode()

    def forged(alg: str, key: bytes) -> str:
        signed = f"{b64(json.dumps({'alg': alg, 'typ': 'JWT'}).encode())}.{b64(claims)}"
        return f"{signed}.{b64(hmac.digest(key, signed.encode(), 'sha256'))}"

    for alg in ("none", "None", "NONE", "HS256", "HS384", "HS512", "RS512", "PS256", "ES512"):
        for key in (b"", signer.pem.encode(), json.dumps(signer.jwk).encode()):
            assert check([signer], forged(alg, key)) is F.ALGORITHM
    for other in KINDS:
        expected = None if other == kind else F.ALGORITHM
        assert check([signer], stated(shop(other))) is expected
    assert check([signer], stated(shop(kind, "evil"))) in {F.SIGNATURE, F.KEY}
    unsigned = stated(signer).rpartition(".")[0]
    assert check([signer], unsigned + ".") is F.FORM
    assert check([signer], unsigned + ".AAAA") is F.SIGNATURE


def test_another_rsa_scheme_is_refused() -> None:
    signer = shop("RS256")
    for scheme in ("PS256", "RS384", "RS512"):
        assert check([signer], sign(signer.private, scheme, CLAIMS)) is F.ALGORITHM


def test_the_key_that_the_header_names() -> None:
    keys = [shop("EdDSA", "k1"), shop("EdDSA", "k2"), shop("RS256", "k3")]
    for key in keys:
        assert check(keys, stated(key)) is None
    swapped = shop("EdDSA", "k1").sign(ROOM, VISITOR, header={"kid": "k2"}, **TIMES)
    assert check(keys, swapped) is F.SIGNATURE
    other = shop("EdDSA", "k1").sign(ROOM, VISITOR, header={"kid": "k3"}, **TIMES)
    assert check(keys, other) is F.ALGORITHM
    nameless = sign(keys[0].private, "EdDSA", CLAIMS)
    assert check(keys, nameless) is F.KEY
    assert check(keys[:1], nameless) is None


@pytest.mark.parametrize(
    ("payload", "fault"),
    [
        pytest.param('{"sub":"user-43",' + json.dumps(CLAIMS)[1:], F.CLAIMS, id="sub twice"),
        pytest.param('{"a":{"b":1,"b":2},' + json.dumps(CLAIMS)[1:], F.CLAIMS, id="deeper"),
        pytest.param(json.dumps([CLAIMS]), F.CLAIMS, id="list"),
        pytest.param('"text"', F.CLAIMS, id="text"),
        pytest.param("[" * 2_000, F.CLAIMS, id="nested"),
        pytest.param("", F.FORM, id="nothing"),
    ],
)
def test_bad_payloads(payload: str, fault: StatementFault) -> None:
    signer = shop("EdDSA")
    assert check([signer], sign(signer.private, "EdDSA", payload.encode())) is fault


def test_a_repeated_member_of_the_header() -> None:
    signer = shop("EdDSA")
    _, claims, signature = stated(signer).split(".")
    twice = b64(b'{"alg":"none","alg":"EdDSA"}')
    assert check([signer], f"{twice}.{claims}.{signature}") is F.HEADER


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda text: " " + text, id="space before"),
        pytest.param(lambda text: text + "\n", id="line after"),
        pytest.param(lambda text: text + "==", id="padding"),
        pytest.param(lambda text: text + ".x", id="four parts"),
        pytest.param(lambda text: text.rpartition(".")[0], id="two parts"),
        pytest.param(lambda text: text.replace(".", ".é", 1), id="beyond ASCII"),
        pytest.param(lambda _: "", id="empty"),
        pytest.param(lambda text: text + "A" * STATEMENT_CHARS_MAX, id="long"),
        pytest.param(lambda text: "Bearer " + text, id="scheme"),
    ],
)
def test_bad_forms(change: Callable[[str], str]) -> None:
    assert check([shop("EdDSA")], change(stated(shop("EdDSA")))) is F.FORM


@settings(deadline=None, max_examples=200)
@given(st.text(st.characters(exclude_categories=[]), max_size=80))
def test_no_text_is_a_statement_and_none_raises(text: str) -> None:
    assert check([shop("EdDSA")], text) is not None


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_an_altered_statement_proves_nothing(data: st.DataObject) -> None:
    text = stated(shop("ES256"))
    # The last characters of a part hold bits that no byte needs.
    at = data.draw(
        st.integers(0, len(text.rpartition(".")[0]) - 2).filter(lambda n: text[n] != ".")
    )
    char = data.draw(st.sampled_from("AQgw09-_").filter(lambda c: c != text[at]))
    altered = text[:at] + char + text[at + 1 :]
    decoded_alike = json.dumps(altered) == json.dumps(text)
    assert decoded_alike or check([shop("ES256")], altered) is not None


# Keys.


def rsa_key(bits: int) -> str:
    return Shop("RS256", rsa.generate_private_key(65_537, bits)).pem


def curve(which: ec.EllipticCurve) -> str:
    return Shop("ES256", ec.generate_private_key(which)).pem


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param("secret", "must be a public key", id="no key"),
        pytest.param("ssh-ed25519 AAAA", "must be a public key", id="SSH"),
        pytest.param("-----BEGIN CERTIFICATE-----", "must be a public key", id="certificate"),
        pytest.param(
            "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
            "well-formed",
            id="damaged",
        ),
        pytest.param(shop("EdDSA").private_pem, "is a private key", id="private PEM"),
        pytest.param(
            "-----BEGIN RSA PRIVATE KEY-----\nAAAA", "is a private key", id="older private PEM"
        ),
        pytest.param('{"kty":"OKP","crv":"Ed25519","x":"AAAA","d":"AAAA"}', "private", id="d"),
        pytest.param('{"kty":"oct","k":"AAAA"}', "private", id="shared secret"),
        pytest.param('{"kty":"oct"}', "of type OKP", id="oct"),
        pytest.param('{"kty":"RSA"}', "well-formed", id="RSA without numbers"),
        pytest.param('{"kty":"EC","crv":"P-256","x":1,"y":2}', "well-formed", id="numbers"),
        pytest.param('{"kty":"OKP","kty":"EC"}', "well-formed", id="member twice"),
        pytest.param('{"keys":[]}', "a set of keys", id="set"),
        pytest.param("{", "well-formed", id="not JSON"),
        pytest.param(json.dumps({**shop("EdDSA").jwk, "use": "enc"}), "verifying", id="use"),
        pytest.param(json.dumps({**shop("EdDSA").jwk, "alg": "RS256"}), "alg EdDSA", id="alg"),
        pytest.param(json.dumps({**shop("EdDSA").jwk, "kid": 1}), "not text", id="kid"),
        pytest.param(rsa_key(1_024), "2048 to 4096", id="small RSA"),
        pytest.param(curve(ec.SECP384R1()), "Ed25519, P-256", id="another curve"),
    ],
)
def test_no_such_key(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint) as refusal:
        parse_key(text)
    assert "AAAA" not in str(refusal.value)


def test_a_key_set_keeps_what_it_can_use() -> None:
    good = [shop("EdDSA", "k1").jwk, shop("RS256", "k2").jwk]
    others: list[Any] = [{"kty": "oct", "k": "AAAA"}, {"kty": "EC"}, 1, {**good[0], "use": "enc"}]
    keys = parse_key_set(json.dumps({"keys": [*others, *good]}).encode())
    assert [key.kid for key in keys] == ["k1", "k2"]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"[]", id="list"),
        pytest.param(b'{"keys":{}}', id="no list"),
        pytest.param(b'{"keys":[]}', id="no keys"),
        pytest.param(b'{"keys":[{"kty":"oct"}]}', id="none usable"),
        pytest.param(b'{"keys":' + b"[" * 30_000, id="nested"),
        pytest.param(b"\xff", id="not text"),
        pytest.param(
            json.dumps({"keys": [shop("EdDSA", "k1").jwk] * (KEYS_MAX + 1)}).encode(), id="too many"
        ),
    ],
)
def test_no_such_key_set(text: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_key_set(text)


# Settings of a room.

PEM, URL = shop("EdDSA").pem, "https://shop.example/keys"


@pytest.mark.parametrize(
    ("changes", "name", "complaint"),
    [
        pytest.param({"identity": "signed"}, "identity", "needs the shop's", id="no key"),
        pytest.param({"identity_key": "x"}, "identity_key", "must be a public", id="bad key"),
        pytest.param(
            {"identity_key": shop("RS256").private_pem}, "identity_key", PRIVATE, id="private key"
        ),
        pytest.param(
            {"identity_key": PEM, "identity_keys_url": URL},
            "identity_keys_url",
            "excludes",
            id="both",
        ),
        pytest.param(
            {"identity_keys_url": "ftp://shop.example"}, "identity_keys_url", "begin", id="FTP"
        ),
        pytest.param({"identity_keys_url": "file:///etc"}, "identity_keys_url", "begin", id="file"),
        pytest.param({"identity_keys_url": "https://"}, "identity_keys_url", "host", id="no host"),
        pytest.param(
            {"identity_keys_url": "https://a:b@c"}, "identity_keys_url", "password", id="password"
        ),
    ],
)
def test_no_such_rules(changes: dict[str, Any], name: str, complaint: str) -> None:
    if "identity" in changes:
        changes = {**changes, "identity": RoomIdentity(changes["identity"])}
    with pytest.raises(SettingError, match=complaint) as refusal:
        Rules().changed(changes)
    assert refusal.value.setting.name == name
    assert "-----" not in str(refusal.value)


@pytest.mark.parametrize("changes", [{"identity_key": PEM}, {"identity_keys_url": URL}])
def test_signed_rules(changes: dict[str, Any]) -> None:
    rules = Rules().changed({"identity": RoomIdentity.SIGNED, **changes})
    assert rules.identity is RoomIdentity.SIGNED
    with pytest.raises(SettingError, match="needs the shop's"):
        rules.changed(dict.fromkeys(changes, ""))
