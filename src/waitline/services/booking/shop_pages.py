"""Routes of the buyers' pages: concerts, seat picker and checkout.

They use the public API, with a cookie from the pass that the waiting page hands over
(`handover.py`).
"""

from functools import lru_cache, partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from waitline.booking.catalogue_cache import CatalogueCache
from waitline.booking.catalogue_model import Concert, ConcertUnknown
from waitline.booking.currency import MINOR_DIGITS
from waitline.booking.seat_maps import SeatMaps
from waitline.booking.seat_rows import SeatRows
from waitline.http import requests
from waitline.http.assets import Assets
from waitline.http.framework import to_response
from waitline.http.page_language import page_language
from waitline.http.problems import InputInvalid
from waitline.http.responses import Headers
from waitline.http.static_files import StaticFile
from waitline.http.templates import Templates, page_response
from waitline.http.texts import Language
from waitline.kernel.clock import Clock
from waitline.kernel.ids import RoomId
from waitline.services import start_page
from waitline.services.booking.bodies import number
from waitline.services.booking.calls import NO_SECTION
from waitline.services.booking.catalogue_calls import document_answer
from waitline.services.booking.doorman import Doorman
from waitline.services.booking.handover import (
    PARAMETER,
    Handover,
    HandoverFault,
    HandoverRefused,
    Session,
)
from waitline.services.booking.session_cookie import session_cookie
from waitline.services.booking.shop_texts import SCRIPT_TEXTS
from waitline.services.booking.tokens import room_token
from waitline.services.booking.users import user_of, wire_user
from waitline.services.identity import TokenMissing
from waitline.services.same_origin import SameOrigin
from waitline.settings import Settings
from waitline.tokens.passes import named_in_pass

_PAGES = Path(__file__).parent / "pages"

PAGES_CACHED = 256
"""Rendered pages that a worker keeps: one per concert and language in use."""

_STATUS = {
    HandoverFault.FORGED: 401,
    HandoverFault.OTHER_ROOM: 403,
    HandoverFault.EXPIRED: 401,
    HandoverFault.USED: 409,
}
_PRIVATE: Headers = (
    (b"content-type", b"application/json"),
    (b"cache-control", b"private, no-cache"),
    (b"vary", b"Accept-Encoding"),
)
_NOT_KEPT = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_HANDED_OVER = {**_NOT_KEPT, "Referrer-Policy": "no-referrer"}


# Digits of the minor unit where these are not two: browsers have others for some currencies.
_DIGITS = {code: digits for code, digits in MINOR_DIGITS.items() if digits != 2}  # noqa: PLR2004


class ShopPages:
    """The pages, and the calls that only they make.

    Args:
        settings: The installation's settings.
        catalogue: Concerts and schedules, cached.
        seats: Seat maps, for the version of a layout.
        rows: The rows of each section.
        doorman: Checks admission.
        handover: Exchanges passes for cookies.
        same_origin: Refuses writes from pages of other origins.
        clock: The present time.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        catalogue: CatalogueCache,
        seats: SeatMaps,
        rows: SeatRows,
        doorman: Doorman,
        handover: Handover,
        same_origin: SameOrigin,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._trusting = settings.mode == "trial"
        self._catalogue = catalogue
        self._seats = seats
        self._rows = rows
        self._doorman = doorman
        self._handover = handover
        self._same_origin = same_origin
        self._clock = clock
        self._templates = Templates([_PAGES, start_page.PAGES], settings.language)
        scripts = sorted(file for file in _PAGES.iterdir() if file.suffix in (".js", ".css"))
        self._assets = Assets("shop/assets", [*scripts, *start_page.SHARED])
        self._page = lru_cache(maxsize=PAGES_CACHED)(self._render)

    def router(self) -> APIRouter:
        """Return the routes."""
        routes = APIRouter(include_in_schema=False)
        add = partial(routes.add_api_route, methods=["GET", "HEAD"])
        add("/shop", self.concerts)
        add("/shop/", self.without_slash)
        add("/shop/concerts/{concertId}", self.concert)
        add("/shop/concerts/{concertId}/session", self.session)
        add("/shop/schedules/{scheduleId}/rows", self.section_rows)
        routes.add_api_route("/shop/concerts/{concertId}/session", self.leave, methods=["DELETE"])
        routes.include_router(self._assets.router())
        return routes

    async def without_slash(self, request: Request) -> Response:
        """Redirect to the path without a slash, which relative links resolve against."""
        query = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(f"../shop{query}", 303, headers=_HANDED_OVER)

    async def concerts(self, request: Request) -> Response:
        """List the concerts; or accept a visitor, whose pass names the waiting room."""
        found = (await self._catalogue.current()).concerts
        token = request.query_params.get(PARAMETER)
        if token is None:
            shown = [(one, self._waiting_page(request, one.room)) for one in found]
            return self._answer(request, "concerts.html", concerts=shown)
        named = named_in_pass(token)
        here = [one for one in found if named is not None and one.room == named[0]]
        if not here:
            fault = HandoverFault.FORGED if named is None else HandoverFault.OTHER_ROOM
            return self._refused(request, fault, None)
        to = f"./shop/concerts/{here[0].concert_id}" if len(here) == 1 else "./shop"
        return await self._exchanged(request, token, here[0].room, to)

    async def concert(self, concertId: str, request: Request) -> Response:  # noqa: N803
        """Show the page of a concert; or accept a visitor whose pass is in the address."""
        try:
            found = await self._concert(concertId)
        except (ConcertUnknown, InputInvalid):
            return self._answer(request, "unknown.html", status=404, root="../../")
        token = request.query_params.get(PARAMETER)
        if token is not None:
            return await self._exchanged(request, token, found.room, f"./{found.concert_id}")
        page = self._page(
            found,
            page_language(request, self._settings.language),
            self._waiting_page(request, found.room),
        )
        return page_response(request, page)

    async def session(self, concertId: str, request: Request) -> Response:  # noqa: N803
        """Return who the visitor is, for the page's script."""
        session = await self._session(concertId, request)
        shown = {
            "userId": wire_user(session.visitor),
            "room": session.room,
            "expiresAtMs": session.expires_ms,
            "joinedAtMs": session.joined_ms,
            "asOfMs": self._clock.now_ms(),
        }
        return JSONResponse(shown, headers=_NOT_KEPT)

    async def leave(self, concertId: str, request: Request) -> Response:  # noqa: N803
        """Free the visitor's slot. The cookie stays: it proves ownership of reservations."""
        self._same_origin.check(requests.Request.of(request.scope))
        session = await self._session(concertId, request)
        await self._doorman.leave(session.room, session.visitor, session.token)
        return JSONResponse({"left": True}, headers=_NOT_KEPT)

    async def section_rows(self, scheduleId: str, request: Request) -> Response:  # noqa: N803
        """Return the rows of a section, for admitted visitors."""
        ours = requests.Request.of(request.scope)
        schedule, section = number("scheduleId", scheduleId), ours.parameter("section")
        user = user_of(ours)
        found = await self._catalogue.schedule(schedule)
        token = room_token(ours, found.room, trusting=self._trusting)
        await self._doorman.admit(found.room, user, token, found.queue_down)
        version = await self._seats.layout_version(schedule)
        document = await self._rows.section(schedule, version, section)
        if document is None:
            raise InputInvalid("section", NO_SECTION)
        return to_response(await document_answer(ours, document, _PRIVATE))

    async def _concert(self, name: str) -> Concert:
        found, _ = await self._catalogue.concert(number("concertId", name))
        return found

    async def _session(self, concert: str, request: Request) -> Session:
        room = (await self._concert(concert)).room
        session = self._handover.session(request, room)
        if session is None:
            raise TokenMissing
        return session

    async def _exchanged(self, request: Request, token: str, room: RoomId, to: str) -> Response:
        """Exchange a pass for a cookie, and take it out of the address."""
        try:
            session = await self._handover.exchange(request, token, room)
        except HandoverRefused as refused:
            return self._refused(request, refused.fault, room)
        kept = [
            (key, value) for key, value in request.query_params.multi_items() if key != PARAMETER
        ]
        answer = RedirectResponse(to + (f"?{urlencode(kept)}" if kept else ""), 303)
        answer.headers.update(_HANDED_OVER)
        answer.headers["Set-Cookie"] = session_cookie(room, session.token, trusting=self._trusting)
        return answer

    def _refused(self, request: Request, fault: HandoverFault, room: RoomId | None) -> Response:
        waiting = "" if room is None else self._waiting_page(request, room)
        if waiting and fault is HandoverFault.USED:
            # The waiting page extends the stay, which issues another pass.
            waiting += "#renew"
        root = "../../" if "/concerts/" in request.url.path else "./"
        return self._answer(
            request, "refused.html", status=_STATUS[fault], fault=fault, waiting=waiting, root=root
        )

    def _answer(self, request: Request, name: str, *, root: str = "./", **values: Any) -> Response:  # noqa: ANN401
        values = {"root": root, "assets": self._assets.path, **values}
        return self._templates.answer(request, name, play_money=self._settings.play_money, **values)

    def _render(self, concert: Concert, language: Language, waiting: str) -> StaticFile:
        script = {
            "concert": concert.concert_id,
            "room": concert.room,
            "title": concert.title,
            "waiting": waiting,
            "language": language,
            "playMoney": self._settings.play_money,
            "methods": ["CARD", "DECLINE"] if self._settings.payment_provider == "sandbox" else [],
            "texts": {name: text.to(language) for name, text in SCRIPT_TEXTS.items()},
            "digits": _DIGITS,
        }
        return self._templates.render(
            "concert.html",
            language,
            root="../../",
            assets=self._assets.path,
            concert=concert,
            waiting=waiting,
            play_money=self._settings.play_money,
            script=script,
        )

    def _waiting_page(self, request: Request, room: RoomId) -> str:
        """Return the address of a room's waiting page; empty if it is not configured."""
        base = self._settings.queue_public_url
        if base is None:
            return ""
        parts, here = urlsplit(base), request.url.hostname or ""
        if self._trusting and parts.hostname in _LOOPBACK:
            # A phone on the network cannot reach a loopback address, and cookies belong to the host
            # name in the page's URL.
            named = f"[{here}]" if ":" in here else here
            base = parts._replace(netloc=f"{named}:{parts.port}").geturl() if here else base
        return f"{base.rstrip('/')}/rooms/{quote(room, safe='')}"


_LOOPBACK = ("127.0.0.1", "::1", "localhost")
