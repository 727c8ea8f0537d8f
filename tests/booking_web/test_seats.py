"""GET /api/v1/schedules/{scheduleId}/seats: the available seats."""

import gzip
import itertools
from urllib.parse import quote

import brotli  # type: ignore[import-untyped]  # ships none
import pytest

from tests.booking_web.office import PRICE, Buyer, Office, Show, refused, succeeded
from tests.booking_web.test_catalogue import NO_NUMBERS, NOBODYS
from tests.until import until

# Seconds until every worker shows a change: well under one, on a machine that others use too.
SEEN_S = 20.0

FIELDS = ["seatId", "scheduleId", "seatNumber", "grade", "price", "status"]


def test_the_seats_are_a_bare_array(buyer: Buyer) -> None:
    response = buyer.seats()
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    seats = response.json()
    assert [seat["seatId"] for seat in seats] == buyer.show.seats
    assert list(seats[0]) == FIELDS
    assert seats[0] == {
        "seatId": buyer.show.seats[0],
        "scheduleId": buyer.show.schedule,
        "seatNumber": "0-0",
        "grade": "VIP",
        "price": PRICE,
        "status": "AVAILABLE",
    }


def test_a_change_is_seen_soon_by_every_worker(buyer: Buyer) -> None:
    first, second, *rest = buyer.show.seats
    assert len(buyer.seats().json()) == len(rest) + 2
    buyer.reserved(first)
    paid = buyer.reserved(second)
    succeeded(buyer.pay(paid), 201)
    other = buyer.show.buyer()

    def seen() -> bool:
        # Whichever of the workers answers: several times in a row.
        answers = [other.seats(Connection="close").json() for _ in range(6)]
        return all([seat["seatId"] for seat in answer] == rest for answer in answers)

    until(seen, SEEN_S, "the seats are gone from the list")
    states = {seat["seatId"]: seat["status"] for seat in other.seats("?status=all").json()}
    assert states == {first: "RESERVED", second: "OCCUPIED", **dict.fromkeys(rest, "AVAILABLE")}


def test_only_available_seats_by_their_name(buyer: Buyer) -> None:
    assert buyer.seats("?status=AVAILABLE").json() == buyer.seats().json()


def test_sections(buyer: Buyer) -> None:
    received = buyer.seats("?view=sections").json()
    counted = {one["grade"]: (one["total"], one["available"]) for one in received["sections"]}
    assert counted == {"VIP": (10, 10), "R": (10, 10)}
    assert received["version"]


def test_the_seats_of_one_section(trial: Office) -> None:
    show = trial.show(rows=1)
    show.put_on_sale(f"B%C,1,{seat},R,{PRICE}" for seat in range(5))
    buyer = show.buyer()
    names = [one["section"] for one in buyer.seats("?view=sections").json()["sections"]]
    assert names == ["Floor", "B%C"]
    floor, boxes = (buyer.seats(f"?section={quote(name)}") for name in names)
    assert [seat["seatId"] for seat in floor.json()] == show.seats[:10]
    assert floor.json() + boxes.json() == buyer.seats().json()
    assert floor.headers["etag"] != boxes.headers["etag"]
    assert buyer.seats(
        "?section=Floor", **{"If-None-Match": floor.headers["etag"]}
    ).status_code == (304)
    buyer.reserved(show.seats[3])
    rest = [seat for seat in show.seats[:10] if seat != show.seats[3]]
    until(
        lambda: [seat["seatId"] for seat in buyer.seats("?section=Floor").json()] == rest,
        SEEN_S,
        "the seat is gone from its section",
    )
    # Nothing there has changed.
    assert buyer.seats(f"?section={quote('B%C')}").headers["etag"] == boxes.headers["etag"]


def test_what_is_no_section(buyer: Buyer) -> None:
    body = refused(buyer.seats("?section=Nowhere"), 400, "C001")
    assert body["detail"].startswith("section: ")
    refused(buyer.seats("?section=Floor&status=all"), 400, "C001")
    assert buyer.seats("?section=Floor&status=AVAILABLE").json() == buyer.seats().json()


def test_what_has_changed_since(buyer: Buyer) -> None:
    version = buyer.seats("?view=sections").json()["version"]
    buyer.reserved(buyer.show.seats[3])

    def seen() -> bool:
        received = buyer.seats(f"?since={version}").json()
        return str(buyer.show.seats[3]) in str(received)

    until(seen, SEEN_S, "the change is sent")
    assert buyer.seats("?since=nonsense").status_code == 200


def test_what_the_asker_has_is_not_sent_again(buyer: Buyer) -> None:
    whole = buyer.seats()
    etag = whole.headers["etag"]
    assert whole.headers["cache-control"] == "private, no-cache"
    assert whole.headers["vary"] == "Accept-Encoding"
    for tags in (etag, etag.removeprefix("W/"), f'"x", {etag}', "*"):
        again = buyer.seats(**{"If-None-Match": tags})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == etag
    assert buyer.seats(**{"If-None-Match": '"other"'}).status_code == 200
    buyer.reserved(buyer.show.seats[0])
    until(
        lambda: buyer.seats(**{"If-None-Match": etag}).status_code == 200,
        SEEN_S,
        "another list has another tag",
    )


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("br", "br"),
        ("gzip", "gzip"),
        ("gzip, br", "br"),
        ("gzip, br;q=0", "gzip"),
        ("*", "br"),
        ("identity", None),
        ("gzip;q=0", None),
        ("", None),
    ],
)
def test_codings(buyer: Buyer, accepted: str, coding: str | None) -> None:
    request = buyer.office.client.build_request(
        "GET",
        f"/api/v1/schedules/{buyer.show.schedule}/seats",
        headers={**buyer.headers, "Accept-Encoding": accepted},
    )
    response = buyer.office.client.send(request, stream=True)
    raw = b"".join(response.iter_raw())
    response.close()
    assert response.headers.get("content-encoding") == coding
    plain = {"br": brotli.decompress, "gzip": gzip.decompress, None: bytes}[coding](raw)
    assert plain == buyer.seats(**{"Accept-Encoding": "identity"}).content


@pytest.mark.parametrize("left_out", ["X-User-Id", "X-Queue-Token"])
def test_both_headers_are_needed(buyer: Buyer, left_out: str) -> None:
    headers = {name: value for name, value in buyer.headers.items() if name != left_out}
    path = f"/api/v1/schedules/{buyer.show.schedule}/seats"
    refused(buyer.office.get(path, **headers), 401, "C002")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *itertools.product(["X-User-Id"], ["", "%20", "%00", "%FF", "x" * 129]),
        *itertools.product(["X-Queue-Token"], ["", "t" * 5_000]),
    ],
)
def test_headers_that_are_none(buyer: Buyer, name: str, value: str) -> None:
    body = refused(buyer.seats(**{name: value}), 400, "C001")
    assert body["detail"].startswith(f"{name}: ")


def test_another_users_token(buyer: Buyer) -> None:
    refused(buyer.seats(**{"X-User-Id": str(buyer.office.user())}), 401, "Q003")
    refused(buyer.seats(**{"X-Queue-Token": "t1.x.1.1.x"}), 401, "Q003")


def test_another_rooms_token(buyer: Buyer, trial: Office) -> None:
    elsewhere = trial.show().buyer()
    refused(buyer.seats(**elsewhere.headers), 401, "Q003")


def test_a_waiting_visitor_is_refused(trial: Office, show: Show) -> None:
    room = f"/api/v1/rooms/{show.room}"
    succeeded(trial.queue.client.patch(room, json={"mode": "paused"}, headers=trial.operator))
    # The room takes nobody new either, so these came before.
    succeeded(
        trial.queue.client.patch(
            room, json={"mode": "open", "activeMax": 1, "admitBurst": 1}, headers=trial.operator
        )
    )
    inside = show.buyer()
    outside = show.waiting()
    assert inside.seats().status_code == 200
    refused(outside.seats(), 401, "Q003")


def test_whose_time_is_over(trial: Office, show: Show) -> None:
    room = f"/api/v1/rooms/{show.room}"
    short = {"readySeconds": 0.3}
    succeeded(trial.queue.client.patch(room, json=short, headers=trial.operator))
    buyer = show.waiting()
    until(
        lambda: succeeded(buyer.standing())["status"] == "EXPIRED", 20.0, "the buyer's time is over"
    )
    refused(buyer.seats(), 401, "Q002")
    refused(buyer.reserve(show.seats[0]), 401, "Q002")


def test_an_active_visitor_is_inside_too(buyer: Buyer) -> None:
    query = {"concertId": buyer.show.room, "userId": str(buyer.user)}
    succeeded(buyer.office.queue.client.post("/api/v1/queue/activate", params=query))
    assert buyer.seats().status_code == 200
    buyer.reserved(buyer.show.seats[0])


@pytest.mark.parametrize("number", NOBODYS)
def test_no_such_schedule(buyer: Buyer, number: str) -> None:
    response = buyer.office.get(f"/api/v1/schedules/{number}/seats", **buyer.headers)
    refused(response, 404, "B008")


@pytest.mark.parametrize("number", NO_NUMBERS)
def test_no_number(buyer: Buyer, number: str) -> None:
    response = buyer.office.get(f"/api/v1/schedules/{number}/seats", **buyer.headers)
    refused(response, 400, "C001")


@pytest.mark.parametrize(
    "query", ["?status=x", "?status=", "?view=x", "?view=", "?section=", "?since=", "?since=%00%FF"]
)
def test_a_bad_query(buyer: Buyer, query: str) -> None:
    refused(buyer.seats(query), 400, "C001")


@pytest.mark.parametrize(
    "version", ["%00", "a%20b", "%EA%B0%80", "9" * 100, "-1.-1", "1.", ".", "1.1.1"]
)
def test_versions_that_are_none_of_ours(buyer: Buyer, version: str) -> None:
    response = buyer.seats(f"?since={version}")
    assert response.status_code in (200, 400)
