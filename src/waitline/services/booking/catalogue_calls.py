"""Handlers of the public catalogue: concerts and their schedules, encoded once per change.

Sale states change with time alone: a list of schedules is encoded again when the next of them does.

They are unauthenticated, so each call is one memory look-up: no token, no statement, no encoding.
"""

from collections.abc import Callable, Hashable, Mapping
from typing import NamedTuple

import msgspec

from waitline.booking.catalogue_cache import CatalogueCache, CatalogueSnapshot
from waitline.booking.seat_documents import Document
from waitline.http.caching import accepted_codings, etag_matches
from waitline.http.dispatch import PathParameterRoute
from waitline.http.envelope import Envelope
from waitline.http.problems import PathUnknown
from waitline.http.requests import Handler, Request
from waitline.http.responses import Answer, Headers
from waitline.http.texts import Text
from waitline.kernel.clock import Clock
from waitline.services.booking import texts
from waitline.services.booking.bodies import (
    ConcertsView,
    ConcertView,
    SchedulesView,
    ScheduleView,
    number,
)

PUBLIC_S = 5
"""TTL in caches, in s. A crowd behind a cache costs one request per path, language and coding in
this time. A new date of a concert is announced with more notice than that."""

COMPRESSED_BYTES_MIN = 1_024
"""Least size for compression: a shorter document fits in one packet."""

_PUBLIC: Headers = (
    (b"content-type", b"application/json"),
    (b"vary", b"Accept-Encoding, Accept-Language"),
)

_Shown = tuple[msgspec.Struct, int | None]
"""What to encode, and when it changes by itself."""


class _Encoded(NamedTuple):
    document: Document
    until_ms: int | None


_encode = msgspec.json.Encoder().encode


class CatalogueCalls:
    """The handlers.

    Args:
        catalogue: Concerts and schedules, cached.
        clock: The present time.
    """

    def __init__(self, catalogue: CatalogueCache, clock: Clock) -> None:
        self._catalogue = catalogue
        self._clock = clock
        path = "/api/v1/concerts/{concertId}"
        self._concert = PathParameterRoute(path, self.concert, exclusive=True)
        self._schedules = PathParameterRoute(f"{path}/schedules", self.schedules, exclusive=True)

    def routes(self) -> Mapping[str, Mapping[str, Handler]]:
        """Return the handlers of paths without parameters, by path and method."""
        return {"/api/v1/concerts": {"GET": self.concerts}}

    def parameter_routes(self) -> list[PathParameterRoute]:
        """Return the handlers of paths with a parameter, the longer path first."""
        return [self._schedules, self._concert]

    async def concerts(self, request: Request) -> Answer:
        """List the concerts."""
        snapshot = await self._catalogue.current()

        def view(_now_ms: int) -> _Shown:
            return ConcertsView([ConcertView.of(one) for one in snapshot.concerts]), None

        return await self._encoded_once(request, snapshot, "concerts", texts.CONCERTS, view)

    async def concert(self, request: Request) -> Answer:
        """Show a concert."""
        asked = _concert_in(self._concert, request)
        found, snapshot = await self._catalogue.concert(asked)

        def view(_now_ms: int) -> _Shown:
            return ConcertView.of(found), None

        return await self._encoded_once(request, snapshot, ("concert", asked), texts.CONCERT, view)

    async def schedules(self, request: Request) -> Answer:
        """List the schedules of a concert."""
        asked = _concert_in(self._schedules, request)
        found, snapshot = await self._catalogue.schedules(asked)

        def view(now_ms: int) -> _Shown:
            changes = (one.sale.next_change_ms(now_ms) for one in found)
            until_ms = min((at_ms for at_ms in changes if at_ms is not None), default=None)
            return SchedulesView([ScheduleView.of(one, now_ms) for one in found]), until_ms

        key = ("schedules", asked)
        return await self._encoded_once(request, snapshot, key, texts.SCHEDULES, view)

    async def _encoded_once(
        self,
        request: Request,
        snapshot: CatalogueSnapshot | None,
        key: Hashable,
        message: Text,
        view: Callable[[int], _Shown],
    ) -> Answer:
        """Answer with a document that is encoded once per snapshot, language and sale state.

        Documents outside the snapshot are encoded per request, since their number is unbounded.
        """
        language, now_ms = request.language, self._clock.now_ms()
        documents = {} if snapshot is None else snapshot.documents
        kept: _Encoded | None = documents.get((key, language))
        if kept is None or (kept.until_ms is not None and kept.until_ms <= now_ms):
            shown, until_ms = view(now_ms)
            document = Document.of(_encode(Envelope("success", message.to(language), shown)))
            kept = documents[key, language] = _Encoded(document, until_ms)
        control = b"public, max-age=%d" % _ttl_s(kept.until_ms, now_ms)
        return await document_answer(
            request,
            kept.document,
            (*_PUBLIC, (b"cache-control", control)),
            compressed_bytes_min=COMPRESSED_BYTES_MIN,
        )


def _ttl_s(until_ms: int | None, now_ms: int) -> int:
    """Return for how long caches may keep a document, in s, until its next change at most.

    Rounded up: in the last second before a sale opens, caches still keep the crowd away.
    """
    return PUBLIC_S if until_ms is None else min(PUBLIC_S, -((now_ms - until_ms) // 1000))


def _concert_in(route: PathParameterRoute, request: Request) -> int:
    name = route.parameter_in(request.path)
    if not name or "/" in name:
        raise PathUnknown
    return number("concertId", name)


async def document_answer(
    request: Request, document: Document, fixed: Headers, *, compressed_bytes_min: int = 0
) -> Answer:
    """Answer with a document in the client's best coding, or with 304 if its copy is current.

    Args:
        request: The request.
        document: The document.
        fixed: Headers besides the entity tag and the coding.
        compressed_bytes_min: Least size for compression.
    """
    # Weak: it identifies the content, in any coding.
    etag = b"W/" + document.etag
    headers: Headers = (*fixed, (b"etag", etag))
    if etag_matches(request.headers.get(b"if-none-match", b""), etag):
        return Answer(304, headers, b"")
    codings: tuple[str, ...] = ()
    if len(document.plain) >= compressed_bytes_min:
        codings = accepted_codings(request.headers.get(b"accept-encoding", b"").decode("latin-1"))
    if not codings:
        return Answer(200, headers, document.plain)
    coding = (b"content-encoding", codings[0].encode("ascii"))
    return Answer(200, (*headers, coding), await document.compressed(codings[0]))
