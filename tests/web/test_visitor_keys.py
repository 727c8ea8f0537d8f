"""Production mode: who gets a place's token again from `enter`, and what everybody else learns."""

import asyncio
import itertools

import httpx
import pytest

from tests.web.stack import INSTANT, Room, Stack, refused, succeeded
from waitline.kernel.ids import RoomId, VisitorId
from waitline.queue import keys
from waitline.tokens.marks import earlier_mark
from waitline.valkey.client import ValkeyClient

KEY = "k" * 16
OTHER_KEY = "K" * 16

NOTHING = {
    "position": None,
    "totalWaiting": None,
    "estimatedWaitMinutes": None,
    "status": None,
    "token": None,
    "isNewEntry": False,
}

STATES = ["WAITING", "READY", "ACTIVE"]
WAYS = ["nothing", "right key", "wrong key", "key in another case", "token", "pass", "cookie"]
PROVES = {"right key", "token", "pass", "cookie"}


class Stay:
    """A visitor's stay, and all that proves it."""

    def __init__(self, room: Room, state: str) -> None:
        self.room = room
        response = room.enter("u", **{"X-Visitor-Key": KEY})
        self.ticket: str = succeeded(response, 201)["token"]
        self.cookie = response.headers["set-cookie"].partition(";")[0]
        if state == "ACTIVE":
            room.until("u", "READY", self.ticket)
            succeeded(room.activate("u", self.ticket))
        self.token: str = room.until("u", state, self.ticket)["token"]

    def enter(self, way: str) -> httpx.Response:
        headers = {
            "nothing": {},
            "right key": {"X-Visitor-Key": KEY},
            "wrong key": {"X-Visitor-Key": OTHER_KEY},
            "key in another case": {"X-Visitor-Key": KEY.upper()},
            "token": {"X-Queue-Token": self.ticket},
            "pass": {"X-Queue-Token": self.token},
            "cookie": {"Cookie": self.cookie},
        }
        return self.room.enter("u", **headers[way])


@pytest.fixture(scope="module")
def stays(production: Stack) -> dict[str, Stay]:
    """One stay in each state."""
    rooms = {
        state: production.room(**({"mode": "paused"} if state == "WAITING" else {}))
        for state in STATES
    }
    return {state: Stay(room, state) for state, room in rooms.items()}


@pytest.mark.parametrize(("state", "way"), [*itertools.product(STATES, WAYS)])
def test_who_gets_the_token_again(stays: dict[str, Stay], state: str, way: str) -> None:
    stay = stays[state]
    response = stay.enter(way)
    data = succeeded(response, 201)
    if way not in PROVES:
        assert data == stay.room.who("u") | NOTHING
        return
    assert (data["token"], data["status"], data["isNewEntry"]) == (stay.token, state, False)
    assert data["position"] == (1 if state == "WAITING" else 0)
    # The cookie may have been lost with the answer: it holds the ticket, which outlives the pass.
    assert response.headers["set-cookie"].partition(";")[0] == stay.cookie


def test_somebody_else_learns_nothing_of_the_place(stays: dict[str, Stay]) -> None:
    """One answer for all states and all that proves nothing: body and headers, to the byte."""
    answers = [stay.enter(way) for stay in stays.values() for way in WAYS if way not in PROVES]
    names = {stay.room.name for stay in stays.values()}
    for answer in answers:
        assert not {"set-cookie", "retry-after", "etag"} & set(answer.headers)
    bodies = {answer.text for answer in answers}
    assert len(bodies) == len(names)
    sizes = {answer.headers["content-length"] for answer in answers}
    received = [{**answer.headers, "date": "", "content-length": ""} for answer in answers]
    assert all(headers == received[0] for headers in received)
    assert len(sizes) == len({len(name) for name in names})
    assert not any(INSTANT.search(body) for body in bodies)


@pytest.mark.parametrize(
    "key",
    [
        pytest.param("k" * 15, id="short"),
        pytest.param("k" * 129, id="long"),
        pytest.param("", id="empty"),
        pytest.param("k" * 16 + " k", id="space"),
        pytest.param("k" * 16 + "\t" + "k", id="tab"),
        pytest.param("é" * 16, id="beyond ASCII"),
    ],
)
def test_no_such_key(stays: dict[str, Stay], key: str) -> None:
    room = stays["WAITING"].room
    headers = [(b"X-Visitor-Key", key.encode("latin-1"))]
    for user in ("u", "newcomer"):
        response = room.stack.client.post(
            "/api/v1/queue/enter", json=room.who(user), headers=headers
        )
        assert "X-Visitor-Key" in refused(response, 400, "C001")["detail"]
    assert room.show()["waiting"] == 1


@pytest.mark.parametrize("key", ["!" * 16, "~" * 128, ":|:|:|:|:|:|:|:|", "a,b;c=d+\"e'f%00\\"])
def test_keys_of_any_characters(production: Stack, key: str) -> None:
    room = production.room(mode="paused")
    headers = {"X-Visitor-Key": key}
    token = succeeded(room.enter("u", **headers), 201)["token"]
    assert succeeded(room.enter("u", **headers), 201)["token"] == token
    assert succeeded(room.status("u", token))["token"] == token


def test_a_key_serves_its_visitor_and_room_only(production: Stack) -> None:
    room, elsewhere = production.room(mode="paused"), production.room(mode="paused")
    headers = {"X-Visitor-Key": KEY}
    tokens = {
        succeeded(where.enter(user, **headers), 201)["token"]
        for where in (room, elsewhere)
        for user in ("u", "v")
    }
    assert len(tokens) == 4


@pytest.mark.parametrize("way", WAYS)
def test_only_its_visitor_keeps_a_place_alive(production: Stack, way: str) -> None:
    """A stranger who names the visitor is no contact of the visitor's."""
    stay = Stay(production.room(mode="paused"), "WAITING")
    long_ago = silenced(stay.room, "u")
    for _ in range(2):
        stay.enter(way)
    assert (heard(stay.room, "u") != long_ago) == (way in PROVES)


def test_a_token_of_an_earlier_stay_keeps_no_place_alive(production: Stack) -> None:
    """Who comes later under the same number is somebody else, and may fall silent."""
    first = Stay(production.room(mode="paused"), "WAITING")
    room = first.room
    succeeded(room.remove("u", first.ticket))
    later = succeeded(room.enter("u", **{"X-Visitor-Key": "a" * 16}), 201)["token"]
    long_ago = silenced(room, "u")
    refused(room.status("u", first.ticket), 401, "Q003")
    with room.subscribe("u", first.ticket) as stream:
        refused(stream, 401, "Q003")
    for way in WAYS:
        assert succeeded(first.enter(way), 201)["token"] is None
    assert heard(room, "u") == long_ago
    succeeded(room.status("u", later))
    assert heard(room, "u") != long_ago


def heard(room: Room, visitor: str, *written: str) -> str:
    """Return what the store has of a visitor's contact, after writing it if it is given."""
    url = (room.stack.data_dir / "valkey.url").read_text("utf-8").strip()

    async def fetch() -> str:
        store, key = ValkeyClient(url), keys.of(RoomId(room.name)).heard
        try:
            if written:
                await store.command("HSET", key, visitor, *written)
            return str(await store.command("HGET", key, visitor))
        finally:
            await store.close()

    return asyncio.run(fetch())


def silenced(room: Room, visitor: str) -> str:
    """Let the last contact of a visitor be long ago."""
    joined, semicolon, mark = heard(room, visitor).partition(";")
    return heard(room, visitor, f"{joined}:{int(joined) - 300_000}{semicolon}{mark}")


def test_a_place_taken_without_a_key_gets_none_later(production: Stack) -> None:
    room = production.room(mode="paused")
    assert succeeded(room.enter("u"), 201)["token"]
    assert succeeded(room.enter("u", **{"X-Visitor-Key": KEY}), 201)["token"] is None


EARLIER_MARKS = [pytest.param(KEY, True, id="own"), pytest.param(OTHER_KEY, False, id="another")]


@pytest.mark.parametrize(("key", "own"), EARLIER_MARKS)
@pytest.mark.parametrize("state", ["WAITING", "READY"])
def test_a_place_of_the_version_before_is_recognised(
    production: Stack, state: str, key: str, *, own: bool
) -> None:
    """An upgrade in the middle of a sale takes nobody's place."""
    room = production.room(mode="paused")
    token = succeeded(room.enter("u", **{"X-Visitor-Key": KEY}), 201)["token"]
    mark = earlier_mark(RoomId(room.name), VisitorId("u"), KEY.encode())
    times, _, _ = heard(room, "u").partition(";")
    assert heard(room, "u", f"{times};{mark}").endswith(mark)
    if state == "READY":
        room.change(mode="open")
        room.until("u", "READY", token)
    data = succeeded(room.enter("u", **{"X-Visitor-Key": key}), 201)
    assert (data["status"], data["token"] is not None) == ((state, True) if own else (None, False))


def test_a_later_stay_has_a_key_of_its_own(production: Stack) -> None:
    room = production.room(mode="paused")
    first = succeeded(room.enter("u", **{"X-Visitor-Key": KEY}), 201)["token"]
    succeeded(room.remove("u", first))
    second = succeeded(room.enter("u", **{"X-Visitor-Key": OTHER_KEY}), 201)
    assert second["isNewEntry"]
    for token, key in ((first, KEY), (None, KEY)):
        data = succeeded(room.enter("u", token, **{"X-Visitor-Key": key}), 201)
        assert data["token"] is None
    data = succeeded(room.enter("u", **{"X-Visitor-Key": OTHER_KEY}), 201)
    assert data["token"] == second["token"]


def test_a_late_copy_of_an_enter_serves_its_visitor_alone(production: Stack) -> None:
    """A proxy repeats it after the visitor has left: nobody else gets anything of the new place."""
    room = production.room(mode="paused")
    headers = {"X-Visitor-Key": KEY}
    succeeded(room.remove("u", succeeded(room.enter("u", **headers), 201)["token"]))
    copy = succeeded(room.enter("u", **headers), 201)
    for stranger in ({}, {"X-Visitor-Key": OTHER_KEY}):
        assert succeeded(room.enter("u", **stranger), 201) == room.who("u") | NOTHING
    assert succeeded(room.enter("u", **headers), 201)["token"] == copy["token"]


def test_polling_and_extending_keep_the_key(production: Stack) -> None:
    room = production.room(idleSeconds=0.1)
    headers = {"X-Visitor-Key": KEY}
    ticket = succeeded(room.enter("u", **headers), 201)["token"]
    room.until("u", "READY", ticket)
    succeeded(room.activate("u", ticket))
    succeeded(room.extend("u", ticket))
    assert succeeded(room.enter("u", **headers), 201)["status"] == "ACTIVE"


def test_two_buyers_of_one_number(production: Stack) -> None:
    """The second gets nothing while the first is inside, and is somebody else afterwards."""
    room = production.room()
    first = Stay(room, "ACTIVE")
    stranger = {"X-Visitor-Key": OTHER_KEY}
    assert succeeded(room.enter("u", **stranger), 201) == room.who("u") | NOTHING
    succeeded(room.remove("u", first.ticket))
    for ended in (first.ticket, first.token):
        # A ticket goes on proving who bought, and nothing in the line.
        refused(room.status("u", ended), 404, "Q001")
        refused(room.activate("u", ended), 401, "Q003")
        refused(room.extend("u", ended), 401, "Q003")
        refused(room.validate("u", ended), 401, "Q003")
    second = succeeded(room.enter("u", **stranger), 201)
    assert second["isNewEntry"]
    for ended in (first.ticket, first.token):
        for answer in (
            room.status("u", ended),
            room.activate("u", ended),
            room.extend("u", ended),
            room.validate("u", ended),
            room.remove("u", ended),
        ):
            refused(answer, 401, "Q003")
        assert succeeded(room.enter("u", ended), 201) == room.who("u") | NOTHING
    assert second["token"].split(".")[2:4] != first.ticket.split(".")[2:4]


def test_trial_mode_believes_everybody_as_before(trial: Stack) -> None:
    room = trial.room(mode="paused")
    token = succeeded(room.enter("u", **{"X-Visitor-Key": KEY}), 201)["token"]
    for headers in ({}, {"X-Visitor-Key": KEY}, {"X-Visitor-Key": OTHER_KEY}):
        data = succeeded(room.enter("u", **headers), 201)
        assert (data["token"], data["position"], data["status"]) == (token, 1, "WAITING")


def test_a_room_created_anew_knows_nobody_of_before(production: Stack) -> None:
    """Its places count from 1 again, so the place alone proves nothing."""
    room = production.room(mode="paused")
    earlier = succeeded(room.enter("u"), 201)["token"]
    path, body = f"/api/v1/rooms/{room.name}", {"room": room.name, "mode": "paused"}
    client, operator = production.client, production.operator
    succeeded(client.delete(path, params={"force": "true"}, headers=operator))
    succeeded(client.post("/api/v1/rooms", json=body, headers=operator), 201)
    later = succeeded(room.enter("u"), 201)["token"]
    assert earlier.split(".")[2] == later.split(".")[2]
    for answer in (
        room.status("u", earlier),
        room.activate("u", earlier),
        room.extend("u", earlier),
        room.validate("u", earlier),
        room.remove("u", earlier),
    ):
        refused(answer, 401, "Q003")
    assert succeeded(room.enter("u", earlier), 201)["token"] is None
    assert succeeded(room.status("u", later))["position"] == 1
