"""Decisions: what becomes of a request, by rules, cookies and time. Pure.

Calls to the queue that a decision depends on are named in it (`Call`): the caller makes them, and
decides again with the result.
"""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import Final, NamedTuple
from urllib.parse import quote

from waitline_connect import pages
from waitline_connect.passes import LEEWAY_S, Pass, Refusal
from waitline_connect.returns import bind, sign_return
from waitline_connect.rules import Request, Rule, Rules

RETRY_S: Final = 10
"""`Retry-After` of refusals, in seconds; the line moves no faster than a visitor can notice."""

BROWSER_S: Final = 400 * 24 * 3600
"""Life of the browser's secret, in seconds: the longest that browsers keep a cookie."""

KEPT: Final = "kept"
"""Value of `waitline` that asks whether the browser kept the cookie."""


class Call(StrEnum):
    """A call to the queue that decides."""

    CLAIM = "claim"
    WALK_IN = "walk-in"


@dataclass(frozen=True)
class Site:
    """What a site states about itself.

    Attributes:
        queue_url: Address of the queue as visitors reach it, without a final slash.
        key: The site key.
        origins: The site's own addresses, `https://shop.example`; the first is the default. No
            other host is ever signed, whatever the `Host` header says.
        cookie_domain: Share cookies with the subdomains of this domain; empty: one host alone.
    """

    queue_url: str
    key: bytes
    origins: tuple[str, ...]
    cookie_domain: str = ""

    def origin_of(self, request: Request) -> str:
        """Return the origin that a request was made to; the first if its host is not ours."""
        for origin in self.origins:
            if origin.partition("://")[2].lower() == request.host.lower():
                return origin
        return self.origins[0]


class Answers(NamedTuple):
    """Results of the calls, if they were made: `None` means not made.

    Attributes:
        claimed: Whether the pass belongs to this browser.
        walked_in: The pass of a visitor who was admitted at once; `False` if a line has formed.
    """

    claimed: bool | None = None
    walked_in: Pass | bool | None = None


NO_ANSWERS: Final = Answers()


@dataclass
class Decision:
    """What becomes of a request.

    Attributes:
        outcome: `bypass`, `pass`, `open`, `exchange`, `wait`, `refuse`, `form`, `frame`,
            `refused`, `cookies`, `unreachable`, or `call`.
        rule: The rule that matched.
        visit: The pass that counts.
        status: 0: the site answers. Otherwise this is the answer.
        headers: Of the answer, or to be added to the site's.
        body: Of the answer.
        observed: In mode `observe`: the outcome that would have been; the request passes.
        call: The call that decides, if `outcome` is `call`.
    """

    outcome: str
    rule: Rule | None = None
    visit: Pass | None = None
    status: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: str = ""
    observed: str = ""
    call: Call | None = None


Verify = Callable[[str], Pass | Refusal]


@dataclass(frozen=True)
class Case:
    """Everything that a decision depends on.

    Attributes:
        request: The request.
        rules: The rules in force.
        site: The site.
        verify: Returns what a pass proves, without regard to time.
        revoked: Whether the stay of a pass has ended early.
        now_s: The time, in s since the epoch.
        reachable: Whether the queue answers.
        new_secret: Returns a secret for a browser that has none: 22 url-safe characters, random.
        answers: Results of calls, on the second try.
        rule: A rule that takes the place of the matching one.
    """

    request: Request
    rules: Rules
    site: Site
    verify: Verify
    revoked: Callable[[Pass], bool]
    now_s: int
    reachable: bool = True
    new_secret: Callable[[], str] = str
    answers: Answers = NO_ANSWERS
    rule: Rule | None = None

    def decide(self) -> Decision:
        """Return what becomes of the request."""
        request = self.request
        if request.method == "OPTIONS" and "access-control-request-method" in request.headers:
            return Decision("bypass")
        rule = self.rule or self.rules.match(request)
        guarded = rule is not None and rule.action == "queue"
        found: Decision | None = None
        if "waitline=" in request.query:
            found = self._handed_over(rule if guarded else None)
        if found is None:
            found = self._guarded(rule) if rule and guarded else Decision("bypass", rule)
        if rule and rule.mode == "observe" and found.outcome not in _OBSERVED:
            return Decision("pass", rule, observed=found.outcome)
        return found

    # --- a pass in the cookie, or none ------------------------------------------------

    def _guarded(self, rule: Rule) -> Decision:
        visit = self._of_cookie(rule)
        if isinstance(visit, Pass):
            return Decision("pass", rule, visit)
        walked_in, claimed = self.answers.walked_in, self.answers.claimed
        if isinstance(walked_in, Pass):
            if rule.bind and claimed is None:
                return Decision("call", rule, walked_in, call=Call.CLAIM)
            if not rule.bind or claimed:
                return self._exchanged(rule, walked_in, "pass")
        return self._without_pass(rule) if self.reachable else self._unreachable(rule)

    def _without_pass(self, rule: Rule) -> Decision:
        kind = kind_of(self.request)
        # A frame of another site gets none of our cookies, so a slot would be lost with each page.
        stays = kind == "page" or (kind == "frame" and not is_foreign(self.request))
        if stays and self.answers.walked_in is None and rule.mode == "enforce":
            return Decision("call", rule, call=Call.WALK_IN)
        if kind == "page":
            return self._wait(rule)
        if kind == "frame":
            # The waiting page shows itself in no frame, so that no site can hide it.
            return self._page("frame", rule, 429, self._line(rule, self._address()))
        if kind == "form":
            return self._page("form", rule, 429, self._line(rule, self._before_form()))
        line = "" if kind == "idle" else self._line(rule, self._address())
        return self._document("refuse", rule, 429, "Q006", line)

    def _of_cookie(self, rule: Rule) -> Pass | Refusal | None:
        value = self.request.cookie(self.cookie_name(rule.room))
        if not value:
            return None
        token, _, mark = value.partition("~")
        if rule.bind:
            secret = self._kept_secret()
            expected = bind(self.site.key, token, secret)
            if not secret or not hmac.compare_digest(expected.encode(), mark.encode()):
                return Refusal.OTHER_BROWSER
        return self.check(token, rule.room)

    def check(self, token: str, room: str) -> Pass | Refusal:
        """Return what a pass proves now, for a room."""
        visit = self.verify(token)
        if isinstance(visit, Refusal):
            return visit
        if visit.room != room:
            return Refusal.ROOM
        if visit.expires_s + LEEWAY_S <= self.now_s:
            return Refusal.EXPIRED
        return Refusal.REVOKED if self.revoked(visit) else visit

    # --- a pass in the address --------------------------------------------------------

    def _handed_over(self, guard: Rule | None) -> Decision | None:
        """Decide by the parameter `waitline`; `None` if it is not ours."""
        value = next((pair[9:] for pair in self._pairs() if pair.startswith("waitline=")), "")
        if not value:
            return None
        if value == KEPT:
            return self._kept(guard)
        rule = self._rule_of(value, guard)
        if rule is None:
            return None
        visit = self.check(value, rule.room)
        if isinstance(visit, Pass):
            if rule.bind and self.answers.claimed is None:
                return Decision("call", rule, visit, call=Call.CLAIM)
            if not rule.bind or self.answers.claimed:
                return self._exchanged(rule, visit, "exchange")
        return self._not_accepted(rule, guard, visit)

    def _rule_of(self, token: str, guard: Rule | None) -> Rule | None:
        """Return the rule that a pass is for: that of the page, else the first of its room."""
        visit = self.verify(token)
        if guard and (isinstance(visit, Refusal) or visit.room == guard.room):
            return guard
        return None if isinstance(visit, Refusal) else self.rules.rooms.get(visit.room)

    def _not_accepted(
        self, rule: Rule, guard: Rule | None, visit: Pass | Refusal
    ) -> Decision | None:
        if isinstance(self._of_cookie(rule), Pass):
            return self._redirect("exchange", rule, 303, self._address())
        if not self.reachable and (isinstance(visit, Pass) or visit is Refusal.KEY_UNKNOWN):
            return self._unreachable(rule)
        if guard is None:
            return self._redirect("exchange", rule, 303, self._address())
        if kind_of(self.request) not in SHOWN:
            return None
        # Not a redirect: the waiting page would hand over the same pass at once.
        return self._page("refused", rule, 403, self._line(rule, self._address(), "#renew"))

    def _exchanged(self, rule: Rule, visit: Pass, outcome: str) -> Decision:
        """Set the cookie; a page in whose address the pass was is loaded again without it."""
        known = bool(self._kept_secret())
        life_s = visit.expires_s - self.now_s
        cookies = [self.pass_cookie(rule.room, visit.token, bound=rule.bind, life_s=life_s)]
        if not known:
            cookies.append(self._browser_cookie())
        if outcome == "pass" or self.request.method != "GET":
            return Decision("pass", rule, visit, headers=cookies)
        address = self._address() if known else self._address(kept=True)
        found = self._redirect(outcome, rule, 303, address)
        found.visit = visit
        found.headers += [*cookies, ("Referrer-Policy", "no-referrer")]
        return found

    def _kept(self, guard: Rule | None) -> Decision | None:
        if kind_of(self.request) not in SHOWN:
            return None
        names = [self.cookie_name(room) for room in ([guard.room] if guard else self.rules.rooms)]
        if any(name in self.request.cookies for name in names):
            return self._redirect("exchange", guard, 303, self._address())
        return self._page("cookies", guard, 403, self._address())

    # --- answers ----------------------------------------------------------------------

    def _wait(self, rule: Rule) -> Decision:
        found = self._redirect("wait", rule, 302, self._line(rule, self._address()))
        if not self._kept_secret():
            found.headers.append(self._browser_cookie())
        return found

    def _unreachable(self, rule: Rule) -> Decision:
        if rule.when_unreachable == "open":
            return Decision("open", rule)
        if kind_of(self.request) in {*SHOWN, "form"}:
            return self._page("unreachable", rule, 503, self._address())
        return self._document("unreachable", rule, 503, "E003", "")

    def _redirect(self, outcome: str, rule: Rule | None, status: int, address: str) -> Decision:
        headers = [("Location", address), ("Cache-Control", "no-store")]
        return Decision(outcome, rule, status=status, headers=headers)

    def _page(self, name: str, rule: Rule | None, status: int, address: str) -> Decision:
        policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'"
        headers = [
            ("Content-Type", "text/html; charset=utf-8"),
            ("Content-Security-Policy", policy),
            ("Referrer-Policy", "no-referrer"),
        ]
        body = pages.page(name, self._language(), address)
        return Decision(name, rule, None, status, headers + _RETRY[status], body)

    def _document(self, outcome: str, rule: Rule, status: int, code: str, line: str) -> Decision:
        headers = [("Content-Type", "application/json"), *_RETRY[status]]
        body = pages.document(code, self._language(), line)
        return Decision(outcome, rule, None, status, headers, body)

    def _language(self) -> str:
        return pages.language_of(self.request.headers.get("accept-language", ""))

    # --- addresses and cookies --------------------------------------------------------

    def _address(self, *, kept: bool = False) -> str:
        """Return the address of the request, without the pass."""
        pairs = [pair for pair in self._pairs() if pair and pair.partition("=")[0] != "waitline"]
        query = "&".join([*pairs, f"waitline={KEPT}"] if kept else pairs)
        target = "/" + self.request.target.removeprefix("/") + (f"?{query}" if query else "")
        return self.site.origin_of(self.request) + quote(target, safe=_SAFE, encoding="latin-1")

    def _pairs(self) -> list[str]:
        return self.request.query.split("&")

    def _before_form(self) -> str:
        """Return the page that the form is on, if it is one of ours, else the form's target."""
        page = self.request.headers.get("referer", "")
        origin = self.site.origin_of(self.request)
        return page.partition("#")[0] if page.startswith(origin + "/") else self._address()

    def _line(self, rule: Rule, address: str, fragment: str = "") -> str:
        back = sign_return(self.site.key, address, rule.room, now_s=self.now_s)
        page = f"{self.site.queue_url}/rooms/{quote(rule.room, safe='')}"
        return f"{page}?return={back}{fragment}" if back else page + fragment

    def cookie_name(self, room: str) -> str:
        """Return the name of the cookie that holds a room's pass."""
        return self._named("pass-" + _digest(room))

    def _named(self, name: str) -> str:
        return self._prefix() + "waitline-" + name

    def _prefix(self) -> str:
        if not self._secure():
            return ""
        return "__Secure-" if self.site.cookie_domain else "__Host-"

    def _secure(self) -> bool:
        return self.site.origin_of(self.request).startswith("https:")

    def _kept_secret(self) -> str:
        return self.request.cookie(self._named("browser"))

    @cached_property
    def browser(self) -> str:
        """The secret of this browser, a new one if it has none."""
        return self._kept_secret() or self.new_secret()

    def _browser_cookie(self) -> tuple[str, str]:
        return self.cookie(self._named("browser"), self.browser, BROWSER_S)

    def pass_cookie(self, room: str, token: str, *, bound: bool, life_s: int) -> tuple[str, str]:
        """Return the `Set-Cookie` header that keeps a pass, for this browser alone if `bound`."""
        mark = f"~{bind(self.site.key, token, self.browser)}" if bound else ""
        return self.cookie(self.cookie_name(room), token + mark, life_s)

    def cookie(self, name: str, value: str, life_s: int) -> tuple[str, str]:
        """Return a `Set-Cookie` header; a life of 0 deletes the cookie."""
        domain = f"; Domain={self.site.cookie_domain}" if self.site.cookie_domain else ""
        secure = "; Secure" if self._secure() else ""
        attributes = f"Path=/{domain}; Max-Age={max(0, life_s)}; HttpOnly; SameSite=Lax{secure}"
        return ("Set-Cookie", f"{name}={value}; {attributes}")


_SAFE: Final = "/?:@!$&'()*+,;=~%[]"

_NO_STORE: Final = [("Cache-Control", "no-store")]
_RETRY: Final = {
    403: _NO_STORE,
    429: [*_NO_STORE, ("Retry-After", str(RETRY_S))],
    503: [*_NO_STORE, ("Retry-After", str(RETRY_S))],
}


@lru_cache(maxsize=256)
def _digest(room: str) -> str:
    return hashlib.sha256(room.encode()).hexdigest()[:16]


_OBSERVED: Final = {"bypass", "pass", "exchange", "call"}

_SPECULATIVE: Final = ("sec-purpose", "purpose", "x-purpose", "x-moz")
_SPECULATIVE_WORDS: Final = ("prefetch", "prerender", "preview")


SHOWN: Final = ("page", "frame")
"""Kinds of requests for a page that a visitor sees."""

_FRAMES: Final = {"iframe", "frame", "embed", "object"}


def is_foreign(request: Request) -> bool:
    """Return whether a page of another site makes the request."""
    return request.headers.get("sec-fetch-site", "") == "cross-site"


def kind_of(request: Request) -> str:
    """Return `page`, `frame`, `form`, `script`, or `idle`: what takes no place in a line."""
    headers = request.headers
    if request.method == "HEAD" or "range" in headers:
        return "idle"
    for name in _SPECULATIVE:
        if any(word in headers.get(name, "") for word in _SPECULATIVE_WORDS):
            return "idle"
    html = "text/html" in headers.get("accept", "")
    if request.method == "GET":
        shown = headers.get("sec-fetch-dest", "")
        if shown in _FRAMES:
            return "frame"
        return "page" if html or shown == "document" else "script"
    return "form" if html or headers.get("sec-fetch-mode") == "navigate" else "script"
