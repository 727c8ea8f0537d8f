"""The gate: answers whether a request of a site may pass (forward authentication).

A pass is verified here, without a call to the store. Rules and departed places come from memory.
"""

from collections.abc import Mapping
from functools import lru_cache
from http import HTTPStatus
from typing import Final, NamedTuple
from urllib.parse import quote, urlsplit

from waitline.gate.model import Action, ProxyUntrusted, Rule, RuleMode, WhenUnreachable
from waitline.gate.returns import sign_return
from waitline.http.client_address import UNIX, ClientAddresses
from waitline.http.requests import Handler, Request
from waitline.http.responses import Answer, Headers
from waitline.http.texts import Language
from waitline.kernel import telemetry
from waitline.kernel.clock import Clock
from waitline.kernel.errors import NeedsOperator, Refused, Unavailable
from waitline.kernel.ids import RoomId
from waitline.services.identity import TOKEN_HEADER, Identity, Presented
from waitline.services.queue.gate_answers import (
    COOKIES,
    KEPT_COOKIE,
    admitting,
    pass_cookie,
    pass_cookie_name,
    passing,
    redirecting,
    refusing,
    showing,
)
from waitline.services.queue.gate_state import GateState
from waitline.services.queue.now_serving import NowServingDocuments
from waitline.services.queue.site_requests import (
    Asked,
    Form,
    Kind,
    cookie_values,
    parse_site_request,
)
from waitline.services.queue.site_visits import SiteVisits
from waitline.settings import Settings

PARAMETER: Final = "waitline"
"""Query parameter with the pass, in the address that the waiting page hands over to."""

ASKS_KEPT: Final = "kept"
"""Value of that parameter that asks whether the browser has kept the cookie with the pass."""

UNMATCHED: Final = "(none)"
"""Value of the label `rule` for requests that no rule matches."""

KEPT_MS: Final = 2_000
"""Longest time that nginx keeps an answer."""

_KEPT: Final[Headers] = ((b"x-accel-expires", b"1"),)
_NO_REFERRER: Final[Headers] = ((b"referrer-policy", b"no-referrer"),)


class GateSettings(NamedTuple):
    """Settings of the gate.

    Attributes:
        site_key: The key that signs returns.
        public_url: Public address of the queue service, without a slash at its end; empty if the
            operator has set none.
        queue_port: Port of the queue service, for addresses of a trial.
        trusting: Whether this is trial mode.
    """

    site_key: bytes
    public_url: str
    queue_port: int
    trusting: bool

    @classmethod
    def of(cls, settings: Settings, site_key: str) -> "GateSettings":
        """Return those of an installation."""
        return cls(
            site_key.encode(),
            (settings.queue_public_url or "").rstrip("/"),
            settings.queue_port,
            settings.mode == "trial",
        )


class GateCalls:
    """Answers the calls of proxies.

    Args:
        state: Rules and departed places.
        who: Verifies passes.
        visits: Admit visitors without a line, and keep active ones.
        documents: The settings of each room.
        proxies: Says which addresses are trusted proxies.
        clock: The present time.
        settings: Of the gate.
    """

    def __init__(
        self,
        *,
        state: GateState,
        who: Identity,
        visits: SiteVisits,
        documents: NowServingDocuments,
        proxies: ClientAddresses,
        clock: Clock,
        settings: GateSettings,
    ) -> None:
        self._state = state
        self._who = who
        self._visits = visits
        self._documents = documents
        self._proxies = proxies
        self._clock = clock
        self._settings = settings

    def routes(self) -> Mapping[str, Mapping[str, Handler]]:
        """Return the handlers by path and method."""
        return {"/api/v1/gate": {"GET": self.decide}}

    async def decide(self, request: Request) -> Answer:
        """Answer whether a request of the site passes.

        Raises:
            ProxyUntrusted: The caller is not a trusted proxy.
            InputInvalid: The proxy did not describe the request.
            Unavailable: The rules are not known yet.
        """
        if not self._proxies.trusts(request.peer or UNIX):
            raise ProxyUntrusted
        asked = parse_site_request(request)
        if asked.site.method == "OPTIONS" and b"access-control-request-method" in request.headers:
            return _counted("preflight", "bypass", passing("bypass"))
        rules = self._state.cached_rules(None) or await self._state.rules()
        rule = rules.match(asked.site)
        if rule is None:
            return _counted(UNMATCHED, "unmatched", passing("unmatched"))
        if rule.action is Action.BYPASS:
            return _counted(rule.name, "bypass", passing("bypass"))
        answer = await self._guard(request, asked, rule)
        if asked.form is Form.NGINX_ANSWER and answer.status == HTTPStatus.NO_CONTENT:
            # It passes by now: the client repeats its request, with its body.
            return redirecting(asked, HTTPStatus.TEMPORARY_REDIRECT, asked.url)
        return answer

    async def _guard(self, request: Request, asked: Asked, rule: Rule) -> Answer:
        """Answer a request that needs a pass."""
        room = RoomId(rule.room)
        if PARAMETER in asked.target:
            handed = await self._hand_over(asked, room, request.language)
            if handed is not None:
                return _counted(rule.name, "handover", handed)
        shown = await self._shown(request, asked, room)
        if shown is not None:
            more = self._kept(asked, shown)
            if shown.half_ms <= self._clock.now_ms():
                more = await self._slid(request, asked, room, shown) or more
            answer = admitting("pass", room, shown.visitor, shown.place, more)
            return _counted(rule.name, "pass", answer)
        if rule.mode is RuleMode.OBSERVE:
            return _counted(rule.name, "observed", passing("observed"))
        if asked.takes_place:
            admitted = await self._walk_in(request, asked, room)
            if admitted is not None:
                return _counted(rule.name, "standby", admitted)
        return await self._refuse(request, asked, rule, room)

    def _kept(self, asked: Asked, shown: Presented) -> Headers:
        """Return the field that lets nginx keep the answer to a good pass for a second.

        nginx keeps it by method, address, cookies and pass, so no rule may look at other fields.
        """
        rules = self._state.cached_rules(None)
        if asked.form is not Form.NGINX or rules is None or rules.read_headers:
            return ()
        # nginx counts in whole seconds: it keeps the answer for up to two.
        return _KEPT if shown.expires_ms - self._clock.now_ms() > KEPT_MS else ()

    async def _slid(
        self, request: Request, asked: Asked, room: RoomId, shown: Presented
    ) -> Headers:
        """Return the Set-Cookie field with a new pass, if the visitor's stay slides now."""
        # Only a cookie can be renewed.
        if TOKEN_HEADER in request.headers or asked.form is Form.NGINX_ANSWER:
            return ()
        document = self._documents.cached(room)
        if document is not None and not document.survey.rules.limits.stay_ms:
            return ()
        # The call may wait for the store, so each pass gets here seldom.
        if not self._state.begin_slide(room, shown):
            return ()
        try:
            slot, token = await self._visits.slide(
                room,
                (shown.visitor, shown.stay),
                expires_ms=shown.expires_ms,
                account=shown.account,
            )
        except (Refused, Unavailable):
            # The pass is good until it ends.
            return ()
        if token is None:
            return ()
        left_s = (slot.expires_ms - self._clock.now_ms()) // 1_000
        return pass_cookie(room, token, left_s, secure=asked.scheme == "https")

    async def _walk_in(self, request: Request, asked: Asked, room: RoomId) -> Answer | None:
        """Admit the visitor without a line, if the room stands by; `None` if it has to wait."""
        try:
            visitor, slot, token = await self._visits.walk_in(room, request)
        except (Refused, Unavailable):
            return None
        left_s = (slot.expires_ms - self._clock.now_ms()) // 1_000
        cookie = pass_cookie(room, token, left_s, secure=asked.scheme == "https")
        return admitting("standby", room, visitor, slot.place, cookie)

    async def _shown(self, request: Request, asked: Asked, room: RoomId) -> Presented | None:
        """Return what the request's pass proves, from its header or cookie, or `None`."""
        header = request.headers.get(TOKEN_HEADER)
        if header is not None:
            return await self._live(header.decode("latin-1"), room)
        cookies = request.headers.get(b"cookie")
        if cookies is None:
            return None
        name = pass_cookie_name(room, secure=asked.scheme == "https")
        for token in cookie_values(cookies, name):
            shown = await self._live(token, room)
            if shown is not None:
                return shown
        return None

    async def _live(self, token: str, room: RoomId) -> Presented | None:
        """Return what a pass proves while its stay lasts, or `None`."""
        shown = self._who.presented(token, room)
        if shown is None or shown.expires_ms <= self._clock.now_ms():
            return None
        return None if await self._state.has_departed(room, shown.place) else shown

    async def _hand_over(self, asked: Asked, room: RoomId, language: Language) -> Answer | None:
        """Return the redirect that turns the pass of an address into a cookie, or `None`."""
        token, url = split_pass(asked.url)
        if token == ASKS_KEPT:
            return _cookie_kept(asked, room, url, language)
        shown = None if token is None else await self._live(token, room)
        if token is None or shown is None:
            return None
        left_s = (shown.expires_ms - self._clock.now_ms()) // 1_000
        cookie = pass_cookie(room, token, left_s, secure=asked.scheme == "https")
        if not asked.site.cookies(KEPT_COOKIE):
            # Without cookies the line would hand the visitor over again and again.
            url += f"{'&' if '?' in url else '?'}{PARAMETER}={ASKS_KEPT}"
        return redirecting(asked, HTTPStatus.SEE_OTHER, url, cookie, _NO_REFERRER)

    async def _refuse(self, request: Request, asked: Asked, rule: Rule, room: RoomId) -> Answer:
        try:
            page = await self._page(asked, rule, room)
        except Unavailable:
            if rule.when_unreachable is WhenUnreachable.CLOSED:
                raise
            return _counted(rule.name, "open", passing("open"))
        decision = "redirect" if asked.kind is Kind.PAGE else "refused"
        return _counted(rule.name, decision, refusing(asked, page, request.language))

    async def _page(self, asked: Asked, rule: Rule, room: RoomId) -> str:
        """Return the address of the waiting page, with the signed way back."""
        page = f"{self._queue(asked)}/rooms/{quote(room, safe='')}"
        if not rule.names_hosts and asked.site.host != await self._shop_host(room):
            # The Host field of a stranger must not decide where we send visitors.
            return page
        url = split_pass(asked.url)[1]
        signed = sign_return(self._settings.site_key, url, room, self._clock.now_ms() // 1_000)
        return page if signed is None else f"{page}?return={signed}"

    async def _shop_host(self, room: RoomId) -> str | None:
        try:
            document = await self._documents.fetch(room)
        except Refused:
            return None
        return urlsplit(document.survey.rules.shop_url).hostname

    def _queue(self, asked: Asked) -> str:
        """Return the public address of the queue service.

        Raises:
            NeedsOperator: It is not known.
        """
        settings = self._settings
        if settings.public_url:
            return settings.public_url
        if not settings.trusting:
            raise NeedsOperator(
                "the gate does not know the public address of the waiting pages; set "
                "WAITLINE_QUEUE_PUBLIC_URL"
            )
        return f"http://{asked.site.host}:{settings.queue_port}"


@lru_cache(maxsize=1_024)
def split_pass(url: str) -> tuple[str | None, str]:
    """Return the pass in an address, or `None`, and the address without it."""
    before, mark, query = url.partition("?")
    kept, token = [], None
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if name == PARAMETER:
            token = value
        else:
            kept.append(pair)
    if token is None:
        return None, url
    rest = "&".join(kept)
    return token, before + (mark + rest if rest else "")


def _cookie_kept(asked: Asked, room: RoomId, url: str, language: Language) -> Answer | None:
    """Answer whether the browser has kept the cookie: go on, or explain it; `None` for scripts."""
    if asked.kind not in {Kind.PAGE, Kind.FRAME}:
        return None
    name = pass_cookie_name(room, secure=asked.scheme == "https").decode("ascii")
    if asked.site.cookies(name):
        return redirecting(asked, HTTPStatus.SEE_OTHER, url)
    return showing(asked, HTTPStatus.FORBIDDEN, COOKIES, url, language)


def _counted(rule: str, decision: str, answer: Answer) -> Answer:
    telemetry.GATE_DECISIONS.add(1, rule, decision)
    return answer
