"""/api/v1/operator: limits per person, stopped schedules, seats held back, tickets given away."""

import time
from datetime import datetime
from typing import Any

import httpx
import pytest

from tests.booking_web.office import PRICE, Office, Show, refused, succeeded
from tests.booking_web.test_catalogue import NO_NUMBERS, NOBODYS
from tests.booking_web.test_operator import HEADER, call, put
from tests.until import until
from tests.web.stack import SOON_S

CALLS = [
    pytest.param("POST", "cancel", {}, id="cancel"),
    pytest.param("POST", "postpone", {"refundUntil": "2030-01-01T00:00Z"}, id="postpone"),
    pytest.param("POST", "resume", None, id="resume"),
    pytest.param("GET", "progress", None, id="progress"),
    pytest.param("GET", "house-seats", None, id="house-seats"),
    pytest.param("GET", "door-list", None, id="door-list"),
    pytest.param("POST", "house-seats/hold", {"seats": ["0-0"], "reason": "x"}, id="hold"),
    pytest.param("POST", "house-seats/release", {"seats": ["0-0"]}, id="release"),
    pytest.param("POST", "house-seats/give", {"seats": ["0-0"], "name": "x"}, id="give"),
]


def on(office: Office, show: Show, method: str, verb: str, body: Any = None) -> httpx.Response:  # noqa: ANN401
    """Call an operator's verb on a schedule."""
    return call(office, method, f"schedules/{show.schedule}/{verb}", body)


def logged(office: Office, show: Show) -> list[dict[str, Any]]:
    """The log of a schedule's changes, the earliest first, without its creation and its seats."""
    found = succeeded(call(office, "GET", f"changes?scheduleId={show.schedule}"))["changes"]
    return [one for one in reversed(found) if "created" not in one["what"]][1:]


@pytest.mark.parametrize(("method", "verb", "body"), CALLS)
def test_only_operators(trial: Office, show: Show, method: str, verb: str, body: object) -> None:
    url = f"/api/v1/operator/schedules/{show.schedule}/{verb}"
    refused(trial.client.request(method, url, json=body), 401, "C002")
    wrong = {"X-Operator-Key": "wrong"}
    refused(trial.client.request(method, url, json=body, headers=wrong), 403, "C003")
    assert succeeded(on(trial, show, "GET", "progress"))["status"] == "ON_SALE"


@pytest.mark.parametrize(("method", "verb", "body"), CALLS)
def test_no_such_schedule(trial: Office, method: str, verb: str, body: object) -> None:
    for number in NOBODYS:
        refused(call(trial, method, f"schedules/{number}/{verb}", body), 404, "B008")
    for number in NO_NUMBERS:
        refused(call(trial, method, f"schedules/{number}/{verb}", body), 400, "C001")


@pytest.mark.parametrize(
    ("verb", "body", "member"),
    [
        ("cancel", {"reason": ""}, "reason"),
        ("cancel", {"reason": "x" * 201}, "reason"),
        ("cancel", {"reason": "a\nb"}, "reason"),
        ("cancel", {"reason": 5}, "reason"),
        ("cancel", {"refundUntil": "2030-01-01T00:00Z"}, "refundUntil"),
        ("postpone", {}, "refundUntil"),
        ("postpone", {"refundUntil": "2030-01-01T00:00"}, "refundUntil"),
        ("postpone", {"refundUntil": "soon"}, "refundUntil"),
        ("postpone", {"refundUntil": "2020-01-01T00:00Z"}, "refundUntil: 이미 지난"),
        ("postpone", {"refundUntil": "2999-12-31T00:00Z"}, "refundUntil: 환불 기한은 앞으로 5년"),
        ("house-seats/hold", {"seats": ["0-0"]}, "reason"),
        ("house-seats/hold", {"seats": ["0-0"], "reason": " "}, "reason"),
        ("house-seats/hold", {"seats": ["0-0"], "reason": "x" * 101}, "reason"),
        ("house-seats/hold", {"seats": [], "reason": "x"}, "seats"),
        ("house-seats/hold", {"seats": ["0-0"] * 1001, "reason": "x"}, "seats"),
        ("house-seats/hold", {"seats": [""], "reason": "x"}, "seats"),
        ("house-seats/hold", {"seats": ["\ud800"], "reason": "x"}, "seats"),
        ("house-seats/hold", {"seats": [1], "reason": "x"}, "seats"),
        ("house-seats/release", {"seats": "0-0"}, "seats"),
        ("house-seats/give", {"seats": ["0-0"]}, "name"),
        ("house-seats/give", {"seats": ["0-0"], "name": "x" * 201}, "name"),
        ("house-seats/give", {"seats": ["0-0"], "name": "x", "who": "me"}, "who"),
    ],
)
def test_what_is_wrong_is_named(
    trial: Office, show: Show, verb: str, body: object, member: str
) -> None:
    said = refused(on(trial, show, "POST", verb, body), 400, "C001")
    assert said["detail"].startswith(member)
    assert succeeded(on(trial, show, "GET", "progress"))["status"] == "ON_SALE"
    assert succeeded(on(trial, show, "GET", "house-seats")) == {"seats": []}


def test_a_schedule_is_cancelled_and_all_is_refunded(trial: Office) -> None:
    show = trial.show(seatsPerUser=4)
    buyer = show.buyer()
    paid, held = (buyer.reserved(seat) for seat in show.seats[:2])
    payment = succeeded(buyer.pay(paid), 201)["paymentId"]
    stopped = succeeded(on(trial, show, "POST", "cancel", {"reason": "공연장 침수"}))
    assert (stopped["status"], stopped["reason"]) == ("CANCELLED", "공연장 침수")
    assert stopped["failedRefunds"] == []

    def refunded() -> bool:
        progress = succeeded(on(trial, show, "GET", "progress"))
        return (progress["refunds"], progress["refunded"], progress["pending"]) == (1, 1, 0)

    until(refunded, 3 * SOON_S, "the refund")
    progress = succeeded(on(trial, show, "GET", "progress"))
    assert (progress["amount"], progress["amountRefunded"], progress["sold"]) == (PRICE, PRICE, 0)
    assert succeeded(buyer.payment(payment))["status"] == "REFUNDED"
    # Who has paid is not inside any more.
    said = refused(show.buyer().reserve(show.seats[3]), 409, "C005")
    assert said["data"] == {"status": "CANCELLED"}
    assert buyer.reservation(held).json()["status"] == "CANCELLED"
    # Again, as after an answer that was lost; and what cannot be undone.
    assert succeeded(on(trial, show, "POST", "cancel", {}))["reason"] == "공연장 침수"
    refused(on(trial, show, "POST", "postpone", {"refundUntil": "2030-01-01T00:00Z"}), 409, "C005")
    said = refused(on(trial, show, "POST", "resume"), 409, "C005")
    assert said["type"].endswith("schedule-not-postponed")
    (entry,) = logged(trial, show)
    assert entry["what"] == "schedule cancelled"
    assert entry["who"].startswith("operator ")
    assert abs(time.time() - _seconds(entry["at"])) < SOON_S * 10  # noqa: TID251 - of the log
    assert entry["before"] == {"status": "ON_SALE"}
    assert entry["after"] == {"status": "CANCELLED", "reason": "공연장 침수"}


def test_a_schedule_is_postponed_and_resumed(trial: Office) -> None:
    show = trial.show()
    body = {"reason": "ill", "refundUntil": "2030-02-01T00:00:00+09:00"}
    stopped = succeeded(on(trial, show, "POST", "postpone", body))
    assert stopped["status"] == "POSTPONED"
    assert stopped["refundUntil"] == "2030-01-31T15:00:00.000Z"
    buyer = show.buyer()
    assert refused(buyer.reserve(show.seats[0]), 409, "C005")["data"] == {"status": "POSTPONED"}
    assert succeeded(on(trial, show, "POST", "resume"))["status"] == "ON_SALE"
    buyer.reserved(show.seats[0])
    assert [(one["what"], one["after"]["status"]) for one in logged(trial, show)] == [
        ("schedule postponed", "POSTPONED"),
        ("schedule resumed", "ON_SALE"),
    ]


def test_seats_are_held_back_released_and_given_away(trial: Office) -> None:
    show = trial.show()
    first, second, third = show.seats[:3]
    body = {"seats": ["0-0", "Floor/0/0-1"], "reason": "press"}
    held = succeeded(on(trial, show, "POST", "house-seats/hold", body))["seats"]
    assert [(one["seatId"], one["status"], one["reason"]) for one in held] == [
        (first, "HELD", "press"),
        (second, "HELD", "press"),
    ]
    buyer = show.buyer()
    refused(buyer.reserve(first), 409, "B003")
    released = succeeded(on(trial, show, "POST", "house-seats/release", {"seats": ["0-0"]}))
    assert [one["name"] for one in released["seats"]] == ["Floor/0/0-1"]
    buyer.reserved(first)
    body = {"seats": ["0-1", "0-2"], "name": "김 민지 🎫"}
    given = succeeded(on(trial, show, "POST", "house-seats/give", body), 201)
    assert given == {"reservationId": given["reservationId"], "seats": 2, "name": "김 민지 🎫"}
    listed = succeeded(on(trial, show, "GET", "house-seats"))["seats"]
    assert [(one["seatId"], one["ticketName"]) for one in listed] == [
        (second, "김 민지 🎫"),
        (third, "김 민지 🎫"),
    ]
    for verb, names, status, code in (
        ("hold", ["0-0"], 409, "B003"),
        ("release", ["0-3"], 409, "C005"),
        ("give", ["0-1"], 409, "B003"),
        ("give", ["nowhere"], 404, "B001"),
    ):
        members = {"hold": {"reason": "x"}, "give": {"name": "x"}}.get(verb, {})
        asked = {"seats": names, **members}
        said = refused(on(trial, show, "POST", f"house-seats/{verb}", asked), status, code)
        assert names[0] in said["detail"]
    log = logged(trial, show)
    assert [one["what"] for one in log] == ["seats held back", "seats released", "tickets given"]
    assert log[0]["after"] == {"count": 2, "seats": ["0-0", "0-1"], "reason": "press"}
    assert log[1]["before"] == {"count": 1, "seats": ["0-0"]}
    # The log does not repeat the name.
    number = given["reservationId"]
    assert log[2]["after"] == {"count": 2, "seats": ["0-1", "0-2"], "reservationId": number}
    assert {one["who"][:9] for one in log} == {"operator "}


def _seconds(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()


def test_a_limit_for_all_schedules_of_a_concert(trial: Office) -> None:
    show = trial.show(seatsPerUser=4)
    path = f"concerts/{show.concert}"
    body = {"startsAt": "2030-01-02T19:00:00+09:00", "seatsPerUser": 4}
    second = succeeded(call(trial, "POST", f"{path}/schedules", body), 201)["scheduleId"]
    put(trial, second, HEADER + "F,A,1,VIP,1000\nF,A,2,VIP,1000\n")
    changed = succeeded(call(trial, "PATCH", path, {"seatsPerUser": 2}))
    assert changed["seatsPerUser"] == 2
    # Buyers are shown it.
    public = f"/api/v1/{path}"
    until(lambda: succeeded(trial.get(public))["seatsPerUser"] == 2, SOON_S, "the limit")
    buyer = show.buyer()
    buyer.reserved(show.seats[0])
    buyer.reserved(show.seats[1])
    (seat, _) = trial.sql("SELECT seat_id FROM seat WHERE schedule_id = $1", second)
    said = refused(buyer.ask({"scheduleId": second, "seatId": seat["seat_id"]}), 409, "C005")
    assert "모든 일정을 합해 한 사람이 최대 2석" in said["detail"]
    # Nobody loses what they have, and the limit can be raised, and lifted.
    said = refused(call(trial, "PATCH", path, {"seatsPerUser": 1}), 409, "C005")
    assert said["type"].endswith("visitor-has-more")
    assert succeeded(call(trial, "PATCH", path, {"seatsPerUser": 0}))["seatsPerUser"] == 0
    succeeded(buyer.ask({"scheduleId": second, "seatId": seat["seat_id"]}), 201)
    logged = succeeded(call(trial, "GET", f"changes?concertId={show.concert}"))["changes"]
    assert logged[0]["before"] == {"seatsPerUser": 2}
    assert logged[0]["after"] == {"seatsPerUser": 0}
