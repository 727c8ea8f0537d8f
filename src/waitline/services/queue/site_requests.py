"""Parser for the gate: the site's request, as a trusted proxy describes it in header fields."""

import re
from collections.abc import Callable
from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple

from waitline.gate.model import SiteRequest, normal_path
from waitline.http.problems import InputInvalid
from waitline.http.requests import MISSING, Request
from waitline.http.speculation import is_speculative
from waitline.http.texts import Text

NOT_AN_ADDRESS: Final = Text("올바른 주소가 아닙니다.", "is not an address of a site")
NOT_A_FORM: Final = Text("nginx 또는 nginx-answer여야 합니다.", "must be nginx or nginx-answer")

PARAMETER: Final = "waitline"
"""Query parameter with the pass, in the address that the waiting page hands over to."""

PATHS_CACHED: Final = 4_096
"""Normal paths cached per worker; most requests are for few pages."""

_FRAMES: Final = frozenset((b"iframe", b"frame", b"embed", b"object"))

_AUTHORITY = re.compile(r"[A-Za-z0-9._~-]{1,253}(:\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:\d{1,5})?")
_TARGET = re.compile(r"/[!-~\x80-\xff]*")
_ORIGINAL = re.compile(r"(https?)://([^/?#]+)(/[^#]*)?")


class Form(StrEnum):
    """How a proxy describes requests, and which answers it understands."""

    FORWARDED = ""  # X-Forwarded-…; every answer is passed on to the client
    NGINX = "nginx"  # X-Original-…; only 2xx, 401 and 403
    NGINX_ANSWER = "nginx-answer"  # X-Original-…; the whole answer of a 403


class Kind(StrEnum):
    """What a request is for a visitor."""

    PAGE = "page"
    FRAME = "frame"  # a page inside another page
    FORM = "form"  # a form sent by a page
    CALL = "call"  # of a script, or a file


class Asked(NamedTuple):
    """A request of the site.

    Attributes:
        site: As rules match it.
        scheme: http or https.
        authority: Host and port, as the client has sent them.
        target: Path and query, as the client has sent them.
        kind: What it is for the visitor.
        takes_place: Whether a visitor may be admitted with it: not with HEAD, Range or a prefetch,
            nor in a frame of another site, which gets none of our cookies.
        form: How the proxy described it.
    """

    site: SiteRequest
    scheme: str
    authority: str
    target: str
    kind: Kind
    takes_place: bool
    form: Form

    @property
    def url(self) -> str:
        """The absolute address."""
        return f"{self.scheme}://{self.authority}{self.target}"


_FORMS: Final = {
    b"": Form.FORWARDED,
    b"as=nginx": Form.NGINX,
    b"as=nginx-answer": Form.NGINX_ANSWER,
}

_normal_path = lru_cache(maxsize=PATHS_CACHED)(normal_path)


def parse_site_request(request: Request) -> Asked:
    """Return the site's request that a call of the gate is about.

    Exactly one kind of header fields counts: a proxy passes those that it does not set through from
    the client.

    Raises:
        InputInvalid: The proxy did not describe the request.
    """
    form = _FORMS.get(request.query_string)
    if form is None:
        raise InputInvalid("as", NOT_A_FORM)
    headers = request.headers
    if form is Form.FORWARDED:
        scheme = _last(headers.get(b"x-forwarded-proto", b"http"))
        authority = _last(_required(headers, b"x-forwarded-host", "X-Forwarded-Host"))
        target = _required(headers, b"x-forwarded-uri", "X-Forwarded-Uri").decode("latin-1")
        method = headers.get(b"x-forwarded-method", b"GET")
        name = "X-Forwarded-Uri"
    else:
        original = _required(headers, b"x-original-url", "X-Original-URL").decode("latin-1")
        found = _ORIGINAL.fullmatch(original)
        name = "X-Original-URL"
        if found is None:
            raise InputInvalid(name, NOT_AN_ADDRESS)
        scheme, authority, target = found[1], found[2], found[3] or "/"
        method = headers.get(b"x-original-method", b"GET")
    host = _host(authority)
    if host is None or scheme not in {"http", "https"} or _TARGET.fullmatch(target) is None:
        raise InputInvalid(name, NOT_AN_ADDRESS)
    verb = method.decode("latin-1").upper()
    site = SiteRequest(
        verb, host, _normal_path(target.partition("?")[0]), _header(headers), _cookies(headers)
    )
    kind, takes_place = _kind(verb, headers)
    return Asked(site, scheme, authority, target, kind, takes_place, form)


def _required(headers: dict[bytes, bytes], name: bytes, shown: str) -> bytes:
    value = headers.get(name)
    if not value:
        raise InputInvalid(shown, MISSING)
    return value


def _last(value: bytes) -> str:
    """Return the last of several values, which the nearest proxy has added."""
    return value.rpartition(b",")[2].strip().decode("latin-1")


@lru_cache(maxsize=1_024)
def _host(authority: str) -> str | None:
    """Return the host of an authority in lower case, or `None` if it is not one."""
    if _AUTHORITY.fullmatch(authority) is None:
        return None
    if authority.startswith("["):
        return authority.partition("]")[0].lower() + "]"
    return authority.partition(":")[0].lower()


def _header(headers: dict[bytes, bytes]) -> Callable[[str], str | None]:
    def header(name: str) -> str | None:
        value = headers.get(name.encode("latin-1", "replace"))
        return None if value is None else value.decode("latin-1")

    return header


def _cookies(headers: dict[bytes, bytes]) -> Callable[[str], tuple[str, ...]]:
    def cookies(name: str) -> tuple[str, ...]:
        given = headers.get(b"cookie")
        return () if given is None else cookie_values(given, name.encode("latin-1", "replace"))

    return cookies


def cookie_values(cookies: bytes, name: bytes) -> tuple[str, ...]:
    """Return the values of the cookies with a name."""
    if name not in cookies:
        return ()
    pairs = (pair.strip().partition(b"=") for pair in cookies.split(b";"))
    return tuple(value.decode("latin-1") for found, _, value in pairs if found == name)


def _kind(method: str, headers: dict[bytes, bytes]) -> tuple[Kind, bool]:
    shown = headers.get(b"sec-fetch-dest")
    framed = shown in _FRAMES
    navigates = framed or shown == b"document" or b"text/html" in headers.get(b"accept", b"")
    if method == "GET" and navigates:
        if b"range" in headers or is_speculative(headers):
            return Kind.CALL, False
        if framed:
            return Kind.FRAME, headers.get(b"sec-fetch-site") != b"cross-site"
        return Kind.PAGE, True
    if method not in {"GET", "HEAD", "OPTIONS"} and (
        navigates or headers.get(b"sec-fetch-mode") == b"navigate"
    ):
        return Kind.FORM, False
    return Kind.CALL, False


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
