"""/api/v1/operator: put concerts, schedules and seats on sale."""

import json
from typing import Any

import httpx
import pytest

from tests.booking_web.office import PRICE, Office, Show, refused, succeeded
from tests.booking_web.test_catalogue import BEYOND, NO_NUMBERS, NOBODYS
from tests.until import until
from tests.web.stack import ENGLISH, JSON_TYPE, SOON_S

CSV = {"Content-Type": "text/csv"}
HEADER = "section,row,seat,grade,price\n"

CALLS = [
    pytest.param("POST", "concerts", id="create-concert"),
    pytest.param("GET", "concerts", id="concerts"),
    pytest.param("GET", "installation", id="installation"),
    pytest.param("PATCH", "concerts/1", id="change-concert"),
    pytest.param("POST", "concerts/1/schedules", id="create-schedule"),
    pytest.param("GET", "concerts/1/schedules", id="schedules"),
    pytest.param("POST", "schedules/1/seats", id="import-seats"),
    pytest.param("GET", "concerts/1", id="concert"),
    pytest.param("DELETE", "concerts/1", id="delete-concert"),
    pytest.param("GET", "schedules/1", id="schedule"),
    pytest.param("PATCH", "schedules/1", id="change-schedule"),
    pytest.param("DELETE", "schedules/1", id="delete-schedule"),
    pytest.param("GET", "schedules/1/seats", id="export-seats"),
    pytest.param("PATCH", "schedules/1/seats?all=true", id="change-seats"),
    pytest.param("DELETE", "schedules/1/seats?all=true", id="remove-seats"),
    pytest.param("GET", "changes", id="changes"),
    pytest.param("GET", "payments", id="payments"),
    pytest.param("POST", "payments/1/acknowledge", id="acknowledge-payment"),
    pytest.param("DELETE", "reservations/1", id="cancel-reservation"),
]


def call(office: Office, method: str, path: str, body: object = None) -> httpx.Response:
    url = f"/api/v1/operator/{path}"
    # In ASCII, so that half a character can be sent.
    content = None if body is None else json.dumps(body)
    headers = {**office.operator, **JSON_TYPE}
    return office.client.request(method, url, content=content, headers=headers)


def put(
    office: Office, schedule: object, text: str | bytes, query: str = "", **headers: str
) -> httpx.Response:
    return office.client.post(
        f"/api/v1/operator/schedules/{schedule}/seats{query}",
        content=text,
        headers={**office.operator, **CSV, **headers},
    )


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_only_operators(trial: Office, method: str, path: str) -> None:
    url = f"/api/v1/operator/{path}"
    refused(trial.client.request(method, url), 401, "C002")
    wrong = {"X-Operator-Key": "wrong"}
    refused(trial.client.request(method, url, headers=wrong), 403, "C003")


def test_how_it_runs_and_whether_money_is_taken(trial: Office, production: Office) -> None:
    for office, mode in ((trial, "trial"), (production, "production")):
        response = office.get("/api/v1/operator/installation", **office.operator)
        expected = {"mode": mode, "payments": "sandbox", "playMoney": True}
        assert succeeded(response) == expected


def test_payments_that_need_attention(trial: Office) -> None:
    listed = succeeded(call(trial, "GET", "payments"))
    assert listed == {"count": 0, "payments": []}
    refused(call(trial, "POST", "payments/1/acknowledge"), 404, "P003")
    refused(call(trial, "POST", "payments/one/acknowledge"), 400, "C001")


def test_a_map_of_any_size_is_not_read_without_the_key(trial: Office) -> None:
    response = trial.client.post(
        "/api/v1/operator/schedules/1/seats", content=b"x" * 100_000, headers=CSV
    )
    refused(response, 401, "C002")


def test_from_concert_to_seats(trial: Office) -> None:
    asked = {"title": "밤의 콘서트", "venue": "올림픽홀", "queue": "night 1"}
    concert = succeeded(call(trial, "POST", "concerts", asked), 201)
    number = concert["concertId"]
    assert concert == {
        "concertId": number,
        **asked,
        "currency": "KRW",
        "seatsPerUser": 0,
        "queueDown": None,
        "version": 1,
    }
    assert succeeded(call(trial, "GET", "concerts"))["concerts"][0] == concert

    path = f"concerts/{number}/schedules"
    body = {
        "startsAt": "2031-12-24T20:00:00+09:00",
        "seatsPerUser": 2,
        "opensAt": "2031-11-01T12:00Z",
        "salesEnd": "2031-12-24T19:30:00+09:00",
        "cancelUntil": "2031-12-20T00:00-03:30",
    }
    schedule = succeeded(call(trial, "POST", path, body), 201)
    assert schedule == {
        "scheduleId": schedule["scheduleId"],
        "concertId": number,
        "queue": "night 1",
        "startsAt": "2031-12-24T11:00:00.000Z",
        "startsAtLocal": "2031-12-24T20:00:00+09:00",
        "currency": "KRW",
        "saleState": "NOT_OPEN",
        "seatsPerUser": 2,
        "opensAt": "2031-11-01T12:00:00+00:00",
        "salesEnd": "2031-12-24T19:30:00+09:00",
        "cancelUntil": "2031-12-20T00:00:00-03:30",
        "version": 1,
    }
    assert succeeded(call(trial, "GET", path))["schedules"] == [schedule]

    text = HEADER + "Floor,A,A-1,VIP,150000\nFloor,A,A-2,VIP,150000\n"
    response = put(trial, schedule["scheduleId"], text)
    imported = succeeded(response, 201)
    assert (imported["scheduleId"], imported["seats"]) == (schedule["scheduleId"], 2)
    # The same plan again changes nothing.
    again = succeeded(put(trial, schedule["scheduleId"], text), 201)
    assert (again["seats"], again["unchanged"]) == (0, 2)


@pytest.mark.parametrize(
    "wrong",
    [
        {"title": ""},
        {"title": "  "},
        {"title": "\u200b"},
        {"title": "x" * 201},
        {"title": "a\0b"},
        {"title": "\ud800"},
        {"title": 5},
        {"title": None},
        {"venue": "x" * 201},
        {"venue": None},
        {"queue": ""},
        {"queue": "가" * 43},
        {"queue": "a\nb"},
        {"queue": "\u3164"},
        {"queue": ".."},
        {"queue": "a/now-serving"},
        {"seatsPerUser": -1},
        {"seatsPerUser": 1001},
        {"seatsPerUser": "4"},
        {"seatsPerUser": True},
        {"unheardOf": 1},
    ],
    ids=repr,
)
def test_a_bad_concert(trial: Office, wrong: dict[str, Any]) -> None:
    (name,) = wrong
    asked = {"title": "t", "queue": "q"} | wrong
    body = refused(call(trial, "POST", "concerts", asked), 400, "C001")
    assert body["detail"].startswith(f"{name}: ")


@pytest.mark.parametrize(
    "wrong",
    [
        {"startsAt": "2030-01-01T00:00:00"},
        {"startsAt": "soon"},
        {"startsAt": "0001-01-01T00:00:00+14:00"},
        {"startsAt": "9999-12-31T23:59:59-14:00"},
        {"startsAt": 1e300},
        {"startsAt": None},
        {"seatsPerUser": 0},
        {"seatsPerUser": 101},
        {"seatsPerUser": "4"},
        {"seatsPerUser": True},
        {"seatsPerUser": 2**70},
        {"unheardOf": 1},
    ],
    ids=repr,
)
def test_a_bad_schedule(trial: Office, show: Show, wrong: dict[str, Any]) -> None:
    (name,) = wrong
    asked = {"startsAt": "2030-01-01T00:00:00Z"} | wrong
    body = refused(call(trial, "POST", f"concerts/{show.concert}/schedules", asked), 400, "C001")
    assert body["detail"].startswith(f"{name}: ")


@pytest.mark.parametrize("number", NOBODYS)
def test_numbers_of_nothing(trial: Office, number: str) -> None:
    asked = {"startsAt": "2030-01-01T00:00:00Z"}
    refused(call(trial, "POST", f"concerts/{number}/schedules", asked), 404, "B007")
    refused(call(trial, "GET", f"concerts/{number}/schedules"), 404, "B007")
    refused(put(trial, number, HEADER + "F,A,1,VIP,1\n"), 404, "B008")


@pytest.mark.parametrize("number", NO_NUMBERS)
def test_no_numbers(trial: Office, number: str) -> None:
    asked = {"startsAt": "2030-01-01T00:00:00Z"}
    refused(call(trial, "POST", f"concerts/{number}/schedules", asked), 400, "C001")
    refused(put(trial, number, HEADER + "F,A,1,VIP,1\n"), 400, "C001")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(b"", "line 1", id="empty"),
        pytest.param(HEADER, "line 2", id="no-seats"),
        pytest.param(HEADER + "F,A,1,VIP,cheap\nF,A,2,VIP,-1\n", "line 3", id="prices"),
        pytest.param(HEADER + "F,A,1,VIP,1\nF,A,1,VIP,1\n", "line 3", id="twice"),
        pytest.param(HEADER + "F,A,1,V\0P,1\n", "line 2", id="nul"),
        pytest.param(HEADER.encode() + b"F,A,\xff,VIP,1\n", "UTF-8", id="not-utf-8"),
        pytest.param(HEADER + "x" * 2_000, "line 2", id="long-line"),
        pytest.param(HEADER + '"', "line 2", id="open-quotation"),
        pytest.param("section,row\n", "line 1", id="columns"),
    ],
)
def test_a_bad_map(trial: Office, show: Show, text: str | bytes, expected: str) -> None:
    response = put(trial, show.schedule, text, **ENGLISH)
    assert expected in refused(response, 400, "C001")["detail"]
    assert len(show.states()) == len(show.seats)


def test_a_map_that_is_not_declared_to_be_one(trial: Office, show: Show) -> None:
    response = put(trial, show.schedule, HEADER, **JSON_TYPE)
    assert "Content-Type" in refused(response, 400, "C001")["detail"]


def test_a_map_larger_than_any(trial: Office, show: Show) -> None:
    refused(put(trial, show.schedule, b"x" * (16 * 1024**2 + 1)), 413, "C001")


def test_a_large_map(trial: Office, show: Show) -> None:
    text = HEADER + "".join(
        f"Balcony,{row},{row}/{seat},A,20000\n" for row in range(100) for seat in range(100)
    )
    response = put(trial, show.schedule, text, query="?update=true")
    assert succeeded(response, 201)["seats"] == 10_000


def test_a_concert_has_its_own_answer_to_a_silent_queue(trial: Office) -> None:
    show = trial.show()
    path = f"concerts/{show.concert}"
    for choice, kept in (("admit", "admit"), ("refuse", "refuse"), ("default", None)):
        changed = succeeded(call(trial, "PATCH", path, {"queueDown": choice}))
        assert (changed["concertId"], changed["queueDown"]) == (show.concert, kept)
        listed = succeeded(call(trial, "GET", "concerts"))["concerts"]
        assert changed in listed
    # Visitors do not see it.
    assert "queueDown" not in succeeded(trial.get(f"/api/v1/concerts/{show.concert}"))


@pytest.mark.parametrize("wrong", [{}, {"queueDown": "perhaps"}, {"queueDown": None}, {"x": 1}])
def test_a_wrong_answer_to_a_silent_queue(trial: Office, wrong: object) -> None:
    refused(call(trial, "PATCH", "concerts/1", wrong), 400, "C001")


def test_no_such_concert_to_change(trial: Office) -> None:
    refused(call(trial, "PATCH", "concerts/999999", {"queueDown": "admit"}), 404, "B007")


@pytest.mark.parametrize("number", [*NOBODYS, *BEYOND])
def test_cancel_what_is_not_there(production: Office, number: str) -> None:
    refused(call(production, "DELETE", f"reservations/{number}"), 404, "B004")


def test_an_operator_cancels_for_a_buyer_without_a_ticket(production: Office) -> None:
    show = production.show()
    buyer = show.buyer("김 민준")
    held, paid = (buyer.reserved(seat) for seat in show.seats[:2])
    succeeded(buyer.pay(paid), 201)
    # As rows from before holders were stored: no token proves it.
    production.sql("UPDATE reservation SET holder = '' WHERE reservation_id = $1", paid)
    production.sql("DELETE FROM visitor_seats WHERE schedule_id = $1", show.schedule)
    production.sql(
        "INSERT INTO visitor_seats (schedule_id, user_id, holder, seats) "
        "SELECT schedule_id, user_id, holder, 1 FROM reservation WHERE schedule_id = $1",
        show.schedule,
    )
    for number, refund in ((held, False), (paid, True)):
        done = succeeded(call(production, "DELETE", f"reservations/{number}"))
        assert done == {
            "reservationId": number, "userId": "김 민준", "status": "CANCELLED", "refund": refund,
        }  # fmt: skip
        refused(call(production, "DELETE", f"reservations/{number}"), 400, "B005")
    assert set(show.states().values()) == {"AVAILABLE"}


def patch(
    office: Office, path: str, body: dict[str, Any], etag: str | None = None
) -> httpx.Response:
    headers = {**office.operator, **({} if etag is None else {"If-Match": etag})}
    return office.client.patch(f"/api/v1/operator/{path}", json=body, headers=headers)


def test_a_concert_is_changed_by_one_operator_at_a_time(trial: Office) -> None:
    show = trial.show()
    path = f"concerts/{show.concert}"
    etag = call(trial, "GET", path).headers["etag"]
    changed = patch(trial, path, {"title": "Renamed", "venue": "Hall"}, etag)
    assert succeeded(changed)["title"] == "Renamed"
    refused(patch(trial, path, {"title": "Mine"}, etag), 412, "C005")
    succeeded(patch(trial, path, {"title": "Mine"}, changed.headers["etag"]))

    def shown() -> bool:
        return bool(succeeded(trial.get(f"/api/v1/{path}"))["title"] == "Mine")

    until(shown, SOON_S, "the new title")
    log = succeeded(call(trial, "GET", f"changes?concertId={show.concert}"))["changes"]
    assert [one["what"] for one in log][:2] == ["concert changed", "concert changed"]
    assert log[0]["who"].startswith("operator ")
    assert (log[0]["before"], log[0]["after"]) == ({"title": "Renamed"}, {"title": "Mine"})
    refused(call(trial, "DELETE", path), 409, "C005")


def test_a_schedule_is_changed_and_deleted(trial: Office) -> None:
    show = trial.show(opensAt="2029-01-01T12:00+09:00")
    path = f"schedules/{show.schedule}"
    changed = succeeded(patch(trial, path, {"opensAt": None, "seatsPerUser": 2}))
    assert (changed["opensAt"], changed["seatsPerUser"]) == (None, 2)
    body = {"salesEnd": "2030-01-01T19:01+09:00"}
    assert refused(patch(trial, path, body), 400, "C001")["detail"].startswith("salesEnd: ")
    buyer = show.buyer()
    reservation = buyer.reserved(show.seats[0])
    assert "1" in refused(call(trial, "DELETE", path), 409, "C005")["detail"]
    refused(patch(trial, path, {"startsAt": "2030-02-01T19:00+09:00"}), 409, "C005")
    succeeded(buyer.cancel(reservation))
    succeeded(call(trial, "DELETE", path))
    refused(call(trial, "GET", path), 404, "B008")
    until(lambda: buyer.seats().status_code == 404, SOON_S, "no schedule")
    refused(buyer.reserve(show.seats[0]), 404, "B008")
    succeeded(call(trial, "DELETE", f"concerts/{show.concert}"))
    until(
        lambda: trial.get(f"/api/v1/concerts/{show.concert}").status_code == 404,
        SOON_S,
        "no concert",
    )


def test_seats_are_changed_removed_and_exported(trial: Office) -> None:
    show = trial.show()
    buyer = show.buyer()
    path = f"schedules/{show.schedule}/seats"
    held = buyer.reserved(show.seats[0])
    refused(patch(trial, f"{path}?row=0", {"price": 1}), 409, "C005")
    refused(patch(trial, f"{path}?row=9", {"price": 1}), 404, "B001")
    refused(patch(trial, path, {"price": 1}), 400, "C001")
    refused(patch(trial, f"{path}?row=1", {}), 400, "C001")
    assert succeeded(patch(trial, f"{path}?row=1", {"price": 777}))["changed"] == 10
    assert succeeded(call(trial, "DELETE", f"{path}?row=1&seat=1-9"))["removed"] == 1

    def seen() -> bool:
        prices = [seat["price"] for seat in buyer.seats("?status=all").json()]
        return prices == [PRICE] * 10 + [777] * 9

    until(seen, SOON_S, "new prices")
    refused(buyer.reserve(show.seats[-1]), 404, "B001")
    assert succeeded(buyer.reserve(show.seats[10]), 201)["amount"] == 777
    exported = call(trial, "GET", path)
    assert exported.headers["content-type"] == "text/csv; charset=utf-8"
    again = put(trial, show.schedule, exported.content, query="?removeMissing=true")
    assert succeeded(again, 201)["unchanged"] == 19
    assert buyer.reservation(held).json()["data"]["amount"] == PRICE


def test_a_second_plan_says_what_it_would_change(trial: Office) -> None:
    show = trial.show()
    text = HEADER + "Floor,0,0-0,VIP,1\nFloor,9,9-9,VIP,1\n"
    problem = refused(put(trial, show.schedule, text), 409, "C005")
    assert problem["data"] == {"added": 1, "changed": 1, "missing": 19}
    tried = succeeded(put(trial, show.schedule, text, query="?dryRun=true&removeMissing=true"))
    assert (tried["added"], tried["removed"], tried["dryRun"]) == (1, 19, True)
    assert len(tried["differences"]) == 2 + 19
    assert len(show.states()) == 20
