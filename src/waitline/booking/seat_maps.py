"""Seat maps, cached in memory: each document is made once a change (single flight).

Each worker caches the seats of the schedules in use, and polls the database for changes: a schedule
costs a small statement each `POLL_S`, and a change one encoding of each list in use.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import NamedTuple, Never, TypeVar

import msgspec

from waitline.booking.model import ScheduleUnknown
from waitline.booking.seat_documents import Document, SeatListing, tag
from waitline.booking.seat_snapshot import (
    Layout,
    SeatChange,
    SeatSnapshot,
    full,
)
from waitline.kernel.errors import Unavailable
from waitline.kernel.periodic import periodic
from waitline.postgres.pool import Database, Row

POLL_S = 0.4
"""How often the schedules that are asked for are read. A change must be seen within a second, on
every worker; the rest of it is for a slow answer and for the encoding."""

FRESH_S = 0.7
"""Older seats are read again before they are shown: by then polling has fallen behind."""

ASKED_S = 60.0
"""A schedule without requests in this time is not polled until the next request."""

PATIENCE_S = 0.5
"""How long a request waits for a slow database while there are older seats to show."""

STALE_S = 10.0
"""How old the seats may be that are shown while the database is down: it may be restarted, or be
taken over by another, in this time. Old seats sell nothing twice, since a reservation checks the
database; but it needs the database, so showing them for longer would only hide the outage."""

SCHEDULES_MAX = 256
"""Schedules that a worker keeps; the one not asked for longest goes first."""

SEATS_MAX = 300_000
"""Seats that a worker keeps, of all schedules together: some 700 bytes each. The schedule asked for
last stays, however many it has."""

SMALL_MAX = 64
"""Answers beside the lists that are kept of a schedule: most of them to `since`, since visitors ask
from the last few versions."""

T = TypeVar("T")


class _Encoder:
    """Makes one listing at a time, apart from the event loop: it takes some milliseconds."""

    def __init__(self, listing: SeatListing) -> None:
        self._listing = listing
        self._states = b""
        self._task: asyncio.Task[Document] | None = None

    async def document(self, snapshot: SeatSnapshot) -> Document:
        """Return the listing as it is now; however many ask, it is made once."""
        while self._task is None or self._states is not snapshot.states:
            if self._task is not None and not self._task.done():
                await asyncio.wait({self._task})
                continue
            self._states = snapshot.states
            self._task = asyncio.create_task(
                asyncio.to_thread(self._listing.document, self._states)
            )
        # A caller that is cancelled must not cancel it for the others.
        return await asyncio.shield(self._task)


class _ScheduleView(NamedTuple):
    """The seats of a schedule, and what they are shown by."""

    snapshot: SeatSnapshot
    available: _Encoder
    all: _Encoder
    # By section; encoded when first requested.
    available_in: Mapping[str, _Encoder]
    # Smaller documents by kind, each with the version and states that it was made of.
    small: OrderedDict[str, tuple[object, Document]]

    def small_document(self, kind: str, make: Callable[[], Document]) -> Document:
        """Return a document that is made once for a version and its states."""
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
    """A schedule that is kept.

    Attributes:
        view: Its seats, once they were read.
        asked_s: When somebody asked last, on the loop's clock; likewise the others.
        read_s: When the reading of what is known began.
        failed_s: When the database has last failed to answer.
        reading: What reads it now. It fails with bugs alone.
    """

    def __init__(self) -> None:
        self.view: _ScheduleView | None = None
        self.asked_s = float("-inf")
        self.read_s = float("-inf")
        self.failed_s = float("-inf")
        self.reading: asyncio.Task[None] | None = None


class SeatMaps:
    """The seats of every schedule. Of one event loop.

    Args:
        database: Holds them.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._kept: OrderedDict[int, _CachedSchedule] = OrderedDict()

    async def available(self, schedule: int) -> Document:
        """Return the seats of a schedule that are free: a JSON array.

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
        """Return the seats of one section that are free: a JSON array; `None` if there is none.

        Raises:
            ScheduleUnknown: There is no such schedule.
        """
        view = await self._view(schedule)
        encoder = view.available_in.get(name)
        return None if encoder is None else await encoder.document(view.snapshot)

    async def sections(self, schedule: int) -> Document:
        """Return the version, and the seats of each section, grade and price, counted.

        Raises:
            ScheduleUnknown: There is no such schedule.
        """
        view = await self._view(schedule)
        snapshot = view.snapshot
        return view.small_document("sections", lambda: Document.of(snapshot.sections()))

    async def since(self, schedule: int, version: str) -> Document:
        """Return what has changed since a version: the next version, and the states of seats.

        Where that is not known, because the version is too old or none of ours, it is all seats as
        `all_seats` shows them, and says so: `full`.

        Raises:
            ScheduleUnknown: There is no such schedule.
        """
        view = await self._view(schedule)
        for _ in range(2):
            # Another worker has seen more. The first reading may have begun before it had.
            if view.snapshot.behind(version):
                view = await self._view(schedule, fresh_s=0.0)
        delta = view.snapshot.delta(version)
        if delta is not None:
            return view.small_document(f"since {version}", lambda: Document.of(delta))
        # Seats that are newer than the version do no harm: the next delta repeats them.
        before = view.snapshot.version
        listing = await view.all.document(view.snapshot)
        etag = tag(b"full", before.encode("ascii"), listing.etag)
        return view.small_document("full", lambda: Document(etag, full(before, listing.plain)))

    async def run(self) -> Never:
        """Keep the schedules that are asked for fresh, until cancelled."""
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
        """Return the seats of a schedule, read again if they are older than `fresh_s`.

        Raises:
            ScheduleUnknown: There is no such schedule.
            Unavailable: The database does not answer, and what is known is older than `STALE_S`.
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
            raise Unavailable("the database does not say which seats are free")
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
            if kept.view is None or not await self._caught_up(schedule, kept.view.snapshot):
                kept.view = await self._laid_out(schedule)
        except Unavailable:
            kept.failed_s = loop.time()
        else:
            kept.read_s = started_s
        finally:
            kept.reading = None
            self._make_room()

    async def _caught_up(self, schedule: int, snapshot: SeatSnapshot) -> bool:
        """Note what has changed; return whether the seats are still the same ones."""
        row = await self._database.fetch_one(
            "changed_seats", schedule_id=schedule, watermark=snapshot.watermark
        )
        if row is None or row["laid_out"] != snapshot.laid_out:
            return False
        if row["watermark"] < snapshot.watermark:
            # Time does not go back: it is another database, which may know less than the last.
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
            _Encoder(snapshot.available),
            _Encoder(snapshot.all),
            {name: _Encoder(listing) for name, listing in snapshot.available_in.items()},
            OrderedDict(),
        )

    def _make_room(self) -> None:
        """Drop what does not exist, and the schedules not asked for longest if there are many."""
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
