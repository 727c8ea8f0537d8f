"""Error responses: shape, languages, unknown paths, methods, sizes."""

import json
from collections.abc import Iterator

import pytest

from tests.web.stack import ENGLISH, JSON_TYPE, Room, Stack, instant_ms, refused, succeeded
from waitline.kernel.clock import SystemClock

ALLOWED = [
    pytest.param("GET", "/api/v1/queue/enter", "POST", id="enter"),
    pytest.param("POST", "/api/v1/queue/status", "GET, HEAD", id="status"),
    pytest.param("GET", "/api/v1/queue/activate", "POST", id="activate"),
    pytest.param("PUT", "/api/v1/queue/extend", "POST", id="extend"),
    pytest.param("PATCH", "/api/v1/queue/validate", "POST", id="validate"),
    pytest.param("POST", "/api/v1/queue/remove", "DELETE", id="remove"),
    pytest.param("GET", "/api/v1/queue/token", "DELETE", id="token"),
    pytest.param("OPTIONS", "/api/v1/queue/status", "GET, HEAD", id="options"),
    pytest.param("POST", "/api/v1/queue/subscribe", "GET, HEAD", id="subscribe"),
    pytest.param("DELETE", "/api/v1/health", "GET, HEAD", id="health"),
    pytest.param("POST", "/actuator/prometheus", "GET, HEAD", id="metrics"),
    pytest.param("PUT", "/api/v1/rooms", "GET, POST, HEAD", id="rooms"),
    pytest.param("PUT", "/api/v1/rooms/r", "DELETE, GET, PATCH, HEAD", id="room"),
    pytest.param("PUT", "/api/v1/rooms/r/reset", "DELETE, GET, PATCH, POST, HEAD", id="reset"),
    pytest.param("DELETE", "/.well-known/jwks.json", "GET, HEAD", id="key-set"),
]

LANGUAGES = [
    pytest.param(None, "ko", id="unsaid"),
    pytest.param("", "ko", id="empty"),
    pytest.param("en", "en", id="english"),
    pytest.param("en-GB,en;q=0.9", "en", id="british"),
    pytest.param("EN", "en", id="capitals"),
    pytest.param("ko", "ko", id="korean"),
    pytest.param("ko-KR,ko;q=0.9,en;q=0.8", "ko", id="korean-before-english"),
    pytest.param("en;q=0.5,ko;q=0.9", "ko", id="english-less"),
    pytest.param("fr,en;q=0.3", "en", id="french-then-english"),
    pytest.param("fr", "ko", id="french"),
    pytest.param("*", "ko", id="any"),
    pytest.param("en;q=0", "ko", id="anything-but-english"),
    pytest.param("en;q=very", "ko", id="nonsense"),
]


@pytest.mark.parametrize(
    "path",
    [
        "/nope",
        "/api/v1/queue",
        "/api/v1/queue/enter/",
        "/api/v1/queue/Status",
        "/api/v1/health/",
        "/actuator",
        "/api/v1/rooms/",
        "//api/v1/health",
        "/api/v1/concerts",
        "/api/admin/test-data/init",
        "/%2e%2e/etc/passwd",
        "/a%00b",
        "/%EA%B0%80",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_unknown_path(trial: Stack, method: str, path: str) -> None:
    response = trial.client.request(method, path, headers=trial.operator)
    if path == "/api/v1/rooms/":
        # A room with no name, if anything.
        assert response.status_code in (400, 404, 405)
        return
    refused(response, 404, "C004")


@pytest.mark.parametrize(("method", "path", "allowed"), ALLOWED)
def test_a_wrong_method(trial: Stack, method: str, path: str, allowed: str) -> None:
    response = trial.client.request(method, path, headers=trial.operator)
    refused(response, 405, "C001")
    assert response.headers["allow"] == allowed


def test_a_head_request_has_no_body(trial: Stack) -> None:
    answers = [getattr(trial.client, method)("/api/v1/health") for method in ("get", "head")]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].headers["content-length"] == answers[1].headers["content-length"]
    assert answers[1].content == b""


@pytest.mark.parametrize(
    ("method", "path"),
    [
        pytest.param("POST", "/api/v1/queue/enter", id="enter"),
        pytest.param("POST", "/api/v1/queue/extend", id="extend"),
        pytest.param("POST", "/api/v1/queue/validate", id="validate"),
        pytest.param("POST", "/api/v1/rooms", id="create"),
        pytest.param("PATCH", "/api/v1/rooms/r", id="change"),
    ],
)
@pytest.mark.parametrize("chunked", [False, True], ids=["whole", "chunked"])
def test_a_body_larger_than_any_call_needs(
    trial: Stack, method: str, path: str, *, chunked: bool
) -> None:
    body = json.dumps({"concertId": "c", "userId": "u", "padding": "x" * 4_096}).encode()
    content = _chunks(body) if chunked else body
    headers = {**trial.operator, **JSON_TYPE}
    response = trial.client.request(method, path, content=content, headers=headers)
    refused(response, 413, "C001")
    succeeded(trial.client.get("/api/v1/health"))


def _chunks(body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), 500):
        yield body[start : start + 500]


def test_a_body_as_large_as_allowed(paused: Room) -> None:
    body = json.dumps(paused.who("u") | {"padding": ""})
    body = body.replace('""', '"' + "x" * (4_096 - len(body)) + '"')
    assert len(body) == 4_096
    client = paused.stack.client
    response = client.post("/api/v1/queue/enter", content=body, headers=JSON_TYPE)
    assert succeeded(response, 201)["isNewEntry"] is True


@pytest.mark.parametrize(("accept", "language"), LANGUAGES)
def test_the_language_of_a_refusal(trial: Stack, accept: str | None, language: str) -> None:
    headers = {} if accept is None else {"Accept-Language": accept}
    body = trial.client.get("/nope", headers=headers).json()
    texts = {
        "ko": "요청한 리소스를 찾을 수 없습니다.",
        "en": "The requested resource was not found.",
    }
    assert (body["code"], body["message"]) == ("C004", texts[language])


@pytest.mark.parametrize(
    ("text", "headers"),
    [("대기열 상태입니다.", {}), ("Your status in the line.", ENGLISH)],
    ids=["ko", "en"],
)
def test_the_language_of_a_success(paused: Room, text: str, headers: dict[str, str]) -> None:
    paused.arrive()
    assert paused.status("u", None, **headers).json()["message"] == text


def test_an_english_refusal_is_english_throughout(trial: Stack) -> None:
    for path in ("/api/v1/queue/status", "/api/v1/rooms", "/nope", "/api/v1/queue/enter"):
        body = trial.client.get(path, headers=ENGLISH).json()
        assert all(str(value).isascii() for value in body.values()), body


def test_the_timestamp_is_now(trial: Stack) -> None:
    body = refused(trial.client.get("/nope"), 404, "C004")
    now_ms = SystemClock().now_ms()
    assert abs(instant_ms(body["timestamp"]) - now_ms) < 5_000
