"""Passes that are bound to a browser: the claim, the gate, and the connectors."""

import json
import subprocess
from pathlib import Path

import httpx
import pytest
from playwright._impl._driver import compute_driver_executable

from tests.until import until
from tests.web.gated import HTML, Gated, cookie_name
from tests.web.stack import SOON_S, Room, refused, shows, succeeded
from waitline_connect import Connector
from waitline_connect.rules import Request

ORIGIN = "http://shop.example"
BINDING = Path(__file__).with_name("binding.js")
MINE, OTHERS = "m" * 22, "o" * 22


def guarded(site: Gated, **rules: object) -> Room:
    room = site.stack.room(admitPerSecond=1000, **rules)
    rule = {"name": "bound", "action": "queue", "room": room.name, "bind": True}
    site.protect({**rule, "when": {"path": ["/bound/*"]}})
    return room


class Browser:
    """A browser of the site, whose proxy asks the gate."""

    def __init__(self, site: Gated) -> None:
        self.site = site
        self.cookies: dict[str, str] = {}

    def get(self, target: str, **headers: str) -> httpx.Response:
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        given = {**HTML, **headers} | ({"cookie": cookie} if cookie else {})
        answer = self.site.ask(target, **given)
        for line in answer.headers.get_list("set-cookie"):
            assert "HttpOnly" in line
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value
        return answer


def claim(site: Gated, room: Room, user: str, token: str | None, browser: str) -> httpx.Response:
    body = room.who(user) | {"browser": browser}
    return site.stack.client.post("/api/v1/gate/claim", json=body, headers=shows(token))


def test_the_first_browser_to_claim_a_stay_keeps_it(site: Gated) -> None:
    room = guarded(site)
    token = site.pass_of(room, "ann")
    assert succeeded(claim(site, room, "ann", token, MINE)) is None
    assert succeeded(claim(site, room, "ann", token, MINE)) is None
    problem = refused(claim(site, room, "ann", token, OTHERS), 409, "C005")
    assert problem["type"] == "urn:waitline:problem:pass-used"
    # Nor with a later pass of the same stay.
    later = succeeded(room.extend("ann", token))["token"]
    refused(claim(site, room, "ann", later, OTHERS), 409, "C005")


def test_refusals_of_the_call(site: Gated) -> None:
    room = guarded(site)
    token = site.pass_of(room, "ann")
    for browser in ("short", "with space" * 3, "x" * 65):
        refused(claim(site, room, "ann", token, browser), 400, "C001")
    site.pass_of(room, "bob")
    refused(claim(site, room, "bob", token, MINE), 401, "Q003")
    refused(claim(site, room, "nobody", None, MINE), 404, "Q001")
    room.remove("ann", token)
    refused(claim(site, room, "ann", token, MINE), 401, "Q003")


def test_two_browsers_with_one_address_of_the_hand_over(site: Gated) -> None:
    room = guarded(site)
    first, second = Browser(site), Browser(site)
    assert first.get("/bound/1").status_code == 302
    # The secret comes with the way to the line.
    secret = first.cookies["waitline-browser"]
    token = site.pass_of(room, "ann")
    handed = first.get(f"/bound/1?waitline={token}")
    assert (handed.status_code, handed.headers["location"]) == (303, f"{ORIGIN}/bound/1")
    assert first.cookies["waitline-browser"] == secret
    assert first.cookies[cookie_name(room)].startswith(f"{token}~")
    assert first.get("/bound/1").headers["x-waitline-user"] == "ann"
    # Once more in the first browser is a repeat.
    assert first.get(f"/bound/1?waitline={token}").status_code == 303

    used = second.get(f"/bound/1?waitline={token}", Accept_Language="en")
    assert used.status_code == 403
    assert "in use in another browser" in used.text
    assert f"/rooms/{room.name}" in used.text
    assert cookie_name(room) not in second.cookies
    # Nor is the pass worth anything there in its cookie, in a header, or by its secret alone.
    second.get("/bound/1")
    for value in (token, first.cookies[cookie_name(room)], f"{token}~", f"{token}~{'A' * 43}"):
        second.cookies[cookie_name(room)] = value
        assert second.get("/bound/1").status_code == 302
    del second.cookies[cookie_name(room)]
    assert second.get("/bound/1", X_Queue_Token=token).status_code == 302
    assert first.get("/bound/1").status_code == 204


def test_a_browser_without_a_secret_gets_one_with_the_pass(site: Gated) -> None:
    room = guarded(site)
    browser = Browser(site)
    token = site.pass_of(room, "ann")
    assert browser.get(f"/bound/1?waitline={token}").status_code == 303
    assert set(browser.cookies) == {cookie_name(room), "waitline-browser"}
    assert browser.get("/bound/1").status_code == 204
    # nginx takes one cookie from each field.
    other = site.pass_of(room, "bob")
    described = {
        "X-Original-URL": f"{ORIGIN}/bound/1?waitline={other}", "X-Original-Method": "GET", **HTML,
    }  # fmt: skip
    answer = site.stack.client.get("/api/v1/gate?as=nginx", headers=described)
    assert answer.headers.get_list("set-cookie")[0].startswith(f"{cookie_name(room)}={other}~")
    assert len(answer.headers.get_list("set-cookie")) == 1
    assert answer.headers["x-waitline-browser"].startswith("waitline-browser=")


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        pytest.param("GET", {"Accept": "*/*"}, id="a preview"),
        pytest.param("GET", {**HTML, "Sec_Purpose": "prefetch"}, id="prefetch"),
        pytest.param("HEAD", HTML, id="head"),
    ],
)
def test_only_a_page_claims(site: Gated, method: str, headers: dict[str, str]) -> None:
    room = guarded(site)
    token = site.pass_of(room, "ann")
    assert site.ask(f"/bound/1?waitline={token}", method=method, **headers).status_code == 429
    assert Browser(site).get(f"/bound/1?waitline={token}").status_code == 303


def test_who_is_admitted_without_a_line_is_bound_too(site: Gated) -> None:
    room = guarded(site, standby="on")
    browser = Browser(site)
    until(lambda: browser.get("/bound/1").status_code == 204, SOON_S, "it admits at once")
    token, _, mark = browser.cookies[cookie_name(room)].partition("~")
    assert mark
    assert browser.get("/bound/1").headers["x-waitline-decision"] == "pass"
    assert Browser(site).get(f"/bound/1?waitline={token}").status_code == 403


def test_a_bound_pass_slides_and_stays_bound(site: Gated) -> None:
    room = guarded(site, activeSeconds=60, staySeconds=3_600)
    token = site.half_over(room, "ann")
    room.change(activeSeconds=600)
    browser = Browser(site)
    browser.get(f"/bound/1?waitline={token}")

    def renewed() -> bool:
        assert browser.get("/bound/1").status_code == 204
        return not browser.cookies[cookie_name(room)].startswith(f"{token}~")

    until(renewed, SOON_S, "it slides")
    assert "~" in browser.cookies[cookie_name(room)]
    assert browser.get("/bound/1").status_code == 204
    other = Browser(site)
    other.get("/bound/1")
    other.cookies[cookie_name(room)] = browser.cookies[cookie_name(room)]
    assert other.get("/bound/1").status_code == 302


def test_two_browsers_at_a_site_with_the_python_connector(site: Gated) -> None:
    room = guarded(site)
    connector = Connector(
        queue_url=site.stack.url, site_key=site.site_key.decode(), origins=[ORIGIN]
    )
    token = site.pass_of(room, "ann")

    def opened() -> tuple[str, str]:
        headers = {"accept": HTML["Accept"]}
        query = f"waitline={token}"
        found = connector.answer(Request("GET", "shop.example", "/bound/1", query, headers))
        pairs = [value.partition(";")[0] for name, value in found.headers if name == "Set-Cookie"]
        return found.outcome, "; ".join(pairs)

    outcome, cookies = opened()
    assert outcome == "exchange"
    again = Request("GET", "shop.example", "/bound/1", "", {"cookie": cookies})
    assert connector.answer(again).outcome == "pass"
    assert opened() == ("refused", "")
    connector.close()


def test_two_browsers_at_a_site_with_the_javascript_connector(site: Gated) -> None:
    room = guarded(site)
    token = site.pass_of(room, "ann")
    node, _ = compute_driver_executable()
    settings = {"queueUrl": site.stack.url, "siteKey": site.site_key.decode(), "origins": [ORIGIN]}
    done = subprocess.run(  # noqa: S603 - our own script
        [node, str(BINDING), json.dumps(settings), f"{ORIGIN}/bound/1", token],
        capture_output=True, check=False, text=True, timeout=SOON_S * 3,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"first": [303, 200], "second": [403, 302]}
