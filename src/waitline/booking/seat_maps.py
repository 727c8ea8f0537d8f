"""In-memory cache of seat maps: each document is encoded once per change (single flight).

Each worker caches the seats of the schedules in use, and polls the database for changes. A schedule
costs one small statement per `POLL_S`; a change costs one encoding of each list in use.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import NamedTuple, Never, TypeVar

import msgspec

from waitline.booking.catalogue_model import ScheduleUnknown
from waitline.booking.seat_documents import Document, SeatListing, failed, tag
from waitline.booking.seat_snapshot import (
    Layout,
    SeatChange,
    SeatSnapshot,
    full,
)
from waitline.kernel import telemetry
from waitline.kernel.errors import Unavailable
from waitline.kernel.periodic import periodic
from waitline.postgres.pool import Database, Row

POLL_S = 0.4
"""Polling interval of the schedules in use. Every worker must show a change within a second; the
remainder covers a slow answer and the encoding."""

FRESH_S = 0.7
"""Age above which a request reloads the seats first: polling has fallen behind."""

ASKED_S = 60.0
"""A schedule without requests for this long is not polled until the next request."""

PATIENCE_S = 0.5
"""How long a request waits for a slow database if there are cached seats to answer with."""

STALE_S = 10.0
"""Oldest seats that are shown while the database is down: long enough for a restart or a failover.
Stale seats cannot be sold twice, since a reservation checks the database. Showing them for longer
would only hide the outage."""

SCHEDULES_MAX = 256
"""Schedules in a worker's cache; the least recently used is evicted first."""

SEATS_MAX = 300_000
"""Seats in a worker's cache, over all schedules: about 700 bytes each. The most recently used
schedule is kept whatever its size."""

SMALL_MAX = 64
"""Small documents cached per schedule: mostly deltas from the last few versions."""

T = TypeVar("T")


class _Encoder:
    """Encodes a listing in a thread, one at a time: it takes some milliseconds."""

    def __init__(self, listing: SeatListing) -> None:
        self._listing = listing
        self._states = b""
        self._task: asyncio.Task[Document] | None = None

    async def document(self, snapshot: SeatSnapshot) -> Document:
        """Return the current listing; concurrent calls share one encoding."""
        while self._task is None or self._states is not snapshot.states or failed(self._task):
            if self._task is not None and not self._task.done():
                await asyncio.wait({self._task})
                continue
            self._states = snapshot.states
            telemetry.CACHE_LOADS.add(1, "seats")
            self._task = asyncio.create_task(
                asyncio.to_thread(self._listing.document, self._states)
            )
        # A caller that is cancelled must not cancel it for the others.
        return await asyncio.shield(self._task)


class _ScheduleView(NamedTuple):
    """The seats of a schedule, with the encoders of their listings."""

    snapshot: SeatSnapshot
    # Start of the database's server. Another server may lack transactions, and reuse their numbers.
    server_started: datetime
    available: _Encoder
    all: _Encoder
    # By section; encoded when first requested.
    available_in: Mapping[str, _Encoder]
    # Small documents by kind, each with the version and states that it was made from.
    small: OrderedDict[str, tuple[object, Document]]

    def small_document(self, kind: str, make: Callable[[], Document]) -> Document:
        """Return a document, made once per version and states."""
        key = (self.snapshot.version, self.snapshot.states)
        made_of, document = self.small.get(kind, (None, None))
        if document is None or made_of != key:
            document = make()
            self.small[kind] = (key, document)
            if len(self.small) > SMALL_MAX:
                self.small.popitem(last=False)
        self.small.move_to_end(kind)
        return document


class _CachedSchedule:
    """A schedule in the cache.

    Attributes:
        view: Its seats, once loaded.
        asked_s: Time of the last request, on the loop's clock, as all times here.
        read_s: Start of the load that the view is from.
        failed_s: Time of the last load that failed.
        reading: The load in progress. It fails only on bugs.
    """

    def __init__(self) -> None:
        self.view: _ScheduleView | None = None
        self.asked_s = float("-inf")
        self.read_s = float("-inf")
        self.failed_s = float("-inf")
        self.reading: asyncio.Task[None] | None = None


class SeatMaps:
    """The cached seats of every schedule in use. For one event loop.

    Args:
        database: Holds the seats.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._kept: OrderedDict[int, _CachedSchedule] = OrderedDict()

    async def available(self, schedule: int) -> Document:
        """Return the free seats of a schedule: a JSON array.

        Raises:
            ScheduleUnknown: There is no such schedule.
        """
        view = await self._view(schedule)
        return await view.available.document(view.snapshot)

    async def all_seats(self, schedule: int) -> Document:
        """Return all seats of a schedule: a JSON array.

        Raises:
            ScheduleUnknown: There is no such schedule.
        """
        view = await self._view(schedule)
        return await view.all.document(view.snapshot)

    async def section(self, schedule: int, name: str) -> Document | None:
        """Return the free seats of one section: a JSON array; `None` if there is no such section.

        Raises:
            ScheduleUnknown: There is no such schedule.
        """
        view = await self._view(schedule)
        encoder = view.available_in.get(name)
        return None if encoder is None else await encoder.document(view.snapshot)

    async def sections(self, schedule: int) -> Document:
        """Return the version, and the number of seats of each section, grade and price.

        Raises:
            ScheduleUnknown: There is no such schedule.
        """
        view = await self._view(schedule)
        snapshot = view.snapshot
        return view.small_document("sections", lambda: Document.of(snapshot.sections()))

    async def layout_version(self, schedule: int) -> str:
        """Return the version of a schedule's layout: it changes when seats are added or edited.

        Raises:
            ScheduleUnknown: There is no such schedule.
        """
        return str((await self._view(schedule)).snapshot.laid_out)

    async def since(self, schedule: int, version: str) -> Document:
        """Return the delta since a version: the current version, and the states of changed seats.

        If the version is too old or unknown, the document has all seats, as `all_seats`, and its
        member `full` is true.

        Raises:
            ScheduleUnknown: There is no such schedule.
        """
        view = await self._view(schedule)
        for _ in range(2):
            # Another worker is ahead. The first load may have begun before that version existed.
            if view.snapshot.behind(version):
                view = await self._view(schedule, fresh_s=0.0)
        delta = view.snapshot.delta(version)
        if delta is not None:
            return view.small_document(f"since {version}", lambda: Document.of(delta))
        # The listing may be newer than the version: the next delta then repeats some changes.
        before = view.snapshot.version
        listing = await view.all.document(view.snapshot)
        etag = tag(b"full", before.encode("ascii"), listing.etag)
        return view.small_document("full", lambda: Document(etag, full(before, listing.plain)))

    async def run(self) -> Never:
        """Refresh the schedules in use until cancelled."""
        await periodic("seat_refresh", self._refresh, POLL_S)

    async def _refresh(self) -> None:
        now_s = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as group:
            for schedule, kept in self._kept.items():
                if now_s - kept.asked_s < ASKED_S:
                    group.create_task(self._poll(schedule, kept))

    async def _poll(self, schedule: int, kept: _CachedSchedule) -> None:
        await asyncio.shield(self._reading(schedule, kept))

    async def _view(self, schedule: int, *, fresh_s: float = FRESH_S) -> _ScheduleView:
        """Return the seats of a schedule, reloaded if they are older than `fresh_s`.

        Raises:
            ScheduleUnknown: There is no such schedule.
            Unavailable: The database does not answer, and the cached seats are older than
                `STALE_S`.
        """
        kept = self._kept.setdefault(schedule, _CachedSchedule())
        self._kept.move_to_end(schedule)
        now = asyncio.get_running_loop().time
        kept.asked_s = now()
        if kept.asked_s - kept.read_s >= fresh_s and kept.asked_s - kept.failed_s >= POLL_S:
            usable = kept.asked_s - kept.read_s < STALE_S
            reading = self._reading(schedule, kept)
            await asyncio.wait({reading}, timeout=PATIENCE_S if usable else None)
            if reading.done():
                reading.result()
        if now() - kept.read_s >= STALE_S:
            raise Unavailable("the seats cannot be loaded from the database")
        if kept.view is None:
            raise ScheduleUnknown
        return kept.view

    def _reading(self, schedule: int, kept: _CachedSchedule) -> asyncio.Task[None]:
        if kept.reading is None:
            kept.reading = asyncio.create_task(self._read(schedule, kept))
        return kept.reading

    async def _read(self, schedule: int, kept: _CachedSchedule) -> None:
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        try:
            if kept.view is None or not await self._caught_up(schedule, kept.view):
                kept.view = await self._laid_out(schedule)
        except Unavailable:
            kept.failed_s = loop.time()
        else:
            kept.read_s = started_s
        finally:
            kept.reading = None
            self._make_room()

    async def _caught_up(self, schedule: int, view: _ScheduleView) -> bool:
        """Apply the changes since the snapshot; return `False` if it must be reloaded."""
        snapshot = view.snapshot
        row = await self._database.fetch_one(
            "changed_seats", schedule_id=schedule, watermark=snapshot.watermark
        )
        if row is None or row["laid_out"] != snapshot.laid_out:
            return False
        if row["server_started"] != view.server_started:
            return False
        states = row["states"].encode("ascii")
        changes = map(SeatChange, row["seat_ids"], row["changed"], states)
        return snapshot.apply(row["watermark"], list(changes))

    async def _laid_out(self, schedule: int) -> _ScheduleView | None:
        row = await self._database.fetch_one("read_seats", schedule_id=schedule)
        if row is None:
            return None
        snapshot = await asyncio.to_thread(_snapshot_of, schedule, row)
        return _ScheduleView(
            snapshot,
            row["server_started"],
            _Encoder(snapshot.available),
            _Encoder(snapshot.all),
            {name: _Encoder(listing) for name, listing in snapshot.available_in.items()},
            OrderedDict(),
        )

    def _make_room(self) -> None:
        """Evict schedules that do not exist, and the least recently used beyond the limits."""
        unknown = [
            schedule
            for schedule, kept in self._kept.items()
            if kept.view is None and kept.reading is None
        ]
        for schedule in unknown:
            del self._kept[schedule]
        seats = sum(len(kept.view.snapshot) for kept in self._kept.values() if kept.view)
        while len(self._kept) > SCHEDULES_MAX or (seats > SEATS_MAX and len(self._kept) > 1):
            _, kept = self._kept.popitem(last=False)
            seats -= len(kept.view.snapshot) if kept.view else 0


def _snapshot_of(schedule: int, row: Row) -> SeatSnapshot:
    def column(name: str, kind: type[T]) -> list[T]:
        return msgspec.json.decode(row[name], type=list[kind])  # type: ignore[valid-type]

    return SeatSnapshot(
        Layout(
            schedule_id=schedule,
            laid_out=row["laid_out"],
            watermark=row["watermark"],
            newest=row["newest"],
            seat_ids=column("seat_ids", int),
            numbers=column("numbers", str),
            sections=column("sections", str),
            grades=column("grades", str),
            prices=column("prices", int),
            states=row["states"].encode("ascii"),
        )
    )
