"""Visitors who were out of contact when their turn came, and come back to their places."""

from time import monotonic
from typing import Any

import pytest

from tests.until import until
from tests.web.stack import INSTANT, SOON_S, Room, Stack, events, refused, succeeded

KEY = {"X-Visitor-Key": "k" * 16}

# Out of contact after a twentieth of a second; what counts begins with the first beat that the room
# gets.
PASSING = {"admitPerSecond": 1_000, "idleSeconds": 0.05}
SILENT_S = 1.0


def passed(stack: Stack, **rules: object) -> tuple[Room, str]:
    """Let `u` be passed over; return the room, in which nobody else waits, and the ticket."""
    room = stack.room(mode="paused", **PASSING, **rules)
    ticket: str = succeeded(room.enter("u", **KEY), 201)["token"]
    silent_s = monotonic() + SILENT_S
    until(lambda: monotonic() > silent_s, SOON_S, "u is out of contact")
    room.change(mode="open")
    until(lambda: room.show()["totals"]["passed"] == 1, SOON_S, "u is passed over")
    room.change(mode="paused")
    return room, ticket


@pytest.fixture
def opened(trial: Stack) -> tuple[Room, str]:
    return passed(trial)


def back(data: Any) -> None:  # noqa: ANN401 - JSON
    assert (data["status"], data["position"]) == ("WAITING", 1)
    over = data["passedOver"]
    assert (over["at"], over["until"]) == (None, None)
    assert INSTANT.fullmatch(over["returnedAt"])


@pytest.mark.parametrize("stack", ["trial", "production"])
def test_status_gives_the_place_back(stack: str, request: pytest.FixtureRequest) -> None:
    room, ticket = passed(request.getfixturevalue(stack))
    room.arrive("later")
    for _ in range(2):
        data = succeeded(room.status("u", ticket))
        back(data)
        assert data["token"] == ticket
    totals = room.show()["totals"]
    assert (totals["passed"], totals["returned"], totals["overtaken"]) == (1, 1, 0)


def test_enter_gives_the_place_back(production: Stack) -> None:
    room, ticket = passed(production)
    data = succeeded(room.enter("u", **KEY), 201)
    assert (data["token"], data["position"], data["isNewEntry"]) == (ticket, 1, False)
    assert data["totalWaiting"] == 1
    back(succeeded(room.status("u", ticket)))


def test_a_stream_gives_the_place_back(opened: tuple[Room, str]) -> None:
    room, ticket = opened
    with room.subscribe("u", ticket) as stream:
        first = next(one for one in events(stream) if one.name == "status-update")
    back(first.data)


def test_strangers_learn_nothing_and_take_nothing(production: Stack) -> None:
    room, ticket = passed(production)
    waiting = production.room(mode="paused")
    succeeded(waiting.enter("u", **KEY), 201)
    for headers in ({}, {"X-Visitor-Key": "K" * 16}):
        answers = [one.enter("u", **headers) for one in (room, waiting)]
        bodies = {
            one.content.replace(room.name.encode(), b"").replace(waiting.name.encode(), b"")
            for one in answers
        }
        assert len(bodies) == 1
        assert succeeded(answers[0], 201)["token"] is None
    refused(room.status("u"), 401, "Q003")
    assert room.show()["totals"]["returned"] == 0
    back(succeeded(room.status("u", ticket)))


def test_too_late(trial: Stack) -> None:
    room, ticket = passed(trial, returnSeconds=0)
    data = succeeded(room.status("u", ticket))
    assert (data["status"], data["position"], data["token"]) == ("EXPIRED", 0, None)
    over = data["passedOver"]
    assert over["until"] == over["at"] == data["expiredAt"]
    assert over["returnedAt"] is None
    refused(room.validate("u", ticket), 401, "Q002")
    assert succeeded(room.enter("u", **KEY), 201)["isNewEntry"] is True


def test_the_document_never_falls(opened: tuple[Room, str]) -> None:
    room, ticket = opened
    before = room.show()
    back(succeeded(room.status("u", ticket)))
    document = {}

    def returned() -> bool:
        document.update(room.now_serving().json())
        return bool(document["returned"] == 1)

    until(returned, SOON_S, "the return is shown")
    assert document["serving"] == before["serving"] == 1
    assert document["waiting"] == 1
