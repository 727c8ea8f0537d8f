"""The gate agrees with the vectors that the connectors share."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from waitline.gate.matching import CompiledRules, Pattern, SiteRequest, normal_path
from waitline.gate.model import ProtectionInvalid, encode_document, parse_document
from waitline.gate.returns import ReturnRefused, pass_mark, sign_return, verify_return
from waitline.http.problems import InputInvalid
from waitline.http.requests import Request
from waitline.kernel.ids import RoomId
from waitline.services.queue.site_requests import parse_site_request
from waitline.tokens.keyring import Key, Keyring
from waitline.tokens.passes import jwks, named_in_pass
from waitline.tokens.verification import verify_token
from waitline_connect.rules import Rules

ROOT = Path(__file__).parents[2]
VECTORS = json.loads((ROOT / "connectors" / "vectors.json").read_text("utf-8"))
SITE_KEY = VECTORS["siteKey"].encode()
NOW_S = VECTORS["now"]
RING = Keyring(
    tuple(
        Key(name, bytes(32), sha256(name.encode()).digest(), active_from_ms=NOW_S * 1_000)
        for name in ("key-1", "key-2")
    )
)
"""The published keys of the vectors, as connectors/generate_vectors.py makes them."""


def site_request(row: dict[str, Any]) -> SiteRequest:
    host = row["host"].lower().partition(":")[0]
    fields = {name.encode(): value.encode() for name, value in row["headers"].items()}
    return SiteRequest(row["method"], host, normal_path(row["target"]), fields)


def test_paths() -> None:
    # The gate refuses an address without a path.
    rows = [pair for pair in VECTORS["paths"] if pair[0]]
    assert [(sent, normal_path(sent)) for sent, _ in rows] == [tuple(pair) for pair in rows]


@pytest.mark.parametrize("row", VECTORS["patterns"], ids=lambda row: row["pattern"])
def test_patterns(row: dict[str, Any]) -> None:
    pattern = Pattern.of(row["pattern"].lower() if row.get("fold") else row["pattern"])
    assert [text for text in row["yes"] if not pattern.matches(text)] == []
    assert [text for text in row["no"] if pattern.matches(text)] == []


@pytest.mark.parametrize("row", VECTORS["matches"], ids=lambda row: row["request"]["target"])
def test_matches(row: dict[str, Any]) -> None:
    rules = CompiledRules(parse_document(json.dumps(VECTORS["document"]).encode()))
    found = rules.match(site_request(row["request"]))
    assert (found and found.name) == row["rule"]


def test_marks_of_bound_passes() -> None:
    for row in VECTORS["marks"]:
        assert pass_mark(SITE_KEY, row["token"], row["secret"]) == row["mark"]


@pytest.mark.parametrize("name", ["document", "protection"])
def test_connectors_can_use_what_the_gate_serves(name: str) -> None:
    served = encode_document(parse_document(json.dumps(VECTORS[name]).encode()))
    rules = Rules.parse(json.loads(served))
    assert [rule.name for rule in rules.rules] == [one["name"] for one in VECTORS[name]["rules"]]


@pytest.mark.parametrize("row", VECTORS["documentsRefused"], ids=lambda row: row["name"])
def test_documents_refused(row: dict[str, Any]) -> None:
    with pytest.raises(ProtectionInvalid):
        parse_document(json.dumps(row["document"]).encode())


def test_key_set() -> None:
    assert jwks(RING, NOW_S * 1_000) == VECTORS["jwks"]


LATER = {"expired", "revoked"}
"""Verdicts on genuine passes, by the time and by what the store knows; the gate reaches them after
verifying. It allows no clock skew, since its clock is that of the queue, which mints passes."""


@pytest.mark.parametrize("row", VECTORS["passes"], ids=lambda row: row["name"])
def test_passes(row: dict[str, Any]) -> None:
    token, expect = row["token"], row["expect"]
    named = named_in_pass(token)
    if named is None:
        assert expect == "malformed"
        return
    room, visitor = named
    proof = verify_token(RING, RoomId("summer"), visitor, token)
    assert proof.genuine == (expect in {"good", *LATER})
    # A good pass of another room is genuine there.
    assert verify_token(RING, room, visitor, token).genuine == (expect in {"good", "room", *LATER})
    if expect == "good":
        # By 5 s the clock of a site may differ from that of the queue.
        assert proof.expires_ms > (NOW_S - 5) * 1_000
    elif expect == "expired":
        assert proof.expires_ms <= (NOW_S - 5) * 1_000


def test_returns() -> None:
    for row in VECTORS["returns"]["good"]:
        assert sign_return(SITE_KEY, row["address"], row["room"], NOW_S) == row["signed"]
        assert verify_return(SITE_KEY, row["signed"], row["room"], NOW_S) == row["kept"]
    for row in VECTORS["returns"]["tooLong"]:
        assert sign_return(SITE_KEY, row["address"], row["room"], NOW_S) is None


@pytest.mark.parametrize("row", VECTORS["returns"]["refused"], ids=lambda row: row["name"])
def test_returns_refused(row: dict[str, Any]) -> None:
    with pytest.raises(ReturnRefused):
        verify_return(SITE_KEY, row["signed"], row["room"], NOW_S)


def host_of(sent: str) -> str:
    fields = {b"x-forwarded-host": sent.encode(), b"x-forwarded-uri": b"/"}
    return parse_site_request(Request("/api/v1/gate", b"", fields)).site.host


def test_hosts() -> None:
    # The gate refuses a call that names no host.
    rows = [pair for pair in VECTORS["hosts"] if pair[0]]
    assert [(sent, host_of(sent)) for sent, _ in rows] == [tuple(pair) for pair in rows]
    with pytest.raises(InputInvalid):
        host_of("")
