"""The connector of a site: decides requests, and speaks to the queue on its behalf."""

import logging
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Self, TypedDict
from urllib.parse import urlencode

from waitline_connect.client import Client, Unreachable
from waitline_connect.decision import NO_ANSWERS, Answers, Call, Case, Decision, Site
from waitline_connect.passes import Pass
from waitline_connect.rules import Request, Rule, Rules
from waitline_connect.source import Source

log = logging.getLogger("waitline_connect")

LOAD_S: Final = 2.0
"""How long, in seconds, the first request waits for rules and keys."""

CALL_S: Final = 0.3
"""Deadline, in seconds, of a call that a request waits for: a claim, or a walk-in."""

FORMED_S: Final = 1.0
"""How long, in seconds, a line that has formed is taken as formed: one call a second per room."""

SLIDE_S: Final = 60.0
"""Shortest time, in seconds, between two attempts to slide by the same pass: a pass that cannot be
renewed costs one call a minute. A new one is half over later."""

SLIDES_MAX: Final = 10_000
"""Most passes whose last attempt is remembered, the oldest forgotten first."""

KEY_MIN: Final = 16
"""Shortest site key, in characters, as the queue requires."""


class Settings(TypedDict, total=False):
    """Settings of a connector; see `Connector`."""

    queue_url: str
    site_key: str
    origins: Sequence[str]
    cookie_domain: str
    rules: Mapping[str, object]


SETTINGS: Final = tuple(Settings.__annotations__)


class SettingsInvalid(ValueError):  # noqa: N818 - reads as the outcome it is
    """A setting cannot be used; the message names it and what it should be."""


@dataclass
class _Slide:
    asked_s: float
    token: str = ""


class Connector:
    """One site's connection to the queue; share one among all workers of a process.

    Args:
        queue_url: Address of the queue as visitors reach it: `https://queue.example`.
        site_key: The secret shared with the queue (`WAITLINE_SITE_KEY` there).
        origins: The site's own addresses: `["https://shop.example"]`. The first is the default.
        cookie_domain: Share passes with the subdomains of this domain; empty: one host alone.
        rules: The site's own protection document; by default the queue's is fetched.
        clock: Returns the time in s since the epoch.

    Raises:
        SettingsInvalid: A setting is missing or malformed.
    """

    def __init__(
        self,
        *,
        queue_url: str,
        site_key: str,
        origins: Sequence[str],
        cookie_domain: str = "",
        rules: Mapping[str, object] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        for name, address in [("queue_url", queue_url), *(("origins", one) for one in origins)]:
            if not address.startswith(("http://", "https://")):
                raise SettingsInvalid(f"{name}: {address!r} must start with https:// or http://")
        if not origins or isinstance(origins, str):
            raise SettingsInvalid('origins: a list of addresses, such as ["https://shop.example"]')
        if len(site_key) < KEY_MIN:
            raise SettingsInvalid(f"site_key: at least {KEY_MIN} characters; see WAITLINE_SITE_KEY")
        own = tuple(origin.rstrip("/") for origin in origins)
        self.site = Site(queue_url.rstrip("/"), site_key.encode(), own, cookie_domain)
        self.client = Client(self.site.queue_url)
        self.source = Source(self.client, site_key, Rules.parse(rules) if rules else None)
        self._key = site_key
        self._clock = clock
        self._formed: dict[str, float] = {}
        self._slides: dict[str, _Slide] = {}

    @classmethod
    def of(cls, settings: Mapping[str, object]) -> Self:
        """Make a connector from a mapping, such as a framework's settings.

        Raises:
            SettingsInvalid: A setting is unknown, missing or malformed.
        """
        chosen = {name.lower(): value for name, value in settings.items()}
        unknown = sorted(chosen.keys() - {*SETTINGS})
        if unknown:
            raise SettingsInvalid(f"{unknown[0]}: unknown; settings are {', '.join(SETTINGS)}")
        missing = sorted({"queue_url", "site_key", "origins"} - chosen.keys())
        if missing:
            raise SettingsInvalid(f"{missing[0]}: missing")
        return cls(**chosen)  # type: ignore[arg-type]  # checked by the constructor

    @property
    def loaded(self) -> bool:
        """Whether rules and keys have been fetched, or could not be."""
        return self.source.loaded

    def load(self) -> None:
        """Wait for rules and keys: once per process, at most `LOAD_S`."""
        self.source.load(LOAD_S)

    def close(self) -> None:
        """Stop fetching, when the site ends before its process does."""
        self.source.close()

    def decide(self, request: Request, rule: Rule | None = None) -> Decision:
        """Return what becomes of a request, without any call; its outcome may be `call`.

        Args:
            request: The request.
            rule: A rule that takes the place of those of the document.
        """
        if rule is not None:
            self.source.watch(rule.room)
        case = self._case(request, rule, NO_ANSWERS)
        found = case.decide()
        if found.call is Call.WALK_IN and not self._may_walk_in(found):
            found = replace(case, answers=Answers(walked_in=False)).decide()
        return self._logged(request, found) if found.call is None else found

    def settle(self, request: Request, found: Decision, rule: Rule | None = None) -> Decision:
        """Make the call that a decision depends on, and decide again. Blocks up to `CALL_S`."""
        secret = _new_secret()
        case = replace(self._case(request, rule, NO_ANSWERS), new_secret=lambda: secret)
        while found.call is not None:
            answered = self._claim if found.call is Call.CLAIM else self._walk_in
            case = answered(case, found)
            found = case.decide()
        return self._logged(request, found)

    def answer(self, request: Request, rule: Rule | None = None) -> Decision:
        """Decide with all calls that it takes, for servers that give each request a thread."""
        if not self.loaded:
            self.load()
        found = self.decide(request, rule)
        return found if found.call is None else self.settle(request, found, rule)

    def finish(self, request: Request, found: Decision, *, leave: bool) -> list[tuple[str, str]]:
        """Return the headers to add to the site's answer.

        Args:
            request: The request.
            found: Its decision.
            leave: Whether the site ends the visit (`Waitline-Leave: 1`): the slot is freed in the
                background, and the cookie deleted.
        """
        visit = found.visit
        if visit is None:
            return found.headers
        case = self._case(request, None, NO_ANSWERS)
        name = case.cookie_name(visit.room)
        if leave:
            self.source.enqueue(lambda: self._leave(visit))
            return [case.cookie(name, "", 0)]
        token = self._slid(visit)
        if not token or found.headers:
            return found.headers
        bound = found.rule is not None and found.rule.bind
        return [case.pass_cookie(visit.room, token, bound=bound, life_s=self._life_s(token))]

    # --- calls that a request waits for -------------------------------------------------

    def _may_walk_in(self, found: Decision) -> bool:
        room = found.rule.room if found.rule else ""
        formed_s = self._formed.get(room, float("-inf"))
        return self.client.healthy and time.monotonic() - formed_s >= FORMED_S

    def _walk_in(self, case: Case, found: Decision) -> Case:
        room = found.rule.room if found.rule else ""
        walked_in: Pass | bool = False
        try:
            answer = self.client.call(
                "POST",
                "/api/v1/gate/walk-in",
                body={"concertId": room},
                headers={"X-Site-Key": self._key},
                deadline_s=CALL_S,
            )
        except Unreachable as error:
            log.warning("no answer about %s: %s", room, error)
        else:
            if answer.status == 201:  # noqa: PLR2004 - created
                verified = case.check(answer.body["data"]["token"], room)
                walked_in = verified if isinstance(verified, Pass) else False
        if walked_in is False:
            self._formed[room] = time.monotonic()
        return replace(case, answers=case.answers._replace(walked_in=walked_in))

    def _claim(self, case: Case, found: Decision) -> Case:
        visit = found.visit
        assert visit is not None
        try:
            answer = self.client.call(
                "POST",
                "/api/v1/gate/claim",
                body=_named(visit) | {"browser": case.browser},
                headers={"X-Queue-Token": visit.token},
                deadline_s=CALL_S,
            )
        except Unreachable as error:
            log.warning("no answer about a pass of %s: %s", visit.room, error)
            is_open = found.rule is not None and found.rule.when_unreachable == "open"
            answers = Answers(claimed=is_open, walked_in=case.answers.walked_in or False)
            return replace(case, reachable=is_open, answers=answers)
        claimed = answer.status == 200  # noqa: PLR2004 - OK
        return replace(case, answers=case.answers._replace(claimed=claimed))

    # --- calls in the background --------------------------------------------------------

    def _leave(self, visit: Pass) -> None:
        path = "/api/v1/queue/remove?" + urlencode(_named(visit))
        headers = {"X-Queue-Token": visit.token}
        self.client.call("DELETE", path, headers=headers, deadline_s=CALL_S)

    def _slid(self, visit: Pass) -> str:
        """Return the pass that takes the place of one that is half over, once it is there."""
        now_s = self._clock()
        if visit.expires_s - now_s > (visit.expires_s - visit.issued_s) / 2:
            return ""
        slide = self._slides.get(visit.token) or _Slide(float("-inf"))
        # While the breaker is open, the background thread has no time for it.
        if now_s - slide.asked_s >= SLIDE_S and self.client.healthy:
            while len(self._slides) >= SLIDES_MAX:
                self._slides.pop(next(iter(self._slides)), None)
            slide.asked_s = now_s
            self._slides[visit.token] = slide
            self.source.enqueue(lambda: self._slide(visit, slide))
        return slide.token

    def _slide(self, visit: Pass, slide: _Slide) -> None:
        answer = self.client.call(
            "POST",
            "/api/v1/gate/slide",
            body=_named(visit),
            headers={"X-Queue-Token": visit.token},
            deadline_s=CALL_S,
        )
        if answer.status == 200 and answer.body["data"]["token"] != visit.token:  # noqa: PLR2004 - OK
            slide.token = answer.body["data"]["token"]

    # --- parts --------------------------------------------------------------------------

    def _case(self, request: Request, rule: Rule | None, answers: Answers) -> Case:
        snapshot = self.source.snapshot
        return Case(
            request=request,
            rules=snapshot.rules,
            site=self.site,
            verify=snapshot.keys.genuine,
            revoked=snapshot.is_revoked,
            now_s=int(self._clock()),
            reachable=self.source.reachable,
            new_secret=_new_secret,
            answers=answers,
            rule=rule,
        )

    def _life_s(self, token: str) -> int:
        verified = self.source.snapshot.keys.genuine(token)
        return verified.expires_s - int(self._clock()) if isinstance(verified, Pass) else 0

    def _logged(self, request: Request, found: Decision) -> Decision:
        if found.observed:
            name = found.rule.name if found.rule else ""
            log.info(
                "would %s: %s %s, rule %s", found.observed, request.method, request.target, name
            )
        elif found.outcome == "open":
            log.warning("the queue does not answer: %s passes", request.target)
        return found


def _new_secret() -> str:
    return secrets.token_urlsafe(16)


def _named(visit: Pass) -> dict[str, str]:
    return {"concertId": visit.room, "userId": visit.visitor}
