"""Answers of the gate that Debian's nginx keeps, with the configuration that we ship.

What it has in common with other proxies is in `test_gate_proxies.py`.
"""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests import nginx
from tests.until import until
from tests.web.gated import HTML, Gated, cookie_name
from tests.web.proxies import shop
from tests.web.stack import SOON_S, Room

ROOT = Path(__file__).parents[2]
CONFIG = (ROOT / "deploy" / "nginx" / "gate.conf").read_text("utf-8")

pytestmark = nginx.needed


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


def test_a_client_cannot_call_the_location_of_the_gate(browser: httpx.Client) -> None:
    assert browser.get("/waitline-gate").status_code == 404
