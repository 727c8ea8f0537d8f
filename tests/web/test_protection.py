"""Rules of the gate: over HTTP and on the command line, with their versions."""

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.web.stack import ENGLISH, Stack, refused, waitline

PATH = "/api/v1/protection"

RULES: list[dict[str, Any]] = [
    {"name": "files", "action": "bypass", "when": {"path": ["/static/*", "*.css"]}},
    {
        "name": "checkout",
        "action": "queue",
        "room": "summer",
        "when": {"host": ["*.shop.example"], "path": ["/buy/*"], "cookie": {"vip": ["0"]}},
    },
    {"name": "all", "action": "queue", "room": "summer", "mode": "observe"},
]


def fetch(stack: Stack, **headers: str) -> httpx.Response:
    return stack.client.get(PATH, headers={**stack.operator, **headers})


def put(stack: Stack, document: object, **headers: str) -> httpx.Response:
    return stack.client.put(PATH, json=document, headers={**stack.operator, **headers})


@pytest.fixture
def version(trial: Stack) -> Iterator[int]:
    """The version of the rules, which are none before and after the test."""
    found = put(trial, {"version": fetch(trial).json()["version"], "rules": []}).json()["version"]
    yield found
    put(trial, {"version": fetch(trial).json()["version"], "rules": []})


def test_rules_are_replaced_by_version(trial: Stack, version: int) -> None:
    answer = put(trial, {"version": version, "rules": RULES})
    assert answer.status_code == 200, answer.text
    assert answer.json()["version"] == version + 1
    assert [rule["name"] for rule in answer.json()["rules"]] == ["files", "checkout", "all"]
    assert fetch(trial).json() == answer.json()
    # A second operator, who has not seen the change.
    body = refused(put(trial, {"version": version, "rules": []}, **ENGLISH), 409, "C005")
    assert body["type"] == "urn:waitline:problem:protection-changed"
    assert body["data"] == {"version": version + 1}
    assert fetch(trial).json() == answer.json()


def test_a_client_that_has_the_rules_gets_304(trial: Stack, version: int) -> None:
    first = fetch(trial)
    assert first.headers["etag"] == f'"{version}"'
    assert "private" in first.headers["cache-control"]
    again = fetch(trial, **{"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    put(trial, {"version": version, "rules": RULES})
    assert fetch(trial, **{"If-None-Match": first.headers["etag"]}).status_code == 200


def test_rules_are_for_operators_and_sites(trial: Stack) -> None:
    site_key = (trial.data_dir / "site.key").read_text("utf-8")
    assert trial.client.get(PATH, headers={"X-Site-Key": site_key}).status_code == 200
    refused(trial.client.get(PATH), 401, "C002")
    refused(trial.client.get(PATH, headers={"X-Site-Key": site_key + "x"}), 401, "C002")
    # The site key sets nothing.
    given = trial.client.put(PATH, json={"version": 0}, headers={"X-Site-Key": site_key})
    refused(given, 401, "C002")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("[]", id="no object"),
        pytest.param('{"version": 0, "rules": [{"name": "x", "action": "queue"}]}', id="no room"),
    ],
)
def test_invalid_rules_are_refused(trial: Stack, version: int, text: str) -> None:
    answer = trial.client.put(PATH, content=text, headers=trial.operator)
    body = refused(answer, 400, "C001")
    assert body["type"] == "urn:waitline:problem:protection-invalid"
    assert fetch(trial).json()["version"] == version


def test_a_document_may_have_64_kib(trial: Stack, version: int) -> None:
    long = [f"/{number:0255}" for number in range(20)]
    rules = [
        {"name": f"r{number}", "action": "bypass", "when": {"path": long}} for number in range(12)
    ]
    assert put(trial, {"version": version, "rules": rules}).status_code == 200
    too_long = {"version": version + 1, "rules": [*rules, *rules]}
    assert put(trial, too_long).status_code == 413


def test_rules_on_the_command_line(trial: Stack, version: int, tmp_path: Path) -> None:
    file, where = tmp_path / "rules.json", ("--data-dir", trial.data_dir)
    file.write_text(json.dumps({"rules": RULES}), "utf-8")
    # Tried before they are set.
    tried = waitline("protect", "try", "https://a.shop.example/buy/../buy/1", "--file", file,
                     "--cookie", "vip=0")  # fmt: skip
    assert "needs a pass: of room 'summer', by rule 'checkout'" in tried.stdout
    done = waitline("protect", "set", file, *where)
    assert (done.returncode, done.stdout) == (0, f"Version {version + 1}: 3 rules\n")
    assert "room 'summer' does not exist yet" in done.stderr
    shown = json.loads(waitline("protect", "show", "--json", *where).stdout)
    assert shown == fetch(trial).json()
    assert "checkout" in waitline("protect", "show", *where).stdout

    def try_stored(*words: str) -> dict[str, Any]:
        found = waitline("protect", "try", *words, "--json", *where)
        assert found.returncode == 0, found.stderr
        return dict(json.loads(found.stdout))

    assert try_stored("https://a.shop.example/x.css")["rule"] == "files"
    assert try_stored("https://a.shop.example/buy/1")["reason"].startswith("rule 'all' only")
    # As at the gate, preflights pass whatever rule matches, and nothing else with their field does.
    buy, field = "https://a.shop.example/buy/1", "Access-Control-Request-Method: POST"
    strict = ("--cookie", "vip=0", "--header", field)
    passed = try_stored(buy, "--method", "options", *strict)
    assert (passed["verdict"], passed["reason"]) == ("passes", "CORS preflights always pass")
    assert passed["rule"] is passed["room"] is None
    assert try_stored(buy, "--method", "POST", *strict)["verdict"] == "needs a pass"
    assert try_stored(buy, "--method", "OPTIONS", *strict[:2])["verdict"] == "needs a pass"
    # What `show --json` prints names the version that it replaces.
    file.write_text(json.dumps({**shown, "version": version}), "utf-8")
    late = waitline("protect", "set", file, *where)
    assert late.returncode == 2
    assert f"the rules have version {version + 1}" in late.stderr


def test_single_rules_on_the_command_line(trial: Stack, version: int) -> None:
    def protect(*words: str) -> str:
        done = waitline("protect", *words, "--data-dir", trial.data_dir)
        assert done.returncode == 0, done.stderr
        return done.stdout

    # What a rule of these options is, as a file would have it; the others are given by default.
    buy = {"name": "summer", "action": "queue", "room": "summer",
           "when": {"host": ["Shop.example", "*.shop.example"], "path": ["/buy/*"]}}  # fmt: skip
    added = protect("add", "--host", "Shop.example", "--host", "*.shop.example",
                    "--path", "/buy/*", "--room", "summer")  # fmt: skip
    assert added == f"Version {version + 1}: 1 rule\n"
    protect("add", "--path", "/buy/vip/*", "--room", "summer", "--name", "vip")
    protect("add", "--path", "*.css", "--bypass")
    protect("add", "--path", "*.js", "--bypass", "--name", "scripts")
    rules = fetch(trial).json()["rules"]
    # Bypasses match before rules with a room, which keep the order in which they were added.
    assert [rule["name"] for rule in rules] == ["scripts", "bypass", "summer", "vip"]
    put(trial, {"version": version + 4, "rules": [buy]})
    assert fetch(trial).json()["rules"] == [rules[2]]
    left = json.loads(protect("remove", "summer", "--json"))
    assert left == fetch(trial).json() == {"version": version + 6, "rules": []}
    assert "protect add" in protect("show")


def test_every_member_of_a_rule_has_an_option(trial: Stack, version: int) -> None:
    def add(words: str) -> None:
        done = waitline("protect", "add", *shlex.split(words), "--data-dir", trial.data_dir)
        assert done.returncode == 0, done.stderr

    add("--room summer --observe --when-unreachable closed --bind --host shop.example"
        " --path '/buy/*' --path /pay --method GET --method post --user-agent '*Chrome*'"
        " --user-agent '*Firefox*' --header 'X-App: a:*' --header 'x-app:b' --header 'x-team: *'"
        " --cookie vip=0 --cookie 'vip=a=*' --cookie Vip=1")  # fmt: skip
    add("--room open --path /x --when-unreachable open")
    add("--bypass --header 'x-partner: *'")
    bypass, summer, plain = fetch(trial).json()["rules"]
    # What the same rules are in a file.
    none: dict[str, Any] = {
        "host": [], "path": [], "method": [], "header": {}, "cookie": {}, "userAgent": [],
    }  # fmt: skip
    assert bypass == {
        "name": "bypass", "action": "bypass", "when": {**none, "header": {"x-partner": ["*"]}},
    }  # fmt: skip
    assert summer == {
        "name": "summer", "action": "queue", "room": "summer",
        "mode": "observe", "whenUnreachable": "closed", "bind": True,
        "when": {
            "host": ["shop.example"], "path": ["/buy/*", "/pay"], "method": ["GET", "post"],
            "header": {"x-app": ["a:*", "b"], "x-team": ["*"]},
            "cookie": {"vip": ["0", "a=*"], "Vip": ["1"]}, "userAgent": ["*Chrome*", "*Firefox*"],
        },
    }  # fmt: skip
    assert plain == {
        "name": "open", "action": "queue", "room": "open", "when": {**none, "path": ["/x"]},
    }  # fmt: skip
    assert fetch(trial).json()["version"] == version + 3


@pytest.mark.usefixtures("version")
@pytest.mark.parametrize(
    ("words", "reason"),
    [
        pytest.param(("add", "--path", "/*"), "give --room ROOM", id="no room"),
        pytest.param(("add", "--path", "/*", "--room", "a", "--bypass"), "not both", id="both"),
        pytest.param(("add", "--room", "a"), "give --path, --host or another", id="no pattern"),
        *(
            pytest.param(("add", "--room", "a", *words), reason, id=words[0])
            for *words, reason in (
                ("--method", "", "--method: a pattern has 1 to"),
                ("--user-agent", "x" * 257, "--user-agent: a pattern has 1 to"),
                ("--header", "x-app", "--header: 'x-app' must be written 'name: pattern'"),
                ("--header", ": a", "--header: ': a' must be written 'name: pattern'"),
                ("--header", "X-App:", "--header x-app: a pattern has 1 to"),
                ("--cookie", "vip", "--cookie: 'vip' must be written 'name=pattern'"),
                ("--cookie", "=1", "--cookie: '=1' must be written 'name=pattern'"),
                ("--cookie", "a=1; b=2", "must be written 'name=pattern', once per cookie"),
                ("--cookie", "vip=", "--cookie vip: a pattern has 1 to"),
                (*("--cookie", "a=1") * 21, "--cookie a: at most 20 patterns"),
                (
                    *(word for n in range(25) for word in ("--header", f"h{n}: 1")),
                    "--header and --cookie: at most 20",
                ),
                ("--path", "/\udcff", "--path: must be text"),
                ("--path", "/", "--name", "\udcff", "--name: must be text"),
            )
        ),
        *(
            pytest.param(("add", "--bypass", "--path", "/", *words), f"{words[0]}: belongs", id=id_)
            for id_, *words in (
                ("bypass observes", "--observe"),
                ("bypass closes", "--when-unreachable", "open"),
                ("bypass binds", "--bind"),
            )
        ),
        pytest.param(("add", "--room", "a", "--path", "buy"), "--path: 'buy' must", id="path"),
        pytest.param(("add", "--room", "a", "--host", ""), "--host: a pattern", id="host"),
        pytest.param(("add", "--room", " ", "--path", "/"), "--room: must not", id="room"),
        pytest.param(
            ("add", "--room", "a", "--path", "/", "--name", "n" * 65), "--name: must", id="name"
        ),
        pytest.param(
            ("add", "--room", "a", "--path", "/", "--name", "all"), "remove 'all'", id="twice"
        ),
        pytest.param(("remove", "al"), "there is no rule 'al'; rules: 'files', 'ch", id="unknown"),
    ],
)
def test_a_mistake_in_a_single_rule_is_one_line(
    trial: Stack, words: tuple[str, ...], reason: str
) -> None:
    before = put(trial, {"version": fetch(trial).json()["version"], "rules": RULES}).json()
    done = waitline("protect", *words, "--data-dir", trial.data_dir)
    assert done.returncode == 2
    assert reason in done.stderr
    assert done.stderr.count("\n") == 1
    assert fetch(trial).json() == before


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        pytest.param(("try", "shop/buy"), "URL: must be a whole address", id="address"),
        pytest.param(("try", "http://a/", "--header", "x"), "--header", id="header"),
        pytest.param(("try", "http://a/", "--cookie", "x"), "--cookie", id="cookie"),
        pytest.param(("set", "/nonexistent"), "cannot be read", id="file"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line(
    trial: Stack, words: tuple[str, ...], reason: str
) -> None:
    done = waitline("protect", *words, "--data-dir", trial.data_dir)
    assert done.returncode == 2
    assert reason in done.stderr
    assert done.stderr.count("\n") <= 3


def test_a_file_with_a_mistake_names_its_place(trial: Stack, tmp_path: Path) -> None:
    file = tmp_path / "rules.json"
    file.write_text('{"rules": [{"name": "x", "action": "queue", "room": ""}]}', "utf-8")
    done = waitline("protect", "set", file, "--data-dir", trial.data_dir)
    assert done.returncode == 2
    assert f"{file}: rules[0].room: must not be blank" in done.stderr
