"""Each framework, on a real server, in front of a stand-in of the queue."""

import hashlib
import json
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import queue_standin
import sites
from queue_standin import SITE_KEY, Queue, mint
from tests.until import until

from waitline_connect import source

# Seconds until something that takes a second or two has happened.
SOON_S = 20.0

PAGE = {"Accept": "text/html", "Accept-Language": "en"}
COOKIE = "waitline-pass-" + hashlib.sha256(b"summer").hexdigest()[:16]


class Site:
    """A site behind the connector, and a browser."""

    def __init__(self, kind: str, url: str, queue: Queue, browser: httpx.Client) -> None:
        self.kind = kind
        self.url = url
        self.queue = queue
        self.browser = browser

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.browser.get(path, headers={**PAGE, **headers})

    def keep(self, token: str) -> None:
        """Come back from the line with a pass."""
        assert self.get(f"/buy/1?waitline={token}").status_code == 303


# One of each kind of server in the short form; all of them where it counts most.
SITES = [
    "fastapi",
    "django",
    pytest.param("flask", marks=pytest.mark.long),
    pytest.param("django-async", marks=pytest.mark.long),
    pytest.param("litestar", marks=pytest.mark.long),
]
every_site = pytest.mark.parametrize("site", [*sites.ASGI, *sites.WSGI], indirect=True)


@pytest.fixture(params=SITES)
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    with (
        queue_standin.running() as queue,
        sites.serving(request.param, queue.url, SITE_KEY) as url,
        httpx.Client(base_url=url) as browser,
    ):
        yield Site(request.param, url, queue, browser)


def way_back(location: str) -> Any:  # noqa: ANN401 - JSON
    text = parse_qs(urlsplit(location).query)["return"][0].partition(".")[0]
    return json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))


@every_site
def test_through_the_line_and_back(site: Site) -> None:
    assert site.get("/").text == "visitor=None"

    waits = site.get("/buy/1?lang=en")
    assert waits.status_code == 302
    assert waits.headers["location"].startswith(f"{site.queue.url}/rooms/summer?return=")
    assert waits.headers["cache-control"] == "no-store"
    assert way_back(waits.headers["location"])["u"] == f"{site.url}/buy/1?lang=en"

    token = mint()
    back = site.get(f"/buy/1?lang=en&waitline={token}")
    assert (back.status_code, back.headers["location"]) == (303, f"{site.url}/buy/1?lang=en")
    assert "HttpOnly" in back.headers["set-cookie"]
    assert "SameSite=Lax" in back.headers["set-cookie"]
    assert site.get("/buy/1?lang=en").text == "visitor=visitor-1"
    assert site.browser.head("/buy/1").status_code == 200


def test_what_is_no_page_gets_json_and_takes_no_place(site: Site) -> None:
    script = site.browser.post("/buy/1", headers={"Accept": "application/json"})
    assert (script.status_code, script.headers["retry-after"]) == (429, "10")
    assert script.headers["content-type"] == "application/json"
    assert way_back(script.json()["waitingPage"])["u"] == f"{site.url}/buy/1"

    form = site.browser.post("/buy/1", headers=PAGE, data={"seat": "1"})
    assert form.status_code == 429
    assert "<h1>Your form was not sent</h1>" in form.text

    head = site.browser.head("/buy/1", headers=PAGE)
    assert (head.status_code, head.content) == (429, b"")
    assert "waitingPage" not in site.get("/buy/1", Range="bytes=0-1").json()
    assert site.queue.count("/api/v1/gate/walk-in") == 0


def test_nobody_waits_where_there_is_no_line(site: Site) -> None:
    site.queue.walk_in = mint(place=5)
    assert site.get("/buy/1").text == "visitor=visitor-5"
    assert site.get("/buy/1").text == "visitor=visitor-5"
    assert site.queue.count("/api/v1/gate/walk-in") == 1


def test_a_line_that_has_formed_is_asked_about_once_a_second(site: Site) -> None:
    with httpx.Client(base_url=site.url, headers=PAGE) as other:
        for _ in range(20):
            assert other.get("/buy/1").status_code == 302
    # A second may have passed once on a slow machine, not twenty times.
    assert site.queue.count("/api/v1/gate/walk-in") < 20


def test_the_site_ends_a_visit(site: Site) -> None:
    site.keep(mint())
    done = site.get("/buy/leave")
    assert done.text == "visitor=visitor-1"
    assert "waitline-leave" not in done.headers
    assert f"{COOKIE}=;" in done.headers["set-cookie"].replace('""', "")
    until(lambda: site.queue.count("/api/v1/queue/remove") == 1, SOON_S, "the slot is freed")
    assert site.get("/buy/1").status_code == 302


def test_a_pass_that_left_early_is_refused(site: Site) -> None:
    site.keep(mint(place=9))
    assert site.get("/buy/1").status_code == 200
    site.queue.revoked["summer"] = [9]
    until(lambda: site.get("/buy/1").status_code == 302, SOON_S, "the pass is revoked")


def test_a_visit_slides_while_the_visitor_is_active(site: Site) -> None:
    site.queue.slid = mint(left_s=290)
    site.keep(mint(left_s=100))
    assert "set-cookie" not in site.get("/buy/1").headers
    until(lambda: "set-cookie" in site.get("/buy/1").headers, SOON_S, "the pass is replaced")
    assert site.browser.cookies[COOKIE] == site.queue.slid
    assert site.queue.count("/api/v1/gate/slide") == 1


def test_a_bound_pass_is_good_in_one_browser(site: Site) -> None:
    token = mint("winter")
    assert site.get("/bound/1").status_code == 302
    assert site.get(f"/bound/1?waitline={token}").status_code == 303
    assert site.get("/bound/1").status_code == 200
    with httpx.Client(base_url=site.url, headers=PAGE) as other:
        assert other.get(f"/bound/1?waitline={token}").status_code == 403
        name = "waitline-pass-" + hashlib.sha256(b"winter").hexdigest()[:16]
        other.cookies.set(name, site.browser.cookies[name])
        assert other.get("/bound/1").status_code == 302


def test_a_pass_that_cannot_be_claimed_is_none(site: Site) -> None:
    site.queue.missing |= {"/api/v1/gate/claim"}
    site.queue.walk_in = mint("winter")
    assert site.get("/bound/1").status_code == 302
    assert site.get(f"/bound/1?waitline={mint('winter')}").status_code == 403
    assert site.get("/bound/1").status_code == 302


def test_observe_lets_everything_through(site: Site) -> None:
    assert site.get("/watched/1").text == "visitor=None"
    assert site.browser.post("/watched/1").status_code in {200, 403}


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take a queue as unreachable sooner, which no test can wait for."""
    monkeypatch.setattr(source, "UNREACHABLE_S", 2.0)


@pytest.mark.usefixtures("impatient")
def test_a_queue_that_fails(site: Site) -> None:
    site.keep(mint())
    assert site.get("/buy/1").status_code == 200
    site.queue.broken = True
    with httpx.Client(base_url=site.url, headers=PAGE) as other:
        # Until it is known that the queue is away, visitors are sent there.
        until(lambda: other.get("/buy/1").status_code == 200, SOON_S, "open")
        closed = other.get("/closed/1")
        assert (closed.status_code, closed.headers["retry-after"]) == (503, "10")
        assert "<h1>We are very busy</h1>" in closed.text
        # A good pass needs no call.
        assert site.get("/closed/1").text == "visitor=visitor-1"
        site.queue.broken = False
        until(lambda: other.get("/buy/1").status_code == 302, SOON_S, "the line is back")


@pytest.mark.usefixtures("impatient")
def test_a_queue_that_hangs_delays_nobody(site: Site) -> None:
    site.keep(mint())
    assert site.get("/buy/1").status_code == 200
    site.queue.held.clear()
    before = len(site.queue.calls)
    with httpx.Client(base_url=site.url, headers=PAGE, timeout=SOON_S) as other:
        until(lambda: other.get("/buy/1").status_code == 200, SOON_S, "the breaker opens")
        calls = len(site.queue.calls)
        for _ in range(50):
            assert other.get("/buy/1").status_code == 200
    # No request makes a call any longer; only the thread tries again.
    assert calls - before < 20
    assert len(site.queue.calls) - calls < 10


@pytest.mark.parametrize("site", ["django", "django-async"], indirect=True)
@pytest.mark.parametrize("path", ["/decorated", "/decorated-async"])
def test_a_django_view_is_guarded_whatever_the_rules_say(site: Site, path: str) -> None:
    assert site.get(path).status_code == 302
    assert site.get(f"{path}?waitline={mint()}").status_code == 303
    assert site.get(path).text == "visitor=visitor-1"
