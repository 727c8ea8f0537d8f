"""POST /api/v1/queue/enter: one place per visitor, however often it enters."""

import json
from typing import Any

import pytest

from tests.until import until
from tests.web.cast import Cast
from tests.web.stack import (
    JSON_TYPE,
    SOON_S,
    Room,
    Stack,
    at_once,
    refused,
    succeeded,
)

MEMBERS = [
    "concertId",
    "userId",
    "position",
    "totalWaiting",
    "estimatedWaitMinutes",
    "status",
    "token",
    "isNewEntry",
]

NUMBERS = [
    pytest.param("7", "7", id="integer"),
    pytest.param("-7", "-7", id="negative"),
    pytest.param("0", "0", id="zero"),
    pytest.param("1.5", "1.5", id="fraction"),
    pytest.param("9007199254740993", "9007199254740993", id="beyond-a-double"),
    pytest.param("9223372036854775807", "9223372036854775807", id="64-bits"),
    pytest.param("18446744073709551616", "18446744073709551616", id="beyond-64-bits"),
    pytest.param("1" * 128, "1" * 128, id="128-figures"),
]

NAMES = [
    pytest.param("a" * 128, id="128-bytes"),
    pytest.param("가" * 42 + "ab", id="128-bytes-of-hangul"),
    pytest.param("홍 길동 🎫", id="spaces-and-emoji"),
    pytest.param(" u ", id="spaces-around"),
    pytest.param("a|1:2,3", id="our-separators"),
    pytest.param("{a}", id="braces"),
    pytest.param("a%7Db+c&d=e#f?g/h;i", id="what-addresses-are-made-of"),
    pytest.param("\"'\\<script>", id="quotes"),
    pytest.param("\u202eabc\u200b", id="invisible"),
    pytest.param("\u00e9", id="composed"),
]


@pytest.mark.parametrize(
    ("language", "message"),
    [("ko", "대기열에 진입했습니다."), ("en", "You have joined the line.")],
    ids=["ko", "en"],
)
def test_a_first_enter(paused: Room, language: str, message: str) -> None:
    response = paused.enter("u", None, **{"Accept-Language": language})
    data = succeeded(response, 201)
    token = data.pop("token")
    assert response.json()["message"] == message
    assert response.headers["cache-control"] == "no-store"
    assert "set-cookie" not in response.headers
    assert token.startswith("t1.")
    assert data == {
        "concertId": paused.name,
        "userId": "u",
        "position": 1,
        "totalWaiting": 1,
        "estimatedWaitMinutes": None,
        "status": "WAITING",
        "isNewEntry": True,
    }
    assert list(response.json()["data"]) == MEMBERS


def test_enter_recommends_when_to_poll(paused: Room, quick: Room) -> None:
    assert [paused.enter("u").headers["retry-after"] for _ in range(2)] == ["3", "3"]
    succeeded(quick.enter("u"), 201)
    quick.until("u", "READY")
    assert "retry-after" not in quick.enter("u").headers


def test_a_repeat_keeps_the_place(paused: Room) -> None:
    first = succeeded(paused.enter("one"), 201)
    succeeded(paused.enter("two"), 201)
    again = succeeded(paused.enter("one"), 201)
    assert again == {**first, "isNewEntry": False, "totalWaiting": 2}


def test_it_never_admits_by_itself(quick: Room) -> None:
    for n in range(5):
        data = succeeded(quick.enter(f"u{n}"), 201)
        assert (data["status"], data["isNewEntry"]) == ("WAITING", True)
        assert data["position"] >= 1
    quick.until("u4", "READY")


def test_many_devices_of_one_visitor_at_once(paused: Room) -> None:
    answers = [succeeded(answer, 201) for answer in at_once(24, paused.enter)]
    assert [data["isNewEntry"] for data in answers].count(True) == 1
    assert len({data["token"] for data in answers}) == 1
    assert {(data["position"], data["status"]) for data in answers} == {(1, "WAITING")}


def test_many_visitors_at_once_get_a_position_each(paused: Room) -> None:
    names = iter([f"u{n}" for n in range(40)])
    answers = [succeeded(one, 201) for one in at_once(40, lambda: paused.enter(next(names)))]
    assert sorted(data["position"] for data in answers) == list(range(1, 41))
    assert len({data["token"] for data in answers}) == 40
    assert paused.show()["waiting"] == 40


@pytest.mark.parametrize(("number", "text"), NUMBERS)
def test_numbers_are_read_as_text(paused: Room, number: str, text: str) -> None:
    body = f'{{"concertId":"{paused.name}","userId":{number}}}'
    client = paused.stack.client
    response = client.post("/api/v1/queue/enter", content=body, headers=JSON_TYPE)
    assert succeeded(response, 201)["userId"] == text
    assert succeeded(paused.enter(text), 201)["isNewEntry"] is False


def test_a_room_named_by_a_number(trial: Stack) -> None:
    body = b'{"concertId":20261122,"userId":"u"}'
    response = trial.client.post("/api/v1/queue/enter", content=body, headers=JSON_TYPE)
    assert succeeded(response, 201)["concertId"] == "20261122"


@pytest.mark.parametrize("name", NAMES)
def test_any_text_is_a_name(paused: Room, name: str) -> None:
    ticket = succeeded(paused.enter(name), 201)["token"]
    data = succeeded(paused.status(name, ticket))
    assert (data["userId"], data["token"]) == (name, ticket)
    succeeded(paused.remove(name, ticket))
    assert paused.show()["waiting"] == 0


@pytest.mark.parametrize("name", NAMES)
def test_any_text_is_a_room(trial: Stack, name: str) -> None:
    room = Room(trial, name)
    ticket = succeeded(room.enter("u"), 201)["token"]
    data = succeeded(room.status("u"))
    assert data["concertId"] == name
    assert data["token"] == ticket or data["status"] == "READY"


def test_fields_that_we_do_not_know_are_passed_over(paused: Room) -> None:
    body = json.dumps(paused.who("u") | {"seat": [1, 2], "note": None})
    client = paused.stack.client
    response = client.post("/api/v1/queue/enter", content=body, headers=JSON_TYPE)
    assert succeeded(response, 201)["isNewEntry"] is True


def test_a_room_appears_with_its_first_visitor(trial: Stack) -> None:
    room = trial.unused()
    assert succeeded(room.enter(), 201)["isNewEntry"] is True
    shown = room.show()
    limits = ("activeMax", "admitPerSecond", "readySeconds", "activeSeconds", "extensionsMax")
    assert [shown[name] for name in limits] == [50_000, 2_000, 300, 600, 2]
    room.until("u", "READY")


@pytest.mark.parametrize("language", ["ko", "en"])
def test_a_full_line(trial: Stack, language: str) -> None:
    room = trial.room(mode="paused", waitingMax=2)
    first = succeeded(room.enter("one"), 201)
    room.arrive("two")
    full = room.enter("three", None, **{"Accept-Language": language})
    assert "2" in refused(full, 429, "Q004")["detail"]
    assert int(full.headers["retry-after"]) >= 1
    refused(room.status("three"), 404, "Q001")

    again = succeeded(room.enter("one"), 201)
    assert (again["token"], again["isNewEntry"]) == (first["token"], False)
    succeeded(room.remove("two"))
    assert succeeded(room.enter("three"), 201)["position"] == 2


@pytest.mark.parametrize(
    ("mode", "takes", "admits"),
    [
        pytest.param("open", True, True, id="open"),
        pytest.param("paused", True, False, id="paused"),
        pytest.param("draining", False, True, id="draining"),
        pytest.param("closed", False, False, id="closed"),
    ],
)
def test_the_modes_of_a_room(trial: Stack, mode: str, *, takes: bool, admits: bool) -> None:
    room = trial.room(mode="paused", admitPerSecond=1000)
    before = succeeded(room.enter("before"), 201)
    room.change(mode=mode)
    # A place is kept in every mode.
    assert succeeded(room.enter("before"), 201)["isNewEntry"] is False
    newcomer = room.enter("after")
    if takes:
        assert succeeded(newcomer, 201)["isNewEntry"] is True
    else:
        refused(newcomer, 409, "C005")
        refused(room.status("after"), 404, "Q001")
    if admits:
        room.until("before", "READY")
    else:
        # By the time another room has admitted somebody, this one would have as well.
        trial.room(admitPerSecond=1000).admitted()
        assert succeeded(room.status("before"))["token"] == before["token"]


@pytest.mark.parametrize("state", ["READY", "ACTIVE"])
def test_a_repeat_once_admitted(cast: Cast, state: str) -> None:
    visitor = cast.take(state)
    data = succeeded(visitor.room.enter(visitor.name), 201)
    assert (data["position"], data["status"], data["isNewEntry"]) == (0, state, False)
    assert (data["token"], data["estimatedWaitMinutes"]) == (visitor.token, 0)


def test_the_expired_enter_again_as_new(cast: Cast) -> None:
    visitor = cast.take("EXPIRED")
    data = succeeded(visitor.room.enter(visitor.name), 201)
    assert (data["status"], data["isNewEntry"]) == ("WAITING", True)
    assert data["position"] == data["totalWaiting"] >= 1
    assert data["token"] != visitor.ticket
    assert succeeded(visitor.room.status(visitor.name))["status"] == "WAITING"


def test_the_estimate_is_measured_in_this_room(measured: Room) -> None:
    seen: list[dict[str, Any]] = []

    def estimated() -> bool:
        # Each worker keeps what it knows for a second.
        seen.append(succeeded(measured.enter("late"), 201))
        return seen[-1]["estimatedWaitMinutes"] is not None

    until(estimated, SOON_S, "there is an estimate")
    position, minutes = seen[-1]["position"], seen[-1]["estimatedWaitMinutes"]
    assert position > 10
    # At 4 a second; a visitor receives the upper end of a range that allows for half of that.
    assert position / 4 / 60 <= minutes <= position / 2 / 60 + 1


def test_no_estimate_without_a_measurement(trial: Stack) -> None:
    room = trial.room(admitPerSecond=0.01)
    assert succeeded(room.enter(), 201)["estimatedWaitMinutes"] is None
    assert succeeded(room.enter(), 201)["estimatedWaitMinutes"] is None


def test_a_paused_room_promises_nothing(measured: Room) -> None:
    measured.change(mode="paused")
    try:
        until(
            lambda: succeeded(measured.enter("late"), 201)["estimatedWaitMinutes"] is None,
            SOON_S,
            "the estimate is withdrawn",
        )
    finally:
        measured.change(mode="open")
