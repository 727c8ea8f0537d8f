"""Stays that slide: by the call of sites, by the gate, and by the connectors."""

import json
import subprocess
import threading
from pathlib import Path

import httpx
import jwt
import pytest
from playwright._impl._driver import compute_driver_executable

from tests.until import until
from tests.web.gated import HTML, SEEMS_OLDER_S, Gated, cookie_name
from tests.web.stack import SOON_S, Room, instant_ms, refused, shows, succeeded
from waitline.kernel.clock import SystemClock
from waitline_connect import Connector
from waitline_connect.rules import Request

ORIGIN = "http://shop.example"
SLIDING = Path(__file__).with_name("sliding.js")

TTL_S, LATER_TTL_S, STAY_S = 60, 600, 300
"""A turn as it begins, and after the room was changed: a slide moves its end by minutes at once."""


def guarded(site: Gated, **rules: object) -> Room:
    room = site.stack.room(admitPerSecond=1000, activeSeconds=TTL_S, staySeconds=STAY_S, **rules)
    site.protect(
        {"name": "buy", "action": "queue", "room": room.name, "when": {"path": ["/buy/*"]}}
    )
    return room


def inside(site: Gated, room: Room) -> tuple[str, int]:
    """Return a pass whose first half is over, and the second in which its visitor was admitted."""
    token = site.half_over(room, "ann")
    room.change(activeSeconds=LATER_TTL_S)
    return token, claims(token)["iat"] + SEEMS_OLDER_S


def claims(token: str) -> dict[str, int]:
    found: dict[str, int] = jwt.decode(token, options={"verify_signature": False})
    return found


def slide(site: Gated, room: Room, token: str | None, user: str = "ann") -> httpx.Response:
    return site.stack.client.post("/api/v1/gate/slide", json=room.who(user), headers=shows(token))


def new_pass(answer: httpx.Response) -> str:
    """Return the pass in the cookie of an answer; empty if there is none."""
    return str(answer.headers.get("set-cookie", "")).partition(";")[0].partition("=")[2]


def end_s(room: Room, user: str = "ann") -> float:
    return instant_ms(succeeded(room.status(user))["expiredAt"]) / 1_000


def test_the_call_answers_as_extend_does(site: Gated) -> None:
    room = guarded(site)
    token, admitted_s = inside(site, room)
    data = succeeded(slide(site, room, token))
    assert (data["status"], data["extendCount"], data["position"]) == ("ACTIVE", 0, 0)
    # The turn is ten minutes long by now, but a stay no longer than five.
    end = instant_ms(data["expiredAt"]) / 1_000 - STAY_S
    assert admitted_s <= end <= admitted_s + 1
    assert claims(data["token"])["exp"] == -(-instant_ms(data["expiredAt"]) // 1_000)
    # The pass says when it was issued, and lasts no longer after another call.
    assert claims(data["token"])["iat"] >= claims(token)["iat"] + SEEMS_OLDER_S
    again = succeeded(slide(site, room, data["token"]))
    assert (again["token"], again["expiredAt"]) == (data["token"], data["expiredAt"])
    assert succeeded(room.extend("ann", data["token"]))["extendCount"] == 1


def test_a_room_whose_stays_do_not_slide(site: Gated) -> None:
    room = guarded(site)
    token, _ = inside(site, room)
    room.change(staySeconds=0)
    before_s = end_s(room)
    assert succeeded(slide(site, room, token))["token"] == token
    assert end_s(room) == before_s


def test_refusals_of_the_call(site: Gated) -> None:
    room = guarded(site)
    token = site.pass_of(room, "ann")
    # Another visitor's pass, nobody's, and one of a visitor who still waits.
    site.pass_of(room, "bob")
    refused(slide(site, room, token, "bob"), 401, "Q003")
    refused(slide(site, room, None, "nobody"), 404, "Q001")
    room.change(mode="paused")
    room.arrive("waits")
    refused(slide(site, room, None, "waits"), 401, "Q003")
    room.remove("ann", token)
    refused(slide(site, room, token), 401, "Q003")
    room.change(mode="open", activeSeconds=1)
    brief = site.pass_of(room, "brief")
    room.change(staySeconds=0)
    until(lambda: slide(site, room, brief, "brief").status_code == 401, SOON_S, "the stay is over")
    refused(slide(site, room, brief, "brief"), 401, "Q002")


def test_the_gate_slides_once_in_the_second_half(site: Gated) -> None:
    room = guarded(site)
    token, admitted_s = inside(site, room)
    fresh = site.pass_of(room, "fresh")

    def ask(value: str, **headers: str) -> httpx.Response:
        answer = site.ask("/buy/1", cookie=f"{cookie_name(room)}={value}", **headers)
        assert (answer.status_code, answer.headers["x-waitline-decision"]) == (204, "pass")
        return answer

    # The first half of a pass costs no call, nor does a client that has no cookie to renew.
    assert not new_pass(ask(fresh))
    assert not new_pass(site.ask("/buy/1", X_Queue_Token=token, **HTML))
    first = ask(token, Accept="image/png")
    later = new_pass(first)
    assert admitted_s <= claims(later)["exp"] - STAY_S <= admitted_s + 1
    assert claims(later)["exp"] > claims(token)["exp"] + 60
    cookie = first.headers["set-cookie"]
    assert cookie.startswith(f"{cookie_name(room)}=")
    assert "HttpOnly" in cookie
    # Not with every request, and the new pass is good.
    assert not any(new_pass(ask(value)) for value in [token, later] * 5)
    assert end_s(room) == pytest.approx(claims(later)["exp"], abs=1)


@pytest.mark.parametrize(
    "rules",
    [pytest.param({"staySeconds": 0}, id="none"), pytest.param({"mode": "closed"}, id="closed")],
)
def test_nothing_slides_in_such_a_room(site: Gated, rules: dict[str, object]) -> None:
    room = guarded(site)
    token, _ = inside(site, room)
    # The worker may not know it yet; the script does.
    room.change(**rules)
    before_s = end_s(room)
    for _ in range(3):
        answer = site.ask("/buy/1", cookie=f"{cookie_name(room)}={token}")
        assert answer.status_code == 204
        assert not new_pass(answer)
    assert end_s(room) == before_s


def connector_of(site: Gated) -> Connector:
    return Connector(queue_url=site.stack.url, site_key=site.site_key.decode(), origins=[ORIGIN])


def test_the_python_connector_slides_in_the_background(site: Gated) -> None:
    room = guarded(site)
    token, _ = inside(site, room)
    connector = connector_of(site)
    cookie = f"{cookie_name(room)}={token}"
    request = Request("GET", "shop.example", "/buy/1", "", {"cookie": cookie} | _ACCEPT)
    connector.load()

    def renewed() -> str:
        found = connector.decide(request)
        assert found.outcome == "pass"
        headers = connector.finish(request, found, leave=False)
        return "".join(value for _, value in headers).partition(";")[0].partition("=")[2]

    # No answer waits for the call.
    assert not renewed()
    until(lambda: bool(renewed()), SOON_S, "the pass is renewed")
    assert claims(renewed())["exp"] > claims(token)["exp"] + 60
    assert end_s(room) == pytest.approx(claims(renewed())["exp"], abs=1)
    connector.close()


_ACCEPT = {"accept": HTML["Accept"]}


def test_the_javascript_connector_slides_in_the_background(site: Gated) -> None:
    room = guarded(site)
    token, _ = inside(site, room)
    node, _ = compute_driver_executable()
    settings = {"queueUrl": site.stack.url, "siteKey": site.site_key.decode(), "origins": [ORIGIN]}
    done = subprocess.run(  # noqa: S603 - our own script
        [node, str(SLIDING), json.dumps(settings), f"{ORIGIN}/buy/1",
         f"{cookie_name(room)}={token}"],
        capture_output=True, check=False, text=True, timeout=SOON_S * 3,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["first"] is None
    renewed = seen["renewed"].partition(";")[0].partition("=")[2]
    assert claims(renewed)["exp"] > claims(token)["exp"] + 60
    assert end_s(room) == pytest.approx(claims(renewed)["exp"], abs=1)


@pytest.mark.long
def test_an_active_visitor_keeps_the_slot_up_to_the_longest_stay_and_an_idle_one_does_not(
    site: Gated,
) -> None:
    """In real time: each half of a turn is long enough for a busy machine."""
    ttl_s, stay_s = 16, 40
    room = site.stack.room(admitPerSecond=1000, activeSeconds=ttl_s, staySeconds=stay_s)
    site.protect(
        {"name": "buy", "action": "queue", "room": room.name, "when": {"path": ["/buy/*"]}}
    )
    token = site.pass_of(room, "active")
    site.pass_of(room, "idle")
    admitted_s = claims(token)["iat"]
    held_s = 0.0
    while True:
        answer = site.ask("/buy/1", cookie=f"{cookie_name(room)}={token}", **HTML)
        if answer.status_code != 204:
            break
        held_s = SystemClock().now_ms() / 1_000 - admitted_s
        token = new_pass(answer) or token
        threading.Event().wait(0.2)
        if held_s > ttl_s + 5:
            assert succeeded(room.status("idle"))["status"] == "EXPIRED"
    assert ttl_s + 5 < held_s < stay_s + 2
    until(lambda: room.show()["admitted"] == 0, SOON_S, "the slots are free")
