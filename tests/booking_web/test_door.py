"""The door list by HTTP, and that buyers see the codes that are on it."""

from pathlib import Path

import pytest

from tests.booking_web.office import PRICE, Office, refused, succeeded
from tests.booking_web.test_operator import call
from waitline.booking.seat_file import decode, records
from waitline.tokens.door import ListMark, public_keys, verify_file
from waitline.tokens.keyring_file import KeyringFile


def test_buyers_see_the_codes_of_the_list(production: Office) -> None:
    show = production.show()
    buyer = show.buyer("김 민준 🎫")
    paid = buyer.reserved(*show.seats[:2])
    tickets = f"/api/v1/reservations/{paid}/tickets"
    # Not before it is paid for.
    assert succeeded(production.get(tickets, **buyer.headers))["tickets"] == []
    succeeded(buyer.pay(paid, amount=2 * PRICE), 201)
    shown = succeeded(production.get(tickets, **buyer.headers))
    assert (shown["reservationId"], shown["scheduleId"]) == (paid, show.schedule)
    assert [(one["seatId"], one["seatNumber"]) for one in shown["tickets"]] == [
        (show.seats[0], "0-0"),
        (show.seats[1], "0-1"),
    ]
    # Somebody else sees none of it.
    refused(production.get(tickets, **show.buyer().headers), 404, "B004")

    path = f"schedules/{show.schedule}/door-list"
    listed = call(production, "GET", path)
    assert listed.headers["content-type"] == "text/csv; charset=utf-8"
    assert listed.headers["cache-control"] == "no-store"
    assert f"door-{show.schedule}.csv" in listed.headers["content-disposition"]
    rows = [one.cells for one in records(decode(listed.content))][1:3]
    assert [row[5] for row in rows] == [one["code"] for one in shown["tickets"]]
    assert [row[6] for row in rows] == ["김 민준 🎫"] * 2
    assert [row[8] for row in rows] == [f"#{paid}"] * 2

    page = call(production, "GET", f"{path}?format=html")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert all(one["code"] in page.text for one in shown["tickets"])
    refused(call(production, "GET", f"{path}?format=pdf"), 400, "C001")
    # As the command verifies it, with the installation's keys.
    ring = KeyringFile(Path(production.queue.data_dir) / "keys" / "keys.json").load()
    for answer in (listed, page):
        mark = verify_file(public_keys(ring), answer.content)
        assert isinstance(mark, ListMark)
        assert (mark.schedule, mark.tickets) == (show.schedule, 2)

    # A cancelled booking has no tickets, and is not on the list.
    succeeded(buyer.cancel(paid))
    assert succeeded(production.get(tickets, **buyer.headers))["tickets"] == []
    assert f"#{paid}" not in call(production, "GET", path).text


@pytest.mark.parametrize("reservation", ["x", "1"])
def test_no_such_tickets(trial: Office, reservation: str) -> None:
    response = trial.get(f"/api/v1/reservations/{reservation}/tickets", **{"X-User-Id": "1"})
    refused(response, *((400, "C001") if reservation == "x" else (404, "B004")))
