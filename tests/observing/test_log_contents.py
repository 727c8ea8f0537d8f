"""Nothing that is said in confidence is in a log: tokens, keys, ids and names of people.

Every kind of call is made, good, wrong and hostile, with values that are easy to find; then all
that all processes wrote is searched for them.
"""

import json
import re
from collections.abc import Iterator

import pytest

from tests.booking_web.office import SECRETS, Buyer, Office, Show, running
from tests.observing.lines import lines, named
from tests.until import until
from tests.web.stack import shows, succeeded
from waitline.kernel.log_events import EVENTS

SOON_S = 20.0

ADDRESS = "203.0.113.77"
VISITOR = "visitor.kim@example.com"
VISITOR_KEY = "the-key-of-a-browser-0123456789"
IDEMPOTENCY_KEY = "the-key-of-a-payment-0123456789"
FORGED = "wl1.forged-token-that-nobody-may-read"
STATEMENT = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJraW0ifQ.c2lnbmVk"
OPERATOR_GUESS = "a-guess-of-the-operators-key"
COOKIE = "wl_ticket=cookie-that-nobody-may-read"
AGENT = "Mozilla/5.0 (of Kim Minji)"

PERSONAL = {"X-Forwarded-For": ADDRESS, "User-Agent": AGENT, "Cookie": COOKIE}


@pytest.fixture(params=["json", pytest.param("text", marks=pytest.mark.long)])
def logged(request: pytest.FixtureRequest, observed: Office) -> Iterator[Office]:
    """Yield an installation in each format; the one with text only for a short time."""
    if request.param == "json":
        yield observed
        return
    with running(
        "production", WAITLINE_LOG_FORMAT="text", WAITLINE_TRUSTED_PROXIES="127.0.0.1",
        WAITLINE_ACCESS_LOG="1",
    ) as office:  # fmt: skip
        yield office


def hostile(office: Office, buyer: Buyer) -> None:
    """Make calls that are refused, each with something confidential in it."""
    queue, box_office = office.queue.client, office.client
    who = {"concertId": buyer.show.room, "userId": VISITOR}
    for headers in ({}, shows(FORGED), {"X-Identity": STATEMENT}, {"X-Visitor-Key": VISITOR_KEY}):
        for method, path in (
            ("GET", "/api/v1/queue/status"),
            ("POST", "/api/v1/queue/activate"),
            ("DELETE", "/api/v1/queue/remove"),
            ("GET", "/api/v1/queue/subscribe"),
        ):
            queue.request(method, path, params=who, headers={**PERSONAL, **headers})
        for path in ("enter", "extend", "validate"):
            body = {**who, "token": FORGED}
            queue.post(f"/api/v1/queue/{path}", json=body, headers={**PERSONAL, **headers})
    queue.post("/api/v1/queue/enter", content=b'{"userId": "' + VISITOR.encode())
    queue.get(f"/{FORGED}/{VISITOR}", headers=PERSONAL)
    queue.get(f"/rooms/{FORGED}", headers=PERSONAL)
    for headers in ({"X-Operator-Key": OPERATOR_GUESS}, office.operator):
        queue.get(f"/api/v1/operator/rooms/{buyer.show.room}/none", headers=headers)
        box_office.get("/api/v1/operator/payments/none", headers=headers)
    for path in ("/api/v1/reservations/1", "/api/v1/payments/x", f"/api/v1/{FORGED}"):
        box_office.get(path, headers={"X-User-Id": "kim", **shows(FORGED), **PERSONAL})
    box_office.post(
        "/api/v1/payments/webhook", content=FORGED.encode(), headers={"X-Signature": FORGED}
    )
    box_office.post("/api/v1/payments", content=b"{" + FORGED.encode(), headers=PERSONAL)
    box_office.put("/api/v1/payments", headers={"Authorization": f"Bearer {FORGED}"})


def buy(office: Office) -> Buyer:
    """Make the calls of a sale, with payments that succeed, are declined, and do not end."""
    show = office.show(1)
    buyer = show.buyer(VISITOR)
    queue = office.queue.client
    query = {"concertId": show.room, "userId": VISITOR}
    held = {**shows(buyer.token), **PERSONAL}
    succeeded(queue.post("/api/v1/queue/activate", params=query, headers=held))
    number = buyer.reserved(show.seats[0])
    declined = buyer.pay(number, {"Idempotency-Key": IDEMPOTENCY_KEY}, paymentMethod="DECLINE")
    assert declined.status_code == 400
    assert buyer.pay(number, {"Idempotency-Key": f"{IDEMPOTENCY_KEY}2"}).status_code == 201
    assert buyer.pay(number).status_code == 409
    buyer.reservation(number)
    return buyer


def confidential(office: Office, buyer: Buyer) -> dict[str, str]:
    """Return every text that nobody may find in a log, by what it is."""
    folder = office.program.data_dir
    keys = json.loads((folder / "keys" / "keys.json").read_text("utf-8"))
    secret = [
        value for value in re.findall(r'"([^"]{20,})"', json.dumps(keys)) if not value.isdigit()
    ]
    assert secret
    return {
        "ticket": buyer.ticket,
        "pass": buyer.token,
        "end of the pass": buyer.token[-24:],
        "visitor": VISITOR,
        "visitor, encoded": VISITOR.replace("@", "%40"),
        "address": ADDRESS,
        "visitor key": VISITOR_KEY,
        "idempotency key": IDEMPOTENCY_KEY,
        "forged token": FORGED,
        "statement": STATEMENT,
        "guess": OPERATOR_GUESS,
        "cookie": COOKIE.partition("=")[2],
        "agent": "Kim Minji",
        "operator key": office.operator["X-Operator-Key"],
        **SECRETS,
        **{f"key {number}": text for number, text in enumerate(secret)},
    }


def test_no_log_says_what_is_confidential(logged: Office) -> None:
    buyer = buy(logged)
    hostile(logged, buyer)
    fail_at_the_database(logged, buyer.show)
    until(lambda: "request_failed" in logged.program.output, SOON_S, "a bug is logged")
    output = logged.program.output + logged.provider.output
    for event in ("request_answered", "request_refused", "request_failed"):
        assert event in output
    found = {what for what, text in confidential(logged, buyer).items() if text in output}
    assert found == set()


def fail_at_the_database(office: Office, show: Show) -> None:
    """Make a statement fail as a bug does, with the visitor's name in the server's message."""
    buyer = show.buyer(f"{VISITOR}.2")
    office.sql(
        f"ALTER TABLE reservation ADD CONSTRAINT fault CHECK (user_id <> '{buyer.user}') NOT VALID"
    )
    try:
        assert buyer.reserve(show.seats[1]).status_code == 500
    finally:
        office.sql("ALTER TABLE reservation DROP CONSTRAINT fault")


def test_every_line_is_a_listed_event_with_its_keys_and_level(observed: Office) -> None:
    buy(observed)
    until(lambda: bool(named(observed, "request_answered")), SOON_S, "something is logged")
    for line in lines(observed):
        event = EVENTS[line["event"]]
        assert line["level"] in event.level.split(" or ")
        assert line.keys() - {"event", "level", "timestamp", "exception"} <= set(event.keys)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3,6}Z", line["timestamp"])
