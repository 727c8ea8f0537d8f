"""CORS on the booking service: preflights and real calls, hot ones and the framework's."""

import pytest

from tests.booking_web.conftest import SHOP
from tests.booking_web.office import Office

OTHER = "https://evil.example"
ALLOW = "access-control-allow-origin"

# Each hot call's path, and paths that the framework answers.
PATHS = [
    "/api/v1/concerts",
    "/api/v1/concerts/1/schedules",
    "/api/v1/schedules/1/seats",
    "/api/v1/reservations",
    "/api/v1/reservations/1",
    "/api/v1/payments",
    "/api/v1/operator/concerts",
    "/api/v1/health",
    "/nowhere",
]


@pytest.fixture
def office(configured: Office) -> Office:
    return configured


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("root", ["", "/b"])
def test_a_preflight(office: Office, path: str, root: str) -> None:
    asked = {
        "Access-Control-Request-Method": "DELETE",
        "Access-Control-Request-Headers": "content-type,idempotency-key,x-queue-token,x-user-id",
    }
    answer = office.client.request("OPTIONS", root + path, headers={"Origin": SHOP, **asked})
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers[ALLOW] == SHOP
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert "DELETE" in answer.headers["access-control-allow-methods"]
    for name in ("Idempotency-Key", "X-Queue-Token", "X-User-Id"):
        assert name in answer.headers["access-control-allow-headers"]
    assert "Origin" in answer.headers["vary"]
    other = office.client.request("OPTIONS", root + path, headers={"Origin": OTHER, **asked})
    assert not [name for name in other.headers if name.startswith("access-control")]
    assert "Origin" in other.headers["vary"]


@pytest.mark.parametrize("origin", [SHOP, OTHER, "null", f"{SHOP}.evil", f"{SHOP}:443"])
def test_a_sale_from_a_page(office: Office, origin: str) -> None:
    buyer = office.show().buyer()
    sent = {"Origin": origin}
    reserved = buyer.reserve(buyer.show.seats[0], **sent)
    number = reserved.json()["data"]["reservationId"]
    answers = {
        201: reserved,
        200: buyer.seats(**sent),
        304: buyer.seats(**sent, **{"If-None-Match": buyer.seats().headers["etag"]}),
        409: buyer.reserve(buyer.show.seats[0], **sent),
        404: office.get("/nowhere", **sent),
    }
    for status, answer in answers.items():
        assert answer.status_code == status
    every = [
        *answers.values(),
        office.get("/api/v1/concerts", **sent),
        office.get("/api/v1/health", **sent),
        office.client.get(f"/api/v1/reservations/{number}", headers={**buyer.headers, **sent}),
        buyer.pay(number, headers=sent),
        office.get("/api/v1/operator/concerts", **sent),
        buyer.cancel(number, **sent),
    ]
    for answer in every:
        assert answer.headers.get(ALLOW) == (SHOP if origin == SHOP else None)
        assert "Origin" in answer.headers["vary"]


def test_under_its_root_path(office: Office) -> None:
    assert office.get("/b/api/v1/concerts").status_code == 200
    assert office.get("/b/docs").status_code == 200
    assert office.get("/b/openapi.json").json()["servers"] == [{"url": "/b"}]
    problem = office.get("/b/api/v1/concerts/none").json()
    assert problem["instance"] == "/b/api/v1/concerts/none"
