"""Protection rules: which requests they match, and which documents are refused."""

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest

from waitline.gate.matching import (
    ADDRESS_CHARS_CACHED,
    CompiledRules,
    Pattern,
    SiteRequest,
    cookie_values,
    normal_path,
)
from waitline.gate.model import (
    DOCUMENT_BYTES_MAX,
    ProtectionInvalid,
    RuleSet,
    encode_document,
    parse_document,
)

QUEUE = {"name": "checkout", "action": "queue", "room": "summer"}


def parsed(*rules: dict[str, Any], version: int = 0) -> RuleSet:
    return parse_document(json.dumps({"version": version, "rules": rules}).encode())


def asked(
    path: str = "/",
    *,
    method: str = "GET",
    host: str = "shop.example",
    headers: Mapping[str, str] = MappingProxyType({}),
    cookies: str = "",
) -> SiteRequest:
    fields = {name.encode(): value.encode() for name, value in headers.items()}
    if cookies:
        fields[b"cookie"] = cookies.encode()
    return SiteRequest(method, host, normal_path(path), fields)


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        pytest.param("/buy", "/buy", True, id="literal"),
        pytest.param("/buy", "/buy/1", False, id="literal is whole"),
        pytest.param("/buy/*", "/buy/", True, id="star matches nothing"),
        pytest.param("/buy/*", "/buy/a/b", True, id="star matches slashes"),
        pytest.param("*.css", "/a/b.css", True, id="suffix"),
        pytest.param("*.css", "/a/b.css.html", False, id="suffix is last"),
        pytest.param("*", "", True, id="all"),
        pytest.param("/a*b*c", "/a-b-c", True, id="piece between"),
        pytest.param("/a*b*c", "/a-c", False, id="piece missing"),
        pytest.param("ab*ba", "aba", False, id="prefix and suffix do not overlap"),
        pytest.param("/a*bc*c", "/abc", False, id="piece and suffix do not overlap"),
        pytest.param("/a.c", "/abc", False, id="a dot is a dot"),
        pytest.param("/a**b", "/a-b", True, id="two stars are one"),
    ],
)
def test_a_pattern(pattern: str, text: str, *, matches: bool) -> None:
    assert Pattern.of(pattern).matches(text) is matches


def test_many_stars_do_not_make_a_pattern_slow() -> None:
    # With backtracking this takes longer than the universe.
    assert not Pattern.of("*a" * 120 + "b").matches("a" * 8_000)


@pytest.mark.parametrize(
    ("path", "normal"),
    [
        ("/buy/1", "/buy/1"),
        ("/x/../buy/1", "/buy/1"),
        ("//buy///1", "/buy/1"),
        ("/%62uy/1", "/buy/1"),
        ("/buy%2F1", "/buy/1"),
        ("/%2e%2E/buy/1", "/buy/1"),
        ("/%252F", "/%2F"),
        ("/../../buy", "/buy"),
        ("/buy/.", "/buy/"),
        ("/buy/..", "/"),
        ("/a/./b", "/a/b"),
        ("/.well-known/x", "/.well-known/x"),
        ("/a..b", "/a..b"),
        ("/%ED%91%9C", "/표"),
        ("/%ff", "/\ufffd"),
    ],
)
def test_a_path_in_its_normal_form(path: str, normal: str) -> None:
    assert normal_path(path) == normal


@pytest.mark.parametrize(
    ("when", "request_", "matches"),
    [
        pytest.param({}, asked("/x"), True, id="no fields match all"),
        pytest.param({"path": ["/buy/*"]}, asked("/buy/1"), True, id="path"),
        pytest.param({"path": ["/a", "/buy/*"]}, asked("/buy/1"), True, id="any pattern"),
        pytest.param({"host": ["*.Shop.example"]}, asked(host="a.shop.example"), True, id="host"),
        pytest.param({"host": ["*.shop.example"]}, asked(host="shop.example"), False, id="domain"),
        pytest.param({"method": ["post"]}, asked(method="POST"), True, id="method"),
        pytest.param(
            {"path": ["/*"], "method": ["POST"]}, asked(method="GET"), False, id="all fields"
        ),
        pytest.param(
            {"userAgent": ["*mobile*"]}, asked(headers={"user-agent": "X Mobile"}), True, id="agent"
        ),
        pytest.param({"userAgent": ["*Mobile*"]}, asked(), False, id="no agent"),
        pytest.param({"header": {"X-App": ["*"]}}, asked(headers={"x-app": ""}), True, id="header"),
        pytest.param({"header": {"x-app": ["*"]}}, asked(), False, id="no header"),
        pytest.param(
            {"header": {"x-app": ["a"]}}, asked(headers={"x-app": "A"}), False, id="value's case"
        ),
        pytest.param({"cookie": {"vip": ["1"]}}, asked(cookies="vip=0; vip=1"), True, id="cookie"),
        pytest.param({"cookie": {"vip": ["1"]}}, asked(), False, id="no cookie"),
    ],
)
def test_a_rule(when: dict[str, Any], request_: SiteRequest, *, matches: bool) -> None:
    rules = CompiledRules(parsed({**QUEUE, "when": when}))
    assert (rules.match(request_) is not None) is matches


def test_the_first_match_wins() -> None:
    rules = CompiledRules(
        parsed(
            {"name": "files", "action": "bypass", "when": {"path": ["*.css"]}},
            {**QUEUE, "when": {"path": ["/buy/*"]}},
            {**QUEUE, "name": "rest", "room": "other"},
        )
    )
    found = [rules.match(asked(path)) for path in ("/buy/a.css", "/buy/1", "/")]
    assert [rule and rule.name for rule in found] == ["files", "checkout", "rest"]


def test_one_address_with_other_fields_each_time() -> None:
    rules = CompiledRules(
        parsed(
            {**QUEUE, "name": "app", "when": {"path": ["/buy/*"], "header": {"x-app": ["1"]}}},
            {**QUEUE, "name": "vip", "when": {"path": ["/buy/*"], "cookie": {"vip": ["1"]}}},
            {**QUEUE, "name": "rest", "when": {"path": ["/buy/*"], "method": ["GET"]}},
        )
    )
    # Addresses are cached, short ones alone.
    for path in ("/buy/1", "/buy/" + "1" * ADDRESS_CHARS_CACHED):
        requests = [
            asked(path),
            asked(path, headers={"x-app": "1"}),
            asked(path, cookies="vip=1"),
            asked(path, method="POST"),
            asked(path),
        ]
        found = [rules.match(one) for one in requests]
        assert [rule and rule.name for rule in found] == ["rest", "app", "vip", None, "rest"]


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("a=1", ["1"]),
        ("a=", [""]),
        ("a=1; a=2;a=3", ["1", "2", "3"]),
        ("b=2; a=1", ["1"]),
        ("b=2;\t a=1 ;c=3", ["1"]),
        (" a= 1", ["1"]),
        ("a=b=c", ["b=c"]),
        ("xa=1; a =2; -a=3", []),
        ("b=a=1; b=; a", []),
        ("a=a=1", ["a=1"]),
        ("a=1 a=2", ["1 a=2"]),
        ("A=1", []),
        ("", []),
    ],
)
def test_cookies_of_a_name(field: str, values: list[str]) -> None:
    assert cookie_values(field.encode(), b"a") == values


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        pytest.param([QUEUE] * 2, "rules[1].name", id="one name twice"),
        pytest.param([{**QUEUE, "room": " "}], "rules[0].room: must not be blank", id="blank room"),
        pytest.param([{**QUEUE, "room": ".."}], "rules[0].room: no address", id="no address"),
        pytest.param([{**QUEUE, "name": "\u200b"}], "rules[0].name: must have", id="unseen name"),
        pytest.param([{"name": "x", "action": "queue"}], "rules[0].room", id="no room"),
        pytest.param([{**QUEUE, "action": "block"}], "action", id="unknown action"),
        pytest.param([{**QUEUE, "rooom": "x"}], "rooom", id="unknown member"),
        pytest.param([{**QUEUE, "when": {"ip": ["*"]}}], "ip", id="unknown field"),
        pytest.param([{**QUEUE, "when": {"path": ["buy"]}}], "must begin with /", id="no slash"),
        pytest.param([{**QUEUE, "when": {"path": ["/" * 257]}}], "256 bytes", id="long pattern"),
        pytest.param([{**QUEUE, "when": {"path": [""]}}], "1 to", id="empty pattern"),
        pytest.param([{**QUEUE, "when": {"path": ["/a"] * 21}}], "at most 20", id="many patterns"),
        pytest.param(
            [{**QUEUE, "name": str(n)} for n in range(101)], "at most 100", id="many rules"
        ),
        pytest.param([{**QUEUE, "name": "x" * 65}], "64 characters", id="long name"),
        pytest.param([{**QUEUE, "name": "a\nb"}], "control characters", id="control characters"),
        pytest.param(
            [{"name": "x", "action": "bypass", "room": "r"}], "has only name", id="bypass room"
        ),
    ],
)
def test_an_invalid_rule_is_refused_with_its_place(
    rules: list[dict[str, Any]], reason: str
) -> None:
    with pytest.raises(ProtectionInvalid) as invalid:
        parsed(*rules)
    assert reason in invalid.value.reason


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"[]", id="no object"),
        pytest.param(b"\xff", id="not text"),
        pytest.param(b'{"version": -1}', id="version"),
        pytest.param(b"[" * 100_000, id="too long"),
        pytest.param(b" " * DOCUMENT_BYTES_MAX + b'{"version": 0}', id="one byte too long"),
    ],
)
def test_what_is_no_document_is_refused(text: bytes) -> None:
    with pytest.raises(ProtectionInvalid):
        parse_document(text)


def test_a_document_keeps_its_rules_on_the_wire() -> None:
    rule = {**QUEUE, "when": {"host": ["a"], "userAgent": ["b"], "cookie": {"c": ["d"]}}}
    document = parsed(rule, {**QUEUE, "name": "2", "whenUnreachable": "closed", "bind": True})
    assert parse_document(encode_document(document)) == document
    assert json.loads(encode_document(document))["rules"][1]["whenUnreachable"] == "closed"
