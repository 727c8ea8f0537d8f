"""/api/v1/rooms: what operators decide about rooms, and who operators are."""

import json
import shlex
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.shop import shop
from tests.web.stack import ENGLISH, Room, Stack, refused, succeeded, waitline

DEFAULTS = {
    "mode": "open",
    "opensAt": None,
    "closesAt": None,
    "title": "",
    "titleEn": "",
    "message": "",
    "messageEn": "",
    "shopUrl": "",
    "activeMax": 50_000,
    "admitPerSecond": 2_000,
    "admitBurst": 0,
    "waitingMax": 1_000_000,
    "extensionsMax": 2,
    "staySeconds": 0,
    "readySeconds": 300,
    "activeSeconds": 600,
    "idleSeconds": 600,
    "returnSeconds": 600,
    "addressPlacesPerMinute": 0,
    "networkPlacesPerMinute": 0,
    "addressPlacesHeld": 0,
    "networkPlacesHeld": 0,
    "addressRefusalsPerMinute": 0,
    "networkRefusalsPerMinute": 0,
    "whenShopSilent": "keep",
    "standby": "off",
    "identity": "claimed",
    "identityKey": "",
    "identityKeysUrl": "",
}

CHOSEN = {
    "mode": "paused",
    "opensAt": "2027-03-15T20:00:00+09:00",
    "closesAt": "2027-03-15T12:30:00+01:00",
    "title": "가을 공연",
    "titleEn": "Autumn show",
    "message": "잠시만 기다려 주세요",
    "messageEn": "One moment please",
    "shopUrl": "https://shop.example/tickets?a=1",
    "activeMax": 1,
    "admitPerSecond": 0.01,
    "admitBurst": 1,
    "waitingMax": 1,
    "extensionsMax": 0,
    "staySeconds": 3_600,
    "readySeconds": 0.01,
    "activeSeconds": 86_400,
    "idleSeconds": 0,
    "returnSeconds": 0,
    "addressPlacesPerMinute": 100,
    "networkPlacesPerMinute": 101,
    "addressPlacesHeld": 102,
    "networkPlacesHeld": 103,
    "addressRefusalsPerMinute": 104,
    "networkRefusalsPerMinute": 105,
    "whenShopSilent": "hold",
    "standby": "on",
    # A room without a key cannot be `signed`, and one with a key has no address of others:
    # tests/web/test_signed_rooms.py.
    "identity": "claimed",
    "identityKey": shop("EdDSA").pem,
    "identityKeysUrl": "",
}

COUNTERS = {
    "entered", "admitted", "activated", "left", "abandoned", "lapsed", "passed", "returned",
    "removed", "lease_refused", "no_shows", "overtaken",
}  # fmt: skip

CALLS = [
    pytest.param("POST", "", {"room": "r"}, id="create"),
    pytest.param("GET", "", None, id="list"),
    pytest.param("GET", "/r", None, id="show"),
    pytest.param("PATCH", "/r", {"mode": "closed"}, id="change"),
    pytest.param("POST", "/r/reset", None, id="reset"),
    pytest.param("DELETE", "/r", None, id="delete"),
]


def call(
    stack: Stack, method: str, path: str, body: object = None, **headers: str
) -> httpx.Response:
    chosen = {**stack.operator, **headers}
    return stack.client.request(method, f"/api/v1/rooms{path}", json=body, headers=chosen)


@pytest.mark.parametrize(("method", "path", "body"), CALLS)
def test_without_a_key(trial: Stack, method: str, path: str, body: object) -> None:
    response = trial.client.request(method, f"/api/v1/rooms{path}", json=body)
    refused(response, 401, "C002")
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"X-Operator-Key": "wrong"}, id="wrong"),
        pytest.param({"Authorization": "Bearer wrong"}, id="wrong-bearer"),
        pytest.param({"X-Operator-Key": "x" * 8_000}, id="long"),
    ],
)
@pytest.mark.parametrize(("method", "path", "body"), CALLS)
def test_with_a_wrong_key(
    trial: Stack, method: str, path: str, body: object, headers: dict[str, str]
) -> None:
    response = trial.client.request(method, f"/api/v1/rooms{path}", json=body, headers=headers)
    refused(response, 403, "C003")


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        pytest.param({"X-Operator-Key": ""}, 401, "C002", id="empty"),
        pytest.param({"Authorization": "Bearer"}, 401, "C002", id="empty-bearer"),
        pytest.param({"Authorization": "Basic b3A6b3A="}, 401, "C002", id="another-scheme"),
    ],
)
def test_hardly_a_key(trial: Stack, headers: dict[str, str], status: int, code: str) -> None:
    refused(trial.client.get("/api/v1/rooms", headers=headers), status, code)


def test_a_key_as_a_bearer_token(trial: Stack) -> None:
    bearer = {"Authorization": f"Bearer {trial.operator['X-Operator-Key']}"}
    assert "rooms" in succeeded(trial.client.get("/api/v1/rooms", headers=bearer))


@pytest.mark.parametrize("body", [{}, CHOSEN, {"readySeconds": None}], ids=["no", "all", "null"])
def test_create(trial: Stack, body: dict[str, Any]) -> None:
    room = trial.unused().name
    response = call(trial, "POST", "", {"room": room, **body})
    given = {name: value for name, value in body.items() if value is not None}
    assert succeeded(response, 201) == {"room": room, **DEFAULTS, **given}
    assert response.json()["message"] == "대기실을 생성했습니다."
    assert room in succeeded(call(trial, "GET", ""))["rooms"]


def test_create_again(trial: Stack) -> None:
    room = trial.room(mode="paused", message="first")
    again = {"room": room.name, "message": "second"}
    refused(call(trial, "POST", "", again), 409, "C005")
    refused(call(trial, "POST", "", again, **ENGLISH), 409, "C005")
    assert room.show()["message"] == "first"


def test_list_is_sorted(trial: Stack) -> None:
    trial.room()
    rooms = succeeded(call(trial, "GET", ""))["rooms"]
    assert rooms == sorted(rooms)


def test_list_in_pages(trial: Stack) -> None:
    made = sorted(trial.room().name for _ in range(5))
    answer = succeeded(call(trial, "GET", ""))
    everything, pages = answer["rooms"], []
    after: str | None = ""
    assert answer["next"] is None
    while after is not None:
        page = succeeded(call(trial, "GET", f"?limit=2&after={quote(after)}"))
        assert len(page["rooms"]) <= 2
        pages += page["rooms"]
        after = page["next"]
    assert pages == everything
    assert set(made) <= set(everything)
    for wrong in ("limit=0", "limit=1001", "limit=x", f"after={'x' * 200}"):
        refused(call(trial, "GET", f"?{wrong}"), 400, "C001")


def test_the_command_lists_in_pages(trial: Stack) -> None:
    first, second = sorted(trial.room().name for _ in range(2))
    where = ("--data-dir", trial.data_dir)
    names = [row["room"] for row in json.loads(waitline("rooms", "list", "--json", *where).stdout)]
    assert {first, second} <= set(names)
    one = waitline("rooms", "list", "--limit", "1", "--json", *where, "--after", first)
    rows = json.loads(one.stdout)
    assert [row["room"] for row in rows] == [names[names.index(first) + 1]]
    shown = waitline("rooms", "list", "--limit", "1", *where)
    assert f"waitline rooms list --after {shlex.quote(names[0])}" in shown.stderr


def test_show(trial: Stack) -> None:
    room = trial.room(**CHOSEN | {"waitingMax": 5})
    for n in range(3):
        room.arrive(f"u{n}")
    succeeded(room.remove("u0"))
    shown = room.show()
    totals = shown.pop("totals")
    assert shown == {
        "room": room.name,
        **CHOSEN,
        "waitingMax": 5,
        "state": "before-opening",
        "waiting": 2,
        "admitted": 0,
        "serving": 1,
        "lastPlace": 3,
        "ratePerSecond": None,
        "now": None,
    }
    assert set(totals) == COUNTERS
    assert (totals["entered"], totals["abandoned"]) == (3, 1)


@pytest.mark.parametrize(("name", "value"), CHOSEN.items(), ids=CHOSEN)
def test_change_one_rule(trial: Stack, name: str, value: object) -> None:
    room = trial.room()
    assert room.change(**{name: value}) == {"room": room.name, **DEFAULTS, name: value}
    shown = room.show()
    assert {rule: shown[rule] for rule in DEFAULTS} == {**DEFAULTS, name: value}


def test_change_nothing(trial: Stack) -> None:
    room = trial.room(mode="paused")
    before = room.show()
    room.change()
    assert room.show() == before


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("PATCH", ""), ("POST", "/reset"), ("DELETE", "")],
    ids=["show", "change", "reset", "delete"],
)
def test_unknown_rooms(trial: Stack, method: str, path: str) -> None:
    room = trial.unused().name
    body = {"mode": "open"} if method == "PATCH" else None
    refused(call(trial, method, f"/{room}{path}", body), 404, "C004")
    assert room not in succeeded(call(trial, "GET", ""))["rooms"]


@pytest.mark.parametrize("name", ["a/b", "한국 콘서트", "a%2Fb", "{a}", "now-serving", "a?b#c"])
def test_any_name_in_a_path(trial: Stack, name: str) -> None:
    if name != "now-serving":
        name = f"{trial.unused().name} {name}"
    path = f"/{httpx.QueryParams({'': name})}".replace("/=", "/", 1).replace("+", "%20")
    succeeded(call(trial, "POST", "", {"room": name, "mode": "paused"}), 201)
    assert succeeded(call(trial, "GET", path))["room"] == name
    assert succeeded(call(trial, "PATCH", path, {"message": "m"}))["message"] == "m"
    Room(trial, name).arrive()
    assert succeeded(call(trial, "POST", f"{path}/reset"))["removed"] == 1
    serving = trial.client.get(f"/api/v1/rooms{path}/now-serving")
    assert (serving.status_code, serving.json()["room"]) == (200, name)


def test_delete(trial: Stack) -> None:
    room = trial.room(admitPerSecond=1000, activeMax=1)
    room.admitted("in")
    token = succeeded(room.activate("in"))["token"]
    room.arrive("out")
    problem = refused(call(trial, "DELETE", f"/{room.name}"), 409, "C005")
    assert problem["detail"] == "대기 중 1명, 이용 중 1명입니다."
    answer = call(trial, "DELETE", f"/{room.name}?force=true")
    assert succeeded(answer) == {"room": room.name, "removed": 2}
    assert room.name not in succeeded(call(trial, "GET", ""))["rooms"]
    refused(call(trial, "GET", f"/{room.name}"), 404, "C004")
    refused(call(trial, "DELETE", f"/{room.name}"), 404, "C004")

    # A room of the same name is another room: its places start again, and old tokens are of no use.
    succeeded(call(trial, "POST", "", {"room": room.name, "mode": "paused"}), 201)
    room.arrive("in")
    refused(room.validate("in", token), 401, "Q003")
    assert room.show()["lastPlace"] == 1


def test_reset(trial: Stack) -> None:
    room = trial.room(admitPerSecond=1000, activeMax=1)
    room.admitted("in")
    token = succeeded(room.activate("in"))["token"]
    ticket = room.arrive("out")
    assert succeeded(call(trial, "POST", f"/{room.name}/reset")) == {
        "room": room.name,
        "removed": 2,
    }
    for user in ("in", "out"):
        refused(room.status(user), 404, "Q001")
    refused(room.validate("in", token), 401, "Q003")
    shown = room.show()
    assert (shown["waiting"], shown["admitted"], shown["lastPlace"]) == (0, 0, 2)
    assert (shown["totals"]["removed"], shown["activeMax"]) == (2, 1)
    assert succeeded(call(trial, "POST", f"/{room.name}/reset"))["removed"] == 0

    # Places are not given a second time, so no ticket comes to life again.
    room.change(mode="paused")
    assert room.arrive("out") != ticket
    refused(room.status("out", ticket), 401, "Q003")
    assert room.show()["lastPlace"] == 3
