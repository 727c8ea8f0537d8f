"""Writes with a visitor's cookie: browsers say where a call comes from, and only our pages may."""

import httpx
import pytest

from tests.web.stack import Room, Stack, refused, succeeded

HERE = "http://{host}"
ELSEWHERE = "https://evil.example"

OTHERS = [
    pytest.param({"Origin": ELSEWHERE, "Sec-Fetch-Site": "cross-site"}, id="another site"),
    pytest.param({"Origin": ELSEWHERE}, id="another site, older browser"),
    pytest.param({"Origin": "null"}, id="sandboxed frame"),
    # `SameSite` lets this one through, in every browser.
    pytest.param({"Origin": "http://x.example", "Sec-Fetch-Site": "same-site"}, id="neighbour"),
]
OURS = [
    pytest.param({"Origin": HERE, "Sec-Fetch-Site": "same-origin"}, id="our page"),
    pytest.param({"Origin": HERE}, id="our page, older browser"),
    pytest.param({}, id="program"),
]
CALLS = [("POST", "activate"), ("POST", "extend"), ("DELETE", "remove"), ("DELETE", "token")]


class Visit:
    """An admitted visitor's browser, which keeps the cookie."""

    def __init__(self, stack: Stack, user: str = "u") -> None:
        self.room: Room = stack.room()
        response = self.room.enter(user)
        self.ticket: str = succeeded(response, 201)["token"]
        self.cookie = {"Cookie": response.headers["set-cookie"].partition(";")[0]}
        self.who = self.room.who(user)
        self.room.until(user, "READY", self.ticket)

    def call(self, method: str, verb: str, headers: dict[str, str]) -> httpx.Response:
        named = {"json": self.who} if verb == "extend" else {"params": self.who}
        path = f"/api/v1/queue/{verb}"
        return self.room.stack.client.request(method, path, headers=headers, **named)  # type: ignore[arg-type]  # either is a mapping

    def state(self) -> str:
        status: str = succeeded(self.room.status("u", self.ticket))["status"]
        return status


@pytest.fixture(scope="module")
def visit(production: Stack) -> Visit:
    return Visit(production)


@pytest.mark.parametrize(("method", "verb"), CALLS)
@pytest.mark.parametrize("headers", OTHERS)
def test_no_other_page_writes(
    visit: Visit, method: str, verb: str, headers: dict[str, str]
) -> None:
    problem = refused(visit.call(method, verb, {**visit.cookie, **headers}), 403, "C003")
    assert problem["type"] == "urn:waitline:problem:cross-site"
    assert visit.state() == "READY"


@pytest.mark.parametrize("headers", OTHERS)
def test_a_token_in_a_header_is_sent_by_no_browser_on_its_own(
    production: Stack, headers: dict[str, str]
) -> None:
    visit = Visit(production)
    shown = {**visit.cookie, **headers, "X-Queue-Token": visit.ticket}
    assert succeeded(visit.call("POST", "activate", shown))["status"] == "ACTIVE"


@pytest.mark.parametrize("headers", OURS)
def test_our_pages_write(production: Stack, headers: dict[str, str]) -> None:
    visit = Visit(production)
    sent = visit.cookie | of_this(production, headers)
    assert succeeded(visit.call("POST", "activate", sent))["status"] == "ACTIVE"
    assert succeeded(visit.call("DELETE", "remove", sent)) is None


@pytest.mark.parametrize("headers", OTHERS)
@pytest.mark.parametrize("action", ["join", "leave"])
def test_no_other_page_posts_forms(production: Stack, action: str, headers: dict[str, str]) -> None:
    room = production.room(mode="paused")
    cookie = {"Cookie": "waitline-cookies=1"} if action == "join" else post(room, "join")
    refused(form(room, action, {**cookie, **headers}), 403, "C003")
    assert room.show()["waiting"] == (action == "leave")


@pytest.mark.parametrize("headers", OURS)
def test_our_forms_post(production: Stack, headers: dict[str, str]) -> None:
    room = production.room(mode="paused")
    headers = of_this(production, headers)
    cookie = post(room, "join", **headers)
    assert room.show()["waiting"] == 1
    post(room, "leave", **cookie, **headers)
    assert room.show()["waiting"] == 0


def form(room: Room, action: str, headers: dict[str, str]) -> httpx.Response:
    """Press a button of the page without scripts."""
    path = f"/rooms/{room.name}?plain"
    return room.stack.client.post(path, data={"do": action}, headers=headers)


def post(room: Room, action: str, **headers: str) -> dict[str, str]:
    """Press a button, which works, and return the cookies that the browser has then."""
    answer = form(room, action, {"Cookie": "waitline-cookies=1", **headers})
    assert answer.status_code == 303
    given = [line.partition(";")[0] for line in answer.headers.get_list("set-cookie")]
    return {"Cookie": "; ".join(given)}


def of_this(stack: Stack, headers: dict[str, str]) -> dict[str, str]:
    """Return the headers with the stack's own address in them."""
    host = stack.client.base_url.netloc.decode("ascii")
    return {name: value.format(host=host) for name, value in headers.items()}
