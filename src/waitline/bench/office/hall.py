"""Buyers for one measurement: admitted to the demo concert's room, each with a token and a seat."""

import asyncio
import json
from pathlib import Path
from urllib import request

import uvloop

from waitline.bench.stack import Stack
from waitline.clock import SystemClock
from waitline.errors import Unavailable
from waitline.ids import RoomId, VisitorId
from waitline.keyring import KeyringFile
from waitline.lua import Valkey
from waitline.passes import mint_ticket
from waitline.queue.model import BATCH_MAX, DAY_MS, Joined, Limits, Rules
from waitline.queue.rooms import Rooms
from waitline.queue.store import Line

ROOM = RoomId("1")
"""Of the demo concert."""

SEATS = 10_000
"""Of the demo concert."""

CALL_S = 10.0
ADMIT_S = 30.0
"""How long letting everybody in may take."""


def fill(stack: Stack, folder: Path) -> Path:
    """Let as many buyers in as there are seats.

    Returns:
        A file with a line each: user, token, seat, price.

    Raises:
        Unavailable: They were not let in in time.
    """
    tickets = uvloop.run(_admitted(stack))
    headers = {"X-User-Id": "1", "X-Queue-Token": tickets[0]}
    url = f"{stack.booking_url}/api/v1/schedules/1/seats"
    with request.urlopen(request.Request(url, headers=headers), timeout=CALL_S) as answer:  # noqa: S310 - ours
        seats = json.load(answer)
    path = folder / "buyers"
    rows = zip(tickets, seats, strict=True)
    lines = (
        f"{user} {ticket} {seat['seatId']} {seat['price']}"
        for user, (ticket, seat) in enumerate(rows, 1)
    )
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


async def _admitted(stack: Stack) -> list[str]:
    limits = Limits(
        active_max=10 * SEATS,
        admit_per_s=10.0 * SEATS,
        admit_burst=SEATS,
        waiting_max=10 * SEATS,
        ready_ttl_ms=DAY_MS,
    )
    ring = KeyringFile(stack.data_dir / "keys" / "keys.json").load_or_create(SystemClock().now_ms())
    store = Valkey(stack.valkey_url, timeout_s=CALL_S)
    try:
        rooms, line = Rooms(store), Line(store)
        await rooms.ensure(ROOM, Rules(limits=limits))
        await rooms.change(ROOM, {name: getattr(limits, name) for name in limits.__slots__})
        tickets: list[str] = []
        for first in range(1, SEATS + 1, BATCH_MAX):
            visitors = [VisitorId(str(n)) for n in range(first, min(first + BATCH_MAX, SEATS + 1))]
            outcomes = await line.join(ROOM, visitors)
            for visitor, joined in zip(visitors, outcomes, strict=True):
                assert isinstance(joined, Joined), joined
                tickets.append(mint_ticket(ring, ROOM, visitor, joined.place, joined.joined_ms))
        try:
            async with asyncio.timeout(ADMIT_S):
                while (await rooms.survey(ROOM)).admitted < SEATS:  # noqa: ASYNC110 - of another process
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise Unavailable(f"the buyers were not let in within {ADMIT_S:.0f} s") from None
        return tickets
    finally:
        await store.close()
