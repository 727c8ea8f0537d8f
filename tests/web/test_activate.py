"""POST /api/v1/queue/activate and /extend: an admitted visitor's time."""

import pytest

from tests.web.cast import LASTS_S, Cast
from tests.web.stack import Room, Stack, at_once, instant_ms, refused, succeeded
from waitline.kernel.clock import SystemClock


def remaining_s(data: dict[str, str]) -> float:
    return (instant_ms(data["expiredAt"]) - SystemClock().now_ms()) / 1000


def test_the_times_of_a_room_that_nobody_created(trial: Stack) -> None:
    room = trial.unused()
    assert 290 < remaining_s(room.admitted()) <= 300
    assert 590 < remaining_s(succeeded(room.activate())) <= 600
    assert 590 < remaining_s(succeeded(room.extend())) <= 600


def test_activate_starts_the_time(cast: Cast) -> None:
    visitor = cast.take("READY")
    before = succeeded(visitor.room.status(visitor.name))
    answer = visitor.room.activate(visitor.name)
    data = succeeded(answer)
    assert answer.json()["message"] == "입장이 활성화되었습니다."
    assert (data["status"], data["position"], data["extendCount"]) == ("ACTIVE", 0, 0)
    assert LASTS_S - 10 < remaining_s(data) <= LASTS_S
    # The pass may be the same: it tells seconds, and admission was perhaps in this one.
    assert data["expiredAt"] >= before["expiredAt"]
    assert succeeded(visitor.room.status(visitor.name)) == data
    # The pass that was given before still serves: it proves who, the slot says until when.
    succeeded(visitor.room.validate(visitor.name, before["token"]))


def test_activate_again_changes_nothing(cast: Cast) -> None:
    visitor = cast.take("READY")
    first = succeeded(visitor.room.activate(visitor.name))
    assert succeeded(visitor.room.activate(visitor.name)) == first
    answers = at_once(8, lambda: visitor.room.activate(visitor.name))
    assert [succeeded(answer) for answer in answers] == [first] * 8
    assert visitor.room.show()["totals"]["activated"] >= 1


def test_the_time_of_the_room_counts(trial: Stack) -> None:
    room = trial.room(admitPerSecond=1000, readySeconds=20, activeSeconds=40)
    assert 10 < remaining_s(room.admitted()) <= 20
    assert 30 < remaining_s(succeeded(room.activate())) <= 40
    room.change(activeSeconds=80)
    assert 60 < remaining_s(succeeded(room.extend())) <= 80


def test_active_time_runs_out(trial: Stack) -> None:
    room = trial.room(admitPerSecond=1000, activeSeconds=0.3)
    room.admitted()
    token = succeeded(room.activate())["token"]
    data = room.until("u", "EXPIRED")
    assert data["token"] is None
    refused(room.activate(), 401, "Q002")
    refused(room.extend(), 401, "Q002")
    refused(room.validate("u", token), 401, "Q002")


def test_extend_renews_and_counts(cast: Cast) -> None:
    visitor = cast.take("ACTIVE")
    before = succeeded(visitor.room.status(visitor.name))
    for count in (1, 2):
        answer = visitor.room.extend(visitor.name)
        data = succeeded(answer)
        assert answer.json()["message"] == "이용 시간이 연장되었습니다."
        assert (data["status"], data["extendCount"]) == ("ACTIVE", count)
        assert LASTS_S - 10 < remaining_s(data) <= LASTS_S
        assert instant_ms(data["expiredAt"]) >= instant_ms(before["expiredAt"])
    after = succeeded(visitor.room.status(visitor.name))
    refused(visitor.room.extend(visitor.name), 400, "Q005")
    assert succeeded(visitor.room.status(visitor.name)) == after


def test_a_third_extension_among_many_at_once(cast: Cast) -> None:
    visitor = cast.take("ACTIVE")
    answers = at_once(5, lambda: visitor.room.extend(visitor.name))
    counts = sorted(succeeded(one)["extendCount"] for one in answers if one.is_success)
    assert counts == [1, 2]
    for one in answers:
        if not one.is_success:
            refused(one, 400, "Q005")
    assert succeeded(visitor.room.status(visitor.name))["extendCount"] == 2


@pytest.mark.parametrize("most", [0, 1])
def test_a_room_may_allow_fewer(trial: Stack, most: int) -> None:
    room: Room = trial.room(admitPerSecond=1000, extensionsMax=most)
    room.admitted()
    succeeded(room.activate())
    for _ in range(most):
        succeeded(room.extend())
    refused(room.extend(), 400, "Q005")


def test_validate_says_nothing_but_yes(cast: Cast) -> None:
    visitor = cast.take("READY")
    answer = visitor.room.validate(visitor.name, visitor.token)
    assert succeeded(answer) is None
    assert answer.json()["message"] == "유효한 토큰입니다."
    # It leaves no trace: a ready visitor is not activated by it.
    assert succeeded(visitor.room.status(visitor.name))["status"] == "READY"
