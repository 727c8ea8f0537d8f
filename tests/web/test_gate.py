"""The gate: which requests of a site pass, and what the others get."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.until import until
from tests.web.gated import HOST, HTML, Gated, cookie_name
from tests.web.stack import SOON_S, Room, Stack, refused, succeeded

FILES = {"name": "files", "action": "bypass", "when": {"path": ["*.css"]}}


def guard(room: Room, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - members of a rule
    rule = {"name": "buy", "action": "queue", "room": room.name}
    return {**rule, "when": {"host": [HOST], "path": ["/buy/*"]}, **more}


@pytest.fixture
def room(site: Gated) -> Room:
    """A room that admits at once and guards /buy/."""
    made = site.stack.room(admitPerSecond=1000)
    site.protect(FILES, guard(made))
    return made


def decision(answer: httpx.Response) -> tuple[int, str | None]:
    return answer.status_code, answer.headers.get("x-waitline-decision")


@pytest.mark.usefixtures("room")
def test_what_no_rule_guards_passes(site: Gated) -> None:
    assert decision(site.ask("/")) == (204, "unmatched")
    assert decision(site.ask("/buy/1", host="other.example")) == (204, "unmatched")
    assert decision(site.ask("/buy/style.css")) == (204, "bypass")
    preflight = site.ask("/buy/1", method="OPTIONS", access_control_request_method="POST")
    assert decision(preflight) == (204, "bypass")


@pytest.mark.usefixtures("room")
@pytest.mark.parametrize(
    ("method", "fields"),
    [("OPTIONS", {}), ("GET", {"access_control_request_method": "POST"})],
    ids=["no field", "GET"],
)
def test_what_only_looks_like_a_preflight_needs_a_pass(
    site: Gated, method: str, fields: dict[str, str]
) -> None:
    assert site.ask("/buy/1", method=method, **fields).status_code == 429


@pytest.mark.parametrize("target", ["/buy/1?a=%20b&c=+", "/x/../buy/1", "//buy/1", "/%62uy/1"])
def test_a_page_without_a_pass_leads_to_the_line_and_back(
    site: Gated, room: Room, target: str
) -> None:
    answer = site.ask(target, **HTML)
    assert (answer.status_code, answer.headers["cache-control"]) == (302, "no-store")
    where = urlsplit(answer.headers["location"])
    assert where.path == f"/rooms/{room.name}"
    (signed,) = parse_qs(where.query)["return"]
    found = succeeded(
        site.stack.client.get("/api/v1/gate/return", params={"room": room.name, "return": signed})
    )
    assert found == {"url": f"http://{HOST}{target}"}
    # It is for this room alone, and for nothing else that it could be changed to.
    for params in ({"room": "other", "return": signed}, {"room": room.name, "return": signed[1:]}):
        body = refused(site.stack.client.get("/api/v1/gate/return", params=params), 400, "C001")
        assert body["type"] == "urn:waitline:problem:return-refused"


def test_a_forged_host_is_not_signed(site: Gated) -> None:
    room = site.stack.room(shopUrl="https://shop.example/buy/")
    site.protect(guard(room, when={"path": ["/buy/*"]}))
    evil = site.ask("/buy/1", host="evil.example", **HTML)
    assert urlsplit(evil.headers["location"]).query == ""
    # The shop's own host is known.
    good = site.ask("/buy/1", **HTML)
    assert "return" in parse_qs(urlsplit(good.headers["location"]).query)


def test_calls_get_json_and_no_redirect(site: Gated, room: Room) -> None:
    answer = site.ask("/buy/1", accept="application/json", accept_language="en")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "10")
    body = answer.json()
    assert (body["status"], body["code"]) == ("error", "Q006")
    assert f"/rooms/{room.name}" in body["waitingPage"]


@pytest.mark.usefixtures("room")
@pytest.mark.parametrize(
    ("method", "headers"),
    [
        pytest.param("HEAD", HTML, id="head"),
        pytest.param("GET", {**HTML, "Range": "bytes=0-1"}, id="range"),
        pytest.param("GET", {**HTML, "Sec_Purpose": "prefetch;prerender"}, id="prerender"),
        pytest.param("GET", {**HTML, "Purpose": "prefetch"}, id="prefetch"),
        pytest.param("GET", {**HTML, "X_Moz": "prefetch"}, id="old firefox"),
    ],
)
def test_speculative_requests_are_not_redirected(
    site: Gated, method: str, headers: dict[str, str]
) -> None:
    answer = site.ask("/buy/1", method=method, **headers)
    assert (answer.status_code, answer.headers["cache-control"]) == (429, "no-store")


def test_a_form_gets_a_page_that_says_it_was_not_sent(site: Gated, room: Room) -> None:
    answer = site.ask("/buy/1", method="POST", accept_language="en", **HTML)
    assert answer.status_code == 429
    assert "Your form was not sent" in answer.text
    assert f"/rooms/{room.name}?return=" in answer.text


@pytest.mark.parametrize(
    ("dest", "from_site", "status"),
    [
        pytest.param("document", "cross-site", 302, id="a link of another site"),
        pytest.param("iframe", "cross-site", 429, id="a frame of another site"),
        pytest.param("iframe", "same-origin", 429, id="a frame"),
        pytest.param("object", "cross-site", 429, id="another kind of frame"),
    ],
)
def test_a_frame_gets_a_page_that_says_to_open_it_by_itself(
    site: Gated, room: Room, dest: str, from_site: str, status: int
) -> None:
    headers = {"Sec_Fetch_Dest": dest, "Sec_Fetch_Site": from_site, "Accept_Language": "en"}
    answer = site.ask("/buy/1", **headers, **HTML)
    assert answer.status_code == status
    if status == 429:
        assert "<h1>Please open this page by itself</h1>" in answer.text
        assert f"/rooms/{room.name}?return=" in answer.text


def test_a_browser_that_keeps_no_cookies_is_not_sent_back_again(site: Gated, room: Room) -> None:
    token = site.pass_of(room, "visitor-8")
    # The line's redirect sets a cookie, which shows at the way back that cookies are kept.
    assert site.ask("/buy/1", **HTML).headers["set-cookie"].startswith("waitline-kept=1; Path=/; ")
    handed = site.ask(f"/buy/1?a=1&waitline={token}", **HTML)
    assert handed.headers["location"] == f"http://{HOST}/buy/1?a=1&waitline=kept"
    english = {**HTML, "accept_language": "en"}
    lost = site.ask("/buy/1?a=1&waitline=kept", **english)
    assert (lost.status_code, lost.headers["cache-control"]) == (403, "no-store")
    assert "<h1>Please allow cookies</h1>" in lost.text
    assert f'<a href="http://{HOST}/buy/1?a=1"' in lost.text
    cookie = f"{cookie_name(room)}={token}"
    found = site.ask("/buy/1?a=1&waitline=kept", cookie=cookie, **english)
    assert (found.status_code, found.headers["location"]) == (303, f"http://{HOST}/buy/1?a=1")


def test_a_pass_is_handed_over_once_and_kept_in_a_cookie(site: Gated, room: Room) -> None:
    token = site.pass_of(room, "visitor-1")
    handed = site.ask(f"/buy/1?a=1&waitline={token}&b=%20", cookie="waitline-kept=1", **HTML)
    assert handed.status_code == 303
    assert handed.headers["location"] == f"http://{HOST}/buy/1?a=1&b=%20"
    assert handed.headers["referrer-policy"] == "no-referrer"
    cookie = handed.headers["set-cookie"]
    assert cookie.startswith(f"{cookie_name(room)}={token}; Path=/; Max-Age=")
    assert "HttpOnly" in cookie
    assert "Secure" not in cookie
    secure = site.ask(f"/buy/1?waitline={token}", proto="https", **HTML).headers["set-cookie"]
    assert secure.startswith(f"{cookie_name(room, secure=True)}={token}; ")
    assert secure.endswith("; Secure")
    passed = site.ask("/buy/1", cookie=f"a=b; {cookie_name(room)}={token}", **HTML)
    assert decision(passed) == (204, "pass")
    assert passed.headers["x-waitline-user"] == "visitor-1"
    assert passed.headers["x-waitline-room"] == room.name
    assert decision(site.ask("/buy/1", x_queue_token=token)) == (204, "pass")


def test_what_is_sent_with_a_pass_in_the_address_is_not_lost(site: Gated, room: Room) -> None:
    """A redirect would drop the body."""
    token = site.pass_of(room, "visitor-9")
    passed = site.ask(f"/buy/1?waitline={token}", method="POST", **HTML)
    assert decision(passed) == (204, "pass")
    assert passed.headers["x-waitline-user"] == "visitor-9"
    assert passed.headers["set-cookie"].startswith(f"{cookie_name(room)}={token}; Path=/; ")


def test_no_other_token_passes(site: Gated, room: Room) -> None:
    token = site.pass_of(room, "visitor-2")
    ticket = succeeded(site.stack.room(mode="paused").enter("visitor-2"), 201)["token"]
    other = site.pass_of(site.stack.room(admitPerSecond=1000), "visitor-2")
    for wrong in (ticket, other, token[:-2] + "AA", "x" * 5_000):
        assert site.ask("/buy/1", x_queue_token=wrong).status_code == 429
        handed = site.ask(f"/buy/1?waitline={wrong}", **HTML)
        # The way back is without it.
        signed = parse_qs(urlsplit(handed.headers["location"]).query)["return"]
        shown = site.stack.client.get(
            "/api/v1/gate/return", params={"room": room.name, "return": signed[0]}
        )
        assert succeeded(shown) == {"url": f"http://{HOST}/buy/1"}


def test_a_pass_ends_with_the_stay(site: Gated) -> None:
    room = site.stack.room(admitPerSecond=1000, activeSeconds=1)
    site.protect(guard(room))
    token = site.pass_of(room, "v")
    until(lambda: site.ask("/buy/1", x_queue_token=token).status_code == 429, SOON_S, "it ends")


def test_a_pass_of_a_visitor_who_left_is_refused_and_listed(site: Gated, room: Room) -> None:
    stack = site.stack
    gone, stays = site.pass_of(room, "gone"), site.pass_of(room, "stays")
    assert decision(site.ask("/buy/1", x_queue_token=gone)) == (204, "pass")
    listed = {"room": room.name}
    assert stack.client.get("/api/v1/protection/revoked", params=listed).json()["places"] == []
    # By the site's webhook; somebody else's signature frees nothing.
    who = room.who("gone")
    refused(site.left(who, key=b"another-site-key"), 401, "C002")
    assert decision(site.ask("/buy/1", x_queue_token=gone)) == (204, "pass")
    succeeded(site.left(who))
    succeeded(site.left(who))
    assert room.status("gone").status_code == 404
    until(lambda: site.ask("/buy/1", x_queue_token=gone).status_code == 429, SOON_S, "it is known")
    assert decision(site.ask("/buy/1", x_queue_token=stays)) == (204, "pass")
    answer = stack.client.get("/api/v1/protection/revoked", params=listed)
    assert (answer.json()["places"], answer.headers["cache-control"]) == ([1], "public, max-age=1")
    again = {"If-None-Match": answer.headers["etag"]}
    same = stack.client.get("/api/v1/protection/revoked", params=listed, headers=again)
    assert same.status_code == 304


def test_observing_lets_everybody_pass(site: Gated) -> None:
    site.protect(guard(site.stack.room(), mode="observe"))
    assert decision(site.ask("/buy/1", **HTML)) == (204, "observed")


def test_the_decisions_are_counted_by_rule(site: Gated) -> None:
    site.protect(guard(site.stack.room(), name="counted"))
    site.ask("/buy/1", **HTML)
    wanted = 'gate_decisions_total{decision="redirect"'
    until(
        lambda: any(
            line.startswith("gate_decisions_total") and 'rule="counted"' in line
            and 'decision="redirect"' in line
            for line in site.stack.metrics().splitlines()
        ),
        SOON_S, wanted,
    )  # fmt: skip


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"X-Forwarded-Host": HOST}, id="no address"),
        pytest.param({"X-Forwarded-Host": HOST, "X-Forwarded-Uri": "buy"}, id="no slash"),
        pytest.param({"X-Forwarded-Host": 'a"b', "X-Forwarded-Uri": "/"}, id="no host"),
        pytest.param({"X-Forwarded-Host": HOST, "X-Forwarded-Uri": "/ a"}, id="a blank"),
        # Another kind of proxy sets these; a client may have written them here.
        pytest.param({"X-Original-URL": "http://a/", "X-Original-Method": "GET"}, id="other kind"),
    ],
)
def test_a_request_that_is_not_described_is_refused(site: Gated, headers: dict[str, str]) -> None:
    refused(site.stack.client.get("/api/v1/gate", headers=headers), 400, "C001")


def test_a_client_that_is_no_trusted_proxy_is_refused(trial: Stack) -> None:
    headers = {"X-Forwarded-Host": HOST, "X-Forwarded-Uri": "/"}
    body = refused(trial.client.get("/api/v1/gate", headers=headers), 403, "C003")
    assert body["type"] == "urn:waitline:problem:gate-untrusted"


def test_nginx_may_keep_the_answer_to_a_pass_unless_rules_look_at_headers(site: Gated) -> None:
    room = site.stack.room(admitPerSecond=1000)
    rule = {"name": "buy", "action": "queue", "room": room.name, "when": {"path": ["/buy/*"]}}
    cookie = {"Cookie": f"{cookie_name(room)}={site.pass_of(room, 'ann')}"}

    def field(url: str = "http://shop.example/buy/1", **given: str) -> str | None:
        headers = {"X-Original-URL": url, **given}
        answer = site.stack.client.get("/api/v1/gate?as=nginx", headers=headers)
        found: str | None = answer.headers.get("x-accel-expires")
        return found

    site.protect(rule)
    assert field(**cookie) == "1"
    assert field() is None
    assert field("http://shop.example/about", **cookie) is None
    by_header = {"name": "app", "action": "bypass", "when": {"header": {"x-app": ["*"]}}}
    by_agent = {"name": "robot", "action": "bypass", "when": {"userAgent": ["*bot*"]}}
    for other in (by_header, by_agent):
        site.protect(other, rule)
        assert field(**cookie) is None
