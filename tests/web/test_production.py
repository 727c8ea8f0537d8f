"""Production mode: no call answers or acts without the visitor's ticket."""

import re

import httpx
import pytest

from tests.web.management import MANAGEMENT
from tests.web.stack import INSTANT, Room, Stack, events, refused, succeeded

COOKIE = re.compile(r"(__Host-waitline-[0-9a-f]{16})=(t1\.[^;]+)")

# What browsers insist on for a name with that prefix, and what keeps scripts and other sites off.
ATTRIBUTES = {"Path=/", "Secure", "HttpOnly", "SameSite=Lax"}

CALLS = [
    pytest.param("GET", "status", id="status"),
    pytest.param("POST", "activate", id="activate"),
    pytest.param("POST", "extend", id="extend"),
    pytest.param("DELETE", "remove", id="remove"),
    pytest.param("DELETE", "token", id="token"),
    pytest.param("GET", "subscribe", id="subscribe"),
]


@pytest.fixture
def room(production: Stack) -> Room:
    return production.room(mode="paused", admitPerSecond=1000)


def ask(room: Room, method: str, call: str, user: str, **headers: str) -> httpx.Response:
    who = room.who(user)
    named = {"json": who} if call == "extend" else {"params": who}
    path = f"/api/v1/queue/{call}"
    return room.stack.client.request(method, path, headers=headers, **named)  # type: ignore[arg-type]  # either is a mapping


def entered(room: Room, user: str = "u") -> tuple[str, str]:
    """Enter and return the ticket, and the cookie as a browser would send it back."""
    response = room.enter(user)
    ticket: str = succeeded(response, 201)["token"]
    pair, *attributes = response.headers["set-cookie"].split("; ")
    # As long as browsers keep any cookie: the ticket proves what was bought.
    assert set(attributes) == ATTRIBUTES | {f"Max-Age={400 * 86_400}"}
    found = COOKIE.fullmatch(pair)
    assert found is not None, pair
    assert found[2] == ticket
    return ticket, f"{found[1]}={found[2]}"


@pytest.mark.parametrize(("method", "call"), CALLS)
def test_refusals_tell_nothing(room: Room, method: str, call: str) -> None:
    entered(room)
    other, other_cookie = entered(room, "other")
    unknown = room.stack.unused()
    refusals = [
        ask(room, method, call, "u"),
        ask(room, method, call, "nobody"),
        ask(unknown, method, call, "u"),
        ask(room, method, call, "u", **{"X-Queue-Token": other}),
        ask(room, method, call, "nobody", **{"X-Queue-Token": other}),
        ask(room, method, call, "u", **{"X-Queue-Token": "t1.x.1.1.x"}),
        ask(room, method, call, "u", Cookie=other_cookie),
        ask(room, method, call, "nobody", Cookie="__Host-waitline-0=x; other=y"),
    ]
    for refusal in refusals:
        assert refused(refusal, 401, "Q003")["data"] is None
    bodies = {INSTANT.sub("…", refusal.text) for refusal in refusals}
    assert len(bodies) == 1
    received = [{**refusal.headers, "date": ""} for refusal in refusals]
    assert all(headers == received[0] for headers in received)
    # And nothing was done: the place is there, and still the first.
    assert room.show()["waiting"] == 2


@pytest.mark.parametrize("state", ["WAITING", "READY", "ACTIVE", "EXPIRED"])
@pytest.mark.parametrize(("method", "call"), CALLS)
def test_no_ticket_no_answer_in_any_state(
    production: Stack, states: dict[str, Room], state: str, method: str, call: str
) -> None:
    room = states[state]
    assert room.stack is production
    known = ask(room, method, call, "u")
    nobody = ask(room, method, call, "nobody")
    refused(known, 401, "Q003")
    assert INSTANT.sub("…", known.text) == INSTANT.sub("…", nobody.text)


@pytest.fixture(scope="package")
def states(production: Stack) -> dict[str, Room]:
    """Rooms in which the visitor `u` is in each state."""
    rooms = {}
    for state in ("WAITING", "READY", "ACTIVE", "EXPIRED"):
        rules = {"mode": "paused"} if state == "WAITING" else {"admitPerSecond": 1000}
        ttl = {"readySeconds": 0.2} if state == "EXPIRED" else {}
        rooms[state] = production.room(**rules, **ttl)
    tickets = {state: room.arrive() for state, room in rooms.items()}
    rooms["ACTIVE"].until("u", "READY", tickets["ACTIVE"])
    succeeded(rooms["ACTIVE"].activate("u", tickets["ACTIVE"]))
    for state, room in rooms.items():
        room.until("u", state, tickets[state])
    return rooms


@pytest.mark.parametrize("carried", ["header", "cookie"])
def test_with_the_ticket_everything_works(room: Room, carried: str) -> None:
    ticket, cookie = entered(room)
    mine = {"X-Queue-Token": ticket} if carried == "header" else {"Cookie": cookie}
    assert succeeded(ask(room, "GET", "status", "u", **mine))["status"] == "WAITING"
    refused(ask(room, "POST", "activate", "u", **mine), 401, "Q003")
    refused(ask(room, "POST", "extend", "u", **mine), 401, "Q003")
    refused(room.validate("u", ticket), 401, "Q003")

    client = room.stack.client
    path = "/api/v1/queue/subscribe"
    with client.stream("GET", path, params=room.who("u"), headers=mine) as stream:
        received = events(stream)
        assert next(received).name == "status-update"
        room.change(mode="open")
        assert [event.name for event in received] == ["status-update", "ready"]

    pass_ = succeeded(ask(room, "GET", "status", "u", **mine))["token"]
    succeeded(room.validate("u", pass_))
    assert succeeded(ask(room, "POST", "activate", "u", **mine))["status"] == "ACTIVE"
    for count in (1, 2):
        assert succeeded(ask(room, "POST", "extend", "u", **mine))["extendCount"] == count
    refused(ask(room, "POST", "extend", "u", **mine), 400, "Q005")
    succeeded(room.validate("u", ticket))
    # The pass proves as much as the ticket.
    assert succeeded(room.status("u", pass_))["status"] == "ACTIVE"
    for call in ("remove", "token"):
        assert succeeded(ask(room, "DELETE", call, "u", **mine)) is None
    refused(ask(room, "GET", "status", "u", **mine), 404, "Q001")


def test_a_repeat_without_the_ticket_tells_no_token(room: Room) -> None:
    ticket, cookie = entered(room)
    other, _ = entered(room, "other")
    for token in (None, other, "t1.x.1.1.x"):
        response = room.enter("u", token)
        data = succeeded(response, 201)
        shown = {value for name, value in data.items() if name not in room.who("u")}
        assert shown == {None, False}
        assert "set-cookie" not in response.headers
    for headers in ({"X-Queue-Token": ticket}, {"Cookie": cookie}):
        data = succeeded(room.enter("u", None, **headers), 201)
        assert (data["token"], data["isNewEntry"], data["position"]) == (ticket, False, 1)


def test_a_repeat_once_admitted(states: dict[str, Room]) -> None:
    for state in ("READY", "ACTIVE"):
        data = succeeded(states[state].enter(), 201)
        assert (data["token"], data["status"], data["isNewEntry"]) == (None, None, False)


def test_a_cookie_serves_its_room_only(production: Stack, room: Room) -> None:
    _, cookie = entered(room)
    elsewhere = production.room(mode="paused")
    own, own_cookie = entered(elsewhere)
    assert cookie.partition("=")[0] != own_cookie.partition("=")[0]
    both = {"Cookie": f"{cookie}; {own_cookie}; unrelated=1"}
    assert succeeded(ask(elsewhere, "GET", "status", "u", **both))["token"] == own
    value = cookie.partition("=")[2]
    stolen = {"Cookie": f"{own_cookie.partition('=')[0]}={value}"}
    refused(ask(elsewhere, "GET", "status", "u", **stolen), 401, "Q003")


def test_a_ticket_of_an_earlier_stay(room: Room) -> None:
    earlier, _ = entered(room)
    succeeded(room.remove("u", earlier))
    later, _ = entered(room)
    for answer in (
        room.status("u", earlier),
        room.activate("u", earlier),
        room.extend("u", earlier),
        room.remove("u", earlier),
        room.validate("u", earlier),
    ):
        refused(answer, 401, "Q003")
    assert succeeded(room.enter("u", earlier), 201)["token"] is None
    assert succeeded(room.status("u", later))["position"] == 1


def test_rooms_must_have_been_created(production: Stack) -> None:
    room = production.unused()
    refused(room.enter(), 404, "C004")
    refused(room.now_serving(), 404, "C004")
    refused(room.validate(), 404, "Q001")
    rooms = succeeded(production.client.get("/api/v1/rooms", headers=production.operator))
    assert room.name not in rooms["rooms"]


def test_what_anybody_may_still_ask(room: Room) -> None:
    client = room.stack.client
    for path in ("/api/v1/health", "/actuator/health", "/.well-known/jwks.json"):
        assert client.get(path).status_code == 200
    assert room.now_serving().status_code == 200


@pytest.mark.parametrize("path", MANAGEMENT)
def test_management_calls_are_no_calls_of_the_public_address(production: Stack, path: str) -> None:
    refused(production.client.get(path), 404, "C004")


def test_no_test_data_route(production: Stack) -> None:
    response = production.client.post("/api/admin/test-data/init")
    refused(response, 404, "C004")
