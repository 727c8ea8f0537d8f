"""Hand-over from the waiting page to the box office: the pass is exchanged for a cookie, once."""

from urllib.parse import urlsplit

import httpx
import pytest

from tests.booking_web.office import PRICE, QUEUE_URL, Buyer, Office, refused, succeeded
from tests.booking_web.proofs import altered, expired_pass, leave
from tests.until import until
from tests.web.stack import SOON_S

EVIL = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}


@pytest.fixture(scope="module", params=["trial", "production"])
def office(request: pytest.FixtureRequest) -> Office:
    found: Office = request.getfixturevalue(f"{request.param}_office")
    return found


def page(buyer: Buyer) -> str:
    return f"/shop/concerts/{buyer.show.concert}"


def arrive(buyer: Buyer, token: str, path: str | None = None, **headers: str) -> httpx.Response:
    """Follow the address that the waiting page redirects to, as a browser with some cookies."""
    address = httpx.URL(path or page(buyer), params={"lang": "en", "waitline": token})
    answer = buyer.office.client.get(address, headers=headers)
    # Each test says which cookies a browser has.
    buyer.office.client.cookies.clear()
    return answer


def cookie_of(response: httpx.Response) -> dict[str, str]:
    assert response.status_code == 303, response.text
    fields = [one for one in response.headers.get_list("set-cookie") if "waitline-shop-" in one]
    return {"Cookie": fields[0].partition(";")[0]}


def test_a_pass_becomes_a_cookie(office: Office) -> None:
    buyer = office.show().buyer("ann/\N{HANGUL SYLLABLE GAG}")
    arrived = arrive(buyer, buyer.token)
    cookie = cookie_of(arrived)
    location = httpx.URL(office.url).join(page(buyer)).join(arrived.headers["location"])
    assert location.path == page(buyer)
    assert dict(location.params) == {"lang": "en"}
    assert arrived.headers["cache-control"] == "no-store"
    assert arrived.headers["referrer-policy"] == "no-referrer"
    attributes = arrived.headers["set-cookie"]
    assert "; HttpOnly; SameSite=Lax" in attributes
    production = office.get("/").json()["mode"] == "production"
    assert attributes.startswith("__Host-") == ("; Secure" in attributes) == production

    session = office.get(f"{page(buyer)}/session", **cookie).json()
    assert (session["userId"], session["room"]) == (buyer.user, buyer.show.room)
    assert session["asOfMs"] < session["expiresAtMs"]
    refused(office.get(f"{page(buyer)}/session"), 401, "C002")


def test_the_cookie_is_good_for_a_whole_purchase(office: Office) -> None:
    buyer = office.show().buyer()
    who = {**cookie_of(arrive(buyer, buyer.token)), "X-User-Id": str(buyer.user)}
    seats = office.get(f"/api/v1/schedules/{buyer.show.schedule}/seats", **who)
    assert len(seats.json()) == 20
    wanted = {"scheduleId": buyer.show.schedule, "seatId": buyer.show.seats[0]}
    held = succeeded(office.client.post("/api/v1/reservations", json=wanted, headers=who), 201)
    payment = {
        "reservationId": held["reservationId"],
        "userId": buyer.user,
        "amount": PRICE,
        "paymentMethod": "CARD",
        "concertId": buyer.show.room,
    }
    for status in (201, 409):
        again = office.client.post("/api/v1/payments", json=payment, headers=who)
        assert again.status_code == status
    path = f"/api/v1/reservations/{held['reservationId']}"
    assert office.get(path, **who).json()["status"] == "CONFIRMED"

    def freed() -> bool:
        return buyer.standing().status_code != 200

    until(freed, SOON_S, "the slot is free again")
    # The cookie still proves whose the reservation is.
    assert succeeded(office.client.delete(path, headers=who))["refund"]


def forged(buyer: Buyer) -> str:
    return altered(buyer.token)


def after_leaving(buyer: Buyer) -> str:
    leave(buyer)
    return buyer.token


def of_another_room(buyer: Buyer) -> str:
    return buyer.office.show().buyer(buyer.user).token


@pytest.mark.parametrize(
    ("token", "status"),
    [
        pytest.param(forged, 401, id="forged"),
        pytest.param(lambda _: "x" * 5_000, 401, id="too long"),
        pytest.param(lambda _: "", 401, id="empty"),
        pytest.param(lambda buyer: buyer.ticket, 401, id="a ticket"),
        pytest.param(lambda buyer: expired_pass(buyer, -1_000), 401, id="expired"),
        pytest.param(after_leaving, 401, id="left"),
        pytest.param(of_another_room, 403, id="of another room"),
    ],
)
def test_refused(office: Office, token: object, status: int) -> None:
    assert callable(token)
    buyer = office.show().buyer()
    wrong = token(buyer)
    for path in (page(buyer), "/shop"):
        if path == "/shop" and status == 403:
            continue
        answer = arrive(buyer, wrong, path)
        assert answer.status_code == status
        assert answer.headers["content-type"].startswith("text/html")
        assert answer.headers["cache-control"] == "no-store"
        assert "waitline-shop" not in answer.headers.get("set-cookie", "")
        if wrong:
            assert wrong not in answer.text
    refused(office.get(f"{page(buyer)}/session", Cookie="waitline-shop-0=x"), 401, "C002")


def test_a_pass_is_exchanged_once(office: Office) -> None:
    buyer = office.show().buyer()
    cookie = cookie_of(arrive(buyer, buyer.token))
    stranger = arrive(buyer, buyer.token)
    assert stranger.status_code == 409
    production = office.get("/").json()["mode"] == "production"
    queue = QUEUE_URL if production else office.queue.url
    assert f"{queue}/rooms/{buyer.show.room}#renew" in stranger.text
    # The browser that has the cookie may come back by its history.
    assert arrive(buyer, buyer.token, **cookie).status_code == 303
    # A longer stay has another pass.
    body = {"concertId": buyer.show.room, "userId": str(buyer.user)}
    query = office.queue.client
    token = {"X-Queue-Token": buyer.token}
    query.post("/api/v1/queue/activate", params=body, headers=token)
    longer = succeeded(query.post("/api/v1/queue/extend", json=body, headers=token))["token"]
    assert longer != buyer.token
    cookie_of(arrive(buyer, longer))


def test_the_room_finds_its_concert(office: Office) -> None:
    buyer = office.show().buyer()
    arrived = arrive(buyer, buyer.token, "/shop")
    assert urlsplit(arrived.headers["location"]).path == f"./shop/concerts/{buyer.show.concert}"
    cookie_of(arrived)
    nowhere = Buyer(buyer.show, 1, "")
    room = office.queue.room(admitPerSecond=1000)
    body = {"concertId": room.name, "userId": "1"}
    entered = succeeded(office.queue.client.post("/api/v1/queue/enter", json=body), 201)

    def admitted() -> bool:
        headers = {"X-Queue-Token": entered["token"]}
        standing = office.queue.client.get("/api/v1/queue/status", params=body, headers=headers)
        nowhere.token = succeeded(standing)["token"]
        return bool(succeeded(standing)["status"] == "READY")

    until(admitted, SOON_S, "is let in")
    assert arrive(nowhere, nowhere.token, "/shop").status_code == 403


def test_leaving_frees_the_slot(office: Office) -> None:
    buyer = office.show().buyer()
    cookie = cookie_of(arrive(buyer, buyer.token))
    path = f"{page(buyer)}/session"
    refused(office.client.delete(path, headers={**cookie, **EVIL}), 403, "C003")
    assert office.client.delete(path, headers=cookie).json() == {"left": True}
    who = {**cookie, "X-User-Id": str(buyer.user)}
    gone = office.get(f"/api/v1/schedules/{buyer.show.schedule}/seats", **who)
    assert gone.status_code in (401, 404)
    assert office.client.delete(path, headers=cookie).json() == {"left": True}


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        pytest.param(EVIL, "", id="another site"),
        pytest.param({"Origin": "https://evil.example"}, "", id="an older browser"),
        pytest.param({"Origin": "null"}, "", id="a sandboxed frame"),
        pytest.param(
            {"Origin": "http://x.example", "Sec-Fetch-Site": "same-site"}, "", id="a neighbour"
        ),
        pytest.param(
            {"Origin": "https://any.example", "Sec-Fetch-Site": "same-origin"}, "yes", id="our page"
        ),
        pytest.param({}, "yes", id="a program"),
    ],
)
def test_only_our_pages_write_with_the_cookie(
    office: Office, origin: dict[str, str], allowed: str
) -> None:
    buyer = office.show().buyer()
    cookie = cookie_of(arrive(buyer, buyer.token))
    who = {**cookie, "X-User-Id": str(buyer.user), **origin}
    wanted = {"scheduleId": buyer.show.schedule, "seatId": buyer.show.seats[0]}
    held = office.client.post("/api/v1/reservations", json=wanted, headers=who)
    own = buyer.reserved(buyer.show.seats[1])
    paid = {
        "reservationId": own,
        "userId": buyer.user,
        "amount": PRICE,
        "paymentMethod": "CARD",
        "concertId": buyer.show.room,
    }
    answers = [
        held,
        office.client.post("/api/v1/payments", json=paid, headers=who),
        office.client.delete(f"/api/v1/reservations/{own}", headers=who),
    ]
    if allowed:
        assert all(answer.is_success for answer in answers)
    else:
        for answer in answers:
            refused(answer, 403, "C003")
        # With the token in a header, no browser has sent it by itself.
        assert buyer.reserve(buyer.show.seats[2], **cookie, **origin).status_code == 201


def test_the_rows_of_a_section(office: Office) -> None:
    buyer = office.show(rows=3).buyer()
    who = {**cookie_of(arrive(buyer, buyer.token)), "X-User-Id": str(buyer.user)}
    path = f"/shop/schedules/{buyer.show.schedule}/rows?section="
    found = office.get(f"{path}Floor", **who)
    rows = found.json()["rows"]
    assert [row["row"] for row in rows] == ["0", "1", "2"]
    assert [seat[0] for row in rows for seat in row["seats"]] == buyer.show.seats
    assert [seat[1] for seat in rows[1]["seats"]] == [str(number) for number in range(10)]
    assert found.json()["categories"] == [
        {"grade": "VIP", "price": PRICE},
        {"grade": "R", "price": PRICE},
    ]
    known = {**who, "If-None-Match": found.headers["etag"]}
    assert office.get(f"{path}Floor", **known).status_code == 304
    refused(office.get(f"{path}Nowhere", **who), 400, "C001")
    refused(office.get(f"{path}Floor", **{"X-User-Id": str(buyer.user)}), 401, "C002")
    refused(office.get("/shop/schedules/x/rows?section=Floor", **who), 400, "C001")


def test_pages_without_a_visitor(office: Office) -> None:
    show = office.show()
    listed = office.get("/shop", Accept="text/html")
    assert f"shop/concerts/{show.concert}" in listed.text
    found = office.get(f"/shop/concerts/{show.concert}", Accept="text/html")
    assert found.status_code == 200
    assert "Tests, live" in found.text
    for unknown in ("0", "x", "99999999999"):
        assert office.get(f"/shop/concerts/{unknown}").status_code == 404
    assert office.get("/shop/").headers["location"] == "../shop"
