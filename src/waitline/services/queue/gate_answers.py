"""Answers of the gate: 204 with the visitor, or the way to the line, by kind of client."""

from functools import lru_cache
from hashlib import sha256
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

import msgspec

from waitline.http.responses import JSON, Answer, Headers
from waitline.http.texts import Language, Text
from waitline.kernel.ids import RoomId, VisitorId
from waitline.services.queue.site_requests import Asked, Form, Kind

RETRY_AFTER_S: Final = 10
"""Retry-After of calls that need a pass, in s: a script cannot join the line by itself."""

CODE: Final = "Q006"
"""Code of these answers; it is not a code of the wire contract."""

REFUSED: Final = Text(
    "대기열을 거쳐야 이용할 수 있습니다. waitingPage를 열어 주세요.",
    "This page has a waiting line. Open waitingPage to join it.",
)
FORM_TITLE: Final = Text("양식이 전송되지 않았습니다", "Your form was not sent")
FORM_TEXT: Final = Text(
    "대기열을 거쳐야 이용할 수 있는 페이지입니다. 뒤로 가서 입력한 내용을 보관한 뒤 대기해 주세요.",
    "This page has a waiting line, and your time has ended or has not begun. Go back to keep what "
    "you have written, then join the line.",
)
FORM_LINK: Final = Text("대기하기", "Join the line")

_NO_STORE: Final = (b"cache-control", b"no-store")
_RETRY: Final = (b"retry-after", b"%d" % RETRY_AFTER_S)
_DECISION: Final = b"x-waitline-decision"


class Refusal(msgspec.Struct, frozen=True):
    """Body of the answer to a call without a pass."""

    status: str
    code: str
    message: str
    waitingPage: str  # noqa: N815 - wire name


@lru_cache(maxsize=16)
def passing(decision: str) -> Answer:
    """Return the answer to a request that passes without a visitor."""
    return Answer(HTTPStatus.NO_CONTENT.value, ((_DECISION, decision.encode("ascii")),), b"")


def admitting(
    decision: str, room: RoomId, visitor: VisitorId, place: int, more: Headers = ()
) -> Answer:
    """Return the answer to a request of an admitted visitor.

    Args:
        decision: Why it passes.
        room: The room of the pass.
        visitor: The visitor.
        place: The visitor's place.
        more: The Set-Cookie field with a new pass, or how long the answer may be kept.
    """
    headers = (
        *_named(room, visitor, place),
        (_DECISION, decision.encode("ascii")),
        *more,
    )
    return Answer(HTTPStatus.NO_CONTENT.value, headers, b"")


@lru_cache(maxsize=4_096)
def _named(room: RoomId, visitor: VisitorId, place: int) -> Headers:
    return (
        (b"x-waitline-user", quote(visitor, safe="").encode("ascii")),
        (b"x-waitline-room", quote(room, safe="").encode("ascii")),
        (b"x-waitline-place", b"%d" % place),
    )


def redirecting(
    asked: Asked, status: HTTPStatus, url: str, cookie: Headers = (), more: Headers = ()
) -> Answer:
    """Return a redirect; nginx gets its address in a header field."""
    where = url.encode("ascii")
    if asked.form is Form.NGINX:
        fields = ((b"x-waitline-redirect", where), _NO_STORE, *cookie)
        return Answer(HTTPStatus.UNAUTHORIZED.value, fields, b"")
    return Answer(status.value, ((b"location", where), _NO_STORE, *more, *cookie), b"")


def refusing(asked: Asked, page: str, language: Language) -> Answer:
    """Return the answer to a request without a pass.

    Args:
        asked: The request.
        page: Address of the waiting page.
        language: The client's.
    """
    if asked.kind is Kind.PAGE:
        return redirecting(asked, HTTPStatus.FOUND, page)
    if asked.form is Form.NGINX:
        return Answer(HTTPStatus.FORBIDDEN.value, (_NO_STORE,), b"")
    if asked.kind is Kind.FORM:
        html = (b"content-type", b"text/html; charset=utf-8")
        body = _form_page(page, language).encode()
        return Answer(HTTPStatus.TOO_MANY_REQUESTS.value, (html, _NO_STORE, _RETRY), body)
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


def _form_page(page: str, language: Language) -> str:
    """Return the page that says that a form was not sent; `page` has only URL characters."""
    title, text, link = (one.to(language) for one in (FORM_TITLE, FORM_TEXT, FORM_LINK))
    where = page.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    return (
        f'<!doctype html><html lang="{language}"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><main><h1>{title}</h1><p>{text}</p>"
        f'<p><a href="{where}">{link}</a></p></main></html>'
    )
