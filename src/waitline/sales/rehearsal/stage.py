"""Create, audit and delete a rehearsal's temporary room and concert."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import NamedTuple, TypeVar

import msgspec

from waitline.booking import sale_totals
from waitline.booking.catalogue import Catalogue
from waitline.booking.catalogue_model import SCHEDULE_SEATS_MAX, NewSeat
from waitline.booking.rehearsals import Rehearsals as Booked
from waitline.booking.sale_totals import SaleTotals
from waitline.booking.seat_imports import SeatImports
from waitline.kernel.errors import Misconfigured, Unavailable
from waitline.kernel.ids import REHEARSALS, RoomId
from waitline.postgres.pool import Database
from waitline.queue import audit
from waitline.queue.limits import LIMIT_NAMES
from waitline.queue.model import Survey
from waitline.queue.record import SaleRecord
from waitline.queue.rehearsals import RehearsalRooms
from waitline.queue.rooms import Rooms
from waitline.queue.settings import Rules
from waitline.sales.http_client import HttpClient
from waitline.valkey.client import ValkeyClient

TITLE = "Rehearsal, not a real concert"
"""Title of the concert; it must not look like a real concert in a list."""

CALL_S = 5.0
"""Timeout of a call to Valkey, in s."""

SETTLE_S = 30.0
"""Time for payments and events to settle after the last visitor, in s. Source: the provider's
latency and the first rounds of reconciliation."""

CLEAR_S = 60.0
"""How long the cleanup retries, in s. Locks and admitters may still be active."""

LOOK_S = 0.5
CALM_LOOKS = 3
"""Time between two checks that a room is gone, in s, and how many checks in a row must find it
gone. An admitter that is visiting the room may write to it once more, within a tick."""

STARTS_AT = datetime(2999, 1, 1, tzinfo=UTC)
"""Start of the performance: far in the future, so that it never begins."""

ROW_SEATS = 50
GRADES = (("VIP", 50_000), ("R", 40_000), ("S", 30_000), ("A", 20_000))
"""Seats per row, and grades with their prices: a quarter of the hall each, as in the demo."""

T = TypeVar("T")


class Removed(NamedTuple):
    """What a cleanup removed.

    Attributes:
        rooms: Number of rooms.
        rows: Number of database rows.
        entries: Number of entries of the event stream.
    """

    rooms: int
    rows: int
    entries: int


class Settled(NamedTuple):
    """The state of a rehearsal after payments and events have settled.

    Attributes:
        survey: Counts of the room.
        record: Sale record of the room.
        sale_totals: Totals of the box office.
        under_way: Payments and events that did not settle in time.
        findings: Invariants of the line that were broken.
    """

    survey: Survey
    record: SaleRecord
    sale_totals: SaleTotals
    under_way: int
    findings: list[str]


def hall(seats: int) -> Iterator[NewSeat]:
    """Yield the seats of a hall.

    Raises:
        Misconfigured: More than a schedule may have.
    """
    if not 1 <= seats <= SCHEDULE_SEATS_MAX:
        raise Misconfigured(f"--seats: must be from 1 to {SCHEDULE_SEATS_MAX:,}")
    for number in range(seats):
        grade, price = GRADES[number * len(GRADES) // seats]
        row, position = divmod(number, ROW_SEATS)
        name = f"{row + 1}-{position + 1}"
        yield NewSeat(grade, str(row + 1), position + 1, name, grade, price)


def room_name(instant_ms: int) -> RoomId:
    """Return the name of a rehearsal's room, made from the given time."""
    return RoomId(f"{REHEARSALS}{datetime.fromtimestamp(instant_ms / 1000, UTC):%Y%m%d-%H%M%S}")


def rules_like(rules: Rules) -> Rules:
    """Return the rules of a rehearsal's room, copied from another room.

    It is open, and anybody may enter. Limits of client addresses would refuse its visitors, who all
    come from one machine.
    """
    names = (name for name in LIMIT_NAMES if name.startswith(("address_", "network_")))
    limits = replace(rules.limits, **dict.fromkeys(names, 0))
    return Rules(limits=limits, when_shop_silent=rules.when_shop_silent)


class Stage:
    """A rehearsal's room and concert. Uses the stores directly, as operator commands do.

    Args:
        store: Valkey, for the room.
        database: PostgreSQL, for the concert.
    """

    def __init__(self, store: ValkeyClient, database: Database) -> None:
        self._rooms = Rooms(store)
        self._store = store
        self._database = database
        self._queued = RehearsalRooms(store)
        self._booked = Booked(database)

    async def rehearsals(self) -> set[RoomId]:
        """Return the rooms of rehearsals that are running or were not cleaned up."""
        return await self._queued.rooms() | await self._booked.rooms()

    async def put_up(self, room: RoomId, rules: Rules, seats: int) -> int:
        """Create the room, the concert and its seats; return the schedule's number."""
        laid_out = list(hall(seats))
        catalogue = Catalogue(self._database)
        await self._rooms.add(room, rules)
        await self._queued.register(room)
        concert = await self._booked.create(TITLE, room)
        made = await catalogue.create_schedule(concert, STARTS_AT)
        await SeatImports(self._database).add(made.schedule_id, laid_out)
        return made.schedule_id

    async def survey(self, room: RoomId) -> Survey:
        """Return the counts of the room."""
        return await self._rooms.survey(room)

    async def settled(self, room: RoomId) -> Settled:
        """Wait up to `SETTLE_S` for payments and events to settle, then return the final state."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + SETTLE_S
        under_way = await self._booked.unsettled(room)
        while sum(under_way) and loop.time() < until_s:
            await asyncio.sleep(LOOK_S)
            under_way = await self._booked.unsettled(room)
        found = audit.examine(await audit.take_snapshot(self._store, room))
        return Settled(
            survey=await self._rooms.survey(room),
            record=await self._rooms.sale_record(room),
            sale_totals=await sale_totals.load_sale_totals(self._database, room),
            under_way=sum(under_way),
            findings=[f"{finding.invariant}: {finding.text}" for finding in found],
        )

    async def clear(self) -> Removed:
        """Remove all rehearsals, and return what was removed.

        Raises:
            Unavailable: Something could not be removed, or a store does not answer.
        """
        left = await self._queued.unregistered()
        for room in left - await self._booked.sold_in_earnest(left):
            await self._queued.register(room)
        rooms, registered = await self.rehearsals(), await self._queued.rooms()
        rows = entries = 0
        for room in rooms:
            # `discard` removes unsent events with the bookings; sent events are in the stream.
            rows += await _patiently(partial(self._booked.discard, room))
        for room in registered:
            entries += await _patiently(partial(self._queued.delete_events, room))
            await self._remove_room(room)
            await self._queued.unregister(room)
        return Removed(len(rooms), rows, entries)

    async def _remove_room(self, room: RoomId) -> None:
        calm = 0
        try:
            async with asyncio.timeout(CLEAR_S):
                while calm < CALM_LOOKS:
                    if await self._queued.has_remains(room):
                        calm = 0
                        await self._queued.delete_room(room)
                    else:
                        calm += 1
                    await asyncio.sleep(LOOK_S)
        except TimeoutError:
            raise Unavailable(f"room {room} is created again after each removal") from None


async def _patiently(call: Callable[[], Awaitable[T]]) -> T:
    """Retry while another transaction holds a lock or the machine is slow."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + CLEAR_S
    while loop.time() < until_s:
        with suppress(Unavailable):
            return await call()
        await asyncio.sleep(LOOK_S)
    return await call()


@asynccontextmanager
async def opened(store_url: str, database_url: str) -> AsyncIterator[Stage]:
    """Open connections to both stores, and close them at the end of the block."""
    store = ValkeyClient(store_url, timeout_s=CALL_S)
    database = Database(database_url, "waitline.booking", connections_max=2)
    try:
        yield Stage(store, database)
    finally:
        await store.close()
        await database.close()


async def payments(office: HttpClient, operator_key: str) -> tuple[str, str]:
    """Fetch the payment provider from the booking service.

    Returns:
        The payment provider, and the mode of the booking service.

    Raises:
        Misconfigured: It takes real money, or refuses the operator key.
        Unavailable: It does not answer.
    """
    answer = await office.request(
        "GET", "/api/v1/operator/installation", {"X-Operator-Key": operator_key}
    )
    if answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        raise Misconfigured(
            "the booking service refuses this operator key: set WAITLINE_OPERATOR_KEY, or give "
            "the installation's data folder with --data-dir"
        )
    if answer.status != HTTPStatus.OK:
        raise Misconfigured(
            f"{office.url} does not name its payment provider (HTTP {answer.status}); is it a "
            "booking service of this version?"
        )
    document = msgspec.json.decode(answer.body)["data"]
    if not document["playMoney"]:
        raise Misconfigured(
            f"the box office takes real money ({document['payments']}): a rehearsal needs the "
            "sandbox, or a test key of the provider"
        )
    return document["payments"], document["mode"]
