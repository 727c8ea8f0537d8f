"""Rolling upgrade: two versions of a script and a migration at once, under load; and back."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from tests import nginx
from tests.faults import next_version
from tests.faults.fleet import Fleet, fleet, outputs_shown
from tests.faults.journeys import ROOM, Shoppers
from tests.faults.stack import START_S, snapshot
from tests.faults.test_rolling import MORE, SEATS, SECTIONS, compare
from waitline.kernel.ids import RoomId

pytestmark = [nginx.needed, pytest.mark.long]


@pytest.fixture(scope="module")
def running() -> Iterator[Fleet]:
    with fleet() as started:
        started.put_on_sale(SECTIONS, SEATS)
        yield started


def test_two_versions_serve_at_once_and_no_request_fails(running: Fleet, tmp_path: Path) -> None:
    code = next_version.make(tmp_path)
    shoppers = Shoppers(running.port, running.schedule, running.sections)
    seen: dict[str, tuple[int, int]] = {}

    async def upgrade() -> None:
        async with shoppers.shopping():
            await shoppers.more(MORE, START_S)
            # Beside the version that serves; and that may still be started afterwards.
            await asyncio.to_thread(running.run, "migrate", code=code)
            await shoppers.more(MORE, START_S)
            await asyncio.to_thread(running.bookings[0].restart)
            for each in (running.queues[1], running.bookings[1], running.admitters[1]):
                each.code = code
                await asyncio.to_thread(each.restart)
            seen["before"] = await made(running)
            await shoppers.more(5 * MORE, START_S)
            seen["after"] = await made(running)
            for each in running.instances:
                if each.code is None:
                    each.code = code
                    await asyncio.to_thread(each.restart)
            await shoppers.more(MORE, START_S)
            # The way back: the older version again, on the newer tables.
            for each in (running.queues[0], running.bookings[0]):
                each.code = None
                await asyncio.to_thread(each.restart)
            await shoppers.more(MORE, START_S)

    with outputs_shown(running):
        asyncio.run(upgrade())
    assert shoppers.failures == []
    # While both were in service, each of them took reservations, and so did both scripts.
    old, new = (after - before for before, after in zip(*seen.values(), strict=True))
    assert min(old, new) > 0, seen
    joined = snapshot(running.env["WAITLINE_VALKEY_URL"], RoomId(ROOM)).number("joined_by_next")
    assert 0 < joined < len(shoppers.entered)
    assert any('"event": "schema_newer"' in output for output in running.bookings[0].outputs)
    compare(running, shoppers)


async def made(running: Fleet) -> tuple[int, int]:
    """Return how many reservations each version has made."""
    connection = await asyncpg.connect(running.env["WAITLINE_DATABASE_URL"])
    try:
        row = await connection.fetchrow(
            "SELECT count(*) FILTER (WHERE channel IS NULL) AS old, count(channel) AS new "
            "FROM reservation"
        )
    finally:
        await connection.close()
    return row["old"], row["new"]
