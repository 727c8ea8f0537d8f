"""The connectors with the real queue: rules, keys, who has left, and standby."""

import json
import subprocess
from base64 import urlsafe_b64decode
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright._impl._driver import compute_driver_executable

from tests.until import until
from tests.web.gated import HTML, Gated
from tests.web.stack import SOON_S, Room
from waitline_connect import Connector
from waitline_connect.decision import Decision
from waitline_connect.rules import Request

ORIGIN = "http://shop.example"


def test_a_connector_follows_the_queue(site: Gated) -> None:
    room = site.stack.room(admitPerSecond=1000)
    rule = {"name": "connected", "action": "queue", "room": room.name}
    site.protect({**rule, "when": {"path": ["/connected/*"]}})
    connector = Connector(
        queue_url=site.stack.url, site_key=site.site_key.decode(), origins=[ORIGIN]
    )

    def answer(query: str = "", cookie: str = "") -> Decision:
        headers = {"accept": HTML["Accept"], "cookie": cookie}
        return connector.answer(Request("GET", "shop.example", "/connected/1", query, headers))

    waits = answer("a=1")
    assert waits.outcome == "wait"
    back = parse_qs(urlsplit(dict(waits.headers)["Location"]).query)["return"][0]
    # The queue accepts the way back that the connector has signed.
    checked = site.stack.client.get(
        "/api/v1/gate/return", params={"room": room.name, "return": back}
    )
    assert checked.json()["data"] == {"url": f"{ORIGIN}/connected/1?a=1"}
    text = back.partition(".")[0]
    assert json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))["r"] == room.name

    token = site.pass_of(room, "connected")
    exchanged = answer(f"a=1&waitline={token}")
    assert exchanged.outcome == "exchange"
    cookie = next(
        value.partition(";")[0]
        for name, value in exchanged.headers
        if name == "Set-Cookie" and "-pass-" in value
    )
    found = answer(cookie=cookie)
    assert found.outcome == "pass"
    assert found.visit is not None
    assert found.visit.visitor == "connected"

    # The site ends the visit: the queue says so to every connector.
    request = Request("GET", "shop.example", "/connected/1", "", {})
    connector.finish(request, found, leave=True)
    until(lambda: answer(cookie=cookie).outcome == "wait", SOON_S, "the pass is revoked")
    connector.close()


WALKING_IN = Path(__file__).with_name("walking_in.js")


def standing_by(site: Gated) -> Room:
    """Return a room that stands by with two slots, and guards the pages of the site."""
    room = site.stack.room(standby="on", admitPerSecond=1000, activeMax=2)
    rule = {"name": "standing by", "action": "queue", "room": room.name}
    site.protect({**rule, "when": {"path": ["/connected/*"]}})
    return room


def test_a_connector_admits_while_there_is_no_line(site: Gated) -> None:
    room = standing_by(site)
    connector = Connector(
        queue_url=site.stack.url, site_key=site.site_key.decode(), origins=[ORIGIN]
    )
    page = Request("GET", "shop.example", "/connected/1", "", {"accept": HTML["Accept"]})
    admitted: list[Decision] = []

    def two_are_inside() -> bool:
        found = connector.answer(page)
        if found.outcome == "pass":
            admitted.append(found)
        return len(admitted) == 2

    until(two_are_inside, SOON_S, "both slots are taken")
    visits = [found.visit for found in admitted]
    assert [visit.place for visit in visits if visit is not None] == [1, 2]
    # The browser keeps the pass: the gate accepts it as well.
    for found, visit in zip(admitted, visits, strict=True):
        assert visit is not None
        assert any("-pass-" in value for name, value in found.headers if name == "Set-Cookie")
        asked = site.ask("/connected/1", X_Queue_Token=visit.token, **HTML)
        assert asked.headers["x-waitline-user"] == visit.visitor
    assert connector.answer(page).outcome == "wait"
    assert room.show()["totals"]["entered"] == 2
    connector.close()


def test_the_javascript_connector_admits_while_there_is_no_line(site: Gated) -> None:
    room = standing_by(site)
    node, _ = compute_driver_executable()
    settings = {"queueUrl": site.stack.url, "siteKey": site.site_key.decode(), "origins": [ORIGIN]}
    done = subprocess.run(  # noqa: S603 - our own script
        [node, str(WALKING_IN), json.dumps(settings), f"{ORIGIN}/connected/1"],
        capture_output=True,
        check=False,
        text=True,
        timeout=SOON_S * 3,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"rooms": [room.name] * 2, "places": [1, 2], "then": 302}
    assert room.show()["totals"]["entered"] == 2


@pytest.mark.parametrize("key", ["", "another-key-of-some-site"])
def test_only_sites_may_admit_without_a_line(site: Gated, key: str) -> None:
    room = standing_by(site)
    body, headers = {"concertId": room.name}, {"X-Site-Key": key}
    answer = site.stack.client.post("/api/v1/gate/walk-in", json=body, headers=headers)
    assert answer.status_code == 401
    assert answer.json()["type"] == "urn:waitline:problem:site-key-refused"
    assert room.show()["totals"]["entered"] == 0


def test_a_room_that_does_not_stand_by_has_a_line(site: Gated) -> None:
    room = site.stack.room(admitPerSecond=1000)
    headers = {"X-Site-Key": site.site_key.decode()}
    answer = site.stack.client.post(
        "/api/v1/gate/walk-in", json={"concertId": room.name}, headers=headers
    )
    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:waitline:problem:line-formed"
