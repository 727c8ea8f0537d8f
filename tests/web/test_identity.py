"""Authorisation of activate, extend and validate: the contract's table, row by row."""

import base64
import json

import httpx
import pytest

from tests.web.cast import Cast, Visitor
from tests.web.stack import Room, Stack, refused, succeeded

OK = (200, "")

# Every kind of token that is not this visitor's for this room and stay.
STRANGE = ["garbage", "altered", "unsigned", "another-user", "another-room", "earlier-stay"]

# A visitor who is named is believed in trial mode; whatever token comes along is checked anyway.
ROWS: dict[str, dict[tuple[str, str], tuple[int, str]]] = {
    "activate": {
        ("NOT_FOUND", "none"): (404, "Q001"),
        ("WAITING", "none"): (401, "Q003"),
        ("WAITING", "ticket"): (401, "Q003"),
        ("READY", "none"): OK,
        ("READY", "ticket"): OK,
        ("READY", "token"): OK,
        ("ACTIVE", "none"): OK,
        ("ACTIVE", "token"): OK,
        ("EXPIRED", "none"): (401, "Q002"),
        ("EXPIRED", "ticket"): (401, "Q002"),
    },
    "extend": {
        ("NOT_FOUND", "none"): (404, "Q001"),
        ("WAITING", "none"): (401, "Q003"),
        ("WAITING", "ticket"): (401, "Q003"),
        ("READY", "none"): (401, "Q003"),
        ("READY", "ticket"): (401, "Q003"),
        ("READY", "token"): (401, "Q003"),
        ("ACTIVE", "none"): OK,
        ("ACTIVE", "ticket"): OK,
        ("ACTIVE", "token"): OK,
        ("EXPIRED", "none"): (401, "Q002"),
        ("EXPIRED", "ticket"): (401, "Q002"),
    },
    # The shop asks this, so naming a visitor is never enough.
    "validate": {
        ("NOT_FOUND", "none"): (404, "Q001"),
        ("WAITING", "none"): (401, "Q003"),
        ("WAITING", "ticket"): (401, "Q003"),
        ("READY", "none"): (401, "Q003"),
        ("READY", "ticket"): OK,
        ("READY", "token"): OK,
        ("ACTIVE", "none"): (401, "Q003"),
        ("ACTIVE", "ticket"): OK,
        ("ACTIVE", "token"): OK,
        ("EXPIRED", "none"): (401, "Q003"),
        ("EXPIRED", "ticket"): (401, "Q002"),
    },
}

TABLE = [
    pytest.param(call, state, shown, expected, id=f"{call}-{state}-{shown}")
    for call, rows in ROWS.items()
    for (state, shown), expected in rows.items()
]

STRANGERS = [
    pytest.param(call, state, shown, id=f"{call}-{state}-{shown}")
    for call in (*ROWS, "status", "remove")
    for state in ("NOT_FOUND", "WAITING", "READY", "ACTIVE", "EXPIRED")
    for shown in STRANGE
]


def ask(call: str, visitor: Visitor, token: str | None) -> httpx.Response:
    response: httpx.Response = getattr(visitor.room, call)(visitor.name, token)
    return response


def unsigned(visitor: Visitor) -> str:
    """Make a pass whose header says that it needs no signature."""
    claims = {"iss": "waitline", "aud": visitor.room.name, "sub": visitor.name, "place": 1}
    times = {"iat": 1, "exp": 9_999_999_999}
    header = {"alg": "none", "typ": "waitline-pass+jwt", "kid": "x"}
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
        for part in (header, claims | times)
    ]
    return ".".join((*parts, ""))


def strange(cast: Cast, kind: str, visitor: Visitor) -> str:
    middle = len(visitor.token) // 2
    changed = "A" if visitor.token[middle] != "A" else "B"
    if kind == "another-user":
        return cast.neighbour.token
    if kind == "another-room":
        return Room(visitor.room.stack, cast.elsewhere.name).arrive(visitor.name)
    made = {
        "garbage": "x" * 40,
        "altered": visitor.token[:middle] + changed + visitor.token[middle + 1 :],
        "unsigned": unsigned(visitor),
        "earlier-stay": cast.earlier.get(visitor.name, cast.elsewhere.arrive("once")),
    }
    return made[kind]


@pytest.mark.parametrize(("call", "state", "shown", "expected"), TABLE)
def test_the_rule(cast: Cast, call: str, state: str, shown: str, expected: tuple[int, str]) -> None:
    visitor = cast.take(state)
    token = {"none": None, "ticket": visitor.ticket, "token": visitor.token}[shown]
    answer = ask(call, visitor, token)
    if expected == OK:
        succeeded(answer)
    else:
        refused(answer, *expected)


@pytest.mark.parametrize(("call", "state", "shown"), STRANGERS)
def test_a_token_that_is_not_the_visitors(cast: Cast, call: str, state: str, shown: str) -> None:
    visitor = cast.somebody(state)
    refused(ask(call, visitor, strange(cast, shown, visitor)), 401, "Q003")
    # Nothing has changed for the visitor (Q10).
    if state == "NOT_FOUND":
        refused(visitor.room.status(visitor.name), 404, "Q001")
    else:
        data = succeeded(visitor.room.status(visitor.name))
        assert (data["status"], data["extendCount"]) == (state, 0)


@pytest.mark.parametrize("shown", STRANGE)
@pytest.mark.parametrize("state", ["NOT_FOUND", "READY", "EXPIRED"])
def test_no_stream_for_such_a_token(cast: Cast, state: str, shown: str) -> None:
    visitor = cast.somebody(state)
    with visitor.room.subscribe(visitor.name, strange(cast, shown, visitor)) as stream:
        refused(stream, 401, "Q003")


@pytest.mark.parametrize("state", ["NOT_FOUND", "WAITING", "READY", "ACTIVE", "EXPIRED"])
@pytest.mark.parametrize("call", [*ROWS, "status", "remove"])
def test_an_empty_token_comes_before_all_else(cast: Cast, call: str, state: str) -> None:
    refused(ask(call, cast.somebody(state), ""), 400, "C001")


@pytest.mark.parametrize(
    "token",
    ["é" * 10, "x" * 8_000, "t1.....", "t1.x.99999999999999999999.1.x", "a.b.c", "=.=.="],
    ids=["beyond-ascii", "long", "empty-fields", "huge-place", "three-parts", "padding"],
)
def test_no_token_is_a_server_error(paused: Room, token: str) -> None:
    paused.arrive()
    client = paused.stack.client
    headers = [(b"X-Queue-Token", token.encode("latin-1"))]
    response = client.get("/api/v1/queue/status", params=paused.who("u"), headers=headers)
    refused(response, 401, "Q003")
    if len(token) < 4_000:
        refused(paused.validate("u", token), 401, "Q003")
    else:
        refused(paused.validate("u", token), 413, "C001")


def test_a_null_token_is_none(paused: Room) -> None:
    body = paused.who("u") | {"token": None}
    client = paused.stack.client
    refused(client.post("/api/v1/queue/validate", json=body), 404, "Q001")
    paused.arrive()
    refused(client.post("/api/v1/queue/validate", json=body), 401, "Q003")


def test_the_expired_come_back_with_another_token(trial: Stack) -> None:
    room = trial.room(admitPerSecond=1000, readySeconds=0.2)
    earlier = room.arrive()
    room.until("u", "EXPIRED")
    room.change(mode="paused")
    later = room.arrive()
    assert later != earlier
    refused(room.status("u", earlier), 401, "Q003")
    assert succeeded(room.status("u", later))["status"] == "WAITING"
