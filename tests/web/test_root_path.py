"""Below a path of a proxy's host, which takes the path off or leaves it: everything still works."""

import re

import pytest

from tests.web.conftest import ROOT, SHOP
from tests.web.stack import Stack, events, succeeded
from waitline.http.dispatch import Dispatcher
from waitline.kernel.errors import Misconfigured
from waitline.settings import load


@pytest.fixture
def stack(configured: Stack) -> Stack:
    return configured


def asset_folder(stack: Stack) -> str:
    """Return where the waiting page's files are."""
    found = re.search(r"pages/\w+", stack.client.get("/rooms/x").text)
    assert found is not None
    return found[0]


@pytest.mark.parametrize("root", [ROOT, ""], ids=["left", "taken off"])
def test_every_kind_of_call(stack: Stack, root: str) -> None:
    room = stack.room(admitPerSecond=1000)
    who = {"concertId": room.name, "userId": "u"}
    client = stack.client
    succeeded(client.post(f"{root}/api/v1/queue/enter", json=who), 201)
    document = client.get(f"{root}/api/v1/rooms/{room.name}/now-serving")
    assert document.status_code == 200
    assert client.head(f"{root}/api/v1/rooms/{room.name}/now-serving").status_code == 200
    with client.stream("GET", f"{root}/api/v1/queue/subscribe", params=who) as stream:
        assert stream.status_code == 200
        assert next(events(stream)).name
    operators = client.get(f"{root}/api/v1/rooms/{room.name}", headers=stack.operator)
    assert operators.status_code == 200
    for path in (
        "/",
        "/rules",
        f"/rooms/{room.name}",
        f"/{asset_folder(stack)}/waiting.js",
        "/docs",
        "/docs/docs.js",
        "/actuator/health/readiness",
        "/.well-known/jwks.json",
    ):
        assert client.get(root + path).status_code == 200, path
    assert client.get(f"{root}/openapi.json").json()["servers"] == [{"url": ROOT}]
    preflight = client.request(
        "OPTIONS",
        f"{root}/api/v1/queue/enter",
        headers={"Origin": SHOP, "Access-Control-Request-Method": "POST"},
    )
    assert preflight.status_code == 204
    assert client.put(f"{root}/api/v1/queue/enter").status_code == 405


@pytest.mark.parametrize("root", [ROOT, ""], ids=["left", "taken off"])
@pytest.mark.parametrize(
    "path", ["/nowhere", "/api/v1/queue/status", "/api/v1/rooms/none/now-serving"]
)
def test_problems_name_the_path_that_the_client_knows(stack: Stack, root: str, path: str) -> None:
    answer = stack.client.get(root + path)
    assert answer.status_code in (400, 404)
    assert answer.json()["instance"] == ROOT + path


def test_the_root_path_itself_leads_to_the_start_page(stack: Stack) -> None:
    answer = stack.client.get(f"{ROOT}?a=b")
    assert (answer.status_code, answer.headers["location"]) == (307, f"{ROOT}/?a=b")
    assert stack.client.get(ROOT).headers["location"] == f"{ROOT}/"
    assert stack.client.post(ROOT).status_code == 404
    assert stack.client.get(f"{ROOT}s/api/v1/health").status_code == 404


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/rooms?room=a/b%20c:d", "./rooms/a%2Fb%20c%3Ad"),
        ("/rooms/?room=x", "../rooms/x"),
        ("/rooms", "./"),
        ("/rooms/", "../"),
    ],
)
def test_redirects_are_relative(stack: Stack, path: str, location: str) -> None:
    for root in (ROOT, ""):
        assert stack.client.get(root + path).headers["location"] == location


def test_addresses_in_pages_do_not_begin_at_the_root(stack: Stack, trial: Stack) -> None:
    for path in ("/", "/rules", "/rooms/x", "/docs"):
        assert '="/' not in stack.client.get(path).text
    # Below a room with a slash no relative address is right for every proxy.
    folder = asset_folder(stack)
    assert f'src="{ROOT}/{folder}/waiting.js"' in stack.client.get("/rooms/a/b").text
    assert f'src="/{folder}/waiting.js"' in trial.client.get("/rooms/a/b").text
    for script in ("waiting", "visitor"):
        assert '"/' not in stack.client.get(f"/{folder}/{script}.js").text
    assert "servers" not in trial.client.get("/openapi.json").json()


@pytest.mark.parametrize(
    "wrong",
    ["", "/", "queue", "/queue/", "//queue", "/a//b", "/../a", "/./a", "/a b", "/a?b", "/a%20b",
     "/대기", "https://shop.example/queue", "/api", "/rooms/x", "/queue\n", " /queue",
     "/" + "a" * 200],
)  # fmt: skip
@pytest.mark.parametrize("name", ["queue_root_path", "booking_root_path"])
def test_bad_root_paths_are_refused_at_the_start(
    wrong: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    variable = f"WAITLINE_{name.upper()}"
    monkeypatch.setenv(variable, wrong)
    with pytest.raises(Misconfigured, match=rf"^{variable}: [^\n]+$"):
        load()


@pytest.mark.parametrize("right", ["/queue", "/a/b", "/apis", "/v1.0_~-x", "/..."])
def test_good_root_paths(right: str) -> None:
    assert load(queue_root_path=right, booking_root_path=right).queue_root_path == right


@pytest.mark.parametrize(
    ("path", "below"),
    [("/q", ""), ("/q/", "/"), ("/q/a", "/a"), ("/a", "/a"), ("/qa", "/qa"), ("/q/q/a", "/q/a"),
     ("*", "*"), ("", ""), ("/a/q/b", "/a/q/b")],
)  # fmt: skip
def test_what_is_below_the_root_path(path: str, below: str) -> None:
    dispatcher = object.__new__(Dispatcher)
    dispatcher.root_path = "/q"
    assert dispatcher.below_root(path) == below
