"""Debian's Caddy and HAProxy in front of a site, with the configurations that we ship."""

import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.processes import started
from tests.servers import IN_CI
from tests.until import until
from tests.web.gated import HTML, Gated, cookie_name
from tests.web.stack import SOON_S, Room
from tests.web.test_gate_nginx import shop
from waitline.trial.machine import free_port

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"

# Seconds until a proxy listens, on a machine that runs other tests as well.
LISTENS_S = 30.0

PROXIES = ["caddy", "haproxy"]

pytestmark = pytest.mark.long


def program(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if found is None:
        missing = pytest.fail if IN_CI else pytest.skip
        missing(f"{name} is missing: apt-get install {name}")
    return found


@contextmanager
def proxied(kind: str, folder: Path, gate: int, site: int, site_key: str) -> Iterator[str]:
    """Run a proxy with our configuration and these addresses; return its own."""
    port = free_port()

    def localized(text: str) -> str:
        text = text.replace("127.0.0.1:8081", f"127.0.0.1:{gate}")
        text = text.replace("127.0.0.1:3000", f"127.0.0.1:{site}")
        text = text.replace("http://shop.example {", f"http://127.0.0.1:{port} {{")
        return text.replace("bind :80", f"bind 127.0.0.1:{port}").replace(
            "/etc/haproxy", str(folder)
        )

    if kind == "caddy":
        config = folder / "Caddyfile"
        text = "{\n\tadmin off\n}\n" + localized((DEPLOY / "caddy/Caddyfile").read_text("utf-8"))
        argv = ["run", "--config", str(config), "--adapter", "caddyfile"]
    else:
        config = folder / "haproxy.cfg"
        text = localized((DEPLOY / "haproxy/haproxy.cfg").read_text("utf-8"))
        script = (DEPLOY / "haproxy/gate.lua").read_text("utf-8")
        (folder / "gate.lua").write_text(localized(script), "utf-8")
        shutil.copy(ROOT / "connectors/lua/waitline.lua", folder)
        argv = ["-db", "-f", str(config)]
    config.write_text(text, "utf-8")
    env = {"WAITLINE_SITE_KEY": site_key, "HOME": str(folder), "XDG_DATA_HOME": str(folder)}

    def listens() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    with started([program(kind), *argv], env, listens, LISTENS_S):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def room(site: Gated) -> Room:
    made = site.stack.room(admitPerSecond=1000)
    rule = {"name": "buy", "action": "queue", "room": made.name}
    site.protect({**rule, "when": {"host": ["127.0.0.1"], "path": ["/buy/*"]}})
    return made


@pytest.fixture(scope="module", params=PROXIES)
def browser(
    request: pytest.FixtureRequest, site: Gated, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """A client of the site behind a proxy."""
    gate = site.stack.client.base_url.port or 80
    folder = tmp_path_factory.mktemp(request.param)
    with (
        shop() as port,
        proxied(request.param, folder, gate, port, site.site_key.decode()) as url,
        httpx.Client(base_url=url, headers=HTML, timeout=SOON_S) as client,
    ):
        yield client


def test_a_visitor_goes_to_the_line_and_comes_back(
    site: Gated, room: Room, browser: httpx.Client
) -> None:
    assert browser.get("/about").text == "GET /about of "
    sent = browser.get("/buy/1?a=1")
    assert sent.status_code == 302
    assert f"/rooms/{room.name}?return=" in sent.headers["location"]
    # Both proxies share the room.
    visitor = f"ann-{browser.base_url.port}"
    token = site.pass_of(room, visitor)
    back = browser.get(f"/buy/1?a=1&waitline={token}")
    assert back.status_code == 303
    assert back.headers["location"] == f"{browser.base_url}/buy/1?a=1".replace("//buy", "/buy")
    assert back.headers["set-cookie"].startswith(f"{cookie_name(room)}=")
    shown = browser.get("/buy/1?a=1", headers={"X-Waitline-User": "root"})
    assert shown.text == f"GET /buy/1?a=1 of {visitor}"
    posted = browser.post("/buy/1", content=b"x" * 10_000)
    assert posted.text == f"POST /buy/1 of {visitor}"
    browser.cookies.clear()
    assert browser.get("/buy/1").status_code == 302


def test_scripts_and_forms_get_their_answers(room: Room, browser: httpx.Client) -> None:
    call = browser.get("/buy/1", headers={"Accept": "application/json"})
    assert (call.status_code, call.headers["retry-after"]) == (429, "10")
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
        "X-Forwarded-Uri": "/about", "X-Forwarded-Method": "OPTIONS", "X-Waitline-User": "root",
    }  # fmt: skip
    assert browser.get("/buy/1", headers=forged).status_code == 302
    assert browser.get("/about", headers=forged).text == "GET /about of "
    for target in ("/x/../buy/1", "//buy/1", "/%62uy/1", "/buy%2F1"):
        raw = httpx.URL(str(browser.base_url)).copy_with(raw_path=target.encode())
        assert browser.get(raw).status_code == 302, target


@pytest.mark.parametrize("kind", PROXIES)
def test_while_the_gate_is_down_visitors_pass(kind: str, tmp_path: Path) -> None:
    # No server listens on the gate's port: a connection to port 1 is refused.
    with shop() as port, proxied(kind, tmp_path, 1, port, "of no use") as url:
        answer = httpx.get(f"{url}/buy/1", headers={"X-Waitline-User": "x"}, timeout=SOON_S)
    assert (answer.status_code, answer.text) == (200, "GET /buy/1 of ")


@pytest.mark.usefixtures("room")
def test_haproxy_asks_about_guarded_requests_alone(site: Gated, tmp_path: Path) -> None:
    gate = site.stack.client.base_url.port or 80

    def counted(decision: str) -> float:
        lines = site.stack.metrics().splitlines()
        found = [line for line in lines if line.startswith("gate_decisions_total{")]
        assert found
        return sum(float(one.rpartition(" ")[2]) for one in found if f'"{decision}"' in one)

    with (
        shop() as port,
        proxied("haproxy", tmp_path, gate, port, site.site_key.decode()) as url,
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
