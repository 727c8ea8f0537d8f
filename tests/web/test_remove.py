"""DELETE /api/v1/queue/remove and /token: giving up place or slot."""

import pytest

from tests.web.cast import Cast
from tests.web.stack import Room, Stack, refused, succeeded


@pytest.mark.parametrize("call", ["remove", "token"])
@pytest.mark.parametrize("state", ["NOT_FOUND", "WAITING", "READY", "ACTIVE", "EXPIRED"])
def test_a_visitor_who_left_is_unknown(cast: Cast, state: str, call: str) -> None:
    visitor = cast.take(state)
    for _ in range(2):
        answer = visitor.room.remove(visitor.name, call=call)
        assert succeeded(answer) is None
        assert answer.json()["message"] == "대기열에서 나갔습니다."
    refused(visitor.room.status(visitor.name), 404, "Q001")
    if state != "NOT_FOUND":
        # What the token was worth is gone with the slot.
        refused(visitor.room.validate(visitor.name, visitor.token), 401, "Q003")


@pytest.mark.parametrize("call", ["remove", "token"])
def test_with_the_visitors_own_token(cast: Cast, call: str) -> None:
    visitor = cast.take("READY")
    succeeded(visitor.room.remove(visitor.name, visitor.token, call))
    succeeded(visitor.room.remove(visitor.name, visitor.token, call))
    refused(visitor.room.status(visitor.name), 404, "Q001")


def test_a_visitor_who_returns_starts_at_the_end(paused: Room) -> None:
    first = paused.arrive("one")
    paused.arrive("two")
    succeeded(paused.remove("one"))
    data = succeeded(paused.enter("one"), 201)
    assert (data["position"], data["isNewEntry"]) == (2, True)
    assert data["token"] != first


def test_a_slot_is_free_for_the_next_at_once(trial: Stack) -> None:
    room = trial.room(admitPerSecond=1000, activeMax=1)
    room.admitted("one")
    room.arrive("two")
    assert room.show()["admitted"] == 1
    assert succeeded(room.status("two"))["status"] == "WAITING"
    succeeded(room.remove("one"))
    assert room.until("two", "READY")["position"] == 0
