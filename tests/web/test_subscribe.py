"""GET /api/v1/queue/subscribe: events that announce a visitor's turn."""

from contextlib import ExitStack

import pytest

from tests.web.cast import Cast
from tests.web.stack import Room, Stack, events, refused, succeeded

BURST = 10


def test_a_stream_ends_with_the_turn(trial: Stack) -> None:
    room = trial.room(mode="paused", admitPerSecond=1000)
    ticket = room.arrive()
    with room.subscribe() as stream:
        assert stream.status_code == 200
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert stream.headers["cache-control"] == "no-store"
        received = events(stream)
        name, data = next(received)
        # The bare status, without an envelope.
        assert name == "status-update"
        assert data == succeeded(room.status("u", ticket))
        room.change(mode="open")
        rest = list(received)
    status = succeeded(room.status())
    assert rest == [("status-update", status), ("ready", status)]
    assert (status["status"], status["position"]) == ("READY", 0)


def test_a_stream_tells_of_moving_up(paused: Room) -> None:
    paused.arrive("first")
    paused.arrive()
    with paused.subscribe() as stream:
        received = events(stream)
        assert next(received).data["position"] == 2
        succeeded(paused.remove("first"))
        assert next(received).data["position"] == 1


@pytest.mark.parametrize("state", ["READY", "ACTIVE"])
def test_an_admitted_visitor_gets_the_event_at_once(cast: Cast, state: str) -> None:
    visitor = cast.somebody(state)
    with visitor.room.subscribe(visitor.name, visitor.token) as stream:
        received = list(events(stream))
    assert [event.name for event in received] == ["status-update", "ready"]
    assert received[1].data["token"] == visitor.token


def test_a_stream_ends_when_the_visitor_leaves(paused: Room) -> None:
    paused.arrive()
    with paused.subscribe() as stream:
        received = events(stream)
        assert next(received).name == "status-update"
        succeeded(paused.remove())
        rest = list(received)
    assert [event.name for event in rest] == ["error"]
    assert (rest[0].data["code"], rest[0].data["status"]) == ("Q001", 404)
    assert rest[0].data["message"] == "대기열 토큰을 찾을 수 없습니다."


def test_a_stream_of_an_expired_visitor_says_so(cast: Cast) -> None:
    visitor = cast.somebody("EXPIRED")
    with visitor.room.subscribe(visitor.name) as stream:
        received = list(events(stream))
    assert [(event.name, event.data["code"]) for event in received] == [("error", "Q002")]


def test_a_stream_outlived_by_the_room(paused: Room) -> None:
    paused.arrive()
    with paused.subscribe() as stream:
        received = events(stream)
        next(received)
        path = f"/api/v1/rooms/{paused.name}/reset"
        succeeded(paused.stack.client.post(path, headers=paused.stack.operator))
        rest = list(received)
    assert [event.data["code"] for event in rest] == ["Q001"]


@pytest.mark.parametrize("known", [True, False], ids=["in-a-room", "in-no-room"])
def test_no_stream_for_nobody(trial: Stack, *, known: bool) -> None:
    room = trial.room() if known else trial.unused()
    with room.subscribe("nobody") as stream:
        body = refused(stream, 404, "Q001")
    assert body["data"]["status"] == "NOT_FOUND"


def test_the_eleventh_at_once_is_refused(paused: Room) -> None:
    paused.arrive("eager")
    paused.arrive("patient")
    with ExitStack() as streams:
        # All are open at the same time, each on a connection of its own, so both workers count.
        for _ in range(BURST):
            assert streams.enter_context(paused.subscribe("eager")).status_code == 200
        with paused.subscribe("eager") as stream:
            refused(stream, 429, "Q004")
            assert 1 <= int(stream.headers["retry-after"]) <= 2
        # Each visitor has rights of its own.
        with paused.subscribe("patient") as stream:
            assert stream.status_code == 200


def test_an_unknown_visitor_uses_no_rate_limit(paused: Room) -> None:
    for _ in range(BURST + 2):
        with paused.subscribe() as stream:
            refused(stream, 404, "Q001")
    paused.arrive()
    with paused.subscribe() as stream:
        assert stream.status_code == 200


def test_a_body_that_nobody_asked_for(paused: Room) -> None:
    paused.arrive()
    client = paused.stack.client
    path = "/api/v1/queue/subscribe"
    chunks = (b"x" * 100 for _ in range(10))
    with client.stream("GET", path, params=paused.who("u"), content=chunks) as stream:
        assert stream.status_code == 200
        assert next(events(stream)).name == "status-update"
    # One that is too long is refused, and the next one works.
    chunks = (b"x" * 1_000 for _ in range(10))
    with client.stream("GET", path, params=paused.who("u"), content=chunks) as stream:
        assert stream.status_code == 413
    with paused.subscribe() as stream:
        assert next(events(stream)).name == "status-update"
