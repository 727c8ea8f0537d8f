"""/api/v1/reservations: reserve seats, fetch and cancel a reservation."""

from datetime import UTC, datetime
from urllib.parse import quote

import pytest

from tests.booking_web.office import PRICE, Buyer, Office, Show, own_hold, refused, succeeded
from tests.booking_web.test_catalogue import BEYOND, NOBODYS, NOT_WHOLE
from tests.until import until
from tests.web.stack import ENGLISH, INSTANT, SOON_S, at_once

FIELDS = [
    "reservationId", "userId", "seatId", "scheduleId", "status", "expiresAt", "createdAt",
]  # fmt: skip

HOLD_S = 300


def test_reserve(buyer: Buyer) -> None:
    seat = buyer.show.seats[0]
    response = buyer.reserve(seat)
    data = succeeded(response, 201)
    assert list(data)[: len(FIELDS)] == FIELDS
    assert (data["userId"], data["seatId"], data["scheduleId"]) == (
        buyer.user, seat, buyer.show.schedule,
    )  # fmt: skip
    assert data["status"] == "PENDING"
    assert (data["seatIds"], data["amount"]) == ([seat], PRICE)
    for name in ("expiresAt", "createdAt"):
        assert INSTANT.fullmatch(data[name])
    times = [datetime.fromisoformat(data[name]) for name in ("createdAt", "expiresAt")]
    assert (times[1] - times[0]).total_seconds() == HOLD_S
    assert times[0].tzinfo == UTC
    assert buyer.show.states()[seat] == "RESERVED"
    assert response.headers["cache-control"] == "no-store"


def test_several_seats(buyer: Buyer) -> None:
    seats = buyer.show.seats[2:5]
    data = succeeded(buyer.reserve(*reversed(seats)), 201)
    assert (data["seatId"], data["seatIds"], data["amount"]) == (seats[0], seats, 3 * PRICE)


def test_several_seats_or_none(show: Show) -> None:
    first, second = show.buyers(2)
    first.reserved(show.seats[1])
    refused(second.reserve(show.seats[0], show.seats[1]), 409, "B003")
    refused(second.reserve(show.seats[0], show.seats[-1] + 1_000_000), 404, "B001")
    assert show.states()[show.seats[0]] == "AVAILABLE"


@pytest.mark.parametrize("count", [1, 2, 4])
def test_the_best_that_are_free(buyer: Buyer, count: int) -> None:
    data = succeeded(buyer.ask({"grade": "VIP", "count": count}), 201)
    assert data["seatIds"] == buyer.show.seats[:count]


def test_more_than_are_free(trial: Office) -> None:
    buyer = trial.show(seatsPerUser=20).buyer()
    refused(buyer.ask({"grade": "VIP", "count": 11}), 409, "B003")
    refused(buyer.ask({"grade": "nosuch", "count": 1}), 404, "B001")


def test_a_crowd_gets_the_best_without_conflict(trial: Office) -> None:
    show = trial.show()
    buyers = show.buyers(5)
    asked = iter(buyers)
    answers = at_once(5, lambda: next(asked).ask({"grade": "VIP", "count": 2}))
    assert [answer.status_code for answer in answers] == [201] * 5
    held = [seat for answer in answers for seat in answer.json()["data"]["seatIds"]]
    assert sorted(held) == show.seats[:10]


def test_a_seat_that_is_taken(show: Show) -> None:
    first, second = show.buyers(2)
    seat = show.seats[0]
    reservation = first.reserved(seat)
    refused(second.reserve(seat), 409, "B003")
    own_hold(first.reserve(seat), reservation)
    succeeded(first.pay(reservation), 201)
    refused(second.reserve(seat), 409, "B003")


def test_one_of_many_at_once(show: Show) -> None:
    buyers = iter(show.buyers(8))
    answers = at_once(8, lambda: next(buyers).reserve(show.seats[0]))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7
    for answer in answers:
        if answer.status_code == 409:
            refused(answer, 409, "B003")


def test_a_seat_of_another_schedule(trial: Office, buyer: Buyer) -> None:
    refused(buyer.reserve(trial.show().seats[0]), 404, "B001")


@pytest.mark.parametrize("number", [int(number) for number in NOBODYS])
def test_numbers_of_nothing(buyer: Buyer, number: int) -> None:
    refused(buyer.reserve(number), 404, "B001")
    refused(buyer.ask({"seatId": buyer.show.seats[0], "scheduleId": number}), 404, "B008")


def test_more_than_one_user_may_hold(buyer: Buyer) -> None:
    held = buyer.reserved(*buyer.show.seats[:3])
    response = buyer.reserve(*buyer.show.seats[3:5], **ENGLISH)
    assert "at most 4 seats" in refused(response, 409, "C005")["detail"]
    own_hold(buyer.reserve(*buyer.show.seats[:5]), held)
    buyer.reserved(buyer.show.seats[3])


@pytest.mark.parametrize("left_out", ["X-User-Id", "X-Queue-Token"])
def test_both_headers_are_needed(buyer: Buyer, left_out: str) -> None:
    headers = {name: value for name, value in buyer.headers.items() if name != left_out}
    body = {"seatId": buyer.show.seats[0], "scheduleId": buyer.show.schedule}
    response = buyer.office.client.post("/api/v1/reservations", json=body, headers=headers)
    refused(response, 401, "C002")


def test_the_body_is_looked_at_before_the_token(buyer: Buyer) -> None:
    refused(buyer.ask({"seatId": "x"}, **{"X-Queue-Token": "wrong"}), 400, "C001")


def test_the_token_is_looked_at_before_the_seat(buyer: Buyer) -> None:
    buyer.reserved(buyer.show.seats[0])
    wrong = {"X-Queue-Token": "wrong"}
    refused(buyer.reserve(buyer.show.seats[0], **wrong), 401, "Q003")
    refused(buyer.reserve(1, **wrong), 401, "Q003")
    assert buyer.show.states()[buyer.show.seats[1]] == "AVAILABLE"


def test_a_user_whom_the_waiting_room_does_not_know(buyer: Buyer) -> None:
    other = buyer.show.waiting()
    query = {"concertId": buyer.show.room, "userId": str(other.user)}
    succeeded(buyer.office.queue.client.delete("/api/v1/queue/remove", params=query))
    refused(other.reserve(buyer.show.seats[0]), 401, "Q003")


def test_look(buyer: Buyer) -> None:
    made = succeeded(buyer.reserve(buyer.show.seats[0]), 201)
    response = buyer.reservation(made["reservationId"])
    assert response.status_code == 200
    body = response.json()
    assert (body["result"], body["data"]) == ("success", made)
    assert {name: body[name] for name in made} == made


def test_look_without_a_token(buyer: Buyer) -> None:
    path = f"/api/v1/reservations/{buyer.reserved(buyer.show.seats[0])}"
    assert buyer.office.get(path, **{"X-User-Id": str(buyer.user)}).status_code == 200
    refused(buyer.office.get(path), 401, "C002")


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_another_users_reservation(show: Show, method: str) -> None:
    first, second = show.buyers(2)
    path = f"/api/v1/reservations/{first.reserved(show.seats[0])}"
    refused(show.office.client.request(method, path, headers=second.headers), 403, "C003")


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("number", [*NOBODYS, *BEYOND])
def test_no_such_reservation(trial: Office, method: str, number: str) -> None:
    path = f"/api/v1/reservations/{number}"
    refused(trial.client.request(method, path, headers={"X-User-Id": "1"}), 404, "B004")


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("number", NOT_WHOLE)
def test_no_number(trial: Office, method: str, number: str) -> None:
    path = f"/api/v1/reservations/{number}"
    body = refused(trial.client.request(method, path, headers={"X-User-Id": "1"}), 400, "C001")
    assert body["detail"].startswith("reservationId: ")


def test_give_up(show: Show) -> None:
    first, second = show.buyers(2)
    seat = show.seats[0]
    reservation = first.reserved(seat)
    data = succeeded(first.cancel(reservation))
    assert data == {
        "reservationId": reservation,
        "userId": first.user,
        "status": "CANCELLED",
        "refund": False,
    }
    assert show.states()[seat] == "AVAILABLE"
    assert first.reservation(reservation).json()["status"] == "CANCELLED"
    refused(first.cancel(reservation), 400, "B005")
    second.reserved(seat)


def test_give_back_what_was_paid(show: Show) -> None:
    first, second = show.buyers(2)
    seat = show.seats[0]
    reservation = first.reserved(seat)
    payment = succeeded(first.pay(reservation), 201)["paymentId"]
    assert succeeded(first.cancel(reservation))["refund"] is True
    until(
        lambda: succeeded(first.payment(payment))["status"] == "REFUNDED",
        SOON_S,
        "the money is back",
    )
    second.reserved(seat)


def test_one_that_has_expired(show: Show) -> None:
    first, second = show.buyers(2)
    seat = show.seats[0]
    reservation = first.reserved(seat)
    lapse(show.office, reservation)
    # The reservation shows it at once; the seat is back on sale a little later.
    assert first.reservation(reservation).json()["status"] == "EXPIRED"
    until(lambda: second.reserve(seat).status_code == 201, SOON_S, "the seat is back on sale")
    refused(first.cancel(reservation), 409, "B005")


def lapse(office: Office, reservation: int) -> None:
    """Let a reservation's time be over."""
    office.sql(
        "UPDATE reservation SET expires_at = listening_now() WHERE reservation_id = $1", reservation
    )


def test_answers_are_in_the_askers_language(buyer: Buyer) -> None:
    korean = buyer.reserve(buyer.show.seats[0])
    english = buyer.reserve(buyer.show.seats[1], **ENGLISH)
    assert korean.json()["message"].startswith("좌석을 예약했습니다.")
    assert english.json()["message"].startswith("The seats are reserved.")
    own_hold(buyer.reserve(buyer.show.seats[1], **ENGLISH), english.json()["data"]["reservationId"])


@pytest.mark.parametrize(
    ("user", "shown"),
    [
        pytest.param("7", 7, id="number"),
        pytest.param("-7", -7, id="below zero"),
        pytest.param("0", 0, id="zero"),
        pytest.param("-0", "-0", id="minus zero"),
        pytest.param("007", "007", id="leading zeros"),
        pytest.param("+7", "+7", id="plus"),
        pytest.param("7.0", "7.0", id="point"),
        pytest.param("9223372036854775807", 2**63 - 1, id="63 bits"),
        pytest.param("-9223372036854775808", -(2**63), id="64 bits below zero"),
        pytest.param("9223372036854775808", "9223372036854775808", id="64 bits"),
        pytest.param("\u0667", "\u0667", id="digit of another script"),
        pytest.param("김 민준%2F+", "김 민준%2F+", id="name"),
        pytest.param("\U0001f469\u200d\U0001f680", "\U0001f469\u200d\U0001f680", id="emoji"),
        pytest.param("x" * 128, "x" * 128, id="longest"),
        pytest.param("한" * 42, "한" * 42, id="longest in UTF-8"),
    ],
)
def test_users_are_shown_as_numbers_or_text(show: Show, user: str, shown: int | str) -> None:
    buyer = show.buyer(user)
    made = succeeded(buyer.reserve(show.seats[0]), 201)
    assert made["userId"] == shown
    number = made["reservationId"]
    assert buyer.reservation(number).json()["userId"] == shown
    for given in {user, shown}:
        refused(buyer.pay(number, userId=given, paymentMethod="DECLINE"), 400, "P001")
    paid = succeeded(buyer.pay(number, {"X-User-Id": quote(user)}), 201)
    assert paid["userId"] == shown
    assert succeeded(buyer.payment(paid["paymentId"]))["userId"] == shown
    # The event frees the slot of this very visitor.
    until(lambda: buyer.standing().status_code == 404, SOON_S, "the slot is free")
    assert succeeded(buyer.cancel(number))["userId"] == shown


def test_ids_cannot_be_guessed(show: Show) -> None:
    numbers = [show.buyer().reserved(seat) for seat in show.seats[:4]]
    assert len(set(numbers)) == len(numbers)
    assert all(0 < number < 2**53 for number in numbers)
    # Four of 53 random bits below 2^40: once in 10^15 runs.
    assert max(numbers) > 2**40


def test_before_the_sale_opens(trial: Office) -> None:
    buyer = trial.show(opensAt="2029-01-01T12:00+09:00").buyer()
    answer = buyer.reserve(buyer.show.seats[0])
    problem = refused(answer, 409, "C005")
    assert problem["type"].endswith("sales-not-open")
    assert problem["data"]["opensAt"] == "2029-01-01T03:00:00+00:00"
    english = buyer.ask({"seatId": buyer.show.seats[0]}, **ENGLISH)
    assert "The sale opens at" in refused(english, 409, "C005")["detail"]


def test_after_the_performance_began(trial: Office) -> None:
    buyer = trial.show(startsAt="2020-01-01T19:00+09:00").buyer()
    problem = refused(buyer.reserve(buyer.show.seats[0]), 409, "C005")
    assert problem["type"].endswith("sales-over")
    assert "종료" in problem["detail"]
