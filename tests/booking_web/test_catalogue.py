"""/api/v1/concerts: what is on. Anybody may ask."""

import pytest

from tests.booking_web.office import Office, Show, refused, succeeded
from tests.web.stack import ENGLISH, INSTANT

NOT_WHOLE = ["x", "1.0", "1e3", "0x1", "+1", "%201", "%D9%A1"]
BEYOND = ["9223372036854775808", "9" * 200]
NO_NUMBERS = [*NOT_WHOLE, *BEYOND]
NOBODYS = ["0", "-1", "999999999", "9223372036854775807", "-9223372036854775808", "2147483648"]


def test_concerts(trial: Office, show: Show) -> None:
    response = trial.get("/api/v1/concerts")
    concerts = succeeded(response)["concerts"]
    assert {
        "concertId": show.concert,
        "title": "Tests, live",
        "venue": "",
        "queue": show.room,
        "currency": "KRW",
        "seatsPerUser": 0,
    } in concerts
    assert response.json()["message"] == "콘서트 목록입니다."


def test_a_concert(trial: Office, show: Show) -> None:
    response = trial.get(f"/api/v1/concerts/{show.concert}", **ENGLISH)
    assert succeeded(response)["queue"] == show.room
    assert response.json()["message"] == "Concert details."


def test_its_schedules(trial: Office, show: Show) -> None:
    (schedule,) = succeeded(trial.get(f"/api/v1/concerts/{show.concert}/schedules"))["schedules"]
    assert schedule == {
        "scheduleId": show.schedule,
        "concertId": show.concert,
        "queue": show.room,
        "startsAt": "2030-01-01T10:00:00.000Z",
        "startsAtLocal": "2030-01-01T19:00:00+09:00",
        "currency": "KRW",
        "saleState": "ON_SALE",
        "seatsPerUser": 4,
        "opensAt": None,
        "salesEnd": None,
        "cancelUntil": None,
    }
    assert INSTANT.fullmatch(schedule["startsAt"])


PATHS = ["/api/v1/concerts", "/api/v1/concerts/1", "/api/v1/concerts/1/schedules"]


@pytest.mark.parametrize("path", PATHS)
def test_caches_may_keep_it(trial: Office, path: str) -> None:
    whole = trial.get(path)
    succeeded(whole)
    assert whole.headers["cache-control"] == "public, max-age=5"
    assert whole.headers["vary"] == "Accept-Encoding, Accept-Language"
    again = trial.get(path, **{"If-None-Match": whole.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == whole.headers["etag"]
    english = trial.get(path, **ENGLISH)
    assert english.headers["etag"] != whole.headers["etag"]
    assert succeeded(english) == succeeded(whole)


@pytest.mark.parametrize("path", [*PATHS, "/api/v1/concerts/999999999"])
def test_head_is_get_without_the_body(trial: Office, path: str) -> None:
    whole, head = trial.get(path), trial.client.head(path)
    assert (head.status_code, head.content) == (whole.status_code, b"")
    for name in ("etag", "cache-control", "vary", "content-type"):
        assert head.headers.get(name) == whole.headers.get(name)


@pytest.mark.parametrize("coding", ["gzip", "br"])
def test_a_long_list_is_compressed(trial: Office, coding: str) -> None:
    for _ in range(20):
        trial.show(rows=1)
    path = "/api/v1/concerts"
    compressed = trial.get(path, **{"Accept-Encoding": coding})
    plain = trial.get(path, **{"Accept-Encoding": "identity"})
    assert compressed.headers["content-encoding"] == coding
    assert "content-encoding" not in plain.headers
    assert succeeded(compressed) == succeeded(plain)
    assert compressed.headers["etag"] == plain.headers["etag"]


@pytest.mark.parametrize("path", ["", "/schedules"])
@pytest.mark.parametrize("number", NOBODYS)
def test_no_such_concert(trial: Office, path: str, number: str) -> None:
    refused(trial.get(f"/api/v1/concerts/{number}{path}"), 404, "B007")


@pytest.mark.parametrize("path", ["", "/schedules"])
@pytest.mark.parametrize("number", NO_NUMBERS)
def test_no_number(trial: Office, path: str, number: str) -> None:
    body = refused(trial.get(f"/api/v1/concerts/{number}{path}"), 400, "C001")
    assert body["detail"].startswith("concertId: ")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        pytest.param("POST", "/api/v1/concerts", "GET, HEAD", id="concerts"),
        pytest.param("DELETE", "/api/v1/concerts/1", "GET, HEAD", id="concert"),
        pytest.param("PUT", "/api/v1/concerts/1/schedules", "GET, HEAD", id="schedules"),
        pytest.param("POST", "/api/v1/schedules/1/seats", "GET, HEAD", id="seats"),
        pytest.param("PUT", "/api/v1/reservations", "POST, GET, HEAD", id="reservations"),
        pytest.param("POST", "/api/v1/reservations/1", "DELETE, GET, HEAD", id="reservation"),
        pytest.param("DELETE", "/api/v1/payments", "POST", id="payments"),
        pytest.param("DELETE", "/api/v1/payments/1", "GET, HEAD", id="payment"),
        pytest.param("GET", "/api/admin/test-data/init", "POST", id="test-data"),
    ],
)
def test_a_wrong_method(trial: Office, method: str, path: str, allowed: str) -> None:
    response = trial.client.request(method, path)
    refused(response, 405, "C001")
    assert response.headers["allow"] == allowed


@pytest.mark.parametrize(
    "path",
    [
        "/nope",
        "/api/v1/concerts/",
        "/api/v1/schedules/1",
        "/api/v1/schedules/1/2/seats",
        "/api/v1/queue/enter",
        "/api/v1/reservations/1/2",
    ],
)
def test_an_unknown_path(trial: Office, path: str) -> None:
    refused(trial.get(path), 404, "C004")
