"""Debian's nginx in front of a site, with the configuration that we ship."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from typing_extensions import override

from tests import nginx
from tests.until import until
from tests.web.gated import HTML, Gated, cookie_name
from tests.web.stack import SOON_S, Room

ROOT = Path(__file__).parents[2]
CONFIG = (ROOT / "deploy" / "nginx" / "gate.conf").read_text("utf-8")

pytestmark = nginx.needed


class Shop(BaseHTTPRequestHandler):
    """The protected site: shows what it gets."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        user = self.headers.get("X-Waitline-User", "")
        body = f"{self.command} {self.path} of {user}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    @override
    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def shop() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Shop)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def room(site: Gated) -> Room:
    made = site.stack.room(admitPerSecond=1000)
    rule = {"name": "buy", "action": "queue", "room": made.name}
    site.protect({**rule, "when": {"host": ["127.0.0.1"], "path": ["/buy/*"]}})
    return made


@pytest.fixture(scope="module")
def browser(site: Gated, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of the site behind nginx."""
    gate = site.stack.client.base_url.port
    with shop() as port:
        config = CONFIG.replace("127.0.0.1:8081", f"127.0.0.1:{gate}")
        config = config.replace("127.0.0.1:3000", f"127.0.0.1:{port}")
        asks = "auth_request /waitline-gate;"
        shown = "auth_request_set $kept $upstream_cache_status; add_header X-Kept $kept;"
        config = config.replace(asks, asks + shown)
        with (
            nginx.running(config, tmp_path_factory.mktemp("nginx")) as front,
            httpx.Client(base_url=f"http://127.0.0.1:{front}", headers=HTML) as client,
        ):
            yield client


def test_a_visitor_goes_to_the_line_and_comes_back(
    site: Gated, room: Room, browser: httpx.Client
) -> None:
    assert browser.get("/about").text == "GET /about of "
    sent = browser.get("/buy/1?a=1")
    assert sent.status_code == 303
    assert f"/rooms/{room.name}?return=" in sent.headers["location"]
    token = site.pass_of(room, "ann")
    back = browser.get(f"/buy/1?a=1&waitline={token}")
    assert back.status_code == 303
    assert back.headers["location"] == f"{browser.base_url}/buy/1?a=1".replace("//buy", "/buy")
    assert back.headers["cache-control"] == "no-store"
    assert back.headers["set-cookie"].startswith(f"{cookie_name(room)}=")
    assert browser.get("/buy/1?a=1").text == "GET /buy/1?a=1 of ann"
    posted = browser.post("/buy/1", content=b"x" * 10_000)
    assert posted.text == "POST /buy/1 of ann"
    browser.cookies.clear()
    assert browser.get("/buy/1").status_code == 303


def test_the_answer_to_a_pass_is_kept_for_this_visitor_and_address_only(
    site: Gated, room: Room, browser: httpx.Client
) -> None:
    name = cookie_name(room)
    cookies = [f"{name}={site.pass_of(room, visitor)}" for visitor in ("kim", "lee")]

    def kept(path: str, cookie: str, **more: str) -> str:
        answer = browser.get(path, headers={"Cookie": cookie, **more})
        return str(answer.headers["x-kept"])

    until(lambda: kept("/buy/1", cookies[0]) == "HIT", SOON_S, "the answer is kept")
    answers = [browser.get("/buy/1", headers={"Cookie": cookie}).text for cookie in cookies]
    assert answers == ["GET /buy/1 of kim", "GET /buy/1 of lee"]
    assert browser.get("/buy/1").status_code == 303
    # A rule may guard another path, method or host differently: each is asked about.
    until(lambda: kept("/buy/1", cookies[0]) == "HIT", SOON_S, "the answer is kept")
    assert kept("/buy/2", cookies[0]) == "MISS"
    posted = browser.post("/buy/1", content=b"x", headers={"Cookie": cookies[0]})
    assert posted.headers["x-kept"] == "MISS"
    assert kept("/buy/1", cookies[0], Host="localhost") == "MISS"
    # What passes without a pass is never kept: it may depend on more than the key.
    assert {kept("/about", cookies[0]) for _ in range(3)} == {"MISS"}


def test_a_pass_that_slides_reaches_the_browser(
    site: Gated, room: Room, browser: httpx.Client
) -> None:
    room.change(activeSeconds=60, staySeconds=3_600)
    token = site.half_over(room, "active")
    room.change(activeSeconds=600)
    name = cookie_name(room)

    def renewed(value: str) -> str:
        browser.cookies.clear()
        answer = browser.get("/buy/1", headers={"Cookie": f"{name}={value}"})
        assert answer.text == "GET /buy/1 of active"
        return str(browser.cookies.get(name, ""))

    seen: list[str] = []

    def is_renewed() -> bool:
        seen.append(renewed(token))
        return seen[-1] != ""

    until(is_renewed, SOON_S, "the gate knows the room's settings")
    # Once, and the answer that has it is not kept for another request.
    assert not any(renewed(value) for value in [token, seen[-1]] * 3)


def test_two_browsers_with_one_address_of_a_bound_pass(
    site: Gated, room: Room, browser: httpx.Client
) -> None:
    bound = site.stack.room(admitPerSecond=1000)
    rules = [
        {"name": name, "action": "queue", "room": one.name, "bind": one is bound,
         "when": {"host": ["127.0.0.1"], "path": [f"/{name}/*"]}}
        for name, one in (("buy", room), ("bound", bound))
    ]  # fmt: skip
    site.protect(*rules)
    token = site.pass_of(bound, "ann")
    with httpx.Client(base_url=browser.base_url, headers=HTML) as first:
        # It has seen no page of the site, so its secret comes beside the pass.
        assert first.get(f"/bound/1?waitline={token}").status_code == 303
        assert set(first.cookies) == {cookie_name(bound), "waitline-browser"}
        assert first.get("/bound/1").text == "GET /bound/1 of ann"
        browser.cookies.clear()
        used = browser.get(f"/bound/1?waitline={token}", headers={"Accept-Language": "en"})
        assert used.status_code == 403
        assert "in use in another browser" in used.text
        kept = {"Cookie": f"{cookie_name(bound)}={first.cookies[cookie_name(bound)]}"}
        assert browser.get("/bound/1", headers=kept).status_code == 303
        assert first.get("/bound/1").status_code == 200
    browser.cookies.clear()


@pytest.mark.usefixtures("room")
def test_a_part_of_a_file_is_no_page(browser: httpx.Client) -> None:
    assert browser.get("/buy/1", headers={"Range": "bytes=0-9"}).status_code == 429


def test_scripts_and_forms_get_their_answers(room: Room, browser: httpx.Client) -> None:
    call = browser.get("/buy/1", headers={"Accept": "application/json"})
    assert call.status_code == 429
    assert f"/rooms/{room.name}" in call.json()["waitingPage"]
    form = browser.post("/buy/1", content=b"a=b", headers={"Accept-Language": "en"})
    assert form.status_code == 429
    assert "Your form was not sent" in form.text
    head = browser.head("/buy/1")
    assert (head.status_code, head.content) == (429, b"")


@pytest.mark.usefixtures("room")
def test_a_client_cannot_describe_itself(browser: httpx.Client) -> None:
    forged = {
        "X-Original-URL": "http://127.0.0.1/about", "X-Original-Method": "OPTIONS",
        "X-Forwarded-Uri": "/about", "X-Waitline-User": "root",
    }  # fmt: skip
    assert browser.get("/buy/1", headers=forged).status_code == 303
    assert browser.get("/about", headers=forged).text == "GET /about of "
    # Not even the gate's own location.
    assert browser.get("/waitline-gate").status_code == 404


def test_while_the_gate_is_down_visitors_pass(tmp_path: Path) -> None:
    with shop() as port:
        # No server listens on the gate's port: a connection to port 1 is refused.
        config = CONFIG.replace("127.0.0.1:8081", "127.0.0.1:1")
        config = config.replace("127.0.0.1:3000", f"127.0.0.1:{port}")
        with nginx.running(config, tmp_path) as front:
            answer = httpx.get(f"http://127.0.0.1:{front}/buy/1", headers={"X-Waitline-User": "x"})
    assert (answer.status_code, answer.text) == (200, "GET /buy/1 of ")
