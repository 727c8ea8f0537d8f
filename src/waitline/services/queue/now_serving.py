"""now-serving: one cached document per room, the same for every visitor.

It holds no visitor's data, so caches may keep it for a second while 300 000 visitors poll it. A
visitor's position is at most its place minus `serving`, plus the visitors who `returned`. The
first part never rises if clients ignore documents older (`asOfMs`) than one they have.
"""

import asyncio
import re
from collections.abc import Sequence
from hashlib import blake2b
from http import HTTPStatus
from typing import NamedTuple

import msgspec

from waitline.http.caching import etag_matches
from waitline.http.requests import Request, checked_name
from waitline.http.responses import Answer, Headers
from waitline.kernel import telemetry
from waitline.kernel.batching import Batcher, BatchLimits
from waitline.kernel.errors import WaitlineError
from waitline.kernel.ids import RoomId
from waitline.kernel.single_flight import SingleFlightCache
from waitline.queue import hints
from waitline.queue.model import RoomUnknown, Survey
from waitline.queue.rooms import Rooms
from waitline.queue.settings import ADMITTING

FRESH_S = 1.0
"""How long a worker caches a document."""

ROOMS_CACHED = 1_024
"""Documents that a worker caches; the least recently used is evicted first."""

CHECK_S = 0.05
"""Shortest time between two checks whether rooms exist. Whatever names are invented, a worker makes
at most twenty of these calls a second; the first document of a room waits for one."""

CHECKED = BatchLimits(
    # Some 100 us of the store's time.
    batch_max=1_024,
    full=1_024,
    key_calls_max=1,
    calls_max=1,
    # Arrivals within `patience_s` at full speed; more would only time out later.
    pending_max=4_096,
    patience_s=0.4,
)
"""Limits of these checks."""

_HANGUL = re.compile("[\u1100-\u11ff\u3130-\u318f\uac00-\ud7a3]")


class Range(msgspec.Struct, frozen=True):
    """An estimated range."""

    low: float
    high: float


class NowServing(msgspec.Struct, frozen=True):
    """The document.

    Attributes:
        room: Its name.
        title: Title for visitors; empty for its name.
        mode: open, paused, draining or closed; sold-out while the shop has nothing to sell.
        message: The operator's message to visitors.
        titles: The title by language, `ko` and `en`; languages without one are left out.
        messages: The message by language, likewise.
        state: What the room does now: before-opening, open, paused, sold-out, held (the shop does
            not report), draining or closed.
        opensAt: When it opens, in the operator's UTC offset; null if it has no opening time.
        closesAt: When it closes, likewise.
        idleSeconds: Time without contact after which a visitor's turn is passed over; 0: never.
        returnSeconds: Time in which a visitor who was passed over can return to the old place.
        shopUrl: Where to go when admitted; empty to stay on the page.
        serving: Every place up to this one has been admitted or has left.
        returned: Visitors who wait with a place up to `serving`: their turn was passed over, and
            they came back.
        waiting: Visitors who wait.
        ratePerSecond: Admissions per second; null when unknown.
        newcomerWaitSeconds: Estimated wait of the last in the line; null when unknown.
        pollAfterMs: When to poll next.
        asOfMs: When the room was read, in ms since the epoch.
    """

    room: str
    title: str
    mode: str
    message: str
    titles: dict[str, str]
    messages: dict[str, str]
    shopUrl: str  # noqa: N815 - wire names
    state: str
    opensAt: str | None  # noqa: N815
    closesAt: str | None  # noqa: N815
    idleSeconds: float  # noqa: N815
    returnSeconds: float  # noqa: N815
    serving: int
    returned: int
    waiting: int
    ratePerSecond: Range | None  # noqa: N815
    newcomerWaitSeconds: Range | None  # noqa: N815
    pollAfterMs: int  # noqa: N815
    asOfMs: int  # noqa: N815


class RoomDocument(NamedTuple):
    """A room's survey and its encoded document.

    Attributes:
        survey: The room's rules and numbers.
        pace: Admissions per second, or `None` when unknown or nobody is admitted.
        body: The document.
        headers: Sent with it.
        etag: Entity tag of its content, without `asOfMs`.
        limits_addresses: Whether the room limits the places of client addresses.
    """

    survey: Survey
    pace: hints.PerSecond | None
    body: bytes
    headers: Headers
    etag: bytes
    limits_addresses: bool


class NowServingDocuments:
    """The documents that a worker caches.

    Args:
        rooms: Reads the rooms.

    Attributes:
        cached: Returns a room's document from the cache, or `None` if it must be fetched.
    """

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._checks: Batcher[None, RoomId, bool] = Batcher(self._check, CHECKED, name="rooms")
        self._checked_s = float("-inf")
        self._cache: SingleFlightCache[RoomId, RoomDocument] = SingleFlightCache(
            self._load,
            ttl_s=FRESH_S,
            entries_max=ROOMS_CACHED,
            now_s=asyncio.get_running_loop().time,
        )
        # On the hot path: no wrapper around it.
        self.cached = self._cache.cached

    async def fetch(self, room: RoomId) -> RoomDocument:
        """Return a room's document, at most `FRESH_S` old.

        Raises:
            RoomUnknown: There is no such room.
            Unavailable: The store does not answer.
        """
        document = self.cached(room)
        if document is None:
            # Names that are not known to be a room's share a call, and take no place in the cache:
            # anybody may invent them.
            if not self._cache.loaded(room) and not await self._checks.enqueue(None, room):
                raise RoomUnknown
            document = await self._cache.fetch(room)
        return document

    async def pace(self, room: RoomId) -> hints.PerSecond | None:
        """Return a room's admissions per second, or `None` if unknown."""
        try:
            return (await self.fetch(room)).pace
        except WaitlineError:
            # A join succeeds with or without an estimate.
            return None

    async def mode(self, room: RoomId) -> str | None:
        """Return a room's mode as visitors see it, or `None` if there is no such room.

        Raises:
            Unavailable: The store does not answer.
        """
        try:
            return (await self.fetch(room)).survey.mode_now
        except RoomUnknown:
            return None

    async def _load(self, room: RoomId) -> RoomDocument:
        telemetry.CACHE_LOADS.add(1, "now_serving")
        return _room_document(room, await self._rooms.survey(room))

    async def _check(self, _: None, rooms: Sequence[RoomId]) -> list[bool]:
        now_s = asyncio.get_running_loop().time()
        await asyncio.sleep(self._checked_s + CHECK_S - now_s)
        self._checked_s = asyncio.get_running_loop().time()
        return await self._rooms.listed(rooms)

    async def now_serving(self, request: Request) -> Answer:
        """Answer with a room's document, or with 304 if the client's copy is current."""
        name = request.path.removeprefix("/api/v1/rooms/").removesuffix("/now-serving")
        document = await self.fetch(RoomId(checked_name("room", name)))
        if etag_matches(request.headers.get(b"if-none-match", b""), document.etag):
            return Answer(HTTPStatus.NOT_MODIFIED.value, document.headers, b"")
        return Answer(200, document.headers, document.body)


def by_language(text: str, english: str) -> dict[str, str]:
    """Return an operator's text by language, `ko` and `en`.

    A text without Hangul beside no English one is taken for English.
    """
    texts = {}
    if text:
        texts["ko" if english or _HANGUL.search(text) else "en"] = text
    if english:
        texts["en"] = english
    return texts


def _room_document(room: RoomId, survey: Survey) -> RoomDocument:
    rules = survey.rules
    admits = survey.mode_now in ADMITTING
    pace = (
        hints.rate_range(survey.rate_mean, survey.rate_deviation, survey.rate_samples)
        if admits
        else None
    )
    wait = hints.wait_range(survey.waiting, pace)
    document = NowServing(
        room=room,
        title=rules.title,
        mode=survey.mode_now,
        message=rules.message,
        titles=by_language(rules.title, rules.title_en),
        messages=by_language(rules.message, rules.message_en),
        shopUrl=rules.shop_url,
        state=survey.state,
        opensAt=rules.opens_at and rules.opens_at.iso,
        closesAt=rules.closes_at and rules.closes_at.iso,
        idleSeconds=rules.limits.idle_ms / 1000,
        returnSeconds=rules.limits.return_ms / 1000,
        serving=survey.serving,
        returned=survey.returned,
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
    return RoomDocument(survey, pace, body, headers, etag, survey.rules.limits.of_addresses)
