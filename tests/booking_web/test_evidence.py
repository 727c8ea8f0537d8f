"""`GET /api/v1/operator/reservations/{id}`: the evidence log, as calls over HTTP make it."""

from typing import Any

import pytest

from tests.booking_web.office import PRICE, Office, Show, refused, succeeded
from tests.booking_web.proofs import UNKNOWN, account_ticket, joined
from tests.booking_web.test_ownership import ask
from tests.until import until
from tests.web.stack import SOON_S


def log_of(office: Office, number: int) -> Any:  # noqa: ANN401 - JSON
    path = f"/api/v1/operator/reservations/{number}"
    return succeeded(office.client.get(path, headers=office.operator))


def entries(office: Office, number: int) -> list[tuple[str, str]]:
    """Return what happened, by whom. Answer and webhook of the provider race; either may win."""
    found = log_of(office, number)["entries"]
    return [(one["what"], one["who"].replace("payment call", "webhook")) for one in found]


@pytest.fixture(scope="module")
def show(production: Office) -> Show:
    return production.show()


def test_it_says_who_reserved_paid_and_cancelled(show: Show) -> None:
    office, buyer = show.office, show.buyer()
    number = buyer.reserved(show.seats[0])
    payment = succeeded(buyer.pay(number), 201)
    place, joined_ms = joined(buyer)
    stay = f"{place}-{joined_ms}"
    until(lambda: buyer.standing().status_code == 404, SOON_S, "the stay is over")
    headers = {"X-Queue-Token": buyer.ticket}
    path = f"/api/v1/reservations/{number}"
    succeeded(ask(office, "DELETE", path, buyer.user, headers))
    until(lambda: entries(office, number)[-1][0] == "refunded", SOON_S, "the money is back")
    shown = log_of(office, number)
    assert shown | {
        "status": "CANCELLED", "userId": str(buyer.user), "queue": show.room, "holder": stay,
        "amount": PRICE, "currency": "KRW", "scheduleId": show.schedule, "title": "Tests, live",
        "startsAt": "2030-01-01T19:00:00+09:00",
    } == shown  # fmt: skip
    assert (shown["place"]["place"], shown["place"]["proof"]) == (place, "pass")
    *before, refunded = entries(office, number)
    assert before == [
        ("reserved", f"visitor with pass {stay}"),
        ("payment_begun", "visitor"),
        ("paid", "webhook"),
        ("cancelled", f"visitor with ticket {stay}"),
    ]
    # Whichever of the two comes first.
    assert refunded in {("refunded", "reconciler"), ("refunded", "webhook")}
    (attempt,) = shown["payments"]
    assert (attempt["paymentId"], attempt["status"]) == (payment["paymentId"], "REFUNDED")
    assert attempt["providerRef"]
    assert (attempt["amount"], attempt["refunded"]) == (PRICE, PRICE)


def test_an_account_is_shown_with_its_place(show: Show) -> None:
    buyer = show.buyer()
    headers = {"X-Queue-Token": account_ticket(buyer)}
    wish = {"seatId": show.seats[1], "scheduleId": show.schedule}
    made = succeeded(
        ask(show.office, "POST", "/api/v1/reservations", buyer.user, headers, wish), 201
    )
    shown = log_of(show.office, made["reservationId"])
    assert shown["holder"] == "account"
    assert (shown["place"]["place"], shown["place"]["proof"]) == (joined(buyer)[0], "ticket")


def test_an_operators_cancellation_names_the_key(show: Show) -> None:
    office, buyer = show.office, show.buyer()
    number = buyer.reserved(show.seats[2])
    path = f"/api/v1/operator/reservations/{number}"
    succeeded(office.client.delete(path, headers=office.operator))
    what, who = entries(office, number)[-1]
    assert (what, who.split()[0], len(who.split()[1])) == ("cancelled", "operator", 8)


def test_best_seats_and_a_declined_card(show: Show) -> None:
    buyer = show.buyer()
    made = succeeded(buyer.ask({"grade": "VIP", "count": 1}), 201)
    refused(buyer.pay(made["reservationId"], paymentMethod="DECLINE"), 400, "P001")
    shown = log_of(show.office, made["reservationId"])
    assert shown["place"]["place"] == joined(buyer)[0]
    assert entries(show.office, made["reservationId"])[1:] == [
        ("payment_begun", "visitor"),
        ("payment_failed", "webhook"),
    ]
    assert shown["payments"][0]["reason"]


def test_only_operators_see_it_and_only_what_exists(show: Show) -> None:
    buyer, client = show.buyer(), show.office.client
    number = buyer.reserved(show.seats[3])
    path = f"/api/v1/operator/reservations/{number}"
    refused(client.get(path, headers=buyer.headers), 401, "C002")
    refused(client.get(path, headers={"X-Operator-Key": "wrong"}), 403, "C003")
    for name, status, code in ((UNKNOWN, 404, "B004"), ("x", 400, "C001"), (10**30, 404, "B004")):
        path = f"/api/v1/operator/reservations/{name}"
        refused(client.get(path, headers=show.office.operator), status, code)


def test_trial_mode_records_the_place_too(trial: Office) -> None:
    show = trial.show()
    buyer = show.buyer()
    number = buyer.reserved(show.seats[0])
    succeeded(buyer.cancel(number))
    shown = log_of(trial, number)
    assert (shown["holder"], shown["place"]["place"]) == ("", joined(buyer)[0])
    assert [(one["what"], one["who"]) for one in shown["entries"]][1:] == [("cancelled", "visitor")]
