"""The Python connector with the real queue: it fetches rules, keys, and who has left."""

import json
from base64 import urlsafe_b64decode
from urllib.parse import parse_qs, urlsplit

from tests.until import until
from tests.web.gated import HTML, Gated
from tests.web.stack import SOON_S
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
