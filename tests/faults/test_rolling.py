"""Rolling restart of everything behind nginx, under load: no request fails."""

import asyncio
import json
from collections.abc import Iterator

import asyncpg
import httpx
import pytest

from tests import nginx
from tests.faults.fleet import Fleet, fleet, outputs_shown
from tests.faults.journeys import PATIENT, PAUSED, ROOM, Shoppers
from tests.faults.stack import START_S, snapshot
from tests.until import until
from waitline.kernel.ids import RoomId

pytestmark = [nginx.needed, pytest.mark.long]

# More seats than can be sold in the time.
SECTIONS, SEATS = 50, 100

# Journeys that must come through after each restart.
MORE = 20


@pytest.fixture(scope="module")
def running() -> Iterator[Fleet]:
    with fleet() as started:
        started.put_on_sale(SECTIONS, SEATS)
        yield started


def test_every_process_is_restarted_in_turn_and_no_request_fails(running: Fleet) -> None:
    shoppers = Shoppers(running.port, running.schedule, running.sections)

    async def roll() -> None:
        async with shoppers.shopping():
            await shoppers.more(MORE, START_S)
            for instance in running.instances:
                await asyncio.to_thread(instance.restart)
                await shoppers.more(MORE, START_S)

    with outputs_shown(running):
        asyncio.run(roll())
    assert shoppers.failures == []
    # Each stream ended at least once with its instance.
    assert shoppers.streams["come again"] >= PATIENT
    compare(running, shoppers)


def test_addresses_are_those_that_nginx_has_seen(running: Fleet) -> None:
    """A header of the client is replaced, and the trusted proxy is believed."""
    transport = httpx.HTTPTransport(local_address="127.0.0.2")
    forged = {"X-Forwarded-For": "192.0.2.1", "Forwarded": "for=192.0.2.1"}
    with httpx.Client(transport=transport, headers=forged) as client:
        body = {"concertId": PAUSED, "userId": "from elsewhere"}
        answer = client.post(f"http://127.0.0.1:{running.port}/api/v1/queue/enter", json=body)
        assert answer.status_code == 201

    def counted() -> set[str]:
        shown = running.run("rooms", "addresses", PAUSED, "--json").stdout
        return {row["address"] for row in json.loads(shown)}

    until(lambda: "127.0.0.2" in counted(), START_S, "it is counted")
    assert "192.0.2.1" not in counted()


def compare(running: Fleet, shoppers: Shoppers) -> None:
    """Hold the stores against what the visitors were answered, and audit both."""
    assert len(set(shoppers.entered.values())) == len(shoppers.entered)
    seen = snapshot(running.env["WAITLINE_VALKEY_URL"], RoomId(ROOM))
    assert seen.number("entered") == len(shoppers.entered)

    async def fetched() -> dict[int, tuple[str, int]]:
        connection = await asyncpg.connect(running.env["WAITLINE_DATABASE_URL"])
        try:
            rows = await connection.fetch(
                "SELECT reservation_id, state, seat_id FROM reservation "
                "JOIN reserved_seat USING (reservation_id)"
            )
        finally:
            await connection.close()
        return {row["reservation_id"]: (row["state"], row["seat_id"]) for row in rows}

    stored = asyncio.run(fetched())
    paid = {number: seat for number, (state, seat) in stored.items() if state == "CONFIRMED"}
    assert paid == shoppers.paid
    assert {number for number, (state, _) in stored.items() if state == "CANCELLED"} == (
        shoppers.cancelled
    )
    assert len(stored) == len(shoppers.paid) + len(shoppers.cancelled)
    running.run("audit", "--room", ROOM)
    running.run("audit", "--booking")
    running.run("audit", "--provider")
    for instance in running.instances:
        for output in [*instance.outputs, instance.program.output]:
            assert "Traceback" not in output, f"{instance.name}: {output}"
