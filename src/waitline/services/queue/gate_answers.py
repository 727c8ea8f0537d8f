"""Answers of the gate: 204 or 200 with the visitor, or the way to the line, by kind of client."""

from functools import lru_cache
from hashlib import sha256
from http import HTTPStatus
from typing import Final, NamedTuple
from urllib.parse import quote

import msgspec

from waitline.gate.matching import CompiledRules
from waitline.http.responses import JSON, Answer, Headers, kept_answer
from waitline.http.texts import Language, Text
from waitline.kernel.ids import RoomId, VisitorId
from waitline.services.queue.site_requests import Asked, Form, Kind

RETRY_AFTER_S: Final = 10
"""Retry-After of calls that need a pass, in s: a script cannot join the line by itself."""

VISITORS_KEPT: Final = 4_096
"""Visitors whose answer is kept per worker: packing it takes 3 µs, and a page has many files."""

CODE: Final = "Q006"
"""Code of these answers; it is not a code of the wire contract."""

REFUSED: Final = Text(
    "대기열을 거쳐야 이용할 수 있습니다. waitingPage를 열어 주세요.",
    "This page has a waiting line. Open waitingPage to join it.",
)


class PageTexts(NamedTuple):
    """Texts of a page that a visitor gets instead of the site's."""

    title: Text
    text: Text
    link: Text


FORM: Final = PageTexts(
    Text("양식이 전송되지 않았습니다", "Your form was not sent"),
    Text(
        "대기열을 거쳐야 이용할 수 있는 페이지입니다. "
        "뒤로 가서 입력한 내용을 보관한 뒤 대기해 주세요.",
        "This page has a waiting line, and your time has ended or has not begun. Go back to keep "
        "what you have written, then join the line.",
    ),
    Text("대기하기", "Join the line"),
)
FRAME: Final = PageTexts(
    Text("페이지를 따로 열어 주세요", "Please open this page by itself"),
    Text(
        "대기열이 있는 페이지는 다른 페이지 안에 표시할 수 없습니다.",
        "It has a waiting line, which cannot be shown inside another page.",
    ),
    Text("페이지 열기", "Open the page"),
)
COOKIES: Final = PageTexts(
    Text("쿠키를 허용해 주세요", "Please allow cookies"),
    Text(
        "브라우저가 이 사이트의 쿠키를 저장하지 않아 접속을 확인할 수 없습니다. "
        "쿠키를 허용하거나 새 탭에서 페이지를 열어 주세요.",
        "Your browser does not keep this site's cookies, so we cannot recognise you. Allow cookies "
        "for this site, or open the page in a tab of its own.",
    ),
    Text("페이지 열기", "Open the page"),
)

USED: Final = PageTexts(
    Text("다른 브라우저에서 사용 중인 입장권입니다", "This pass is in use in another browser"),
    Text(
        "처음 입장한 브라우저에서 계속 이용해 주세요. 이 브라우저에서는 새로 대기할 수 있습니다.",
        "Continue in the browser that you came with first. In this one you can join the line.",
    ),
    FORM.link,
)

KEPT_COOKIE: Final = "waitline-kept"
"""Name of the cookie that shows at the hand-over that the browser keeps the site's cookies."""

KEPT_S: Final = 86_400
"""How long it is kept, in s: a day, as long as a signed way back is valid."""

KEPT_MS: Final = 2_000
"""Longest time that nginx keeps an answer."""

_KEPT: Final[Headers] = ((b"x-accel-expires", b"1"),)
_NO_STORE: Final = (b"cache-control", b"no-store")
_RETRY: Final = (b"retry-after", b"%d" % RETRY_AFTER_S)
_DECISION: Final = b"x-waitline-decision"
_POLICY: Final = (
    b"content-security-policy",
    b"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'",
)

# As the connectors' pages: it is shown on the site's host, which has none of our files.
_STYLE: Final = (
    "body{font:16px/1.6 system-ui,sans-serif;margin:0;min-height:100vh;display:grid;"
    "place-items:center;background:#f6f7f9;color:#1b1f24}"
    "main{max-width:26rem;padding:2rem;margin:1rem;background:#fff;border-radius:12px;"
    "box-shadow:0 1px 4px #0002}"
    "h1{font-size:1.3rem;margin:0 0 .5rem}"
    "a{display:inline-block;margin-top:1rem;padding:.6rem 1.1rem;border-radius:8px;"
    "background:#1f5eff;color:#fff;text-decoration:none}"
    "@media(prefers-color-scheme:dark){"
    "body{background:#14171b;color:#e6e8eb}main{background:#1e2227}}"
)


class Refusal(msgspec.Struct, frozen=True):
    """Body of the answer to a call without a pass."""

    status: str
    code: str
    message: str
    waitingPage: str  # noqa: N815 - wire name


@lru_cache(maxsize=16)
def passing(status: HTTPStatus, decision: str) -> Answer:
    """Return the answer to a request that passes without a visitor."""
    headers = ((_DECISION, decision.encode("ascii")),)
    return kept_answer(Answer(status.value, headers, b""))


@lru_cache(maxsize=VISITORS_KEPT)
def with_pass(
    status: HTTPStatus, room: RoomId, visitor: VisitorId, place: int, more: Headers
) -> Answer:
    """Return the answer to a request with a good pass; as `admitting`."""
    return kept_answer(admitting(status, "pass", (room, visitor, place), more))


def admitting(
    status: HTTPStatus, decision: str, shown: tuple[RoomId, VisitorId, int], more: Headers
) -> Answer:
    """Return the answer to a request of an admitted visitor.

    Args:
        status: Lets the request pass.
        decision: Why it passes.
        shown: The room of the pass, the visitor, and the visitor's place.
        more: The Set-Cookie field with a new pass, or how long the answer may be kept.
    """
    room, visitor, place = shown
    headers = (
        (b"x-waitline-user", quote(visitor, safe="").encode("ascii")),
        (b"x-waitline-room", quote(room, safe="").encode("ascii")),
        (b"x-waitline-place", b"%d" % place),
        (_DECISION, decision.encode("ascii")),
        *more,
    )
    return Answer(status.value, headers, b"")


def kept(asked: Asked, rules: CompiledRules, left_ms: int) -> Headers:
    """Return the field that lets nginx keep the answer to a good pass for a second.

    nginx keeps it by method, address, cookies and pass, so no rule may look at other fields.
    """
    if asked.form is not Form.NGINX or rules.read_headers:
        return ()
    # nginx counts in whole seconds: it keeps the answer for up to two.
    return _KEPT if left_ms > KEPT_MS else ()


def redirecting(
    asked: Asked, status: HTTPStatus, url: str, cookie: Headers = (), more: Headers = ()
) -> Answer:
    """Return a redirect; nginx gets its address in a header field."""
    where = url.encode("ascii")
    if asked.form is Form.NGINX:
        fields = ((b"x-waitline-redirect", where), _NO_STORE, *cookie)
        return Answer(HTTPStatus.UNAUTHORIZED.value, fields, b"")
    return Answer(status.value, ((b"location", where), _NO_STORE, *more, *cookie), b"")


def refusing(asked: Asked, page: str, language: Language, cookie: Headers = ()) -> Answer:
    """Return the answer to a request without a pass.

    Args:
        asked: The request.
        page: Address of the waiting page.
        language: The client's.
        cookie: The cookie that a redirect sets; by default it only shows that cookies are kept.
    """
    if asked.kind is Kind.PAGE:
        kept = b"%s=1; Path=/; Max-Age=%d; HttpOnly; SameSite=Lax" % (
            KEPT_COOKIE.encode("ascii"),
            KEPT_S,
        )
        cookie = cookie or ((b"set-cookie", kept),)
        return redirecting(asked, HTTPStatus.FOUND, page, cookie)
    if asked.kind is not Kind.CALL:
        texts = FORM if asked.kind is Kind.FORM else FRAME
        return showing(asked, HTTPStatus.TOO_MANY_REQUESTS, texts, page, language)
    if asked.form is Form.NGINX:
        return Answer(HTTPStatus.FORBIDDEN.value, (_NO_STORE,), b"")
    body = msgspec.json.encode(Refusal("error", CODE, REFUSED.to(language), page))
    return Answer(HTTPStatus.TOO_MANY_REQUESTS.value, (*JSON, _RETRY), body)


@lru_cache(maxsize=1_024)
def pass_cookie_name(room: RoomId, *, secure: bool) -> bytes:
    """Return the name of the cookie with a pass of a room, on the site's host."""
    digest = sha256(room.encode()).hexdigest()[:16]
    return f"{'__Host-' if secure else ''}waitline-pass-{digest}".encode("ascii")


def pass_cookie(room: RoomId, token: str, left_s: int, *, secure: bool) -> Headers:
    """Return the Set-Cookie field that keeps a pass on the site's host until it ends."""
    value = pass_cookie_name(room, secure=secure) + b"=" + token.encode("ascii")
    rest = b"; Path=/; Max-Age=%d; HttpOnly; SameSite=Lax" % max(0, left_s)
    return ((b"set-cookie", value + rest + (b"; Secure" if secure else b"")),)


def showing(
    asked: Asked, status: HTTPStatus, texts: PageTexts, url: str, language: Language
) -> Answer:
    """Return a page with one link; nginx asks for it by itself, and gets a 403 first.

    Args:
        asked: The request.
        status: Of the answer.
        texts: Of the page.
        url: Where its link leads; it has only URL characters.
        language: The client's.
    """
    if asked.form is Form.NGINX:
        return Answer(HTTPStatus.FORBIDDEN.value, (_NO_STORE,), b"")
    title, text, link = (one.to(language) for one in texts)
    where = url.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    body = (
        f'<!doctype html><html lang="{language}"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style>"
        f"<main><h1>{title}</h1><p>{text}</p>"
        f'<a href="{where}" target="_top">{link}</a></main></html>'
    )
    headers = ((b"content-type", b"text/html; charset=utf-8"), _POLICY, _NO_STORE)
    more = (_RETRY,) if status is HTTPStatus.TOO_MANY_REQUESTS else ()
    return Answer(status.value, (*headers, *more), body.encode())


def cookie_kept(asked: Asked, room: RoomId, url: str, language: Language) -> Answer | None:
    """Answer whether the browser has kept the cookie: go on, or explain it; `None` for scripts."""
    if asked.kind not in {Kind.PAGE, Kind.FRAME}:
        return None
    name = pass_cookie_name(room, secure=asked.is_secure).decode("ascii")
    if asked.site.cookies(name):
        return redirecting(asked, HTTPStatus.SEE_OTHER, url)
    return showing(asked, HTTPStatus.FORBIDDEN, COOKIES, url, language)
