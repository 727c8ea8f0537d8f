"""POST /api/admin/test-data/init: the demo concert, as new."""

from collections import Counter
from typing import Any

from tests.booking_web.office import Buyer, Office, Show, refused, succeeded
from tests.until import until
from tests.web.stack import ENGLISH, SOON_S

GRADES = {"VIP": 50_000, "R": 40_000, "S": 30_000, "A": 20_000}


def test_the_demo_concert_is_as_new(trial: Office) -> None:
    demo = Show(trial, "1", 1, 1)
    demo.seats = list(range(1, 10_001))
    buyer = demo.buyer()
    reservation = load_and_reserve(trial, buyer)
    response = trial.client.post("/api/admin/test-data/init", headers=ENGLISH)
    assert response.status_code == 200
    body = response.json()
    assert list(body) == ["success", "message", "duration_ms", "data"]
    assert body["success"] is True
    assert body["message"] == "Test data created."
    assert isinstance(body["duration_ms"], int)
    assert body["data"] == {"concerts": 1, "schedules": 1, "seats": 10_000}
    refused(buyer.reservation(reservation), 404, "B004")

    seats: list[dict[str, Any]] = []

    # Workers read what has changed each for itself: what one tells now, another tells soon.
    def fresh() -> bool:
        seats[:] = buyer.seats(Connection="close").json()
        return len(seats) == 10_000

    until(fresh, SOON_S, "all seats are free again")
    assert [seat["seatId"] for seat in seats] == demo.seats
    assert Counter((seat["grade"], seat["price"]) for seat in seats) == dict.fromkeys(
        GRADES.items(), 2_500
    )
    assert buyer.reserved(7) != reservation


def load_and_reserve(office: Office, buyer: Buyer) -> int:
    """Load once, and hold a seat."""
    assert office.client.post("/api/admin/test-data/init").status_code == 200
    reservation = buyer.reserved(7)
    assert succeeded(buyer.cancel(buyer.reserved(8)))["status"] == "CANCELLED"
    until(lambda: len(buyer.seats().json()) == 9_999, SOON_S, "the seat is gone")
    return reservation
