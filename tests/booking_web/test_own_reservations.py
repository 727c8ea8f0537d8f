"""`GET /api/v1/reservations?mine`: the holder's own list, and nobody else's (B8)."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.booking_web.office import PRICE, Buyer, Office, Show, refused, succeeded
from tests.booking_web.proofs import account_ticket, altered, cookie, leave, rotate_twice
from tests.booking_web.test_ownership import OWN, Claim, ask
from tests.until import until
from tests.web.stack import ENGLISH, SOON_S

PATH = "/api/v1/reservations?mine"


def mine(office: Office, user: object, headers: dict[str, str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = succeeded(ask(office, "GET", PATH, user, headers))["reservations"]
    return found


def numbers(found: list[dict[str, Any]]) -> list[int]:
    return [one["reservationId"] for one in found]


@pytest.fixture(scope="module")
def show(production: Office) -> Show:
    return production.show(rows=8)


@pytest.fixture(scope="module")
def free(show: Show) -> Iterator[int]:
    return iter(show.seats)


@pytest.mark.parametrize("proof", OWN, ids=lambda one: one.__name__)
def test_the_holder_finds_it_during_the_stay_and_after_it(
    show: Show, free: Iterator[int], proof: Callable[[Buyer], dict[str, str]]
) -> None:
    buyer = show.buyer()
    bought, held = buyer.reserved(next(free)), buyer.reserved(next(free))
    payment = succeeded(buyer.pay(bought), 201)
    until(lambda: buyer.standing().status_code == 404, SOON_S, "the stay is over")
    found = mine(show.office, buyer.user, proof(buyer))
    assert numbers(found) == [held, bought]
    assert [(one["status"], one["paymentId"]) for one in found] == [
        ("PENDING", None),
        ("CONFIRMED", payment["paymentId"]),
    ]


def test_what_it_says_of_a_reservation(show: Show, free: Iterator[int]) -> None:
    buyer, seats = show.buyer(), [next(free), next(free)]
    number = buyer.reserved(*seats)
    (held,) = mine(show.office, buyer.user, buyer.headers)
    assert held | buyer.reservation(number).json()["data"] == held
    assert held | {
        "queue": show.room, "concertId": show.concert, "title": "Tests, live", "currency": "KRW",
        "startsAt": "2030-01-01T10:00:00.000Z", "startsAtLocal": "2030-01-01T19:00:00+09:00",
        "paymentId": None, "paidAt": None, "refund": "none", "amount": 2 * PRICE,
    } == held  # fmt: skip
    (seat, _) = held["seats"]
    label = seat["seatNumber"]
    assert seat == {
        "seatId": seats[0], "seatNumber": label, "section": "Floor", "row": label.split("-")[0],
        "seat": label.split("-")[1], "grade": seat["grade"], "price": PRICE,
    }  # fmt: skip
    paid = succeeded(buyer.pay(number, amount=2 * PRICE), 201)
    (bought,) = mine(show.office, buyer.user, buyer.headers)
    assert (bought["status"], bought["paidAt"]) == ("CONFIRMED", paid["paidAt"])
    succeeded(buyer.cancel(number))
    (given_back,) = mine(show.office, buyer.user, buyer.headers)
    assert (given_back["status"], given_back["refund"] != "none") == ("CANCELLED", True)
    until(
        lambda: mine(show.office, buyer.user, buyer.headers)[0]["refund"] == "done",
        SOON_S,
        "the money is back",
    )


def test_what_was_let_go_without_paying_is_not_listed(show: Show, free: Iterator[int]) -> None:
    buyer = show.buyer()
    assert mine(show.office, buyer.user, buyer.headers) == []
    number = buyer.reserved(next(free))
    succeeded(buyer.cancel(number))
    assert mine(show.office, buyer.user, buyer.headers) == []


@pytest.fixture(scope="module")
def victim(show: Show, free: Iterator[int]) -> Buyer:
    """A buyer who holds seats, has paid for others, and has left."""
    buyer = show.buyer()
    bought = buyer.reserved(next(free))
    buyer.reserved(next(free))
    succeeded(buyer.pay(bought), 201)
    until(lambda: buyer.standing().status_code == 404, SOON_S, "the buyer has left")
    return buyer


@pytest.fixture(scope="module")
def claims(production: Office, victim: Buyer) -> dict[str, Claim]:
    """Whom the calls name and with which token; a status of 200 stands for an empty list."""
    show, token = victim.show, "X-Queue-Token"
    same, other = show.buyer(victim.user), show.buyer()
    elsewhere = production.show().buyer(victim.user)
    return {
        "ticket under the same name": Claim(victim.user, {token: same.ticket}, 200),
        "pass under the same name": Claim(victim.user, {token: same.token}, 200),
        "cookie under the same name": Claim(victim.user, cookie(victim, same.ticket), 200),
        "account under the same name": Claim(victim.user, {token: account_ticket(victim)}, 200),
        "ticket of another room": Claim(victim.user, {token: elsewhere.ticket}, 200),
        "pass of another room": Claim(victim.user, {token: elsewhere.token}, 200),
        "cookie of another room": Claim(victim.user, cookie(elsewhere, elsewhere.ticket), 200),
        "its ticket in another room's cookie": Claim(
            victim.user, cookie(elsewhere, victim.ticket), 200
        ),
        "another's ticket": Claim(victim.user, {token: other.ticket}, 200),
        "the holder's ticket by another name": Claim(other.user, {token: victim.ticket}, 200),
        "forged ticket": Claim(victim.user, {token: altered(victim.ticket)}, 200),
        "forged cookie": Claim(victim.user, cookie(victim, altered(victim.ticket)), 200),
        "garbage in a cookie": Claim(victim.user, cookie(victim, "garbage"), 200),
        "another's pass": Claim(victim.user, {token: other.token}, 401, "Q003"),
        "forged pass": Claim(victim.user, {token: altered(victim.token)}, 401, "Q003"),
        "ticket of an unknown key": Claim(victim.user, {token: "t1.x.1.1.x"}, 401, "Q003"),
        "garbage": Claim(victim.user, {token: "garbage"}, 401, "Q003"),
        "no token": Claim(victim.user, {}, 401, "C002"),
        "a blank token": Claim(victim.user, {token: ""}, 400, "C001"),
    }


NAMES = [
    "ticket under the same name", "pass under the same name", "cookie under the same name",
    "account under the same name", "ticket of another room", "pass of another room",
    "cookie of another room", "its ticket in another room's cookie", "another's ticket",
    "the holder's ticket by another name", "forged ticket", "forged cookie",
    "garbage in a cookie", "another's pass", "forged pass", "ticket of an unknown key", "garbage",
    "no token", "a blank token",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_nobody_elses_token_lists_anything(
    victim: Buyer, claims: dict[str, Claim], name: str
) -> None:
    claim, office = claims[name], victim.office
    answer = ask(office, "GET", PATH, claim.user, claim.headers)
    if claim.status == httpx.codes.OK:
        assert succeeded(answer) == {"reservations": []}
    else:
        refused(answer, claim.status, claim.code)
    # The control: the holder's own token lists them.
    own = {"X-Queue-Token": victim.ticket}
    assert [one["status"] for one in mine(office, victim.user, own)] == ["PENDING", "CONFIRMED"]


def test_everybody_of_one_name_has_a_list_of_their_own(show: Show, free: Iterator[int]) -> None:
    first = show.buyer()
    one = first.reserved(next(free))
    leave(first)
    second = show.buyer(first.user)
    other = second.reserved(next(free))
    assert numbers(mine(show.office, first.user, {"X-Queue-Token": first.ticket})) == [one]
    assert numbers(mine(show.office, first.user, {"X-Queue-Token": second.ticket})) == [other]


def test_an_account_finds_it_from_every_device_and_stay(show: Show, free: Iterator[int]) -> None:
    buyer, office = show.buyer(), show.office
    first, second = account_ticket(buyer), account_ticket(buyer, later=7)
    wish = {"seatId": next(free), "scheduleId": show.schedule}
    by_first = {"X-Queue-Token": first}
    made = succeeded(ask(office, "POST", "/api/v1/reservations", buyer.user, by_first, wish), 201)
    rotate_twice(office)
    for ticket in (first, second):
        found = mine(office, buyer.user, {"X-Queue-Token": ticket})
        assert numbers(found) == [made["reservationId"]]
        assert numbers(mine(office, buyer.user, cookie(buyer, ticket))) == numbers(found)
    # Who only claims the account's name has nothing of it.
    assert mine(office, buyer.user, buyer.headers) == []


def test_cookies_of_two_rooms_list_both(production: Office) -> None:
    shows = [production.show(), production.show()]
    user = production.user()
    buyers = [show.buyer(user) for show in shows]
    made = [buyer.reserved(buyer.show.seats[0]) for buyer in buyers]
    both = "; ".join(cookie(buyer, buyer.ticket)["Cookie"] for buyer in buyers)
    assert numbers(mine(production, user, {"Cookie": both})) == made[::-1]
    (only,) = mine(production, user, cookie(buyers[0], buyers[0].ticket))
    assert only["reservationId"] == made[0]


def test_trial_mode_believes_the_name(trial: Office) -> None:
    show = trial.show()
    buyer = show.buyer()
    number = buyer.reserved(show.seats[0])
    assert numbers(mine(trial, buyer.user, {})) == [number]
    assert numbers(mine(trial, buyer.user, {"X-Queue-Token": "garbage"})) == [number]
    assert mine(trial, trial.user(), {}) == []


@pytest.mark.parametrize("mode", ["trial", "production"])
@pytest.mark.parametrize("query", ["", "?", "?yours", "?Mine", "?mined=1"])
def test_there_is_no_other_list(mode: str, query: str, request: pytest.FixtureRequest) -> None:
    office: Office = request.getfixturevalue(mode)
    path = f"/api/v1/reservations{query}"
    problem = refused(office.get(path, **{"X-User-Id": "7", **ENGLISH}), 400, "C001")
    assert problem["detail"] == "mine: is required: ?mine lists your own reservations"
    # Without a user there is nobody to list anything for.
    refused(office.get(PATH, **ENGLISH), 401, "C002")


@pytest.mark.parametrize("query", ["?mine", "?mine=", "?mine=true", "?a=b&mine"])
def test_ways_to_ask_for_it(trial: Office, query: str) -> None:
    answer = trial.client.head(f"/api/v1/reservations{query}", headers={"X-User-Id": "7"})
    assert (answer.status_code, answer.content) == (200, b"")
    assert succeeded(trial.get(f"/api/v1/reservations{query}", **{"X-User-Id": "7"}))
