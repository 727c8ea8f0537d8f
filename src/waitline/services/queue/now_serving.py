"""now-serving: how far each room's line has come, in one small document for everyone.

It says nothing of any visitor, so any cache may keep it for a second and 300 000 can wait on it.
A visitor's position is at most its place minus `serving`; it never rises, provided that a document
older than one already seen (`asOfMs`) is left aside.
"""

import asyncio
from hashlib import blake2b
from http import HTTPStatus
from typing import NamedTuple

import msgspec

from waitline.http.caching import etag_matches
from waitline.http.requests import Request, checked_name
from waitline.http.responses import Answer, Headers
from waitline.kernel.errors import WaitlineError
from waitline.kernel.ids import RoomId
from waitline.kernel.single_flight import SingleFlightCache
from waitline.queue import hints
from waitline.queue.model import RoomUnknown, Survey
from waitline.queue.rooms import Rooms
from waitline.queue.settings import ADMITTING

FRESH_S = 1.0
"""How long a worker keeps a document before it reads the room again."""

ROOMS_CACHED = 1_024
"""Rooms whose document a worker keeps; the one not asked for longest goes first."""


class Range(msgspec.Struct, frozen=True):
    """A range that the truth is expected in."""

    low: float
    high: float


class NowServing(msgspec.Struct, frozen=True):
    """The document.

    Attributes:
        room: Its name.
        mode: open, paused, draining or closed; sold-out while the shop has nothing to sell.
        message: What the operator has to say.
        shopUrl: Where to go when admitted; empty for nowhere else.
        serving: Every place up to this one has had its turn or was given up.
        waiting: Visitors who wait.
        ratePerSecond: Admissions per second; null when unknown.
        newcomerWaitSeconds: How long the last in the line waits; null when unknown.
        pollAfterMs: When a newer document is worth asking for.
        asOfMs: When it was true, in ms since the epoch.
    """

    room: str
    mode: str
    message: str
    shopUrl: str  # noqa: N815 - wire names
    serving: int
    waiting: int
    ratePerSecond: Range | None  # noqa: N815
    newcomerWaitSeconds: Range | None  # noqa: N815
    pollAfterMs: int  # noqa: N815
    asOfMs: int  # noqa: N815


class RoomDocument(NamedTuple):
    """What a room's survey comes to.

    Attributes:
        survey: The room's rules and numbers.
        pace: Admissions per second, or `None` when unknown or nobody is admitted.
        body: The document.
        headers: Of an answer with it.
        etag: Names its content, but for `asOfMs`.
    """

    survey: Survey
    pace: hints.PerSecond | None
    body: bytes
    headers: Headers
    etag: bytes


class NowServingDocuments:
    """The documents that a worker keeps.

    Args:
        rooms: Where they are read from.

    Attributes:
        cached: Returns a room's document from the cache, or `None` if it must be fetched.
    """

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._cache: SingleFlightCache[RoomId, RoomDocument] = SingleFlightCache(
            self._load,
            ttl_s=FRESH_S,
            entries_max=ROOMS_CACHED,
            now_s=asyncio.get_running_loop().time,
        )
        # Every entry asks it, so there is no call in between.
        self.cached = self._cache.cached

    async def fetch(self, room: RoomId) -> RoomDocument:
        """Return a room's document, at most `FRESH_S` old.

        Raises:
            RoomUnknown: There is no such room.
            Unavailable: The store does not answer.
        """
        return self.cached(room) or await self._cache.fetch(room)

    async def pace(self, room: RoomId) -> hints.PerSecond | None:
        """Return a room's admissions per second, or `None` if nobody can say."""
        try:
            return (await self.fetch(room)).pace
        except WaitlineError:
            # Whoever has just taken a place must get it, with or without an estimate.
            return None

    async def mode(self, room: RoomId) -> str | None:
        """Return a room's mode as those who wait are told it, or `None` if there is no such room.

        Raises:
            Unavailable: The store does not answer.
        """
        try:
            return (await self.fetch(room)).survey.mode_now
        except RoomUnknown:
            return None

    async def _load(self, room: RoomId) -> RoomDocument:
        return _room_document(room, await self._rooms.survey(room))

    async def now_serving(self, request: Request) -> Answer:
        """Answer with a room's document, or with 304 if the asker has it."""
        name = request.path.removeprefix("/api/v1/rooms/").removesuffix("/now-serving")
        document = await self.fetch(RoomId(checked_name("room", name)))
        if etag_matches(request.headers.get(b"if-none-match", b""), document.etag):
            return Answer(HTTPStatus.NOT_MODIFIED.value, document.headers, b"")
        return Answer(200, document.headers, document.body)


def _room_document(room: RoomId, survey: Survey) -> RoomDocument:
    admits = survey.mode_now in ADMITTING
    pace = (
        hints.rate_range(survey.rate_mean, survey.rate_deviation, survey.rate_samples)
        if admits
        else None
    )
    wait = hints.wait_range(survey.waiting, pace)
    document = NowServing(
        room=room,
        mode=survey.mode_now,
        message=survey.rules.message,
        shopUrl=survey.rules.shop_url,
        serving=survey.serving,
        waiting=survey.waiting,
        ratePerSecond=pace and Range(round(pace.low, 2), round(pace.high, 2)),
        newcomerWaitSeconds=wait and Range(round(wait.low), round(wait.high)),
        pollAfterMs=hints.POLL_NEAR_MS,
        asOfMs=survey.at_ms,
    )
    body = msgspec.json.encode(document)
    content = body.partition(b',"asOfMs":')[0]
    etag = b'W/"' + blake2b(content, digest_size=8).hexdigest().encode("ascii") + b'"'
    headers = (
        (b"content-type", b"application/json"),
        (b"cache-control", b"public, max-age=1"),
        (b"etag", etag),
    )
    return RoomDocument(survey, pace, body, headers, etag)
