"""Invalid input: every answer names the error, none is a server error."""

import json
from collections.abc import Iterator

import pytest

from tests.booking_web.office import Buyer, Office, refused, succeeded
from tests.web.stack import ENGLISH, JSON_TYPE
from tests.web.test_inputs import BAD_TYPES

PATHS = ["/api/v1/reservations", "/api/v1/payments"]

BAD_BODIES = [
    pytest.param(b"", id="empty"),
    pytest.param(b"{", id="cut-off"),
    pytest.param(b"{}", id="no-fields"),
    pytest.param(b"[]", id="list"),
    pytest.param(b"null", id="null"),
    pytest.param(b'"text"', id="text"),
    pytest.param(b'{"scheduleId":1,"seatId":1} more', id="more-behind-it"),
    pytest.param(b'{"scheduleId":"\xff"}', id="not-utf-8"),
    pytest.param('{"scheduleId":1,"seatId":1}'.encode("utf-16"), id="utf-16"),
    pytest.param(b"[" * 2000 + b"]" * 2000, id="deep"),
    pytest.param(b'{"scheduleId":NaN,"seatId":1}', id="not-a-number"),
    pytest.param(b'{"scheduleId":1e400,"seatId":1}', id="more-than-any-number"),
    pytest.param(b'{"scheduleId":' + b"9" * 3_000 + b',"seatId":1}', id="very-long-number"),
]

BAD_WISHES = [
    pytest.param("{}", id="no-seat"),
    pytest.param('{"seatId":null}', id="null-for-a-seat"),
    pytest.param('{"seatId":"1"}', id="text-for-a-seat"),
    pytest.param('{"seatId":true}', id="bool-for-a-seat"),
    pytest.param('{"seatId":1.5}', id="half-a-seat"),
    pytest.param('{"seatId":9223372036854775808}', id="65-bits"),
    pytest.param('{"seatId":-9223372036854775809}', id="65-bits-below"),
    pytest.param('{"seatIds":[]}', id="no-seats"),
    pytest.param('{"seatIds":[1,1]}', id="a-seat-twice"),
    pytest.param('{"seatIds":[1,"2"]}', id="text-among-seats"),
    pytest.param('{"seatIds":[1,null]}', id="null-among-seats"),
    pytest.param(f'{{"seatIds":{list(range(101))}}}', id="101-seats"),
    pytest.param('{"seatIds":5}', id="number-for-seats"),
    pytest.param('{"seatId":1,"seatIds":[2]}', id="one-and-several"),
    pytest.param('{"seatId":1,"grade":"VIP","count":1}', id="one-and-the-best"),
    pytest.param('{"seatId":1,"count":1}', id="one-and-a-count"),
    pytest.param('{"grade":"VIP"}', id="grade-without-count"),
    pytest.param('{"count":2}', id="count-without-grade"),
    pytest.param('{"grade":"VIP","count":0}', id="the-best-of-none"),
    pytest.param('{"grade":"VIP","count":-1}', id="fewer-than-none"),
    pytest.param('{"grade":"VIP","count":101}', id="the-best-101"),
    pytest.param('{"grade":"","count":1}', id="empty-grade"),
    pytest.param('{"grade":" ","count":1}', id="blank-grade"),
    pytest.param(r'{"grade":"\u200b","count":1}', id="zero-width-grade"),
    pytest.param(r'{"grade":"V\u0000P","count":1}', id="nul-in-a-grade"),
    pytest.param(r'{"grade":"\ud800","count":1}', id="half-a-character"),
    pytest.param(f'{{"grade":"{"x" * 21}","count":1}}', id="long-grade"),
]

HUGE = "9" * 400


@pytest.mark.parametrize("body", BAD_BODIES)
@pytest.mark.parametrize("path", PATHS)
def test_a_bad_body(buyer: Buyer, path: str, body: bytes) -> None:
    headers = {**buyer.headers, **JSON_TYPE}
    refused(buyer.office.client.post(path, content=body, headers=headers), 400, "C001")


@pytest.mark.parametrize("declared", BAD_TYPES)
@pytest.mark.parametrize("path", PATHS)
def test_a_body_that_is_not_declared_to_be_json(
    buyer: Buyer, path: str, declared: str | None
) -> None:
    headers = {**buyer.headers, **({} if declared is None else {"Content-Type": declared})}
    response = buyer.office.client.post(path, content=b"{}", headers=headers)
    assert "Content-Type" in refused(response, 400, "C001")["detail"]


@pytest.mark.parametrize("wish", BAD_WISHES)
def test_a_bad_wish(buyer: Buyer, wish: str) -> None:
    body = f'{{"scheduleId":{buyer.show.schedule},{wish[1:]}'.replace(",}", "}").encode()
    response = buyer.office.client.post(
        "/api/v1/reservations", content=body, headers={**buyer.headers, **JSON_TYPE}
    )
    refused(response, 400, "C001")
    assert set(buyer.show.states().values()) == {"AVAILABLE"}


def test_fields_that_nobody_asked_for_are_left_aside(buyer: Buyer) -> None:
    succeeded(buyer.ask({"seatId": buyer.show.seats[0], "other": {"deep": [1]}}), 201)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/schedules/1/seats"),
        ("POST", "/api/v1/reservations"),
        ("GET", "/api/v1/reservations/1"),
        ("DELETE", "/api/v1/reservations/1"),
        ("GET", "/api/v1/payments/1"),
    ],
)
@pytest.mark.parametrize(
    "user",
    [b"", b"%20", b"%E2%80%8B", HUGE.encode(), b"%00", b"a%0Ab", b"%FF", b"\xff", b"%ED%A0%80"],
)
def test_users_that_are_no_name(trial: Office, method: str, path: str, user: bytes) -> None:
    headers = {
        "X-User-Id": user,
        "X-Queue-Token": b"t",
        "Content-Type": b"application/json",
    }
    response = trial.client.request(
        method,
        path,
        content=b'{"seatId":1,"scheduleId":1}' if method == "POST" else None,
        headers=headers,  # type: ignore[arg-type]  # bytes are headers too
    )
    assert "X-User-Id" in refused(response, 400, "C001")["detail"]


@pytest.mark.parametrize(
    "token", [b"\xff\xfe", b"a\tb", b"t1.\x80", b"x" * 4_097, b"..", b"e30.e30.e30"]
)
def test_tokens_of_nobody(buyer: Buyer, token: bytes) -> None:
    headers = {"X-User-Id": str(buyer.user).encode(), "X-Queue-Token": token}
    path = f"/api/v1/schedules/{buyer.show.schedule}/seats"
    response = buyer.office.client.get(path, headers=headers)  # type: ignore[arg-type]  # see above
    assert (response.status_code, response.json()["code"]) in {(400, "C001"), (401, "Q003")}


@pytest.mark.parametrize("chunked", [False, True], ids=["whole", "chunked"])
@pytest.mark.parametrize("path", [*PATHS, "/api/v1/operator/concerts"])
def test_a_body_larger_than_any_call_needs(buyer: Buyer, path: str, *, chunked: bool) -> None:
    body = json.dumps({"padding": "x" * 4_096}).encode()
    headers = {**buyer.headers, **buyer.office.operator, **JSON_TYPE}
    content = _chunks(body) if chunked else body
    refused(buyer.office.client.post(path, content=content, headers=headers), 413, "C001")


def _chunks(body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), 500):
        yield body[start : start + 500]


@pytest.mark.parametrize(
    "path",
    ["/api/v1/concerts/%00", "/api/v1/concerts/%FF", "/api/v1/schedules/%00/seats", "/%00"],
)
def test_odd_paths(buyer: Buyer, path: str) -> None:
    response = buyer.office.get(path, **buyer.headers)
    assert response.status_code in (400, 404)
    refused(response, response.status_code, "C001" if response.status_code == 400 else "C004")


def test_an_english_refusal_is_english_throughout(buyer: Buyer) -> None:
    answers = [
        buyer.office.get("/api/v1/concerts/x", **ENGLISH),
        buyer.office.get("/api/v1/reservations/1", **ENGLISH),
        buyer.reserve(1, **ENGLISH),
        buyer.ask({}, **ENGLISH),
    ]
    for answer in answers:
        assert all(str(value).isascii() for value in answer.json().values()), answer.text
