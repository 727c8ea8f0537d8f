"""The gate agrees with the vectors that the connectors share."""

import json
from pathlib import Path
from typing import Any

import pytest

from waitline.gate.matching import CompiledRules, Pattern, SiteRequest, normal_path
from waitline.gate.model import ProtectionInvalid, encode_document, parse_document
from waitline.gate.returns import pass_mark
from waitline_connect.rules import Rules

ROOT = Path(__file__).parents[2]
VECTORS = json.loads((ROOT / "connectors" / "vectors.json").read_text("utf-8"))


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
    key = VECTORS["siteKey"].encode()
    for row in VECTORS["marks"]:
        assert pass_mark(key, row["token"], row["secret"]) == row["mark"]


@pytest.mark.parametrize("name", ["document", "protection"])
def test_connectors_can_use_what_the_gate_serves(name: str) -> None:
    served = encode_document(parse_document(json.dumps(VECTORS[name]).encode()))
    rules = Rules.parse(json.loads(served))
    assert [rule.name for rule in rules.rules] == [one["name"] for one in VECTORS[name]["rules"]]


@pytest.mark.parametrize("row", VECTORS["documentsRefused"], ids=lambda row: row["name"])
def test_documents_refused(row: dict[str, Any]) -> None:
    with pytest.raises(ProtectionInvalid):
        parse_document(json.dumps(row["document"]).encode())
