"""Idempotency-Key: the same answer to a write that is repeated."""

import itertools

import pytest

from tests.booking_web.office import Buyer, Show, own_hold, refused, succeeded
from tests.web.stack import ENGLISH, at_once

KEY = {"Idempotency-Key": "3f1c"}


def test_a_reservation_is_made_once(buyer: Buyer) -> None:
    seat = buyer.show.seats[0]
    first = buyer.reserve(seat, **KEY)
    again = [buyer.reserve(seat, Connection="close", **KEY) for _ in range(4)]
    assert succeeded(first, 201)["seatId"] == seat
    assert {answer.content for answer in again} == {first.content}
    assert {answer.status_code for answer in again} == {201}
    assert again[0].headers["content-type"] == "application/json"


def test_without_a_key_it_is_another(buyer: Buyer) -> None:
    held = buyer.reserved(buyer.show.seats[0])
    own_hold(buyer.reserve(buyer.show.seats[0]), held)


def test_another_body_with_the_same_key(buyer: Buyer) -> None:
    first, second = buyer.show.seats[:2]
    succeeded(buyer.reserve(first, **KEY), 201)
    refused(buyer.reserve(second, **KEY), 422, "C001")
    assert buyer.show.states()[second] == "AVAILABLE"


def test_the_same_body_on_another_path(buyer: Buyer) -> None:
    one, other = (buyer.reserved(seat) for seat in buyer.show.seats[:2])
    succeeded(buyer.cancel(one, **KEY))
    refused(buyer.cancel(other, **KEY), 422, "C001")
    succeeded(buyer.cancel(one, **KEY))


def test_a_refusal_is_repeated_too(show: Show) -> None:
    first, second = show.buyers(2)
    reservation = first.reserved(show.seats[0])
    refusal = second.reserve(show.seats[0], **KEY)
    refused(refusal, 409, "B003")
    succeeded(first.cancel(reservation))
    again = second.reserve(show.seats[0], **KEY)
    refused(again, 409, "B003")
    assert again.content == refusal.content
    second.reserved(show.seats[0])


def test_a_key_belongs_to_its_user(show: Show) -> None:
    first, second = show.buyers(2)
    for buyer, seat in zip((first, second), show.seats, strict=False):
        assert succeeded(buyer.reserve(seat, **KEY), 201)["userId"] == buyer.user


def test_a_payment_that_waits_for_the_bank_is_answered_again(buyer: Buyer) -> None:
    reservation = buyer.reserved(buyer.show.seats[0])
    answers = [
        refused(buyer.pay(reservation, KEY, paymentMethod="AUTHENTICATE"), 400, "P001")
        for _ in range(2)
    ]
    assert answers[0]["data"]["nextAction"]["clientSecret"]
    assert answers[1]["data"] == answers[0]["data"]
    kept = buyer.office.sql(
        "SELECT answer FROM idempotency WHERE reservation_id = $1 AND done = 'begun'", reservation
    )
    assert [row["answer"] for row in kept] == [None]


def test_what_is_refused_before_the_write_keeps_no_key(buyer: Buyer) -> None:
    seat = buyer.show.seats[0]
    refused(buyer.reserve(seat, **KEY, **{"X-Queue-Token": "wrong"}), 401, "Q003")
    refused(buyer.ask({}, **KEY), 400, "C001")
    succeeded(buyer.reserve(seat, **KEY), 201)


def test_a_payment_is_made_once(buyer: Buyer) -> None:
    reservation = buyer.reserved(buyer.show.seats[0])
    first = buyer.pay(reservation, KEY)
    again = buyer.pay(reservation, KEY)
    assert succeeded(first, 201) == succeeded(again, 201)
    refused(buyer.pay(reservation, KEY, amount=1), 422, "C001")
    refused(buyer.pay(reservation), 409, "C005")


def test_a_declined_payment_stays_declined(buyer: Buyer) -> None:
    reservation = buyer.reserved(buyer.show.seats[0])
    for _ in range(2):
        refused(buyer.pay(reservation, KEY, paymentMethod="DECLINE"), 400, "P001")
    succeeded(buyer.pay(reservation, {"Idempotency-Key": "another"}), 201)


def test_many_at_once(buyer: Buyer) -> None:
    answers = at_once(8, lambda: buyer.reserve(buyer.show.seats[0], **KEY))
    made = {answer.content for answer in answers if answer.status_code == 201}
    assert len(made) == 1
    for answer in answers:
        if answer.status_code != 201:
            refused(answer, 409, "C005")


def test_different_bodies_at_once(buyer: Buyer) -> None:
    wanted = itertools.cycle(buyer.show.seats[:3])
    answers = at_once(9, lambda: buyer.reserve(next(wanted), **KEY))
    made = {answer.content for answer in answers if answer.status_code == 201}
    assert len(made) == 1
    assert {answer.status_code for answer in answers} <= {201, 409, 422}
    states = [buyer.show.states()[seat] for seat in buyer.show.seats[:3]]
    assert sorted(states) == ["AVAILABLE", "AVAILABLE", "RESERVED"]


@pytest.mark.parametrize("key", ["", "a b", "k" * 201, "키", "a\tb"])
def test_what_is_no_key(buyer: Buyer, key: str) -> None:
    headers = {**buyer.headers, "Idempotency-Key": key.encode()}
    body = {"scheduleId": buyer.show.schedule, "seatId": buyer.show.seats[0]}
    response = buyer.office.client.post(
        "/api/v1/reservations",
        json=body,
        headers=headers,  # type: ignore[arg-type]  # bytes are headers too
    )
    assert "Idempotency-Key" in refused(response, 400, "C001")["detail"]


def test_the_longest_key(buyer: Buyer) -> None:
    succeeded(buyer.reserve(buyer.show.seats[0], **{"Idempotency-Key": "~" * 200}), 201)


def test_the_answer_is_in_the_first_askers_language(buyer: Buyer) -> None:
    first = buyer.reserve(buyer.show.seats[0], **KEY)
    assert buyer.reserve(buyer.show.seats[0], **KEY, **ENGLISH).content == first.content
