"""The gate: answers whether a request of a site may pass (forward authentication).

A pass is verified here, without a call to the store. Rules and departed places come from memory.
"""

from collections.abc import Coroutine, Mapping
from http import HTTPStatus
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlsplit

from waitline.gate.matching import cookie_values
from waitline.gate.model import Action, ProxyUntrusted, Rule, RuleMode, WhenUnreachable
from waitline.gate.returns import sign_return
from waitline.http.client_address import UNIX, ClientAddresses
from waitline.http.dispatch import ANY_METHOD
from waitline.http.requests import HotHandler, Request
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
    kept,
    pass_cookie,
    pass_cookie_name,
    passing,
    redirecting,
    refusing,
    showing,
    with_pass,
)
from waitline.services.queue.gate_browsers import Browser
from waitline.services.queue.gate_state import GateState, Known
from waitline.services.queue.now_serving import NowServingDocuments
from waitline.services.queue.site_requests import (
    PARAMETER,
    Asked,
    Form,
    Kind,
    parse_site_request,
    split_pass,
)
from waitline.services.queue.site_visits import SiteVisits
from waitline.settings import Settings

ASKS_KEPT: Final = "kept"
"""Value of that parameter that asks whether the browser has kept the cookie with the pass."""

UNMATCHED: Final = "(none)"
"""Value of the label `rule` for requests that no rule matches."""

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

    def routes(self) -> Mapping[str, Mapping[str, HotHandler]]:
        """Return the handlers by path and method."""
        return {"/api/v1/gate": {ANY_METHOD: self.decide}}

    def decide(self, request: Request) -> Answer | Coroutine[Any, Any, Answer]:
        """Answer whether a request of the site passes: at once, unless the store is to be asked.

        Raises:
            ProxyUntrusted: The caller is not a trusted proxy.
            InputInvalid, MethodUnknown: The proxy did not describe the request.
        """
        if not self._proxies.trusts(request.peer or UNIX):
            raise ProxyUntrusted
        asked = parse_site_request(request)
        site = asked.site
        if site.is_preflight:
            return _decided(asked, "preflight", "bypass", passing(asked.passed, "bypass"))
        known = self._state.known(site)
        return self._fetch(request, asked) if known is None else self._judge(request, asked, known)

    async def _fetch(self, request: Request, asked: Asked) -> Answer:
        """Fetch rules and departed places, then answer.

        Raises:
            Unavailable: The rules are not known yet.
        """
        answer = self._judge(request, asked, await self._state.fetch(asked.site))
        return answer if isinstance(answer, Answer) else await answer

    def _judge(
        self, request: Request, asked: Asked, known: Known
    ) -> Answer | Coroutine[Any, Any, Answer]:
        """Answer by what is known; the answer is a coroutine if the store is to be asked."""
        rule = known.rule
        if rule is None or rule.action is Action.BYPASS:
            name, decision = (UNMATCHED, "unmatched") if rule is None else (rule.name, "bypass")
            return _decided(asked, name, decision, passing(asked.passed, decision))
        if PARAMETER in asked.target:
            return self._arrive(request, asked, rule, known)
        return self._guard(request, asked, rule, known)

    async def _arrive(self, request: Request, asked: Asked, rule: Rule, known: Known) -> Answer:
        """Answer a request whose address has a pass, or asks whether cookies are kept."""
        handed = await self._hand_over(request, asked, rule, known)
        if handed is not None:
            return handed
        answer = self._guard(request, asked, rule, known)
        return answer if isinstance(answer, Answer) else await answer

    def _guard(
        self, request: Request, asked: Asked, rule: Rule, known: Known
    ) -> Answer | Coroutine[Any, Any, Answer]:
        """Answer a request that needs a pass, as `_judge`."""
        shown = self._shown(request, asked, rule, known)
        if shown is not None:
            now_ms = self._clock.now_ms()
            more = kept(asked, known.rules, shown.expires_ms - now_ms)
            answer = with_pass(asked.passed, rule.room, shown.visitor, shown.place, more)
            if shown.half_ms <= now_ms and self._slides(asked, rule, shown):
                return self._slide(request, asked, rule, shown, answer)
            return _decided(asked, rule.name, "pass", answer)
        if rule.mode is RuleMode.OBSERVE:
            return _decided(asked, rule.name, "observed", passing(asked.passed, "observed"))
        return self._hold(request, asked, rule)

    def _slides(self, asked: Asked, rule: Rule, shown: Presented) -> bool:
        """Return whether to ask the store to slide a stay."""
        # Only a cookie can be renewed.
        if TOKEN_HEADER in asked.site.fields and not rule.bind:
            return False
        document = self._documents.cached(rule.room)
        if document is not None and not document.survey.rules.limits.stay_ms:
            return False
        # The call may wait for the store, so each pass gets here seldom.
        return asked.form is not Form.NGINX_ANSWER and self._state.begin_slide(rule.room, shown)

    async def _slide(
        self, request: Request, asked: Asked, rule: Rule, shown: Presented, answer: Answer
    ) -> Answer:
        """Answer with a new pass if the visitor's stay slides now, otherwise as without."""
        room = rule.room
        try:
            slot, token = await self._visits.slide(
                room,
                (shown.visitor, shown.stay),
                expires_ms=shown.expires_ms,
                account=shown.account,
            )
        except (Refused, Unavailable):
            # The pass is good until it ends.
            return _decided(asked, rule.name, "pass", answer)
        if token is not None:
            browser = Browser.of(request, asked) if rule.bind else None
            cookies = self._cookies(asked, room, token, slot.expires_ms, browser)
            answer = admitting(asked.passed, "pass", (room, shown.visitor, shown.place), cookies)
        return _decided(asked, rule.name, "pass", answer)

    async def _hold(self, request: Request, asked: Asked, rule: Rule) -> Answer:
        """Answer a request without a pass: admit its visitor without a line, or refuse it."""
        if asked.takes_place:
            admitted = await self._walk_in(request, asked, rule)
            if admitted is not None:
                return _decided(asked, rule.name, "standby", admitted)
        try:
            page = await self._page(asked, rule)
        except Unavailable:
            if rule.when_unreachable is WhenUnreachable.CLOSED:
                raise
            return _decided(asked, rule.name, "open", passing(asked.passed, "open"))
        decision = "redirect" if asked.kind is Kind.PAGE else "refused"
        cookie = Browser.of(request, asked).cookie(asked, alone=True) if rule.bind else ()
        answer = refusing(asked, page, request.language, cookie)
        return _decided(asked, rule.name, decision, answer)

    async def _walk_in(self, request: Request, asked: Asked, rule: Rule) -> Answer | None:
        """Admit the visitor without a line, if the room stands by; `None` if it has to wait."""
        room = rule.room
        browser = Browser.of(request, asked) if rule.bind else None
        try:
            visitor, slot, token = await self._visits.walk_in(room, request)
            if browser is not None:
                stay = f"{slot.place}-{slot.joined_ms}"
                await self._visits.claim(room, (visitor, stay), browser.secret)
        except (Refused, Unavailable):
            return None
        cookies = self._cookies(asked, room, token, slot.expires_ms, browser)
        return admitting(asked.passed, "standby", (room, visitor, slot.place), cookies)

    def _cookies(
        self, asked: Asked, room: RoomId, token: str, expires_ms: int, browser: Browser | None
    ) -> Headers:
        """Return the fields that keep a pass until it ends, for one browser if there is one."""
        left_s = (expires_ms - self._clock.now_ms()) // 1_000
        secure = asked.is_secure
        if browser is None:
            return pass_cookie(room, token, left_s, secure=secure)
        value = browser.bound(self._settings.site_key, token)
        return (
            *pass_cookie(room, value, left_s, secure=secure),
            *browser.cookie(asked, alone=False),
        )

    def _shown(self, request: Request, asked: Asked, rule: Rule, known: Known) -> Presented | None:
        """Return what the request's pass proves, from its header or cookie, or `None`.

        A bound pass counts with its browser's cookie alone.
        """
        fields = request.headers
        header = None if rule.bind else fields.get(TOKEN_HEADER)
        if header is not None:
            return self._live(header.decode("latin-1"), rule, known)
        cookies = fields.get(b"cookie")
        if cookies is None:
            return None
        browser = Browser.of(request, asked) if rule.bind else None
        for value in cookie_values(cookies, pass_cookie_name(rule.room, secure=asked.is_secure)):
            if browser is not None and not browser.is_bound(self._settings.site_key, value):
                continue
            shown = self._live(value.partition("~")[0], rule, known)
            if shown is not None:
                return shown
        return None

    def _live(self, token: str, rule: Rule, known: Known) -> Presented | None:
        """Return what a pass proves while its stay lasts, or `None`."""
        shown = self._who.presented(token, rule.room)
        if shown is None or shown.expires_ms <= self._clock.now_ms():
            return None
        return None if shown.place in known.departed else shown

    async def _hand_over(
        self, request: Request, asked: Asked, rule: Rule, known: Known
    ) -> Answer | None:
        """Return the redirect that turns the pass of an address into a cookie, or `None`.

        Where passes are bound, the browser claims the stay first.
        """
        token, url = split_pass(asked.url)
        if token == ASKS_KEPT:
            found = cookie_kept(asked, rule.room, url, request.language)
            return found and _decided(asked, rule.name, "handover", found)
        shown = None if token is None else self._live(token, rule, known)
        if token is None or shown is None:
            return None
        browser = Browser.of(request, asked) if rule.bind else None
        try:
            if browser is not None and not await self._claim(asked, rule, shown, browser):
                return None
        except PassUsed:
            return await self._refuse_used(request, asked, rule, known)
        cookies = self._cookies(asked, rule.room, token, shown.expires_ms, browser)
        if asked.site.method not in {"GET", "HEAD"}:
            # A redirect would lose what it sends.
            who = rule.room, shown.visitor, shown.place
            return _decided(asked, rule.name, "pass", admitting(asked.passed, "pass", who, cookies))
        if not (asked.site.cookies(KEPT_COOKIE) or (browser and browser.known)):
            # Without cookies the line would hand the visitor over again and again.
            url += f"{'&' if '?' in url else '?'}{PARAMETER}={ASKS_KEPT}"
        answer = redirecting(asked, HTTPStatus.SEE_OTHER, url, cookies, _NO_REFERRER)
        return _decided(asked, rule.name, "handover", answer)

    async def _claim(self, asked: Asked, rule: Rule, shown: Presented, browser: Browser) -> bool:
        """Claim a visitor's stay for a browser; return whether the pass counts.

        Only with a page: previews of links must not claim it.

        Raises:
            PassUsed: Another browser has claimed it.
            Unavailable: The store does not answer, and the rule closes then.
        """
        if not asked.takes_place:
            return False
        try:
            await self._visits.claim(rule.room, (shown.visitor, shown.stay), browser.secret)
        except (TimeRanOut, TokenRejected, VisitorUnknown):
            return False
        except Unavailable:
            if rule.when_unreachable is WhenUnreachable.CLOSED:
                raise
        return True

    async def _refuse_used(
        self, request: Request, asked: Asked, rule: Rule, known: Known
    ) -> Answer | None:
        """Answer a page whose pass another browser has claimed; `None` if it passes all the same.

        A browser with a good pass of its own goes on without the other in its address.
        """
        if rule.mode is RuleMode.OBSERVE:
            return None
        if self._shown(request, asked, rule, known) is not None:
            url = split_pass(asked.url)[1]
            answer = redirecting(asked, HTTPStatus.SEE_OTHER, url, (), _NO_REFERRER)
            return _decided(asked, rule.name, "handover", answer)
        page = await self._page(asked, rule)
        answer = showing(asked, HTTPStatus.FORBIDDEN, USED, page, request.language)
        return _decided(asked, rule.name, "refused", answer)

    async def _page(self, asked: Asked, rule: Rule) -> str:
        """Return the address of the waiting page, with the signed way back."""
        room = rule.room
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


def _decided(asked: Asked, rule: str, decision: str, answer: Answer) -> Answer:
    """Count a decision and return its answer."""
    telemetry.GATE_DECISIONS.add(1, rule, decision)
    if asked.form is Form.NGINX_ANSWER and answer.status == HTTPStatus.NO_CONTENT:
        # It passes by now: the client repeats its request, with its body.
        return redirecting(asked, HTTPStatus.TEMPORARY_REDIRECT, asked.url)
    return answer
