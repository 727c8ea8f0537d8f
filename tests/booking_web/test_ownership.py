"""Ownership in production mode (B8): only the holder reads, pays and cancels."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.booking_web.office import PRICE, Buyer, Office, Show, refused, succeeded
from tests.booking_web.proofs import (
    BEYOND,
    UNKNOWN,
    account_ticket,
    altered,
    cookie,
    expired_pass,
    leave,
    rotate_twice,
)
from tests.until import until
from tests.web.stack import SOON_S

Headers = dict[str, str]


def own_ticket(buyer: Buyer) -> Headers:
    return {"X-Queue-Token": buyer.ticket}


def own_pass(buyer: Buyer) -> Headers:
    return {"X-Queue-Token": buyer.token}


def own_cookie(buyer: Buyer) -> Headers:
    return cookie(buyer, buyer.ticket)


def own_expired_pass(buyer: Buyer) -> Headers:
    return {"X-Queue-Token": expired_pass(buyer)}


def after_leaving(buyer: Buyer) -> Headers:
    leave(buyer)
    return own_ticket(buyer)


def pass_after_leaving(buyer: Buyer) -> Headers:
    leave(buyer)
    return own_pass(buyer)


def after_two_rotations(buyer: Buyer) -> Headers:
    rotate_twice(buyer.office)
    leave(buyer)
    return own_ticket(buyer)


def pass_after_two_rotations(buyer: Buyer) -> Headers:
    rotate_twice(buyer.office)
    return own_expired_pass(buyer)


OWN = [
    own_ticket, own_pass, own_cookie, own_expired_pass, after_leaving, pass_after_leaving,
    after_two_rotations, pass_after_two_rotations,
]  # fmt: skip


def ask(  # noqa: PLR0917 - a request
    office: Office, method: str, path: str, user: object, headers: Headers, body: object = None
) -> httpx.Response:
    return office.client.request(
        method, path, json=body, headers={"X-User-Id": str(user), **headers}
    )


def payment_of(buyer: Buyer, reservation: int) -> dict[str, Any]:
    return {
        "reservationId": reservation, "userId": buyer.user, "amount": PRICE,
        "paymentMethod": "CARD", "concertId": buyer.show.room,
    }  # fmt: skip


@pytest.fixture(scope="module")
def show(production: Office) -> Show:
    return production.show(rows=4)


@pytest.fixture(scope="module")
def free(show: Show) -> Callable[[], int]:
    return iter(show.seats).__next__


@pytest.mark.parametrize("proof", OWN, ids=lambda one: one.__name__)
def test_the_holder_reads_pays_and_cancels(
    show: Show, free: Callable[[], int], proof: Callable[[Buyer], Headers]
) -> None:
    buyer = show.buyer()
    kept, paid = buyer.reserved(free()), buyer.reserved(free())
    headers, office = proof(buyer), show.office
    for number in (kept, paid):
        read = ask(office, "GET", f"/api/v1/reservations/{number}", buyer.user, headers)
        assert (read.status_code, read.json()["status"]) == (200, "PENDING")
    body = payment_of(buyer, paid)
    made = succeeded(ask(office, "POST", "/api/v1/payments", buyer.user, headers, body), 201)
    payment = f"/api/v1/payments/{made['paymentId']}"
    assert succeeded(ask(office, "GET", payment, buyer.user, headers)) == made
    until(lambda: buyer.standing().status_code != 200, SOON_S, "the stay is over")
    for number, refund in ((kept, False), (paid, True)):
        path = f"/api/v1/reservations/{number}"
        done = succeeded(ask(office, "DELETE", path, buyer.user, headers))
        assert done["refund"] is refund


class Claim:
    """Somebody who calls for a reservation that is not theirs.

    Attributes:
        user: Whom the request names.
        headers: The token.
        status: What every call is refused with, whatever is asked for.
        code: Its code for reservations.
    """

    def __init__(self, user: object, headers: Headers, status: int = 404, code: str = "") -> None:
        self.user = user
        self.headers = headers
        self.status = status
        self.code = code


@pytest.fixture(scope="module")
def victim(show: Show, free: Callable[[], int]) -> tuple[Buyer, int, int]:
    """A buyer who has paid and left; the reservation and the payment."""
    buyer = show.buyer()
    reservation = buyer.reserved(free())
    payment = succeeded(buyer.pay(reservation), 201)["paymentId"]
    until(lambda: buyer.standing().status_code == 404, SOON_S, "the buyer has left")
    return buyer, reservation, payment


@pytest.fixture(scope="module")
def claims(production: Office, victim: tuple[Buyer, int, int]) -> dict[str, Claim]:
    buyer, show = victim[0], victim[0].show
    same = show.buyer(buyer.user)
    other = show.buyer()
    elsewhere = production.show().buyer(buyer.user)
    token = "X-Queue-Token"
    return {
        "ticket under the same number": Claim(buyer.user, {token: same.ticket}),
        "pass under the same number": Claim(buyer.user, {token: same.token}),
        "cookie under the same number": Claim(buyer.user, cookie(buyer, same.ticket)),
        "account under the same number": Claim(buyer.user, {token: account_ticket(buyer)}),
        "ticket of another room": Claim(buyer.user, {token: elsewhere.ticket}),
        "pass of another room": Claim(buyer.user, {token: elsewhere.token}),
        "cookie of another room": Claim(buyer.user, cookie(elsewhere, elsewhere.ticket)),
        "another's ticket": Claim(buyer.user, {token: other.ticket}),
        "another's pass": Claim(buyer.user, {token: other.token}, 401, "Q003"),
        "another, by the own name": Claim(other.user, {token: other.token}),
        "the holder's ticket by another name": Claim(other.user, {token: buyer.ticket}),
        "forged ticket": Claim(buyer.user, {token: altered(buyer.ticket)}),
        "forged pass": Claim(buyer.user, {token: altered(buyer.token)}, 401, "Q003"),
        "forged cookie": Claim(buyer.user, cookie(buyer, altered(buyer.ticket))),
        "garbage in a cookie": Claim(buyer.user, cookie(buyer, "garbage")),
        "ticket of an unknown key": Claim(buyer.user, {token: "t1.x.1.1.x"}, 401, "Q003"),
        "garbage": Claim(buyer.user, {token: "garbage"}, 401, "Q003"),
        "no token": Claim(buyer.user, {}, 401, "C002"),
    }


NAMES = [
    "ticket under the same number", "pass under the same number", "cookie under the same number",
    "account under the same number", "ticket of another room", "pass of another room",
    "cookie of another room", "another's ticket", "another's pass", "another, by the own name",
    "the holder's ticket by another name", "forged ticket", "forged pass", "forged cookie",
    "garbage in a cookie", "ticket of an unknown key", "garbage", "no token",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_nobody_else_can_tell_a_reservation_from_none(
    victim: tuple[Buyer, int, int], claims: dict[str, Claim], name: str
) -> None:
    buyer, reservation, payment = victim
    claim, office = claims[name], buyer.office
    calls: list[tuple[str, Callable[[int], str], int, str]] = [
        ("GET", "/api/v1/reservations/{}".format, reservation, "B004"),
        ("DELETE", "/api/v1/reservations/{}".format, reservation, "B004"),
        ("POST", lambda _: "/api/v1/payments", reservation, "B004"),
        ("GET", "/api/v1/payments/{}".format, payment, "P003"),
    ]
    for method, path, theirs, code in calls:
        seen = set()
        for number in (theirs, UNKNOWN, 0, -1, BEYOND):
            body = payment_of(buyer, number) | {"userId": claim.user} if method == "POST" else None
            answer = ask(office, method, path(number), claim.user, claim.headers, body)
            problem = refused(answer, claim.status, claim.code or code)
            assert problem.pop("instance") == path(number)
            problem.pop("timestamp")
            kept = [name for name in answer.headers if name not in {"date", "content-length"}]
            seen.add((str(problem), str(kept)))
        assert len(seen) == 1
    row = office.sql("SELECT state FROM reservation WHERE reservation_id = $1", reservation)
    assert row[0]["state"] == "CONFIRMED"


def test_a_stranger_under_the_same_number_is_another_buyer(
    show: Show, free: Callable[[], int]
) -> None:
    """Neither the seat limit nor the idempotency keys of one are the other's."""
    first = show.buyer()
    key = {"Idempotency-Key": "1"}
    seats = [free() for _ in range(4)]
    one = first.reserve(*seats, **key)
    succeeded(one, 201)
    refused(first.reserve(free()), 409, "C005")
    leave(first)
    second = show.buyer(first.user)
    assert second.ticket != first.ticket
    seat = free()
    other = second.reserve(seat, **key)
    assert succeeded(other, 201)["seatId"] == seat
    # The first one's turn is over, and the repeat is answered all the same.
    assert first.reserve(*seats, **key).content == one.content
    refused(first.reserve(seat, **{"Idempotency-Key": "2"}), 401, "Q003")
    assert second.reserve(seat, **key).content == other.content


def test_an_account_owns_it_from_every_device(show: Show, free: Callable[[], int]) -> None:
    buyer = show.buyer()
    first, second = account_ticket(buyer), account_ticket(buyer, later=7)
    wish = {"seatId": free(), "scheduleId": show.schedule}
    headers = {"X-Queue-Token": first}
    made = succeeded(
        ask(show.office, "POST", "/api/v1/reservations", buyer.user, headers, wish), 201
    )
    path = f"/api/v1/reservations/{made['reservationId']}"
    # Who only claims the name has nothing of the account's.
    refused(buyer.reservation(made["reservationId"]), 404, "B004")
    headers = {"X-Queue-Token": second}
    assert ask(show.office, "GET", path, buyer.user, headers).status_code == 200
    body = payment_of(buyer, made["reservationId"])
    succeeded(ask(show.office, "POST", "/api/v1/payments", buyer.user, headers, body), 201)
    assert succeeded(ask(show.office, "DELETE", path, buyer.user, headers))["refund"] is True


def test_reservations_without_a_holder_are_nobodys(show: Show, free: Callable[[], int]) -> None:
    """Rows from before holders were stored have an empty one, which no token proves."""
    buyer = show.buyer()
    number = buyer.reserved(free())
    show.office.sql("UPDATE reservation SET holder = '' WHERE reservation_id = $1", number)
    refused(buyer.reservation(number), 404, "B004")
    refused(buyer.cancel(number), 404, "B004")
    show.office.sql("DELETE FROM reserved_seat WHERE reservation_id = $1", number)
    show.office.sql("DELETE FROM reservation WHERE reservation_id = $1", number)
