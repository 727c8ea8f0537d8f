"""Proxies in front of a site, with the configurations that we ship: one list of cases for all."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from tests.until import until
from tests.web.gated import HTML, Gated, cookie_name
from tests.web.proxies import PROXIES, Proxy, proxied
from tests.web.stack import SOON_S, Room

ENGLISH = {"Accept-Language": "en"}

BROWSER = "waitline-browser"


def kinds(*short: str, cookies: bool = False) -> list[object]:
    """Return the proxies; only these are in the short run.

    Args:
        short: Their names.
        cookies: Whether only those that pass cookies on together with an answer of the site.
    """
    return [
        name if name in short else pytest.param(name, marks=pytest.mark.long)
        for name, proxy in PROXIES.items()
        if proxy.cookies or not cookies
    ]


# The short run has all cases for nginx, and for the others that the gate has a form for (Envoy) or
# that are new in each version (Traefik) the way to the line and back.
everywhere = pytest.mark.parametrize("browser", kinds("nginx"), indirect=True)
wherever_cookies_pass = pytest.mark.parametrize(
    "browser", kinds("nginx", cookies=True), indirect=True
)
first = pytest.mark.parametrize("browser", kinds("nginx", "envoy", "traefik"), indirect=True)


class Rooms(NamedTuple):
    """The rooms of the site; each guards the pages below its name."""

    buy: Room
    bound: Room
    slides: Room
    open: Room
    """Stands by, and its passes are bound."""

    @property
    def cookies(self) -> list[str]:
        return [*map(cookie_name, self), BROWSER]


class Browser(NamedTuple):
    """A client of the site behind a proxy.

    Attributes:
        http: Has no cookies.
        proxy: What to expect of the proxy.
        kind: Its name.
    """

    http: httpx.Client
    proxy: Proxy
    kind: str

    @property
    def url(self) -> str:
        return str(self.http.base_url).rstrip("/")

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.send("GET", path, headers)

    def send(
        self, method: str, path: str, headers: Mapping[str, str], content: bytes | None = None
    ) -> httpx.Response:
        """Send a request byte by byte; it has only the cookies that it names."""
        self.http.cookies.clear()
        url = httpx.URL(self.url).copy_with(raw_path=path.encode())
        return self.http.request(method, url, headers=headers, content=content)

    def name(self, visitor: str) -> str:
        """Return a visitor of this proxy: all share the rooms."""
        return f"{visitor}-{self.kind}"


@pytest.fixture(scope="module")
def rooms(site: Gated) -> Rooms:
    make = site.stack.room
    made = Rooms(
        make(admitPerSecond=1000),
        make(admitPerSecond=1000),
        make(admitPerSecond=1000, activeSeconds=60, staySeconds=3_600),
        make(admitPerSecond=1000, standby="on"),
    )
    bound = {"bound", "open"}
    site.protect(*({
        "name": name, "action": "queue", "room": room.name, "bind": name in bound,
        "when": {"host": ["127.0.0.1"], "path": [f"/{name}/*"]},
    } for name, room in made._asdict().items()))  # fmt: skip
    return made


@pytest.fixture(scope="module")
def browser(
    request: pytest.FixtureRequest,
    site: Gated,
    rooms: Rooms,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Browser]:
    kind = request.param
    gate, key = site.stack.client.base_url.port or 80, site.site_key.decode()
    folder = tmp_path_factory.mktemp(kind)
    with (
        proxied(kind, folder, gate, site_key=key, cookies=rooms.cookies) as url,
        httpx.Client(base_url=url, headers=HTML, timeout=SOON_S) as client,
    ):
        yield Browser(client, PROXIES[kind], kind)


def jar(*answers: httpx.Response) -> str:
    """Return the Cookie field of a browser that has seen these answers."""
    kept = httpx.Cookies()
    for answer in answers:
        kept.update(answer.cookies)
    return "; ".join(f"{name}={value}" for name, value in kept.items())


def lines(answer: httpx.Response) -> list[str]:
    """Return the names of the cookies that an answer sets, each time that it does."""
    return [one.partition("=")[0] for one in answer.headers.get_list("set-cookie")]


@first
def test_a_visitor_goes_to_the_line_and_comes_back(
    site: Gated, rooms: Rooms, browser: Browser
) -> None:
    about = browser.get("/about?a=1")
    assert (about.text, lines(about)) == ("GET /about?a=1 of ", ["site"])
    assert ("waitline-leave" in about.headers) is (browser.kind == "envoy-gateway")
    sent = browser.get("/buy/1?a=%20b")
    assert sent.status_code == browser.proxy.redirect
    assert f"/rooms/{rooms.buy.name}?return=" in sent.headers["location"]
    assert (sent.headers["cache-control"], lines(sent)) == ("no-store", ["waitline-kept"])
    visitor = browser.name("ann")
    token = site.pass_of(rooms.buy, visitor)
    back = browser.get(f"/buy/1?a=%20b&waitline={token}", Cookie=jar(sent))
    assert (back.status_code, back.headers["location"]) == (303, f"{browser.url}/buy/1?a=%20b")
    fields = [back.headers[name] for name in ("cache-control", "referrer-policy")]
    assert fields == ["no-store", "no-referrer"]
    assert lines(back) == [cookie_name(rooms.buy)]
    cookie = jar(sent, back)
    shown = browser.get("/buy/1?a=%20b", Cookie=cookie)
    assert (shown.text, lines(shown)) == (f"GET /buy/1?a=%20b of {visitor}", ["site"])
    seen = json.loads(shown.headers["x-seen"])
    assert seen["x-waitline-room"] == rooms.buy.name
    for method in ("POST", "DELETE"):
        posted = browser.send(method, "/buy/1", {"Cookie": cookie}, b"x" * 10_000)
        assert posted.text == f"{method} /buy/1 of {visitor}"
    assert browser.get("/buy/1").status_code == browser.proxy.redirect


@everywhere
def test_what_is_no_page_gets_its_answer(rooms: Rooms, browser: Browser) -> None:
    call = browser.get("/buy/1", Accept="application/json")
    assert (call.status_code, call.headers["retry-after"]) == (429, "10")
    assert call.headers["content-type"] == "application/json"
    assert f"/rooms/{rooms.buy.name}" in call.json()["waitingPage"]
    form = browser.send("POST", "/buy/1", ENGLISH, b"a=b")
    assert (form.status_code, form.headers["cache-control"]) == (429, "no-store")
    assert "Your form was not sent" in form.text
    framed = {"Sec-Fetch-Dest": "iframe", **ENGLISH}
    frame = browser.get("/buy/1", **framed)
    assert frame.status_code == 429
    assert "Please open this page by itself" in frame.text
    for headers in ({"Range": "bytes=0-9"}, {"Sec-Purpose": "prefetch"}, {"X-Moz": "prefetch"}):
        assert browser.get("/buy/1", **headers).status_code == 429
    head = browser.send("HEAD", "/buy/1", {})
    assert (head.status_code, head.content) == (429, b"")
    preflight = {"Access-Control-Request-Method": "POST", "Origin": "http://a.b"}
    assert browser.send("OPTIONS", "/buy/1", preflight).text == "OPTIONS /buy/1 of "


@everywhere
def test_a_client_cannot_describe_itself(site: Gated, rooms: Rooms, browser: Browser) -> None:
    described = {
        "X-Original-URL": "http://127.0.0.1/about", "X-Original-Method": "OPTIONS",
        "X-Forwarded-Uri": "/about", "X-Forwarded-Method": "OPTIONS",
        "X-Forwarded-Host": "other.example", "Access-Control-Request-Method": "GET",
    }  # fmt: skip
    guarded = browser.get("/buy/1", **described)
    assert guarded.status_code == browser.proxy.redirect
    # The way back is where the request came from, and not where its fields say.
    assert f"{browser.url}/buy/1" == returned(site, rooms.buy, guarded)
    name = cookie_name(rooms.buy)
    visitor = browser.name("eve")
    cookie = f"{name}={site.pass_of(rooms.buy, visitor)}"
    others = ("X_Waitline_", "X.Waitline-", "X-Waitline!") if browser.proxy.other_names else ()
    for prefix in ("X-Waitline-", *others):
        forged = {prefix + name: "root" for name in ("User", "Room", "Place")}
        for path, who in (("/about", ""), ("/buy/1", visitor)):
            answer = browser.send("GET", path, {**forged, "Cookie": cookie})
            assert answer.text == f"GET {path} of {who}", prefix
            assert "root" not in answer.headers["x-seen"], prefix


def returned(site: Gated, room: Room, sent: httpx.Response) -> str:
    """Return the way back of a redirect to the line."""
    signed = httpx.URL(sent.headers["location"]).params["return"]
    params = {"room": room.name, "return": signed}
    found = site.stack.client.get("/api/v1/gate/return", params=params)
    return str(found.json()["data"]["url"])


@everywhere
@pytest.mark.usefixtures("rooms")
def test_no_spelling_of_an_address_gets_past(browser: Browser) -> None:
    targets = (
        "/x/../buy/1",
        "//buy/1",
        "/%62uy/1",
        "/buy%2F1",
        "/buy/%2e%2e/buy/1",
        "/x\\..\\buy\\1",
    )
    for target in targets:
        answer = browser.get(target)
        # Some proxies refuse the odd ones.
        assert answer.status_code in {browser.proxy.redirect, 400}, target


@everywhere
def test_a_pass_is_bound_to_its_browser(site: Gated, rooms: Rooms, browser: Browser) -> None:
    visitor = browser.name("ann")
    token = site.pass_of(rooms.bound, visitor)
    # It has seen no page of the site, so its secret comes together with the pass.
    back = browser.get(f"/bound/1?waitline={token}")
    assert back.status_code == 303
    assert sorted(lines(back)) == sorted([cookie_name(rooms.bound), BROWSER])
    cookie = jar(back)
    assert browser.get("/bound/1", Cookie=cookie).text == f"GET /bound/1 of {visitor}"
    used = browser.get(f"/bound/1?waitline={token}", **ENGLISH)
    assert used.status_code == 403
    assert "in use in another browser" in used.text
    name = cookie_name(rooms.bound)
    copied = browser.get("/bound/1", Cookie=f"{name}={back.cookies[name]}")
    assert copied.status_code == browser.proxy.redirect
    assert browser.get("/bound/1", Cookie=cookie).status_code == 200


@wherever_cookies_pass
def test_a_visitor_admitted_without_a_line_keeps_the_pass(rooms: Rooms, browser: Browser) -> None:
    seen: list[httpx.Response] = []

    def is_open() -> bool:
        seen.append(browser.get("/open/1"))
        return seen[-1].status_code == 200

    until(is_open, SOON_S, "the bucket of a new room fills")
    assert sorted(lines(seen[-1])) == sorted(["site", cookie_name(rooms.open), BROWSER])
    again = browser.get("/open/1", Cookie=jar(seen[-1]))
    assert (again.text, lines(again)) == (seen[-1].text, ["site"])
    assert again.text.startswith("GET /open/1 of ")
    assert again.text != "GET /open/1 of "


@wherever_cookies_pass
def test_a_stay_slides_and_its_new_pass_reaches_the_browser(
    site: Gated, rooms: Rooms, browser: Browser
) -> None:
    visitor = browser.name("active")
    room, name = rooms.slides, cookie_name(rooms.slides)
    room.change(activeSeconds=60)
    token = site.half_over(room, visitor)
    room.change(activeSeconds=600)
    seen: list[str] = []

    def is_renewed() -> bool:
        answer = browser.get("/slides/1", Cookie=f"{name}={token}")
        assert answer.text == f"GET /slides/1 of {visitor}"
        seen.append(str(answer.cookies.get(name, "")))
        return seen[-1] != ""

    until(is_renewed, SOON_S, "the gate knows the room's settings")
    # Once, and no proxy keeps the answer that has it for another request.
    for value in [token, seen[-1]] * 3:
        answer = browser.get("/slides/1", Cookie=f"{name}={value}")
        assert (answer.text, lines(answer)) == (f"GET /slides/1 of {visitor}", ["site"])


@pytest.mark.parametrize("kind", kinds("nginx"))
def test_while_the_gate_is_down(kind: str, tmp_path: Path) -> None:
    # No server listens on the gate's port: a connection to port 1 is refused.
    with proxied(kind, tmp_path, 1, cookies=[BROWSER]) as url:
        forged = {"X-Waitline-User": "root", "X-Waitline-Place": "root"}
        answer = httpx.get(f"{url}/buy/1", headers=forged, timeout=SOON_S)
    assert answer.status_code == PROXIES[kind].down
    if answer.status_code == 200:
        assert answer.text == "GET /buy/1 of "
        assert "root" not in answer.headers["x-seen"]
    else:
        assert "GET /buy/1" not in answer.text


@pytest.mark.long
@pytest.mark.parametrize("kind", [name for name, proxy in PROXIES.items() if proxy.closing])
def test_a_proxy_can_close_while_the_gate_is_down(kind: str, tmp_path: Path) -> None:
    change = PROXIES[kind].closing
    assert change is not None
    with proxied(kind, tmp_path, 1, change=change) as url:
        answer = httpx.get(f"{url}/buy/1", timeout=SOON_S)
    assert answer.status_code == 503


@pytest.mark.long
@pytest.mark.usefixtures("rooms")
def test_haproxy_asks_about_guarded_requests_alone(site: Gated, tmp_path: Path) -> None:
    gate = site.stack.client.base_url.port or 80

    def counted(decision: str) -> float:
        metrics = site.stack.metrics().splitlines()
        found = [line for line in metrics if line.startswith("gate_decisions_total{")]
        assert found
        return sum(float(one.rpartition(" ")[2]) for one in found if f'"{decision}"' in one)

    with (
        proxied("haproxy", tmp_path, gate, site_key=site.site_key.decode()) as url,
        httpx.Client(base_url=url, headers=HTML, timeout=SOON_S) as client,
    ):

        def asks_about_none() -> bool:
            unmatched, redirects = counted("unmatched"), counted("redirect")
            for _ in range(10):
                client.get("/about")
            # Once the metrics have this one, they have those before it.
            assert client.get("/buy/1").status_code == 302
            until(lambda: counted("redirect") > redirects, SOON_S, "the metrics are current")
            return counted("unmatched") == unmatched

        # The proxy may not have the rules yet, and asks about everything.
        until(asks_about_none, SOON_S, "the proxy has the rules")
