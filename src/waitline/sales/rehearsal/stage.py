"""A rehearsal's room and concert: put up before it, audited after it, and taken away for good."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import NamedTuple, TypeVar

import msgspec

from waitline.booking import sale_totals
from waitline.booking.catalogue import Catalogue
from waitline.booking.model import SCHEDULE_SEATS_MAX, NewSeat
from waitline.booking.rehearsals import Rehearsals as Booked
from waitline.booking.sale_totals import SaleTotals
from waitline.kernel.errors import Misconfigured, Unavailable
from waitline.kernel.ids import REHEARSALS, RoomId
from waitline.postgres.pool import Database
from waitline.queue import audit
from waitline.queue.model import Survey
from waitline.queue.record import SaleRecord
from waitline.queue.rehearsals import RehearsalRooms
from waitline.queue.rooms import Rooms
from waitline.queue.settings import Rules
from waitline.sales.http_client import HttpClient
from waitline.valkey.client import ValkeyClient

TITLE = "Rehearsal, not a real concert"
"""So that it cannot be taken for a real concert in a list."""

CALL_S = 5.0
"""How long a call to the store may take."""

SETTLE_S = 30.0
"""How long payments and events may be under way after the last visitor. Source: the provider's time
and the reconciler's first rounds."""

CLEAR_S = 60.0
"""How long taking everything away is tried, against locks and admitters that are still at work."""

LOOK_S = 0.5
CALM_LOOKS = 3
"""Between two checks that a room is gone, in s, and how many in a row must find it gone: an
admitter that visits it at that moment writes to it once more, within a tick."""

STARTS_AT = datetime(2999, 1, 1, tzinfo=UTC)
"""When the performance begins: never."""

ROW_SEATS = 50
GRADES = (("VIP", 50_000), ("R", 40_000), ("S", 30_000), ("A", 20_000))
"""Of the hall: a quarter each, as in the demo."""

T = TypeVar("T")


class Removed(NamedTuple):
    """What was taken away.

    Attributes:
        rooms: Rooms of rehearsals.
        rows: Rows of the database.
        entries: Entries of the stream of events.
    """

    rooms: int
    rows: int
    entries: int


class Settled(NamedTuple):
    """What a rehearsal has come to, once nothing is under way any more.

    Attributes:
        survey: The room's numbers.
        record: What it kept.
        sale_totals: What was sold.
        under_way: Payments and events that were not settled in time.
        findings: Promises that the line did not keep.
    """

    survey: Survey
    record: SaleRecord
    sale_totals: SaleTotals
    under_way: int
    findings: list[str]


def hall(seats: int) -> Iterator[NewSeat]:
    """Lay out a hall of so many seats.

    Raises:
        Misconfigured: No schedule has so many.
    """
    if not 1 <= seats <= SCHEDULE_SEATS_MAX:
        raise Misconfigured(f"--seats: from 1 to {SCHEDULE_SEATS_MAX:,}")
    for number in range(seats):
        grade, price = GRADES[number * len(GRADES) // seats]
        row, position = divmod(number, ROW_SEATS)
        name = f"{row + 1}-{position + 1}"
        yield NewSeat(grade, str(row + 1), position + 1, name, grade, price)


def room_name(instant_ms: int) -> RoomId:
    """Name a rehearsal's room after the current time."""
    return RoomId(f"{REHEARSALS}{datetime.fromtimestamp(instant_ms / 1000, UTC):%Y%m%d-%H%M%S}")


class Stage:
    """Where a rehearsal is played: straight in the stores, as an operator's commands are.

    Args:
        store: Holds the room.
        database: Holds the concert.
    """

    def __init__(self, store: ValkeyClient, database: Database) -> None:
        self._rooms = Rooms(store)
        self._store = store
        self._database = database
        self._queued = RehearsalRooms(store)
        self._booked = Booked(database)

    async def rehearsals(self) -> set[RoomId]:
        """Return the rooms of rehearsals that left something behind, or are going on."""
        return await self._queued.rooms() | await self._booked.rooms()

    async def put_up(self, room: RoomId, rules: Rules, seats: int) -> int:
        """Make the room, the concert and its seats; return the schedule's number."""
        laid_out = list(hall(seats))
        catalogue = Catalogue(self._database)
        await self._rooms.create(room, rules)
        concert = await catalogue.create_concert(TITLE, "", room)
        made = await catalogue.create_schedule(concert.concert_id, STARTS_AT)
        await catalogue.import_seats(made.schedule_id, laid_out)
        return made.schedule_id

    async def survey(self, room: RoomId) -> Survey:
        """Read the room's numbers."""
        return await self._rooms.survey(room)

    async def settled(self, room: RoomId) -> Settled:
        """Wait until nothing is under way, for a while at most, and read all that came of it."""
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
        """Take away whatever rehearsals have left, and return what that was.

        Raises:
            Unavailable: Something is left, or a store does not answer.
        """
        rooms = await self.rehearsals()
        rows = entries = 0
        for room in rooms:
            # Events that are not sent yet go with the bookings; those that were are in the stream.
            rows += await _patiently(partial(self._booked.discard, room))
            entries += await _patiently(partial(self._queued.delete_events, room))
            await self._take_away(room)
        return Removed(len(rooms), rows, entries)

    async def _take_away(self, room: RoomId) -> None:
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
            raise Unavailable(f"room {room} comes back as often as it is removed") from None


async def _patiently(call: Callable[[], Awaitable[T]]) -> T:
    """Call again where others hold a lock, or a busy machine is slow to answer."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + CLEAR_S
    while loop.time() < until_s:
        with suppress(Unavailable):
            return await call()
        await asyncio.sleep(LOOK_S)
    return await call()


@asynccontextmanager
async def opened(store_url: str, database_url: str) -> AsyncIterator[Stage]:
    """Open both stores for as long as the block lasts."""
    store = ValkeyClient(store_url, timeout_s=CALL_S)
    database = Database(database_url, "waitline.booking", connections_max=2)
    try:
        yield Stage(store, database)
    finally:
        await store.close()
        await database.close()


async def payments(office: HttpClient, operator_key: str) -> tuple[str, str]:
    """Ask the box office how it takes money.

    Returns:
        The payment provider, and the mode that the box office runs in.

    Raises:
        Misconfigured: It takes real money, or does not let us ask.
        Unavailable: It does not answer.
    """
    answer = await office.request(
        "GET", "/api/v1/operator/installation", {"X-Operator-Key": operator_key}
    )
    if answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        raise Misconfigured(
            "the box office does not know this operator key: set WAITLINE_OPERATOR_KEY, or name "
            "the installation's folder with --data-dir"
        )
    if answer.status != HTTPStatus.OK:
        raise Misconfigured(
            f"{office.url} does not say how it takes money (HTTP {answer.status}); is it a booking "
            "service of this version?"
        )
    document = msgspec.json.decode(answer.body)["data"]
    if not document["playMoney"]:
        raise Misconfigured(
            f"the box office takes real money ({document['payments']}): a rehearsal needs the "
            "sandbox, or a test key of the provider"
        )
    return document["payments"], document["mode"]
