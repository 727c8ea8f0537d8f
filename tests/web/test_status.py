"""GET /api/v1/queue/status: a visitor's position, and when to poll again."""

import pytest

from tests.web.cast import LASTS_S, Cast
from tests.web.stack import ENGLISH, Room, Stack, instant_ms, refused, succeeded
from waitline.kernel.clock import SystemClock

MEMBERS = [
    "concertId",
    "userId",
    "token",
    "status",
    "position",
    "expiredAt",
    "extendCount",
    "recommendedPollIntervalMs",
    "minPollIntervalMs",
    "passedOver",
]


def test_waiting(paused: Room) -> None:
    paused.arrive("one")
    ticket = paused.arrive("two")
    data = succeeded(paused.status("two"))
    assert list(data) == MEMBERS
    assert data == {
        "concertId": paused.name,
        "userId": "two",
        "token": ticket,
        "status": "WAITING",
        "position": 2,
        "expiredAt": None,
        "extendCount": 0,
        "recommendedPollIntervalMs": 3_000,
        "minPollIntervalMs": 2_000,
        "passedOver": None,
    }


@pytest.mark.parametrize("state", ["READY", "ACTIVE", "EXPIRED"])
def test_once_admitted(cast: Cast, state: str) -> None:
    visitor = cast.take(state)
    data = succeeded(visitor.room.status(visitor.name))
    assert list(data) == MEMBERS
    remaining_s = (instant_ms(data["expiredAt"]) - SystemClock().now_ms()) / 1000
    assert (remaining_s > 0) is (state != "EXPIRED")
    assert remaining_s <= LASTS_S
    expected = {
        "status": state,
        "position": 0,
        "extendCount": 0,
        "recommendedPollIntervalMs": 3_000,
        "minPollIntervalMs": 2_000,
    }
    assert {name: data[name] for name in expected} == expected
    if state == "EXPIRED":
        assert data["token"] is None
    else:
        # A pass: three parts in base64, where a ticket is plain text.
        assert data["token"].count(".") == 2


def test_a_pass_stays_the_same_while_its_time_does(cast: Cast) -> None:
    visitor = cast.take("READY")
    tokens = {succeeded(visitor.room.status(visitor.name))["token"] for _ in range(5)}
    assert tokens == {visitor.token}


@pytest.mark.parametrize("headers", [{}, ENGLISH], ids=["ko", "en"])
@pytest.mark.parametrize("known", [True, False], ids=["in-a-room", "in-no-room"])
def test_nobody(trial: Stack, headers: dict[str, str], *, known: bool) -> None:
    room = trial.room() if known else trial.unused()
    body = refused(room.status("nobody", None, **headers), 404, "Q001")
    assert list(body["data"]) == MEMBERS
    assert body["data"] == {
        "concertId": room.name,
        "userId": "nobody",
        "token": None,
        "status": "NOT_FOUND",
        "position": 0,
        "expiredAt": None,
        "extendCount": 0,
        "recommendedPollIntervalMs": 3_000,
        "minPollIntervalMs": 2_000,
        "passedOver": None,
    }


def test_asking_creates_no_room(trial: Stack) -> None:
    room = trial.unused()
    refused(room.status(), 404, "Q001")
    refused(room.activate(), 404, "Q001")
    refused(room.extend(), 404, "Q001")
    refused(room.validate(), 404, "Q001")
    succeeded(room.remove())
    listed = trial.client.get("/api/v1/rooms", headers=trial.operator)
    assert room.name not in succeeded(listed)["rooms"]


def test_positions_move_up_when_somebody_leaves(paused: Room) -> None:
    for n in range(4):
        paused.arrive(f"u{n}")
    succeeded(paused.remove("u1"))
    positions = [succeeded(paused.status(f"u{n}"))["position"] for n in (0, 2, 3)]
    assert positions == [1, 2, 3]


def test_the_hint_grows_with_the_distance(paused: Room) -> None:
    paused.stack.crowd(paused, 1_999)
    ticket = paused.arrive("last")
    hints = set()
    for _ in range(12):
        data = succeeded(paused.status("last", ticket))
        assert (data["position"], data["minPollIntervalMs"]) == (2_000, 2_000)
        hints.add(data["recommendedPollIntervalMs"])
    # A nineteenth of the way to 10 000 ms, and up to a fifth of jitter on top.
    assert 3_000 < min(hints) <= max(hints) <= 3_369 * 1.2
    assert len(hints) > 1
    first = succeeded(paused.status("crowd-0"))
    assert first["recommendedPollIntervalMs"] == 3_000


def test_everybody_is_admitted_in_the_order_of_entering(trial: Stack) -> None:
    room = trial.room(mode="paused", admitPerSecond=10, admitBurst=1)
    names = [f"u{n}" for n in range(8)]
    for name in names:
        room.arrive(name)
    room.change(mode="open")
    room.until("u3", "READY")
    # Later ones are asked first, so that a visitor admitted meanwhile does not look overtaken.
    waiting = [succeeded(room.status(name))["status"] == "WAITING" for name in reversed(names)]
    assert waiting == sorted(waiting, reverse=True)


def test_slots_are_never_more_than_allowed(trial: Stack) -> None:
    room = trial.room(admitPerSecond=1000, activeMax=3)
    for n in range(6):
        room.arrive(f"u{n}")
    room.until("u2", "READY")
    assert room.show()["admitted"] == 3
    assert succeeded(room.status("u3"))["position"] == 1
    succeeded(room.remove("u0"))
    room.until("u3", "READY")
    assert room.show()["admitted"] == 3
    assert succeeded(room.status("u4"))["status"] == "WAITING"
