"""Admitted visitors of the demo concert's room, each with its own seat."""

import asyncio
import json
from itertools import count
from pathlib import Path

import uvloop

from waitline.booking.catalogue import Catalogue
from waitline.booking.seat_imports import SeatImports
from waitline.kernel.clock import SystemClock
from waitline.kernel.errors import Unavailable
from waitline.kernel.ids import RoomId, VisitorId
from waitline.postgres.pool import Database
from waitline.queue.limits import DAY_MS, Limits
from waitline.queue.model import BATCH_MAX, Joined
from waitline.queue.rooms import Rooms
from waitline.queue.settings import Rules
from waitline.queue.store import Line
from waitline.sales.rehearsal.stage import STARTS_AT, hall
from waitline.tokens.keyring_file import KeyringFile
from waitline.tokens.tickets import mint_ticket
from waitline.trial.installation import Installation
from waitline.valkey.client import ValkeyClient

CONCERT, ROOM = 1, RoomId("1")
"""The demo concert and its waiting room."""

VISITORS_MAX = 1_000_000
"""Limit of the room: more than all crowds of a measurement together."""

CALL_S = 10.0
ADMIT_S = 60.0
"""Timeout of admitting a crowd, in s."""


class Crowds:
    """Makes crowds of admitted visitors. Each has its own schedule of the concert.

    Args:
        stack: The installation.
        folder: Folder for the files of buyers.
    """

    def __init__(self, stack: Installation, folder: Path) -> None:
        self._stack = stack
        self._folder = folder
        self._users = count(1)

    def come(self, size: int) -> Path:
        """Put `size` seats on sale, and admit as many visitors.

        Returns:
            A file with a line per visitor: user, token, schedule, seat, price.

        Raises:
            Unavailable: They were not admitted in time.
        """
        lines = uvloop.run(self._come(size))
        path = self._folder / f"crowd-{lines[0].split()[0]}"
        path.write_text("\n".join(lines) + "\n", "utf-8")
        return path

    async def _come(self, size: int) -> list[str]:
        store = ValkeyClient(self._stack.valkey_url, timeout_s=CALL_S)
        database = Database(self._stack.database_url, "waitline.booking", connections_max=1)
        try:
            catalogue = Catalogue(database)
            made = await catalogue.create_schedule(CONCERT, STARTS_AT)
            await SeatImports(database).add(made.schedule_id, list(hall(size)))
            row = await database.fetch_one(
                "read_seats", within_s=CALL_S, schedule_id=made.schedule_id
            )
            assert row is not None
            seats = zip(json.loads(row["seat_ids"]), json.loads(row["prices"]), strict=True)
            tickets = await self._let_in(store, size)
        finally:
            await store.close()
            await database.close()
        return [
            f"{user} {ticket} {made.schedule_id} {seat} {price}"
            for (user, ticket), (seat, price) in zip(tickets.items(), seats, strict=True)
        ]

    async def _let_in(self, store: ValkeyClient, size: int) -> dict[VisitorId, str]:
        limits = Limits(
            active_max=VISITORS_MAX,
            admit_per_s=VISITORS_MAX,
            admit_burst=VISITORS_MAX,
            waiting_max=VISITORS_MAX,
            ready_ttl_ms=DAY_MS,
        )
        keys = KeyringFile(self._stack.data_dir / "keys" / "keys.json")
        ring = keys.load_or_create(SystemClock().now_ms())
        rooms, line = Rooms(store), Line(store)
        await rooms.ensure(ROOM, Rules(limits=limits))
        await rooms.change(ROOM, {name: getattr(limits, name) for name in limits.__slots__})
        visitors = [VisitorId(str(next(self._users))) for _ in range(size)]
        tickets = {}
        for first in range(0, size, BATCH_MAX):
            batch = visitors[first : first + BATCH_MAX]
            for visitor, joined in zip(batch, await line.join(ROOM, batch), strict=True):
                assert isinstance(joined, Joined), joined
                tickets[visitor] = mint_ticket(ring, ROOM, visitor, joined.place, joined.joined_ms)
        try:
            async with asyncio.timeout(ADMIT_S):
                while (await rooms.survey(ROOM)).waiting:  # noqa: ASYNC110 - of another process
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise Unavailable(f"the buyers were not admitted within {ADMIT_S:.0f} s") from None
        return tickets
