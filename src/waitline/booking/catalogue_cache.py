"""Single-flight cache of the catalogue: every concert and schedule in the memory of a worker.

Whatever clients request, the database runs one small statement per `FRESH_S`, and the catalogue is
reloaded only after a change. An unknown id waits for a check that began after the request: requests
within `SPACING_S` share one. A concert that was just created is found, and random ids cost almost
nothing.
"""

import asyncio
from collections import defaultdict
from collections.abc import Hashable, Mapping
from typing import Any

from waitline.booking.catalogue import LISTED_MAX, Catalogue
from waitline.booking.catalogue_model import (
    Concert,
    ConcertUnknown,
    Schedule,
    ScheduleUnknown,
)
from waitline.kernel.errors import Refused, Unavailable
from waitline.kernel.single_flight import SingleFlightCache

FRESH_S = 0.5
"""Age, in s, above which the catalogue is checked. Only operators change it."""

SPACING_S = 0.05
"""Shortest time, in s, between the starts of two checks: requests for random ids cause at most
twenty a second, and delay their answer by at most this."""

PATIENCE_S = 0.3
"""How long a request waits for a slow database if there is a catalogue to answer from."""

STALE_S = 10.0
"""Oldest catalogue that is served while the database does not answer: as for seats."""

SCHEDULES_MAX = 20_000
"""Schedules in memory, the newest: some 300 bytes each. Older ones are looked up one by one."""

OLDER_MAX = 1_024
OLDER_S = 1.0
"""Look-ups of older concerts and schedules in the cache, unknown ones included, and their TTL."""


class CatalogueSnapshot:
    """The newest concerts and schedules at one instant.

    Args:
        version: As `Catalogue.version`.
        concerts: The newest first.
        schedules: By id.

    Attributes:
        concerts: The newest first.
        documents: Encoded documents, by the encoder's keys; bounded by the size of the catalogue.
    """

    def __init__(
        self, version: str, concerts: list[Concert], schedules: Mapping[int, Schedule]
    ) -> None:
        self.version = version
        self.concerts = concerts
        self.documents: dict[Hashable, Any] = {}
        self._by_id = {one.concert_id: one for one in concerts}
        self._schedules = schedules
        self._of_concert: dict[int, list[Schedule]] = defaultdict(list)
        for one in sorted(schedules.values(), key=lambda one: (one.starts_at, one.schedule_id)):
            self._of_concert[one.concert_id].append(one)
        # Whether older ones may exist, and below which id.
        self._concerts_from = min(self._by_id, default=0) if len(concerts) >= LISTED_MAX else None
        self._schedules_from = (
            min(schedules, default=0) if len(schedules) >= SCHEDULES_MAX else None
        )

    def concert(self, concert: int) -> Concert | None:
        """Return a concert, or `None` if it is not among the newest."""
        return self._by_id.get(concert)

    def schedules(self, concert: int) -> list[Schedule] | None:
        """Return a concert's schedules by starting time, or `None` if they may not all be here."""
        if concert not in self._by_id or self._schedules_from is not None:
            return None
        return self._of_concert.get(concert, [])[:LISTED_MAX]

    def schedule(self, schedule: int) -> Schedule | None:
        """Return a schedule, or `None` if it is not among the newest."""
        return self._schedules.get(schedule)

    def may_hold_older_concert(self, concert: int) -> bool:
        """Return whether a concert that is not here may exist in the database."""
        known = concert in self._by_id
        older = self._concerts_from is not None and 0 < concert < self._concerts_from
        return known or older

    def may_hold_older_schedule(self, schedule: int) -> bool:
        """Return whether a schedule that is not here may exist in the database."""
        return self._schedules_from is not None and 0 < schedule < self._schedules_from


class CatalogueCache:
    """The catalogue as it was at most `FRESH_S` ago. For one event loop.

    Args:
        catalogue: Loads it.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._snapshot: CatalogueSnapshot | None = None
        # Start of the last check that succeeded, of the last one at all, and end of the last that
        # failed, on the loop's clock.
        self._checked_s = self._began_s = self._failed_s = float("-inf")
        self._changed_s = float("-inf")
        self._next: asyncio.Task[None] | None = None
        self._checking = asyncio.Lock()
        self._older: SingleFlightCache[tuple[str, int], Any] = SingleFlightCache(
            self._load_older, ttl_s=OLDER_S, entries_max=OLDER_MAX
        )

    def expire(self) -> None:
        """Let the next request check: this process has changed the catalogue."""
        self._changed_s = asyncio.get_running_loop().time()

    async def current(self) -> CatalogueSnapshot:
        """Return the catalogue.

        Raises:
            Unavailable: The database does not answer, and what is cached is older than `STALE_S`.
        """
        now_s = asyncio.get_running_loop().time()
        if now_s - self._checked_s < FRESH_S and self._checked_s >= self._changed_s:
            assert self._snapshot is not None
            return self._snapshot
        usable = now_s - self._checked_s < STALE_S
        if not usable or now_s - self._failed_s >= FRESH_S:
            check = self._next_check()
            await asyncio.wait({check}, timeout=PATIENCE_S if usable else None)
            if check.done() and not usable:
                check.result()
        if self._snapshot is None:
            raise Unavailable("the catalogue cannot be loaded from the database")
        return self._snapshot

    async def concert(self, concert: int) -> tuple[Concert, CatalogueSnapshot | None]:
        """Return a concert, and the catalogue that holds it; `None` for an older concert.

        Raises:
            ConcertUnknown: There is no such concert.
        """
        for snapshot in (await self.current(), None):
            at = snapshot or await self._checked_from_now()
            found = at.concert(concert)
            if found is not None:
                return found, at
            if at.may_hold_older_concert(concert):
                return await self._fetch_older("concert", concert), None
        raise ConcertUnknown

    async def schedules(self, concert: int) -> tuple[list[Schedule], CatalogueSnapshot | None]:
        """Return at most `LISTED_MAX` schedules of a concert, by starting time; as `concert`.

        Raises:
            ConcertUnknown: There is no such concert.
        """
        for snapshot in (await self.current(), None):
            at = snapshot or await self._checked_from_now()
            found = at.schedules(concert)
            if found is not None:
                return found, at
            if at.may_hold_older_concert(concert):
                return await self._fetch_older("schedules", concert), None
        raise ConcertUnknown

    async def schedule(self, schedule: int) -> Schedule:
        """Return a schedule.

        Raises:
            ScheduleUnknown: There is no such schedule.
        """
        for snapshot in (await self.current(), None):
            at = snapshot or await self._checked_from_now()
            found = at.schedule(schedule)
            if found is not None:
                return found
            if at.may_hold_older_schedule(schedule):
                older: Schedule = await self._fetch_older("schedule", schedule)
                return older
        raise ScheduleUnknown

    async def _checked_from_now(self) -> CatalogueSnapshot:
        """Return the catalogue by a check that begins after this call.

        Raises:
            Unavailable: The database does not answer.
        """
        # A request that is cancelled must not cancel the check for the others.
        await asyncio.shield(self._next_check())
        assert self._snapshot is not None
        return self._snapshot

    def _next_check(self) -> asyncio.Task[None]:
        """Return the check that has not begun yet; all requests until it begins share it."""
        if self._next is None:
            self._next = asyncio.create_task(self._check())
            # Retrieve the exception, or asyncio logs it as never retrieved.
            self._next.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self._next

    async def _check(self) -> None:
        loop = asyncio.get_running_loop()
        async with self._checking:
            await asyncio.sleep(self._began_s + SPACING_S - loop.time())
            self._next = None
            self._began_s = started_s = loop.time()
            try:
                version = await self._catalogue.version(SCHEDULES_MAX)
                if self._snapshot is None or self._snapshot.version != version:
                    self._snapshot = CatalogueSnapshot(
                        version,
                        await self._catalogue.concerts(),
                        await self._catalogue.newest_schedules(SCHEDULES_MAX),
                    )
            except Unavailable:
                self._failed_s = loop.time()
                raise
            self._checked_s = started_s

    async def _fetch_older(self, kind: str, number: int) -> Any:  # noqa: ANN401 - as its kind
        found = await self._older.fetch((kind, number))
        if isinstance(found, Refused):
            raise type(found)
        return found

    async def _load_older(self, key: tuple[str, int]) -> Any:  # noqa: ANN401 - as its kind
        kind, number = key
        try:
            match kind:
                case "concert":
                    return await self._catalogue.concert(number)
                case "schedules":
                    return await self._catalogue.schedules(number)
                case _:
                    return await self._catalogue.schedule(number)
        except (ConcertUnknown, ScheduleUnknown) as unknown:
            # Negative caching: anybody may request it repeatedly.
            return unknown
