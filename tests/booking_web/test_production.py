"""Production mode: the visitor's token and the right price are required."""

import pytest

from tests.booking_web.office import PRICE, Buyer, Office, Show, refused, succeeded
from tests.until import until
from tests.web.management import MANAGEMENT
from tests.web.stack import SOON_S


@pytest.fixture
def show(production: Office) -> Show:
    return production.show()


@pytest.fixture
def buyer(show: Show) -> Buyer:
    return show.buyer()


def test_the_whole_way(show: Show) -> None:
    buyer = show.buyer()
    assert len(buyer.seats().json()) == len(show.seats)
    reservation = buyer.reserved(show.seats[0])
    payment = succeeded(buyer.pay(reservation), 201)
    assert payment["status"] == "COMPLETED"
    assert buyer.reservation(reservation).json()["status"] == "CONFIRMED"
    assert succeeded(buyer.payment(payment["paymentId"])) == payment
    # It has left the waiting room, and may still give back what it has.
    until(lambda: buyer.standing().status_code == 404, SOON_S, "the slot is free")
    refused(buyer.reserve(show.seats[1]), 401, "Q003")
    assert succeeded(buyer.cancel(reservation))["refund"] is True


def test_the_amount_is_the_price(buyer: Buyer) -> None:
    reservation = buyer.reserved(*buyer.show.seats[:2])
    for amount in (1, PRICE, 2 * PRICE - 1, 2 * PRICE + 1):
        body = refused(buyer.pay(reservation, amount=amount), 400, "C001")
        assert str(2 * PRICE) in body["detail"]
    assert succeeded(buyer.pay(reservation, amount=2 * PRICE), 201)["amount"] == 2 * PRICE


def test_an_expired_pass_looks_pays_and_cancels_and_does_nothing_else(show: Show) -> None:
    office = show.office
    buyer = show.buyer()
    kept, paid = (buyer.reserved(seat) for seat in show.seats[:2])
    # Sent out, and its pass run out with it: the room's rules give new visitors a short time.
    room = f"/api/v1/rooms/{show.room}"
    short = {"activeSeconds": 1}
    succeeded(office.queue.client.patch(room, json=short, headers=office.operator))
    query = {"concertId": show.room, "userId": str(buyer.user)}
    activated = office.queue.client.post(
        "/api/v1/queue/activate", params=query, headers={"X-Queue-Token": buyer.token}
    )
    buyer.token = succeeded(activated)["token"]
    until(lambda: buyer.reserve(show.seats[2]).status_code == 401, SOON_S, "its time is over")
    refused(buyer.reserve(show.seats[3]), 401, "Q002")
    refused(buyer.seats(), 401, "Q002")
    assert buyer.reservation(paid).json()["status"] == "PENDING"
    payment = succeeded(buyer.pay(paid), 201)["paymentId"]
    assert succeeded(buyer.payment(payment))["status"] == "COMPLETED"
    succeeded(buyer.cancel(kept))


def test_there_is_no_test_data(production: Office) -> None:
    refused(production.client.post("/api/admin/test-data/init"), 404, "C004")
    described = production.get(f"{production.program.management_urls[1]}/openapi.json")
    assert not [path for path in described.json()["paths"] if "admin" in path]


@pytest.mark.parametrize("path", MANAGEMENT)
def test_management_calls_are_on_an_address_of_their_own(production: Office, path: str) -> None:
    refused(production.get(path), 404, "C004")
    assert production.get(production.program.management_urls[1] + path).status_code == 200


def test_play_money_is_marked_wherever_somebody_looks(production: Office) -> None:
    management = production.program.management_urls[1]
    assert succeeded(production.get("/api/v1/info")) == {
        "service": "booking", "mode": "production", "payments": "play money",
    }  # fmt: skip
    assert production.get(f"{management}/actuator/info").json()["app"]["payments"] == "play money"
    assert succeeded(production.get("/api/v1/health"))["payments"] == "play money"
    assert production.get("/actuator/health/readiness").json()["payments"] == "play money"
    shown = succeeded(production.get("/api/v1/operator/installation", **production.operator))
    assert shown["playMoney"] is True
    assert "play money: sandbox" in production.program.output
