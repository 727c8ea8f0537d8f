"""The gate as Envoy's `ext_authz` asks it: method and Host of the request, its address appended."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.until import until
from tests.web.gated import HOST, HTML, Gated, cookie_name
from tests.web.stack import SOON_S, Room, Stack, refused, succeeded

PREFIX = "/api/v1/gate?as=envoy&uri="


def asked(
    site: Gated, target: str, *, method: str = "GET", host: str = HOST, **headers: str
) -> httpx.Response:
    """Ask about a target, byte by byte."""
    client = site.stack.client
    client.cookies.clear()
    url = client.base_url.copy_with(raw_path=(PREFIX + target).encode())
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.request(method, url, headers={"Host": host} | given)


@pytest.fixture(scope="module")
def room(site: Gated) -> Room:
    """A room that admits at once and guards /buy/."""
    made = site.stack.room(admitPerSecond=1000)
    rule = {"name": "buy", "action": "queue", "room": made.name}
    site.protect({**rule, "when": {"host": [HOST], "path": ["/buy/*"]}})
    return made


def decision(answer: httpx.Response) -> tuple[int, str | None, bytes]:
    return answer.status_code, answer.headers.get("x-waitline-decision"), answer.content


def test_only_200_lets_a_request_pass(site: Gated, room: Room) -> None:
    assert decision(asked(site, "/about?a=1")) == (200, "unmatched", b"")
    preflight = {"method": "OPTIONS", "access_control_request_method": "POST"}
    assert decision(asked(site, "/buy/1", **preflight)) == (200, "bypass", b"")
    cookie = f"{cookie_name(room)}={site.pass_of(room, 'ann')}"
    for method in ("GET", "HEAD", "POST", "DELETE", "PROPFIND"):
        answer = asked(site, "/buy/1", method=method, cookie=cookie)
        assert decision(answer) == (200, "pass", b""), method
        assert answer.headers["x-waitline-user"] == "ann"
        assert "x-accel-expires" not in answer.headers


def test_a_page_leads_to_the_line_and_back(site: Gated, room: Room) -> None:
    target = "/buy/1?a=%20b&uri=/about&as=nginx"
    answer = asked(site, target, **HTML)
    assert (answer.status_code, answer.headers["cache-control"]) == (302, "no-store")
    signed = parse_qs(urlsplit(answer.headers["location"]).query)["return"][0]
    shown = site.stack.client.get(
        "/api/v1/gate/return", params={"room": room.name, "return": signed}
    )
    assert succeeded(shown) == {"url": f"http://{HOST}{target}"}
    token = site.pass_of(room, "bob")
    secure = {"x_forwarded_proto": "https", "cookie": "waitline-kept=1", **HTML}
    back = asked(site, f"{target}&waitline={token}", **secure)
    assert (back.status_code, back.headers["location"]) == (303, f"https://{HOST}{target}")
    assert back.headers["set-cookie"].startswith(f"{cookie_name(room, secure=True)}={token}; ")


def test_what_is_no_page_gets_its_answer(site: Gated, room: Room) -> None:
    call = asked(site, "/buy/1", method="PUT", accept="application/json")
    assert (call.status_code, call.headers["retry-after"]) == (429, "10")
    assert f"/rooms/{room.name}" in call.json()["waitingPage"]
    form = asked(site, "/buy/1", method="POST", accept_language="en", **HTML)
    assert form.status_code == 429
    assert "Your form was not sent" in form.text


def test_a_slot_is_taken_by_pages_alone(site: Gated) -> None:
    room = site.stack.room(admitPerSecond=1000, standby="on")
    rule = {"name": "by", "action": "queue", "room": room.name}
    guarded = {"host": ["standby.example"], "path": ["/by/*"]}
    buy = site.stack.client.get("/api/v1/protection", headers=site.stack.operator).json()["rules"]
    site.protect({**rule, "when": guarded}, *buy)
    for method in ("HEAD", "POST"):
        refused_ = asked(site, "/by/1", host="standby.example", method=method, **HTML)
        assert refused_.status_code == 429
    answer = asked(site, "/by/1", host="standby.example", **HTML)
    assert decision(answer) == (200, "standby", b"")
    assert answer.headers["set-cookie"].startswith(f"{cookie_name(room)}=")
    assert room.show()["admitted"] == 1


@pytest.mark.usefixtures("room")
def test_the_address_comes_from_the_request_line(site: Gated) -> None:
    forged = {
        "x_forwarded_uri": "/about", "x_forwarded_method": "OPTIONS", "x_forwarded_host": "a.b",
        "x_original_url": "http://a.b/about", "x_original_method": "OPTIONS",
        "access_control_request_method": "POST",
    }  # fmt: skip
    assert asked(site, "/buy/1", **forged, **HTML).status_code == 302


@pytest.mark.usefixtures("room")
@pytest.mark.parametrize(
    ("target", "status"),
    [
        pytest.param("//buy/1", 302, id="repeated slash"),
        pytest.param("/x/../buy/1", 302, id="dot segments"),
        pytest.param("/buy%2F1", 302, id="escaped slash"),
        pytest.param("/%62uy/1", 302, id="escaped letter"),
        pytest.param("/x\\..\\buy\\1", 302, id="backslashes"),
        pytest.param("/buy/1?x=http://a.b/&&", 302, id="address in the query"),
        pytest.param("//evil.example/buy", 200, id="looks like a host"),
        pytest.param("/%ff%00%0d%0a", 200, id="no text"),
        pytest.param("/" + "a" * 7_000, 200, id="long"),
        pytest.param("/" + "a" * 8_200, 414, id="too long"),
        pytest.param("", 400, id="nothing"),
        pytest.param("*", 400, id="the whole server"),
        pytest.param("buy/1", 400, id="no slash"),
        pytest.param("http://a.b/buy/1", 400, id="absolute"),
        pytest.param("%2Fbuy%2F1", 400, id="escaped by the caller"),
    ],
)
def test_odd_addresses(site: Gated, target: str, status: int) -> None:
    answer = asked(site, target, **HTML)
    assert answer.status_code == status
    if status == 302:
        where = urlsplit(answer.headers["location"])
        assert where.hostname == HOST
        assert where.path.startswith("/rooms/")


def test_other_callers_are_refused(site: Gated, trial: Stack) -> None:
    refused(trial.client.get(f"{PREFIX}/"), 403, "C003")
    refused(asked(site, "/", host="a,b"), 400, "C001")
    wrong: dict[str, Any] = {"as": "envoy"}
    refused(site.stack.client.get("/api/v1/gate", params=wrong), 400, "C001")
    # All other proxies ask by GET, whatever the request.
    for query in ("", "?as=nginx", "?as=nginx-answer"):
        body = site.stack.client.post(f"/api/v1/gate{query}", content=b"x")
        assert (body.status_code, body.headers["allow"]) == (405, "GET, HEAD")


def test_made_up_methods_are_counted_together(site: Gated) -> None:
    def others() -> float:
        lines = site.stack.metrics().splitlines()
        found = [one for one in lines if one.startswith("http_server_requests_seconds_count{")]
        gate = [one for one in found if 'uri="/api/v1/gate"' in one and 'method="OTHER"' in one]
        return sum(float(one.rpartition(" ")[2]) for one in gate)

    before = others()
    asked(site, "/about", method="MADEUP")
    until(lambda: others() > before, SOON_S, "it is counted")
    assert "MADEUP" not in site.stack.metrics()
