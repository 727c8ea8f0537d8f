"""The gate: answers whether a request of a site may pass (forward authentication).

A pass is verified here, without a call to the store. Rules and departed places come from memory.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final, NamedTuple
from urllib.parse import quote, urlsplit

from waitline.gate.model import Action, ProxyUntrusted, Rule, RuleMode, WhenUnreachable
from waitline.gate.returns import sign_return
from waitline.http.client_address import UNIX, ClientAddresses
from waitline.http.requests import Handler, Request
from waitline.http.responses import Answer, Headers
from waitline.kernel import telemetry
from waitline.kernel.clock import Clock
from waitline.kernel.errors import NeedsOperator, Refused, Unavailable
from waitline.kernel.ids import RoomId
from waitline.queue.claims import PassUsed
from waitline.queue.model import TimeRanOut, TokenRejected, VisitorUnknown
from waitline.services.identity import TOKEN_HEADER, Identity, Presented
from waitline.services.queue.gate_answers import (
    KEPT_COOKIE,
    USED,
    admitting,
    cookie_kept,
    pass_cookie,
    pass_cookie_name,
    passing,
    redirecting,
    refusing,
    showing,
)
from waitline.services.queue.gate_browsers import Browser
from waitline.services.queue.gate_state import GateState
from waitline.services.queue.now_serving import NowServingDocuments
from waitline.services.queue.site_requests import (
    PARAMETER,
    Asked,
    Form,
    Kind,
    cookie_values,
    parse_site_request,
    split_pass,
)
from waitline.services.queue.site_visits import SiteVisits
from waitline.settings import Settings

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
            handed = await self._hand_over(request, asked, rule, room)
            if handed is not None:
                return handed
        shown = await self._shown(request, asked, rule, room)
        if shown is not None:
            more = self._kept(asked, shown)
            if shown.half_ms <= self._clock.now_ms():
                more = await self._slid(request, asked, rule, room, shown) or more
            answer = admitting("pass", room, shown.visitor, shown.place, more)
            return _counted(rule.name, "pass", answer)
        if rule.mode is RuleMode.OBSERVE:
            return _counted(rule.name, "observed", passing("observed"))
        if asked.takes_place:
            admitted = await self._walk_in(request, asked, rule, room)
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
        self, request: Request, asked: Asked, rule: Rule, room: RoomId, shown: Presented
    ) -> Headers:
        """Return the Set-Cookie field with a new pass, if the visitor's stay slides now."""
        # Only a cookie can be renewed.
        if (TOKEN_HEADER in request.headers and not rule.bind) or asked.form is Form.NGINX_ANSWER:
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
        browser = Browser.of(request, asked) if rule.bind else None
        return self._cookies(asked, room, token, slot.expires_ms, browser)

    async def _walk_in(
        self, request: Request, asked: Asked, rule: Rule, room: RoomId
    ) -> Answer | None:
        """Admit the visitor without a line, if the room stands by; `None` if it has to wait."""
        browser = Browser.of(request, asked) if rule.bind else None
        try:
            visitor, slot, token = await self._visits.walk_in(room, request)
            if browser is not None:
                stay = f"{slot.place}-{slot.joined_ms}"
                await self._visits.claim(room, (visitor, stay), browser.secret)
        except (Refused, Unavailable):
            return None
        cookies = self._cookies(asked, room, token, slot.expires_ms, browser)
        return admitting("standby", room, visitor, slot.place, cookies)

    def _cookies(
        self, asked: Asked, room: RoomId, token: str, expires_ms: int, browser: Browser | None
    ) -> Headers:
        """Return the fields that keep a pass until it ends, for one browser if there is one."""
        left_s = (expires_ms - self._clock.now_ms()) // 1_000
        secure = asked.scheme == "https"
        if browser is None:
            return pass_cookie(room, token, left_s, secure=secure)
        value = browser.bound(self._settings.site_key, token)
        return (
            *pass_cookie(room, value, left_s, secure=secure),
            *browser.cookie(asked, alone=False),
        )

    async def _shown(
        self, request: Request, asked: Asked, rule: Rule, room: RoomId
    ) -> Presented | None:
        """Return what the request's pass proves, from its header or cookie, or `None`.

        A bound pass counts with its browser's cookie alone.
        """
        header = None if rule.bind else request.headers.get(TOKEN_HEADER)
        if header is not None:
            return await self._live(header.decode("latin-1"), room)
        cookies = request.headers.get(b"cookie")
        if cookies is None:
            return None
        name = pass_cookie_name(room, secure=asked.scheme == "https")
        browser = Browser.of(request, asked) if rule.bind else None
        for value in cookie_values(cookies, name):
            if browser is not None and not browser.is_bound(self._settings.site_key, value):
                continue
            shown = await self._live(value.partition("~")[0], room)
            if shown is not None:
                return shown
        return None

    async def _live(self, token: str, room: RoomId) -> Presented | None:
        """Return what a pass proves while its stay lasts, or `None`."""
        shown = self._who.presented(token, room)
        if shown is None or shown.expires_ms <= self._clock.now_ms():
            return None
        return None if await self._state.has_departed(room, shown.place) else shown

    async def _hand_over(
        self, request: Request, asked: Asked, rule: Rule, room: RoomId
    ) -> Answer | None:
        """Return the redirect that turns the pass of an address into a cookie, or `None`.

        Where passes are bound, the browser claims the stay first.
        """
        token, url = split_pass(asked.url)
        if token == ASKS_KEPT:
            kept = cookie_kept(asked, room, url, request.language)
            return kept and _counted(rule.name, "handover", kept)
        shown = None if token is None else await self._live(token, room)
        if token is None or shown is None:
            return None
        browser = Browser.of(request, asked) if rule.bind else None
        try:
            if browser is not None and not await self._claim(asked, rule, room, shown, browser):
                return None
        except PassUsed:
            return await self._refuse_used(request, asked, rule, room)
        if not (asked.site.cookies(KEPT_COOKIE) or (browser and browser.known)):
            # Without cookies the line would hand the visitor over again and again.
            url += f"{'&' if '?' in url else '?'}{PARAMETER}={ASKS_KEPT}"
        cookies = self._cookies(asked, room, token, shown.expires_ms, browser)
        answer = redirecting(asked, HTTPStatus.SEE_OTHER, url, cookies, _NO_REFERRER)
        return _counted(rule.name, "handover", answer)

    async def _claim(
        self, asked: Asked, rule: Rule, room: RoomId, shown: Presented, browser: Browser
    ) -> bool:
        """Claim a visitor's stay for a browser; return whether the pass counts.

        Only with a page: previews of links must not claim it.

        Raises:
            PassUsed: Another browser has claimed it.
            Unavailable: The store does not answer, and the rule closes then.
        """
        if not asked.takes_place:
            return False
        try:
            await self._visits.claim(room, (shown.visitor, shown.stay), browser.secret)
        except (TimeRanOut, TokenRejected, VisitorUnknown):
            return False
        except Unavailable:
            if rule.when_unreachable is WhenUnreachable.CLOSED:
                raise
        return True

    async def _refuse_used(
        self, request: Request, asked: Asked, rule: Rule, room: RoomId
    ) -> Answer | None:
        """Answer a page whose pass another browser has claimed; `None` if it passes all the same.

        A browser with a good pass of its own goes on without the other in its address.
        """
        if rule.mode is RuleMode.OBSERVE:
            return None
        if await self._shown(request, asked, rule, room) is not None:
            url = split_pass(asked.url)[1]
            answer = redirecting(asked, HTTPStatus.SEE_OTHER, url, (), _NO_REFERRER)
            return _counted(rule.name, "handover", answer)
        page = await self._page(asked, rule, room)
        answer = showing(asked, HTTPStatus.FORBIDDEN, USED, page, request.language)
        return _counted(rule.name, "refused", answer)

    async def _refuse(self, request: Request, asked: Asked, rule: Rule, room: RoomId) -> Answer:
        try:
            page = await self._page(asked, rule, room)
        except Unavailable:
            if rule.when_unreachable is WhenUnreachable.CLOSED:
                raise
            return _counted(rule.name, "open", passing("open"))
        decision = "redirect" if asked.kind is Kind.PAGE else "refused"
        cookie = Browser.of(request, asked).cookie(asked, alone=True) if rule.bind else ()
        return _counted(rule.name, decision, refusing(asked, page, request.language, cookie))

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


def _counted(rule: str, decision: str, answer: Answer) -> Answer:
    telemetry.GATE_DECISIONS.add(1, rule, decision)
    return answer
