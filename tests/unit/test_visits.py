"""The visits of the scale-out benchmark: requests, and reactions to answers."""

import msgspec
import pytest

from waitline_bench.scale_out.visits import POLL_S, Crowd, Visits, Work

ROOMS = ("a", "b")


def answer(code: int, /, **data: object) -> bytes:
    body = msgspec.json.encode({"result": "success", "message": "…", "data": data})
    return b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n%b" % (code, len(body), body)


def entered() -> bytes:
    return answer(201, position=7, status="WAITING", token="t1.k.7.1.m", isNewEntry=True)


def visits(work: Work) -> Visits:
    return Visits(Crowd(work, ROOMS, 100, "n"))


def line(request: bytes) -> str:
    return request.partition(b" HTTP/1.1\r\n")[0].decode()


def body(request: bytes) -> dict[str, str]:
    head, _, content = request.partition(b"\r\n\r\n")
    assert b"Content-Length: %d\r\n" % len(content) in head + b"\r\n"
    decoded: dict[str, str] = msgspec.json.decode(content)
    return decoded


def test_a_journey_has_five_steps() -> None:
    made = visits(Work.JOURNEY)
    made.begin(0)
    assert line(made.request(0)) == "POST /api/v1/queue/enter"
    assert body(made.request(0)) == {"concertId": "a", "userId": "n0"}
    assert made.heard(0, entered()) == POLL_S
    assert line(made.request(0)) == "GET /api/v1/queue/status?concertId=a&userId=n0"
    assert made.heard(0, answer(200, status="WAITING")) == POLL_S
    assert made.heard(0, answer(200, status="READY")) == 0
    assert line(made.request(0)) == "POST /api/v1/queue/activate?concertId=a&userId=n0"
    assert made.heard(0, answer(200, status="ACTIVE")) == 0
    assert line(made.request(0)) == "POST /api/v1/queue/validate"
    assert body(made.request(0))["token"] == "t1.k.7.1.m"
    assert made.heard(0, answer(200)) == 0
    assert line(made.request(0)) == "DELETE /api/v1/queue/remove?concertId=a&userId=n0"
    assert (made.done, made.heard(0, answer(200)), made.done) == (0, None, 1)
    assert (made.entered, made.refused) == (1, {})


def test_every_request_ends_where_its_head_says() -> None:
    made = visits(Work.JOURNEY)
    made.begin(0)
    replies = (entered(), answer(200, status="READY"), answer(200), answer(200), answer(200))
    for reply in replies:
        request = made.request(0)
        head, _, content = request.partition(b"\r\n\r\n")
        length = head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0]
        assert len(content) == int(length or 0)
        made.heard(0, reply)


def test_visits_take_rooms_in_turn_and_names_of_their_own() -> None:
    made = visits(Work.ENTER)
    seen = []
    for slot in (0, 1, 0):
        made.begin(slot)
        seen.append(body(made.request(slot)))
        assert made.heard(slot, entered()) is None
    assert [one["concertId"] for one in seen] == ["a", "b", "a"]
    assert [one["userId"] for one in seen] == ["n0", "n1", "n2"]
    assert (made.entered, made.done) == (3, 3)


def test_polls_spare_the_head_of_the_line_which_may_be_admitted() -> None:
    made = visits(Work.POLL)
    polled = set()
    for _ in range(500):
        made.begin(0)
        polled.add(int(line(made.request(0)).rpartition("=v")[2]))
        assert made.heard(0, answer(200, status="WAITING")) is None
    assert polled == set(range(11, 101))


@pytest.mark.parametrize(
    ("work", "reply", "named"),
    [
        pytest.param(
            Work.ENTER,
            answer(503).replace(b"\r\n", b"\r\nretry-after: 1\r\n", 1),
            "enter 503",
            id="a refusal",
        ),
        pytest.param(
            Work.ENTER,
            answer(503),
            "enter 503 without Retry-After",
            id="a refusal that says no time",
        ),
        pytest.param(Work.ENTER, answer(200, position=1), "enter 200", id="another success"),
        pytest.param(
            Work.ENTER,
            answer(201, position=1, token="t", isNewEntry=False),
            "enter with another content",
            id="somebody else's name",
        ),
        pytest.param(
            Work.POLL, answer(200, status="READY"), "poll with another content", id="admitted"
        ),
        pytest.param(
            Work.POLL, answer(200, status="EXPIRED"), "poll with another content", id="expired"
        ),
    ],
)
def test_unexpected_answers_end_the_visit(work: Work, reply: bytes, named: str) -> None:
    made = visits(work)
    made.begin(0)
    assert made.heard(0, reply) is None
    assert made.refused == {named: 1}
    assert (made.done, made.entered) == (0, 0)
