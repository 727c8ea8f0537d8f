"""The core agrees with the vectors that all connectors and the queue share."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from waitline_connect.decision import Answers, Case, Decision, Site
from waitline_connect.passes import Pass, Refusal, parse_jwks
from waitline_connect.returns import bind, sign_return
from waitline_connect.rules import Patterns, Request, Rules, RulesInvalid, normal_host, normal_path

CONNECTORS = Path(__file__).parents[2]
VECTORS = json.loads((CONNECTORS / "vectors.json").read_text("utf-8"))
KEYS = parse_jwks(VECTORS["jwks"])
KEY = VECTORS["siteKey"].encode()
SITE = Site(VECTORS["queueUrl"], KEY, tuple(VECTORS["origins"]))
NOW_S = VECTORS["now"]


def named(rows: list[dict[str, Any]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("row", rows, ids=lambda row: row["name"])


def request_of(row: dict[str, Any]) -> Request:
    return Request(row["method"], row["host"], row["target"], row["query"], row["headers"])


def is_revoked(visit: Pass) -> bool:
    return visit.place in VECTORS["revoked"].get(visit.room, [])


def case_of(row: dict[str, Any]) -> Case:
    answers = row.get("answers", {})
    walked_in = answers.get("walkedIn")
    if isinstance(walked_in, str):
        verified = KEYS.genuine(walked_in)
        assert isinstance(verified, Pass)
        walked_in = verified
    return Case(
        request=request_of(row["request"]),
        rules=Rules.parse(VECTORS["protection"]),
        site=SITE,
        verify=KEYS.genuine,
        revoked=is_revoked,
        now_s=NOW_S,
        reachable=row.get("reachable", True),
        new_secret=lambda: VECTORS["newSecret"],
        answers=Answers(answers.get("claimed"), walked_in),
    )


def test_the_file_is_what_the_generator_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(CONNECTORS))
    import generate_vectors  # noqa: PLC0415 - its folder is known now  # type: ignore[import-not-found]

    assert generate_vectors.written() == (CONNECTORS / "vectors.json").read_text("utf-8")
    sys.modules.pop("generate_vectors")


@named(VECTORS["passes"])
def test_passes(row: dict[str, Any]) -> None:
    case = Case(
        request_of(VECTORS["decisions"][0]["request"]),
        Rules(), SITE, KEYS.genuine, is_revoked, NOW_S,
    )  # fmt: skip
    found = case.check(row["token"], "summer")
    assert ("good" if isinstance(found, Pass) else found) == row["expect"]


def test_returns() -> None:
    for row in VECTORS["returns"]["good"]:
        assert sign_return(KEY, row["address"], row["room"], now_s=NOW_S) == row["signed"]
    for row in VECTORS["returns"]["tooLong"]:
        assert sign_return(KEY, row["address"], row["room"], now_s=NOW_S) == ""


def test_marks() -> None:
    for row in VECTORS["marks"]:
        assert bind(KEY, row["token"], row["secret"]) == row["mark"]


@pytest.mark.parametrize(("sent", "normal"), VECTORS["paths"])
def test_paths(sent: str, normal: str) -> None:
    assert normal_path(sent) == normal


@pytest.mark.parametrize(("sent", "normal"), VECTORS["hosts"])
def test_hosts(sent: str, normal: str) -> None:
    assert normal_host(sent) == normal


@pytest.mark.parametrize("row", VECTORS["patterns"], ids=lambda row: row["pattern"])
def test_patterns(row: dict[str, Any]) -> None:
    patterns = Patterns(["never", row["pattern"]], fold=row.get("fold", False))
    assert [text for text in row["yes"] if not patterns.match(text)] == []
    assert [text for text in row["no"] if patterns.match(text)] == []


@pytest.mark.parametrize("row", VECTORS["matches"], ids=lambda row: row["request"]["target"])
def test_matches(row: dict[str, Any]) -> None:
    rule = Rules.parse(VECTORS["document"]).match(request_of(row["request"]))
    assert (rule and rule.name) == row["rule"]


@named(VECTORS["documentsRefused"])
def test_documents_refused(row: dict[str, Any]) -> None:
    with pytest.raises(RulesInvalid):
        Rules.parse(row["document"])


@named(VECTORS["decisions"])
def test_decisions(row: dict[str, Any]) -> None:
    found, expect = case_of(row).decide(), row["expect"]
    assert summary(found) == {
        "outcome": expect["outcome"],
        "status": expect["status"],
        "headers": expect["headers"],
        "observed": expect.get("observed", ""),
        "call": expect.get("call"),
        "visitor": expect.get("visitor"),
    }
    if "title" in expect:
        assert f"<title>{expect['title']}</title>" in found.body
        assert f'<a href="{expect["link"]}"' in found.body
    else:
        assert found.body == expect.get("body", "")


def summary(found: Decision) -> dict[str, Any]:
    return {
        "outcome": found.outcome,
        "status": found.status,
        "headers": [list(pair) for pair in found.headers],
        "observed": found.observed,
        "call": found.call,
        "visitor": found.visit.visitor if found.visit else None,
    }


def test_every_refusal_has_a_vector() -> None:
    # The browser's is of decisions, not of passes.
    assert {*Refusal} - {row["expect"] for row in VECTORS["passes"]} == {Refusal.OTHER_BROWSER}
