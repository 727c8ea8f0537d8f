"""Limits of client addresses over HTTP, behind a trusted proxy."""

import json

import pytest

from tests.until import until
from tests.web.conftest import ROOT
from tests.web.stack import SOON_S, Room, Stack, refused, succeeded, waitline


@pytest.fixture
def stack(configured: Stack) -> Stack:
    return configured


def at(address: str) -> dict[str, str]:
    return {"X-Forwarded-For": f"6.6.6.6, {address}"}


def test_places_taken_and_held(stack: Stack) -> None:
    room = stack.room(mode="paused", addressPlacesHeld=2, networkPlacesPerMinute=5)
    for user in ("one", "two"):
        succeeded(room.enter(user, **at("203.0.113.7")), 201)
    response = room.enter("three", **at("203.0.113.7"))
    refused(response, 429, "Q004", root=ROOT)
    assert 1 <= int(response.headers["retry-after"]) <= 60
    succeeded(room.enter("one", **at("203.0.113.7")), 201)
    succeeded(room.enter("three", **at("203.0.113.8")), 201)
    succeeded(room.enter("four", **at("2001:db8::1")), 201)
    succeeded(room.remove("one"))
    succeeded(room.enter("five", **at("203.0.113.7")), 201)
    assert room.show()["waiting"] == 4


def test_refused_calls(stack: Stack) -> None:
    room = stack.room(mode="paused", addressRefusalsPerMinute=5)
    room.arrive("u")

    def guess(address: str) -> int:
        return room.status("u", "t1.forged", **at(address)).status_code

    until(lambda: guess("203.0.113.9") == 429, SOON_S, "the address is refused")
    refused(room.enter("other", **at("203.0.113.9")), 429, "Q004", root=ROOT)
    assert guess("198.51.100.9") == 401, "another address is not"
    assert room.validate("u").status_code == 401, "the shop's call is not"


def test_operators_see_the_busiest_addresses(stack: Stack) -> None:
    room = stack.room(mode="paused")
    for number in range(5):
        succeeded(room.enter(f"u{number}", **at("203.0.113.7")), 201)
    succeeded(room.enter("v", **at("2001:db8:1:2:3::4")), 201)

    def shown() -> dict[str, tuple[int, int]]:
        path = f"/api/v1/rooms/{room.name}/addresses"
        answer = stack.client.get(path, headers=stack.operator)
        found = succeeded(answer)["addresses"]
        return {row["address"]: (row["placesTaken"], row["placesHeld"]) for row in found}

    expected = {
        "203.0.113.7": (5, 5),
        "203.0.113.0/24": (5, 5),
        "2001:db8:1:2::/64": (1, 1),
        "2001:db8:1::/48": (1, 1),
    }
    until(lambda: shown() == expected, SOON_S, "they are counted")
    where = ("rooms", "addresses", room.name, "--data-dir", stack.data_dir)
    rows = json.loads(waitline(*where, "--json").stdout)
    assert rows[0] == {
        "address": "203.0.113.0/24", "taken": 5, "refused": 0, "taken_in_minute": 5, "held": 5,
    }  # fmt: skip
    assert "2001:db8:1:2::/64" in waitline(*where).stdout
    answer = stack.client.get(f"/api/v1/rooms/{room.name}/addresses")
    refused(answer, 401, "C002", root=ROOT)
    assert waitline("rooms", "addresses", "no", *where[3:]).returncode == 2


def test_an_untrusted_peer_is_not_believed(trial: Stack) -> None:
    room = trial.room(mode="paused", addressPlacesPerMinute=1)
    succeeded(room.enter("one", **at("203.0.113.7")), 201)
    refused(Room(trial, room.name).enter("two", **at("203.0.113.8")), 429, "Q004")
