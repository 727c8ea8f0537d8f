"""/api/v1/payments: pay, fetch a payment, receive webhooks."""

import json
from typing import Any

import pytest

from tests.booking_web.office import PRICE, SECRETS, Buyer, Office, Show, refused, succeeded
from tests.booking_web.test_catalogue import BEYOND, NOBODYS, NOT_WHOLE
from tests.booking_web.test_reservations import lapse
from tests.until import until
from tests.web.stack import INSTANT, JSON_TYPE, SOON_S, at_once
from waitline.kernel.clock import SystemClock
from waitline.payment_providers.sandbox import signatures

FIELDS = [
    "paymentId", "reservationId", "userId", "amount", "status", "paymentMethod", "paidAt",
    "createdAt",
]  # fmt: skip

SECRET = SECRETS["WAITLINE_WEBHOOK_SECRET"]

WEBHOOK = "/api/v1/payments/webhook"


@pytest.fixture
def reservation(buyer: Buyer) -> int:
    return buyer.reserved(buyer.show.seats[0])


def test_pay(buyer: Buyer, reservation: int) -> None:
    data = succeeded(buyer.pay(reservation), 201)
    assert list(data) == FIELDS
    assert (data["reservationId"], data["userId"]) == (reservation, buyer.user)
    assert (data["amount"], data["status"], data["paymentMethod"]) == (PRICE, "COMPLETED", "CARD")
    assert INSTANT.fullmatch(data["paidAt"])
    assert INSTANT.fullmatch(data["createdAt"])
    # All of it is so when the answer is there.
    assert buyer.show.states()[buyer.show.seats[0]] == "OCCUPIED"
    assert buyer.reservation(reservation).json()["status"] == "CONFIRMED"
    assert succeeded(buyer.payment(data["paymentId"])) == data


def test_paying_frees_the_slot(buyer: Buyer, reservation: int) -> None:
    succeeded(buyer.pay(reservation), 201)
    until(lambda: buyer.standing().status_code == 404, SOON_S, "the slot is free")
    assert refused(buyer.standing(), 404, "Q001")["data"]["status"] == "NOT_FOUND"


def test_the_user_may_be_a_text(buyer: Buyer, reservation: int) -> None:
    assert succeeded(buyer.pay(reservation, userId=str(buyer.user)), 201)["userId"] == buyer.user


def test_in_trial_mode_the_amount_is_not_compared(buyer: Buyer, reservation: int) -> None:
    assert succeeded(buyer.pay(reservation, amount=1), 201)["amount"] == 1


def test_the_concert_may_be_a_number(buyer: Buyer, reservation: int) -> None:
    succeeded(buyer.pay(reservation, concertId=buyer.show.concert), 201)


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"amount": 0}, id="nothing"),
        pytest.param({"amount": -1}, id="less-than-nothing"),
        pytest.param({"amount": None}, id="no-amount"),
        pytest.param({"amount": "50000"}, id="text-for-an-amount"),
        pytest.param({"amount": 2**63}, id="too-large-an-amount"),
        pytest.param({"paymentMethod": ""}, id="no-method"),
        pytest.param({"paymentMethod": "  "}, id="blank-method"),
        pytest.param({"paymentMethod": None}, id="null-for-a-method"),
        pytest.param({"paymentMethod": "x" * 201}, id="too-long-a-method"),
        pytest.param({"paymentMethod": "a\0b"}, id="nul-in-a-method"),
        pytest.param({"userId": None}, id="no-user"),
        pytest.param({"userId": "x" * 129}, id="too-long-a-user"),
        pytest.param({"userId": "a\nb"}, id="line-break-in-a-user"),
        pytest.param({"userId": ""}, id="empty-user"),
        pytest.param({"userId": 10**128}, id="too-large-a-user"),
        pytest.param({"userId": [7]}, id="user-in-a-list"),
        pytest.param({"reservationId": "1"}, id="text-for-a-reservation"),
        pytest.param({"reservationId": None}, id="no-reservation"),
        pytest.param({"reservationId": 1.5}, id="half-a-reservation"),
        pytest.param({"concertId": None}, id="no-concert"),
        pytest.param({"concertId": " "}, id="blank-concert"),
    ],
)
def test_bad_input(buyer: Buyer, reservation: int, wrong: dict[str, Any]) -> None:
    refused(buyer.pay(reservation, **wrong), 400, "C001")
    assert buyer.reservation(reservation).json()["status"] == "PENDING"


@pytest.mark.parametrize(
    "name", ["reservationId", "userId", "amount", "paymentMethod", "concertId"]
)
def test_a_missing_field(buyer: Buyer, reservation: int, name: str) -> None:
    whole = {
        "reservationId": reservation,
        "userId": buyer.user,
        "amount": PRICE,
        "paymentMethod": "CARD",
        "concertId": buyer.show.room,
    }
    del whole[name]
    response = buyer.office.client.post("/api/v1/payments", json=whole)
    assert name in refused(response, 400, "C001")["detail"]


@pytest.mark.parametrize("number", [int(number) for number in [*NOBODYS, *BEYOND]])
def test_no_such_reservation(buyer: Buyer, number: int) -> None:
    refused(buyer.pay(number), 404, "B004")


def test_another_users_reservation(show: Show) -> None:
    first, second = show.buyers(2)
    reservation = first.reserved(show.seats[0])
    refused(second.pay(reservation), 403, "C003")
    # Who asks is one user, whether in the header or in the body.
    headers = {"X-User-Id": str(second.user)}
    refused(first.pay(reservation, headers), 403, "C003")
    succeeded(first.pay(reservation, {"X-User-Id": str(first.user)}), 201)


def test_what_is_paid_already(buyer: Buyer, reservation: int) -> None:
    succeeded(buyer.pay(reservation), 201)
    refused(buyer.pay(reservation), 409, "C005")


def test_what_was_given_up(buyer: Buyer, reservation: int) -> None:
    succeeded(buyer.cancel(reservation))
    refused(buyer.pay(reservation), 400, "B005")


def test_what_has_expired(buyer: Buyer, reservation: int) -> None:
    buyer.office.sql(
        "UPDATE reservation SET state = 'EXPIRED' WHERE reservation_id = $1", reservation
    )
    refused(buyer.pay(reservation), 409, "B005")


def test_what_is_past_its_time(buyer: Buyer, reservation: int) -> None:
    lapse(buyer.office, reservation)
    refused_late = buyer.pay(reservation)
    # The sweeper may have come in between.
    assert refused_late.status_code in (400, 409)
    refused(refused_late, refused_late.status_code, "B005")


def test_a_second_attempt_while_one_runs(buyer: Buyer, reservation: int) -> None:
    answers = at_once(6, lambda: buyer.pay(reservation))
    codes = sorted((answer.status_code, answer.json().get("code")) for answer in answers)
    assert codes[0] == (201, None)
    assert set(codes[1:]) <= {(409, "P004"), (409, "C005")}
    charged = buyer.office.sql(
        "SELECT 1 FROM payment WHERE reservation_id = $1 AND state = 'COMPLETED'", reservation
    )
    assert len(charged) == 1


def test_giving_up_while_one_runs(buyer: Buyer, reservation: int) -> None:
    buyer.office.sql(
        "UPDATE reservation SET paying_until = listening_now() + interval '1 hour' "
        "WHERE reservation_id = $1",
        reservation,
    )
    refused(buyer.cancel(reservation), 409, "P004")


def test_declined(buyer: Buyer, reservation: int) -> None:
    refused(buyer.pay(reservation, paymentMethod="DECLINE"), 400, "P001")
    assert buyer.reservation(reservation).json()["status"] == "PENDING"
    succeeded(buyer.pay(reservation), 201)


def test_the_payer_may_read_the_payment(show: Show) -> None:
    first, second = show.buyers(2)
    payment = succeeded(first.pay(first.reserved(show.seats[0])), 201)["paymentId"]
    refused(second.payment(payment), 403, "C003")
    # In trial mode nobody need say who asks.
    assert show.office.get(f"/api/v1/payments/{payment}").status_code == 200


@pytest.mark.parametrize("number", [*NOBODYS, *BEYOND])
def test_no_such_payment(trial: Office, number: str) -> None:
    refused(trial.get(f"/api/v1/payments/{number}", **{"X-User-Id": "1"}), 404, "P003")


@pytest.mark.parametrize("number", NOT_WHOLE)
def test_no_number(trial: Office, number: str) -> None:
    refused(trial.get(f"/api/v1/payments/{number}"), 400, "C001")


def test_the_providers_address_is_no_payment(trial: Office) -> None:
    response = trial.get(WEBHOOK)
    refused(response, 405, "C001")
    assert response.headers["allow"] == "POST"


def message(charge: str) -> bytes:
    """Return what the provider tells of a charge."""
    received = {"key": charge, "amount": PRICE, "method": "CARD", "state": "CHARGED", "reason": ""}
    return json.dumps({**received, "ref": "ch_of_the_tests"}).encode()


NOBODYS_CHARGE = message("00000000-0000-4000-8000-000000000000")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {signatures.HEADER: ""},
        {signatures.HEADER: "t=1,v1=00"},
        {signatures.HEADER: "t=x,v1=\xe9"},
        {"Stripe-Signature": "t=1,v1=00"},
        {signatures.HEADER: signatures.sign("another-secret", NOBODYS_CHARGE, 1)},
        {signatures.HEADER: signatures.sign(SECRET, NOBODYS_CHARGE, 1)},
        {signatures.HEADER: signatures.sign(SECRET, b"{}", SystemClock().now_ms() // 1000)},
    ],
    ids=["no", "empty", "wrong", "odd", "another-providers", "another-key", "old", "another-body"],
)
def test_a_message_that_is_not_the_providers(trial: Office, headers: dict[str, str]) -> None:
    encoded = {name: value.encode("latin-1") for name, value in headers.items()}
    response = trial.client.post(WEBHOOK, content=NOBODYS_CHARGE, headers=encoded)  # type: ignore[arg-type]  # bytes are headers too
    refused(response, 401, "C002")


def test_a_message_of_the_provider_needs_no_user(trial: Office) -> None:
    now_s = SystemClock().now_ms() // 1000
    headers = {signatures.HEADER: signatures.sign(SECRET, NOBODYS_CHARGE, now_s)}
    succeeded(trial.client.post(WEBHOOK, content=NOBODYS_CHARGE, headers=headers))


def test_a_message_larger_than_any(trial: Office) -> None:
    refused(trial.client.post(WEBHOOK, content=b"x" * 65_537, headers=JSON_TYPE), 413, "C001")
    # As large as allowed, and then refused for what it says.
    refused(trial.client.post(WEBHOOK, content=b"x" * 65_536, headers=JSON_TYPE), 401, "C002")
