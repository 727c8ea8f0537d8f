"""The waiting page without scripts: rendered here, and loaded again by itself (`Refresh`).

Each button is a form that makes one of the visitors' calls in this process, so all their rules
hold. A cookie identifies the visitor, and is required before a place is taken. Loading the page
takes no place, since browsers prefetch; when it is a visitor's turn, the page loads itself again to
enter.
"""

import secrets
from collections.abc import Callable, Mapping
from datetime import datetime
from hashlib import blake2b
from http import HTTPStatus
from math import ceil
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs, parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

import msgspec
from starlette.requests import Request as FrameworkRequest
from starlette.responses import RedirectResponse, Response

from waitline.gate.returns import ReturnRefused
from waitline.http.problem_responses import ProblemResponses, RefusalWithData
from waitline.http.requests import Handler, Request, checked_name
from waitline.http.responses import Answer
from waitline.http.templates import Templates
from waitline.kernel.errors import Refused, Unavailable
from waitline.kernel.ids import RoomId
from waitline.queue import hints
from waitline.queue.model import (
    AddressLimited,
    RoomClosed,
    RoomFull,
    RoomState,
    RoomUnknown,
    StatementMissing,
)
from waitline.services.identity import COOKIE_S
from waitline.services.queue.calls import QueueCalls
from waitline.services.queue.now_serving import NowServingDocuments, RoomDocument, by_language
from waitline.services.same_origin import SameOrigin

PARAMETER: Final = "plain"
"""Query parameter that asks for this page; browsers without scripts are sent there."""

ENTERS: Final = "enter"
"""Query parameter of the page that a visitor enters with whose turn it is."""

REFRESH_S: Final = 15
"""Minimum refresh interval, in s: screen readers start over at each load."""

_CALLS: Final = "/api/v1/queue/"
_PROBE: Final = "waitline-cookies"
_FIELDS_MAX: Final = 4
_LOOPBACK: Final = frozenset(("127.0.0.1", "::1", "localhost"))

_REASONS: Final[Mapping[type[Refused], str]] = {
    RoomClosed: "closed",
    RoomFull: "full",
    AddressLimited: "full",
    StatementMissing: "statement",
}


class Visit(NamedTuple):
    """Identity of this browser's visitor.

    Attributes:
        visitor: The visitor's name.
        key: The visitor key.
    """

    visitor: str
    key: str


class PlainPage:
    """Answers with the page, and to its forms.

    Args:
        calls: The visitors' calls.
        same_origin: Refuses forms from pages of other origins.
        documents: What visitors may know of a room.
        templates: Have `plain.html`.
        problems: Counts refused calls.
        assets: Path of the folder of the page's files.
        trusting: Whether a visitor's name is enough (trial mode).
        returns: Returns the address that a signed return holds.
    """

    def __init__(
        self,
        calls: QueueCalls,
        same_origin: SameOrigin,
        documents: NowServingDocuments,
        templates: Templates,
        problems: ProblemResponses,
        *,
        assets: str,
        trusting: bool,
        returns: Callable[[str, RoomId], str],
    ) -> None:
        self._calls = calls
        self._same_origin = same_origin
        self._documents = documents
        self._templates = templates
        self._problems = problems
        self._assets = assets
        self._trusting = trusting
        self._returns = returns

    async def show(self, name: str, request: FrameworkRequest) -> Response:
        """Answer with the page of a room, by its visitor's status.

        Raises:
            InputInvalid: The room cannot have that name.
        """
        room = RoomId(checked_name("room", name))
        visit = self._visit(room, request)
        if visit is None:
            page = await self._page(request, room, "start")
            page.set_cookie(_PROBE, "1", samesite="lax")
            return page
        try:
            data, _ = await self._call(request, "status", room, visit)
        except Unavailable:
            return await self._page(request, room, "failing", status=503)
        except (Refused, RefusalWithData):
            return await self._page(request, room, "gone")
        state = str(data["status"]).lower()
        if state == "ready" and ENTERS in request.query_params and request.method == "GET":
            return await self._perform(request, room, visit, "enter")
        return await self._page(request, room, state, data)

    async def act(self, name: str, request: FrameworkRequest) -> Response:
        """Handle a form of the page, then redirect to the page (POST/redirect/GET).

        Raises:
            InputInvalid: The room cannot have that name.
            CrossSite: The form is on a page of another origin.
        """
        room = RoomId(checked_name("room", name))
        self._same_origin.check(Request.of(request.scope))
        action = await _action(request)
        visit = self._visit(room, request)
        if action == "join" and visit is None:
            if _PROBE not in request.cookies:
                return await self._page(request, room, "cookieless")
            named = request.query_params.get("visitor")
            visit = Visit(named or secrets.token_hex(16), secrets.token_hex(16))
        if visit is None or action not in _VERBS:
            return _back(request)
        return await self._perform(request, room, visit, action)

    async def _perform(
        self, request: FrameworkRequest, room: RoomId, visit: Visit, action: str
    ) -> Response:
        """Make the call of a button, then redirect to the page."""
        back = _back(request)
        try:
            _, answer = await self._call(request, _VERBS[action], room, visit)
        except Unavailable:
            return await self._page(request, room, "failing", status=503)
        except (Refused, RefusalWithData) as refused:
            if action == "join":
                return await self._page(request, room, "start", reason=_reason(refused))
            return back
        back.raw_headers += [one for one in answer.headers if one[0] == b"set-cookie"]
        back.set_cookie(
            self._cookie(room, request),
            f"{quote(visit.visitor, safe='')}.{visit.key}",
            max_age=0 if action == "leave" else COOKIE_S,
            secure=not self._trusting,
            httponly=True,
            samesite="lax",
        )
        return back

    async def _call(
        self, request: FrameworkRequest, verb: str, room: RoomId, visit: Visit
    ) -> tuple[dict[str, Any], Answer]:
        """Make a visitor's call in this process."""
        handler, has_body = self._handler(verb)
        who = {"concertId": room, "userId": visit.visitor}
        headers = Request.of(request.scope).headers | {b"content-type": b"application/json"}
        if verb == "enter":
            headers[b"x-visitor-key"] = visit.key.encode("ascii")
        asked = Request(
            _CALLS + verb,
            b"" if has_body else urlencode(who).encode("ascii"),
            headers,
            msgspec.json.encode(who) if has_body else b"",
            request.client.host if request.client else "",
        )
        try:
            answer = await handler(asked)
        except (Refused, RefusalWithData) as error:
            refusal = error.refusal if isinstance(error, RefusalWithData) else error
            if self._problems.on_refused is not None:
                self._problems.on_refused(asked, refusal)
            raise
        return msgspec.json.decode(answer.body)["data"] or {}, answer

    def _handler(self, verb: str) -> tuple[Handler, bool]:
        calls = self._calls
        return {
            "enter": (calls.enter, True),
            "status": (calls.status, False),
            "activate": (calls.activate, False),
            "extend": (calls.extend, True),
            "remove": (calls.remove, False),
        }[verb]

    async def _page(
        self,
        request: FrameworkRequest,
        room: RoomId,
        state: str,
        data: Mapping[str, Any] | None = None,
        *,
        reason: str = "",
        status: int = 200,
    ) -> Response:
        document = await self._document(room)
        if document is None and state == "start" and not self._trusting:
            state, status = "unknown", HTTPStatus.NOT_FOUND
        shown = {} if data is None else dict(data)
        shop = self._goal(room, document, shown, request) if state == "active" else ""
        refresh = _refresh(state, shown, shop, _query(request))
        page = self._templates.answer(
            request,
            "plain.html",
            status=status,
            # Proxies decode paths, so it is unknown how the browser's URL encodes a slash of the
            # room.
            up=f"{self._problems.root_path}/" if "/" in room else "../",
            assets=self._assets,
            room=room,
            state=state,
            reason=reason,
            data=shown,
            document=document and document.survey,
            titles=document and _titles(document),
            messages=document and _messages(document),
            upcoming=document is not None and document.survey.state is RoomState.BEFORE_OPENING,
            wait=_wait(document, shown),
            left_s=_left_s(document, shown),
            shop=shop,
            query=_query(request),
        )
        page.headers["Cache-Control"] = "no-store"
        if refresh:
            page.headers["Refresh"] = refresh
        return page

    def _goal(
        self,
        room: RoomId,
        document: RoomDocument | None,
        data: Mapping[str, Any],
        request: FrameworkRequest,
    ) -> str:
        """Return where an admitted visitor goes: the signed way back, else the shop."""
        signed = request.query_params.get("return", "")
        try:
            back = urlsplit(self._returns(signed, room))
        except ReturnRefused:
            return _shop(document, data, request)
        query = "&".join(filter(None, (back.query, f"waitline={data['token']}")))
        return urlunsplit(back._replace(query=query))

    async def _document(self, room: RoomId) -> RoomDocument | None:
        try:
            return await self._documents.fetch(room)
        except (RoomUnknown, Unavailable):
            return None

    def _visit(self, room: RoomId, request: FrameworkRequest) -> Visit | None:
        visitor, _, key = request.cookies.get(self._cookie(room, request), "").rpartition(".")
        return Visit(unquote(visitor), key) if visitor and key.isalnum() else None

    def _cookie(self, room: RoomId, request: FrameworkRequest) -> str:
        # A visitor named by the shop has a different place from an unnamed one.
        named = f"{room}\0{request.query_params.get('visitor', '')}".encode()
        digest = blake2b(named, digest_size=8).hexdigest()
        return f"{'' if self._trusting else '__Host-'}waitline-visitor-{digest}"


_VERBS: Final = {"join": "enter", "enter": "activate", "extend": "extend", "leave": "remove"}
"""The call of each form's button."""


def _back(request: FrameworkRequest) -> Response:
    back = RedirectResponse(f"?{_query(request)}", 303)
    back.headers["Cache-Control"] = "no-store"
    return back


async def _action(request: FrameworkRequest) -> str:
    body = (await request.body()).decode("latin-1")
    try:
        return parse_qs(body, max_num_fields=_FIELDS_MAX).get("do", [""])[0]
    except ValueError:
        return ""


def _query(request: FrameworkRequest) -> str:
    """Return the page's query, with known parameters only."""
    return "&".join(filter(None, (PARAMETER, kept_query(request))))


def kept_query(request: FrameworkRequest) -> str:
    """Return the parameters of a waiting page that its links keep, encoded."""
    given = request.query_params
    return urlencode([(key, given[key]) for key in ("visitor", "return") if key in given])


def _reason(error: Exception) -> str:
    refusal = error.refusal if isinstance(error, RefusalWithData) else error
    return _REASONS.get(type(refusal), "other")  # type: ignore[arg-type]  # a Refused


def _titles(document: RoomDocument) -> dict[str, str]:
    rules = document.survey.rules
    return by_language(rules.title, rules.title_en)


def _messages(document: RoomDocument) -> dict[str, str]:
    rules = document.survey.rules
    return by_language(rules.message, rules.message_en)


def _wait(document: RoomDocument | None, data: Mapping[str, Any]) -> tuple[int, int] | None:
    """Return the estimated wait in minutes, from and to."""
    if document is None or not data.get("position"):
        return None
    wait = hints.wait_range(data["position"], document.pace)
    return None if wait is None else (int(wait.low // 60), max(1, ceil(wait.high / 60)))


def _left_s(document: RoomDocument | None, data: Mapping[str, Any]) -> int:
    """Return the seconds until the visitor's time is over."""
    if document is None or not data.get("expiredAt"):
        return 0
    until = datetime.fromisoformat(data["expiredAt"]).timestamp()
    return max(0, round(until - document.survey.at_ms / 1_000))


def _shop(document: RoomDocument | None, data: Mapping[str, Any], request: FrameworkRequest) -> str:
    """Return the address of the shop with the visitor's pass; empty if visitors stay here."""
    if document is None or not document.survey.rules.shop_url:
        return ""
    parts = urlsplit(document.survey.rules.shop_url)
    if parts.hostname in _LOOPBACK and request.url.hostname:
        # The host of this page, as phones try the demo over the network.
        host = request.url.hostname
        named = f"[{host}]" if ":" in host else host
        parts = parts._replace(netloc=named if parts.port is None else f"{named}:{parts.port}")
    pairs = dict(parse_qsl(parts.query, keep_blank_values=True)) | {"waitline": data["token"]}
    query = urlencode(pairs)
    return quote(urlunsplit(parts._replace(query=query)), safe=":/?#[]@!$&'()*+,;=%~")


def _refresh(state: str, data: Mapping[str, Any], shop: str, query: str) -> str:
    if shop:
        return f"0; url={shop}"
    if state == "ready":
        return f"{REFRESH_S}; url=?{query}&{ENTERS}"
    if state == "waiting":
        return str(max(REFRESH_S, ceil(data["recommendedPollIntervalMs"] / 1_000)))
    return str(REFRESH_S) if state in {"active", "failing"} else ""
