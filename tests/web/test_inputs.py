"""Invalid input: every kind is answered with C001, never with a server error."""

import pytest

from tests.web.stack import ENGLISH, JSON_TYPE, Room, Stack, refused, succeeded

JSON_CALLS = ["enter", "extend", "validate"]

QUERY_CALLS = [
    pytest.param("GET", "status", id="status"),
    pytest.param("POST", "activate", id="activate"),
    pytest.param("DELETE", "remove", id="remove"),
    pytest.param("DELETE", "token", id="token"),
    pytest.param("GET", "subscribe", id="subscribe"),
]

# As they stand in JSON, for a field that takes a name.
BAD_NAMES = [
    pytest.param("null", id="null"),
    pytest.param("true", id="true"),
    pytest.param("false", id="false"),
    pytest.param('["u"]', id="list"),
    pytest.param('{"u":1}', id="object"),
    pytest.param('""', id="empty"),
    pytest.param('"   "', id="spaces"),
    pytest.param(r'"\t\n"', id="tab-and-newline"),
    pytest.param(r'"\u3000"', id="ideographic-space"),
    pytest.param(r'"\u200b\ufeff"', id="zero-width"),
    pytest.param(r'"\u3164"', id="hangul-filler"),
    pytest.param(r'"a\u0000b"', id="nul-inside"),
    pytest.param(r'"\u0000"', id="nul-alone"),
    pytest.param(r'"a\r\nSet-Cookie: x"', id="line-break"),
    pytest.param(r'"a\u009bb"', id="c1-control"),
    pytest.param('"' + "a" * 129 + '"', id="129-bytes"),
    pytest.param('"' + "가" * 43 + '"', id="129-bytes-of-hangul"),
    pytest.param('"' + "🎫" * 33 + '"', id="132-bytes-of-emoji"),
    pytest.param("1" * 129, id="129-figures"),
    pytest.param(r'"\ud800"', id="half-a-character"),
    pytest.param(r'"a\udc00b"', id="other-half-of-a-character"),
    pytest.param("1e400", id="more-than-any-number"),
    pytest.param("-1e400", id="less-than-any-number"),
    pytest.param("NaN", id="not-a-number"),
    pytest.param("01", id="leading-zero"),
    pytest.param("[" * 1000 + "]" * 1000, id="deep"),
]

BAD_BODIES = [
    pytest.param(b"", id="empty"),
    pytest.param(b" ", id="blank"),
    pytest.param(b"{", id="cut-off"),
    pytest.param(b"{}", id="no-fields"),
    pytest.param(b"[]", id="list"),
    pytest.param(b"null", id="null"),
    pytest.param(b'"text"', id="text"),
    pytest.param(b"concertId=c&userId=u", id="form"),
    pytest.param(b'{"concertId":"c","userId":"u"} more', id="more-behind-it"),
    pytest.param(b'{"concertId":"c","userId":"u",}', id="trailing-comma"),
    pytest.param(b'{"concertId":"c","userId":"\xff"}', id="not-utf-8"),
    pytest.param(b'{"concertId":"\xed\xa0\x80","userId":"u"}', id="half-a-character-in-utf-8"),
    pytest.param(b'{"concertId":"c","userId":"\xc0\xaf"}', id="overlong-utf-8"),
    pytest.param(b'{"concertId":"c","userId":"\x00"}', id="bare-nul"),
    pytest.param(b'\xef\xbb\xbf{"concertId":"c","userId":"u"}', id="byte-order-mark"),
    pytest.param('{"concertId":"c","userId":"u"}'.encode("utf-16"), id="utf-16"),
    pytest.param(b"[" * 2000 + b"]" * 2000, id="deep"),
    pytest.param(b'{"x":' + b"[" * 1500 + b"]" * 1500 + b"}", id="deep-in-an-unknown-field"),
]

BAD_TYPES = [
    pytest.param(None, id="missing"),
    pytest.param("", id="empty"),
    pytest.param("text/plain", id="text"),
    pytest.param("application/x-www-form-urlencoded", id="form"),
    pytest.param("application/jsonx", id="almost"),
    pytest.param("text/plain; application/json", id="as-a-parameter"),
]

BAD_PARAMETERS = [
    pytest.param("", id="missing"),
    pytest.param("{}=", id="empty"),
    pytest.param("{}", id="no-equals-sign"),
    pytest.param("{}=%20%09", id="blank"),
    pytest.param("{}=+", id="plus-is-a-space"),
    pytest.param("{}=%E3%80%80", id="ideographic-space"),
    pytest.param("{}=%E2%80%8B", id="zero-width"),
    pytest.param("{}=" + "a" * 129, id="129-bytes"),
    pytest.param("{}=" + "%EA%B0%80" * 43, id="129-bytes-of-hangul"),
    pytest.param("{}=%FF", id="not-utf-8"),
    pytest.param("{}=%ED%A0%80", id="half-a-character"),
    pytest.param("{}=%C0%AF", id="overlong-utf-8"),
    pytest.param("{}=&{}=u", id="first-of-two-empty"),
    pytest.param("&&=&{}", id="hardly-a-query"),
]

ROOM_FIELDS = [
    pytest.param("activeMax", "true", id="bool-for-a-number"),
    pytest.param("activeMax", '"10"', id="text-for-a-number"),
    pytest.param("activeMax", "10.5", id="half-a-slot"),
    pytest.param("activeMax", "1e400", id="more-than-any-number"),
    pytest.param("activeMax", "9" * 400, id="very-many-slots"),
    pytest.param("activeMax", "0", id="no-slot"),
    pytest.param("activeMax", "1000001", id="too-many-slots"),
    pytest.param("admitPerSecond", "0", id="no-rate"),
    pytest.param("admitPerSecond", "-1", id="negative-rate"),
    pytest.param("admitPerSecond", "NaN", id="not-a-number"),
    pytest.param("admitPerSecond", "Infinity", id="endless"),
    pytest.param("admitPerSecond", '"2000"', id="text-for-a-rate"),
    pytest.param("admitBurst", "-1", id="negative-burst"),
    pytest.param("waitingMax", "0", id="nobody-may-wait"),
    pytest.param("readySeconds", "0.001", id="too-short-a-time"),
    pytest.param("readySeconds", "86401", id="too-long-a-time"),
    pytest.param("readySeconds", "1e400", id="endless-time"),
    pytest.param("readySeconds", "true", id="bool-for-a-time"),
    pytest.param("activeSeconds", "-1", id="negative-time"),
    pytest.param("idleSeconds", "-1", id="negative-idle-time"),
    pytest.param("extensionsMax", "101", id="too-many-extensions"),
    pytest.param("extensionsMax", "-1", id="negative-extensions"),
    pytest.param("mode", '"ajar"', id="unknown-mode"),
    pytest.param("mode", "1", id="number-for-a-mode"),
    pytest.param("message", '"' + "가" * 501 + '"', id="too-long-a-message"),
    pytest.param("message", r'"\ud800"', id="half-a-character"),
    pytest.param("message", "5", id="number-for-a-message"),
    pytest.param("shopUrl", '"javascript:alert(1)"', id="script-for-an-address"),
    pytest.param("shopUrl", '"https://shop example/a b"', id="address-with-spaces"),
    pytest.param("shopUrl", '"https://shop.example:99999/"', id="address-with-a-false-port"),
    pytest.param("shopUrl", '"/shop"', id="address-without-a-scheme"),
    pytest.param("shopUrl", '"https://' + "a" * 2000 + '"', id="too-long-an-address"),
    pytest.param("unheardOf", "1", id="unknown-field"),
]


@pytest.mark.parametrize("field", ["concertId", "userId"])
@pytest.mark.parametrize("text", BAD_NAMES)
@pytest.mark.parametrize("call", JSON_CALLS)
def test_a_bad_name_in_a_body(trial: Stack, call: str, text: str, field: str) -> None:
    other = {"concertId": "userId", "userId": "concertId"}[field]
    body = f'{{"{field}":{text},"{other}":"x"}}'.encode()
    response = trial.client.post(f"/api/v1/queue/{call}", content=body, headers=JSON_TYPE)
    refused(response, 400, "C001")


@pytest.mark.parametrize("field", ["concertId", "userId"])
@pytest.mark.parametrize("call", JSON_CALLS)
def test_a_missing_or_blank_field_is_named(trial: Stack, call: str, field: str) -> None:
    whole = {"concertId": "c", "userId": "u"}
    for body in ({**whole, field: " "}, {name: whole[name] for name in whole if name != field}):
        response = trial.client.post(f"/api/v1/queue/{call}", json=body, headers=ENGLISH)
        assert field in refused(response, 400, "C001")["detail"]


@pytest.mark.parametrize("body", BAD_BODIES)
@pytest.mark.parametrize("call", JSON_CALLS)
def test_a_bad_body(trial: Stack, call: str, body: bytes) -> None:
    response = trial.client.post(f"/api/v1/queue/{call}", content=body, headers=JSON_TYPE)
    refused(response, 400, "C001")


@pytest.mark.parametrize("declared", BAD_TYPES)
@pytest.mark.parametrize("call", JSON_CALLS)
def test_a_body_that_is_not_declared_to_be_json(
    trial: Stack, call: str, declared: str | None
) -> None:
    body = b'{"concertId":"c","userId":"u"}'
    headers = {} if declared is None else {"Content-Type": declared}
    response = trial.client.post(f"/api/v1/queue/{call}", content=body, headers=headers)
    assert "Content-Type" in refused(response, 400, "C001")["detail"]


@pytest.mark.parametrize(
    "declared",
    ["application/json", "Application/JSON", "application/json; charset=utf-8"],
)
def test_a_body_that_is(paused: Room, declared: str) -> None:
    response = paused.enter("u", None, **{"Content-Type": declared})
    assert succeeded(response, 201)["position"] == 1


@pytest.mark.parametrize("wrong", ["5", "true", '["t"]', '"\\ud800"', '""', '" "'])
def test_a_bad_token_to_validate(trial: Stack, wrong: str) -> None:
    body = f'{{"concertId":"c","userId":"u","token":{wrong}}}'.encode()
    response = trial.client.post("/api/v1/queue/validate", content=body, headers=JSON_TYPE)
    refused(response, 400, "C001")


@pytest.mark.parametrize("name", ["concertId", "userId"])
@pytest.mark.parametrize("text", BAD_PARAMETERS)
@pytest.mark.parametrize(("method", "call"), QUERY_CALLS)
def test_a_bad_parameter(trial: Stack, method: str, call: str, text: str, name: str) -> None:
    other = {"concertId": "userId", "userId": "concertId"}[name]
    query = f"{other}=x&{text.replace('{}', name)}"
    response = trial.client.request(method, f"/api/v1/queue/{call}?{query}")
    assert name in refused(response, 400, "C001")["detail"]


@pytest.mark.parametrize(("method", "call"), QUERY_CALLS)
def test_no_query_at_all(trial: Stack, method: str, call: str) -> None:
    refused(trial.client.request(method, f"/api/v1/queue/{call}"), 400, "C001")


@pytest.mark.parametrize(("method", "call"), QUERY_CALLS)
def test_an_empty_token_header(paused: Room, method: str, call: str) -> None:
    paused.arrive()
    response = paused.stack.client.request(
        method,
        f"/api/v1/queue/{call}",
        params=paused.who("u"),
        headers={"X-Queue-Token": ""},
    )
    assert "X-Queue-Token" in refused(response, 400, "C001")["detail"]


def test_the_first_of_two_parameters_counts(paused: Room) -> None:
    paused.arrive("one")
    query = f"userId=one&concertId={paused.name}&userId=two&concertId=other"
    data = succeeded(paused.stack.client.get(f"/api/v1/queue/status?{query}"))
    assert (data["concertId"], data["userId"]) == (paused.name, "one")


@pytest.mark.parametrize(("field", "text"), ROOM_FIELDS)
def test_a_bad_rule_of_a_room(trial: Stack, field: str, text: str) -> None:
    headers = {**trial.operator, **JSON_TYPE}
    room = trial.unused().name
    body = f'{{"room":"{room}","{field}":{text}}}'.encode()
    response = trial.client.post("/api/v1/rooms", content=body, headers=headers)
    assert refused(response, 400, "C001")["detail"].startswith(f"{field}: ")

    changed = trial.room()
    before = changed.show()
    response = trial.client.patch(
        f"/api/v1/rooms/{changed.name}", content=f'{{"{field}":{text}}}'.encode(), headers=headers
    )
    assert refused(response, 400, "C001")["detail"].startswith(f"{field}: ")
    assert changed.show() == before


@pytest.mark.parametrize("text", [*BAD_NAMES, pytest.param("5", id="number")])
def test_a_bad_name_of_a_room(trial: Stack, text: str) -> None:
    headers = {**trial.operator, **JSON_TYPE}
    body = f'{{"room":{text}}}'.encode()
    refused(trial.client.post("/api/v1/rooms", content=body, headers=headers), 400, "C001")


@pytest.mark.parametrize("body", BAD_BODIES)
@pytest.mark.parametrize(("method", "path"), [("POST", ""), ("PATCH", "/r")])
def test_a_bad_body_of_an_operator(trial: Stack, method: str, path: str, body: bytes) -> None:
    if (method, body) == ("PATCH", b"{}"):
        # Nothing to change is no mistake; that there is no such room comes out first.
        body = b'{"mode":null,"nope":1}'
    headers = {**trial.operator, **JSON_TYPE}
    url = f"/api/v1/rooms{path}"
    refused(trial.client.request(method, url, content=body, headers=headers), 400, "C001")


@pytest.mark.parametrize("declared", BAD_TYPES)
def test_an_operators_body_that_is_not_declared_to_be_json(
    trial: Stack, declared: str | None
) -> None:
    headers = {**trial.operator, **({} if declared is None else {"Content-Type": declared})}
    body = b'{"room":"undeclared"}'
    refused(trial.client.post("/api/v1/rooms", content=body, headers=headers), 400, "C001")


@pytest.mark.parametrize(
    "name",
    ["%20", "%E2%80%8B", "a" * 129, "%EA%B0%80" * 43],
    ids=["blank", "zero-width", "long", "hangul"],
)
@pytest.mark.parametrize("path", ["/api/v1/rooms/{}", "/api/v1/rooms/{}/now-serving"])
def test_a_bad_room_in_a_path(trial: Stack, path: str, name: str) -> None:
    response = trial.client.get(path.format(name), headers=trial.operator)
    body = response.json()
    assert (response.status_code, body["code"]) == (400, "C001")
    assert body["detail"].startswith("room: ")
