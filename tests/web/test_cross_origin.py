"""CORS: pages of listed origins may call, on hot calls and the framework's; nobody by default."""

import pytest

from tests.web.conftest import SHOP
from tests.web.stack import Stack, refused, succeeded
from waitline.http.cross_origin import CrossOrigin
from waitline.kernel.errors import Misconfigured
from waitline.settings import load

OTHER = "https://evil.example"
ALLOW = "access-control-allow-origin"
PREFLIGHT = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "content-type,x-visitor-key",
}


@pytest.fixture
def stack(configured: Stack) -> Stack:
    return configured


@pytest.mark.parametrize(
    "path", ["/api/v1/queue/enter", "/api/v1/rooms", "/api/v1/queue/subscribe", "/nowhere"]
)
def test_a_preflight(stack: Stack, path: str) -> None:
    answer = stack.client.request("OPTIONS", path, headers={"Origin": SHOP, **PREFLIGHT})
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers[ALLOW] == SHOP
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert "X-Visitor-Key" in answer.headers["access-control-allow-headers"]
    assert int(answer.headers["access-control-max-age"]) <= 600
    assert "Origin" in answer.headers["vary"]
    other = stack.client.request("OPTIONS", path, headers={"Origin": OTHER, **PREFLIGHT})
    assert not [name for name in other.headers if name.startswith("access-control")]
    assert "Origin" in other.headers["vary"]


@pytest.mark.parametrize("origin", [SHOP, OTHER, "null", "http://[::1]:3000", f"{SHOP}.evil"])
def test_answers_name_listed_origins_alone(stack: Stack, origin: str) -> None:
    room = stack.room(mode="paused")
    answers = [
        room.enter("u", Origin=origin),
        room.status("nobody", Origin=origin),
        room.now_serving(Origin=origin),
        stack.client.get("/api/v1/health", headers={"Origin": origin}),
        stack.client.get("/nowhere", headers={"Origin": origin}),
    ]
    assert [answer.status_code for answer in answers] == [201, 404, 200, 200, 404]
    allowed = origin in (SHOP, "http://[::1]:3000")
    for answer in answers:
        assert answer.headers.get(ALLOW) == (origin if allowed else None)
        assert "Origin" in answer.headers["vary"]
    succeeded(answers[0], 201)


def test_nobody_is_listed_by_default(trial: Stack) -> None:
    headers = {"Origin": SHOP, **PREFLIGHT}
    answer = trial.client.request("OPTIONS", "/api/v1/queue/enter", headers=headers)
    refused(answer, 405, "C001")
    assert ALLOW not in trial.client.get("/api/v1/health", headers=headers).headers


def test_a_request_without_the_headers_is_no_preflight() -> None:
    listed = CrossOrigin(SHOP)
    assert listed.preflight("OPTIONS", {b"origin": SHOP.encode()}) is None
    assert listed.preflight("OPTIONS", {b"access-control-request-method": b"GET"}) is None
    assert listed.preflight("GET", {b"origin": SHOP.encode()}) is None


@pytest.mark.parametrize(
    "wrong",
    ["*", "null", "shop.example", f"{SHOP}/", f"{SHOP}/path", f"{SHOP}:443", "HTTPS://shop.example",
     "https://u:p@shop.example", f"{SHOP},", "ftp://shop.example", ""],
)  # fmt: skip
def test_bad_origins_are_refused_at_the_start(wrong: str) -> None:
    with pytest.raises(Misconfigured, match=r"^--allowed-origins: [^\n]+$"):
        load(allowed_origins=wrong)
