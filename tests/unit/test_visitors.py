"""The benchmark's visitors: their requests, and their reactions to answers."""

from random import Random

import msgspec
import pytest

from waitline_bench.carry.visitors import (
    ASK,
    ENTER,
    FRESH_S,
    READ,
    RETRY_S,
    RETRY_S_MAX,
    TURN,
    Share,
    Visitors,
    Way,
)
from waitline_bench.generator import answers

PLACES = 3
FIRST = 11
STEP = 10


def answer(status: int, data: dict[str, object] | None = None, *, headers: bytes = b"") -> bytes:
    body = msgspec.json.encode({"result": "success", "message": "…", "data": data})
    head = b"HTTP/1.1 %d X\r\ndate: x\r\n%b" % (status, headers)
    return b"%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body)


def standing(status: str = "WAITING", after_ms: int = 9_000) -> bytes:
    # As on the wire: the status of the visitor, which is not that of HTTP.
    names = {"token": "t", "status": status, "recommendedPollIntervalMs": after_ms, "m": 1}
    return answer(200, names)


def entered(place: int, after_s: int = 3) -> bytes:
    ticket = f"t1.key.{place}.1700000000000.mac"
    names = {"position": 1, "token": ticket, "isNewEntry": True}
    return answer(201, names, headers=b"retry-after: %d\r\n" % after_s)


def document(serving: int, after_ms: int = 3_000) -> bytes:
    body = b'{"room":"r","serving":%d,"waiting":9,"pollAfterMs":%d,"asOfMs":1}' % (
        serving,
        after_ms,
    )
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


def some(way: Way) -> Visitors:
    return waiting(Share("r", way, PLACES, FIRST, STEP))


def waiting(share: Share) -> Visitors:
    return Visitors(share, "host:1", Random(3))  # noqa: S311 - jitter


def lines(request: bytes) -> tuple[str, str]:
    head, _, body = request.decode("ascii").partition("\r\n\r\n")
    return head.splitlines()[0], body


@pytest.mark.parametrize(
    ("data", "size"),
    [
        pytest.param(b"", 0, id="nothing"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n", 0, id="half a head"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", 43, id="no body yet"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nx: y\r\n\r\nhello", 49, id="all"),
        pytest.param(b"HTTP/1.1 200 OK\r\na: b\r\ncontent-length: 0\r\n\r\n", 44, id="empty"),
    ],
)
def test_size_of_an_answer(data: bytes, size: int) -> None:
    assert answers.size(data) == size


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\ncontent-length: 5\r\n", id="in the body"),
        pytest.param(b"HTTP/1.1 200 OK\r\nx-content-length: 5\r\n\r\n", id="another header"),
    ],
)
def test_an_answer_without_a_length_differs_from_an_incomplete_one(data: bytes) -> None:
    with pytest.raises(ValueError, match="without a length"):
        answers.size(data)


def test_reading_answers() -> None:
    assert answers.code(answer(503)) == 503
    assert answers.hint_ms(standing(after_ms=12_345)) == 12_345
    assert answers.serving(document(77)) == 77
    assert answers.after_ms(document(77, 4_000)) == 4_000
    assert answers.ticket_place(entered(123_456)) == 123_456
    assert answers.retry_after_s(entered(1, 29)) == 29
    assert answers.ticket_place(answer(201, {"token": None})) is None
    assert answers.ticket_place(answer(201, {"token": "eyJ.pass.x"})) is None
    with pytest.raises(ValueError, match="serving"):
        answers.serving(answer(200))


def test_a_waiting_visitor_polls_its_status_when_due() -> None:
    visitors = some(Way.STATUS)
    assert visitors.step(1) == ASK
    line, _ = lines(visitors.request(1))
    assert line == "GET /api/v1/queue/status?concertId=r&userId=v21 HTTP/1.1"
    assert visitors.heard(1, standing(after_ms=9_000)) == 9.0
    assert visitors.step(1) == ASK


def test_an_admitted_visitor_leaves_and_another_enters() -> None:
    visitors = some(Way.STATUS)
    assert visitors.heard(0, standing("READY")) is None
    assert (visitors.step(0), visitors.seen.admitted) == (ENTER, 1)
    line, body = lines(visitors.request(0))
    # The name after those of all processes who wait.
    assert line == "POST /api/v1/queue/enter HTTP/1.1"
    assert body == '{"concertId":"r","userId":"v41"}'
    assert f"Content-Length: {len(body)}\r\n".encode("ascii") in visitors.request(0)
    assert visitors.heard(0, entered(900, 17)) == 17.0
    assert (visitors.step(0), visitors.seen.entered) == (ASK, 1)
    assert "userId=v41 " in lines(visitors.request(0))[0]
    assert visitors.heard(1, standing("READY")) is None
    assert lines(visitors.request(1))[1] == '{"concertId":"r","userId":"v51"}'


def test_a_now_serving_reader_polls_its_status_only_at_its_turn() -> None:
    visitors = some(Way.NOW_SERVING)
    assert lines(visitors.request(1))[0] == "GET /api/v1/rooms/r/now-serving HTTP/1.1"
    assert visitors.heard(1, document(20, 4_000)) == 4.0
    assert visitors.heard(1, document(21)) == 0.0
    assert visitors.step(1) == TURN
    assert "/status?" in lines(visitors.request(1))[0]
    assert visitors.heard(1, standing("READY")) is None
    assert visitors.heard(1, entered(22)) == 0.0
    assert visitors.step(1) == READ
    # An older document shows an older line, and this place has had its turn already.
    assert visitors.heard(1, document(19)) == 3.0
    assert visitors.heard(1, document(22)) == 0.0


def test_a_turn_shown_too_early_is_counted() -> None:
    visitors = some(Way.NOW_SERVING)
    assert visitors.heard(0, document(11)) == 0.0
    assert visitors.heard(0, standing(after_ms=3_000)) == 3.0
    assert (visitors.step(0), visitors.seen.early) == (READ, 1)


def test_a_cache_is_asked_while_it_is_fresh() -> None:
    visitors = some(Way.CACHED)
    assert visitors.cached(0, 100.0) is None
    assert visitors.heard(0, document(5)) == 3.0
    assert visitors.cached(1, 100.0 + FRESH_S / 2) == 3.0
    assert visitors.cached(2, 100.0 + FRESH_S) is None
    # While one asks for all, the others get what was there.
    assert visitors.cached(1, 100.0 + FRESH_S) == 3.0
    assert visitors.heard(2, document(21)) == 3.0
    assert visitors.cached(1, 100.5 + FRESH_S) == 0.0
    # Its own place no cache can tell.
    assert visitors.step(1) == TURN
    assert visitors.cached(1, 100.5 + FRESH_S) is None


@pytest.mark.parametrize("way", [Way.STATUS, Way.NOW_SERVING])
def test_without_a_cache_every_poll_is_sent(way: Way) -> None:
    assert some(way).cached(0, 1e9) is None


def test_refused_and_lost() -> None:
    visitors = some(Way.STATUS)
    assert visitors.heard(0, answer(503)) == pytest.approx(RETRY_S, rel=0.25)
    assert visitors.step(0) == ASK
    assert visitors.heard(0, standing("EXPIRED")) is None
    assert visitors.heard(0, answer(429)) == pytest.approx(RETRY_S, rel=0.25)
    # It enters again, under its own name.
    assert visitors.step(0) == ENTER
    received = visitors.seen.as_json()
    assert received == {
        "entered": 0,
        "admitted": 0,
        "refused": {503: 1, 429: 1},
        "lost": 1,
        "early": 0,
    }


def test_failed_polls_back_off_until_one_succeeds() -> None:
    visitors = some(Way.STATUS)
    for after_s in (1, 2, 4, 8, 16, 30, 30):
        assert visitors.failed(0) == pytest.approx(after_s, rel=0.25)
    assert visitors.failed(1) == pytest.approx(RETRY_S, rel=0.25)
    visitors.heard(0, standing())
    assert visitors.failed(0) == pytest.approx(RETRY_S, rel=0.25)
    assert visitors.failed(0) <= RETRY_S_MAX


def test_a_visitor_admitted_before_its_first_answer() -> None:
    visitors = some(Way.NOW_SERVING)
    visitors.heard(0, document(11))
    assert visitors.heard(0, standing("READY")) is None
    visitors.heard(0, answer(201, {"token": "eyJ.pass.x", "position": 0}))
    assert visitors.heard(0, document(12)) == 0.0
    assert visitors.step(0) == TURN


def test_first_polls_are_spread_over_the_hint() -> None:
    visitors = waiting(Share("r", Way.STATUS, 1_000, 50_000, 1))
    first = sorted(visitors.first_s(slot) for slot in range(1_000))
    assert first[0] < 1
    assert 20 < first[-1] < 28
    reading = waiting(Share("r", Way.CACHED, 1_000, 50_000, 1))
    assert max(reading.first_s(slot) for slot in range(1_000)) < 3
