"""Parser for the gate: the site's request, as a trusted proxy describes it in header fields."""

import re
from enum import StrEnum
from functools import lru_cache
from http import HTTPStatus
from typing import Final, NamedTuple

from waitline.gate.matching import ADDRESSES_CACHED, SiteRequest, normal_path
from waitline.http.problems import InputInvalid, MethodUnknown
from waitline.http.requests import MISSING, Request
from waitline.http.speculation import is_speculative
from waitline.http.texts import Text

NOT_AN_ADDRESS: Final = Text("올바른 주소가 아닙니다.", "is not an address of a site")
NOT_A_FORM: Final = Text(
    "nginx, nginx-answer, envoy 중 하나여야 합니다.", "must be nginx, nginx-answer or envoy"
)

PARAMETER: Final = "waitline"
"""Query parameter with the pass, in the address that the waiting page hands over to."""

ADDRESS_BYTES_CACHED: Final = 1_024
"""Longest address that is cached: longer ones would let strangers fill the memory."""

_FRAMES: Final = frozenset((b"iframe", b"frame", b"embed", b"object"))

_AUTHORITY = re.compile(r"[A-Za-z0-9._~-]{1,253}(:\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:\d{1,5})?")
_TARGET = re.compile(r"/[!-~\x80-\xff]*")
_ORIGINAL = re.compile(r"(https?)://([^/?#]+)(/[^#]*)?")


class Form(StrEnum):
    """How a proxy describes requests, and which answers it understands."""

    FORWARDED = ""  # X-Forwarded-…; every answer is passed on to the client
    NGINX = "nginx"  # X-Original-…; only 2xx, 401 and 403
    NGINX_ANSWER = "nginx-answer"  # X-Original-…; the whole answer of a 403
    ENVOY = "envoy"  # request line and Host; only 200 lets a request pass


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
        form: How the proxy described it.
    """

    site: SiteRequest
    scheme: str
    authority: str
    target: str
    form: Form

    @property
    def url(self) -> str:
        """The absolute address."""
        return f"{self.scheme}://{self.authority}{self.target}"

    @property
    def is_secure(self) -> bool:
        """Whether the client uses HTTPS."""
        return self.scheme == "https"

    @property
    def passed(self) -> HTTPStatus:
        """Status that lets it pass."""
        return HTTPStatus.OK if self.form is Form.ENVOY else HTTPStatus.NO_CONTENT

    @property
    def kind(self) -> Kind:
        """What it is for the visitor."""
        method, fields = self.site.method, self.site.fields
        shown = fields.get(b"sec-fetch-dest")
        framed = shown in _FRAMES
        navigates = framed or shown == b"document" or b"text/html" in fields.get(b"accept", b"")
        if method == "GET":
            if not navigates or b"range" in fields or is_speculative(fields):
                return Kind.CALL
            return Kind.FRAME if framed else Kind.PAGE
        sent = navigates or fields.get(b"sec-fetch-mode") == b"navigate"
        return Kind.FORM if sent and method not in {"HEAD", "OPTIONS"} else Kind.CALL

    @property
    def takes_place(self) -> bool:
        """Whether a visitor may be admitted with it.

        Not with HEAD, Range or a prefetch, nor in a frame of another site, which gets none of our
        cookies.
        """
        kind = self.kind
        if kind is Kind.FRAME:
            return self.site.fields.get(b"sec-fetch-site") != b"cross-site"
        return kind is Kind.PAGE


class _Address(NamedTuple):
    """Where a request goes: the parts of `Asked` and `SiteRequest` that other requests have too."""

    method: str
    scheme: str
    authority: str
    target: str
    host: str
    path: str


_FORMS: Final = {
    b"": Form.FORWARDED,
    b"as=nginx": Form.NGINX,
    b"as=nginx-answer": Form.NGINX_ANSWER,
}

_METHODS: Final = ("GET", "HEAD")
"""Methods of all calls but Envoy's."""

_ENVOY: Final = b"as=envoy&uri="
"""Query of Envoy's calls up to the path and query of the site's request, which Envoy appends as
they are. Whatever is in them belongs to the site."""


def parse_site_request(request: Request) -> Asked:
    """Return the site's request that a call of the gate is about.

    Exactly one kind of header fields counts: a proxy passes those that it does not set through from
    the client.

    Raises:
        InputInvalid: The proxy did not describe the request.
        MethodUnknown: The call has another method than GET and HEAD, and is not Envoy's, which has
            that of the site's request.
    """
    form = _FORMS.get(request.query_string)
    if form is None:
        return _of_envoy(request)
    if request.method not in _METHODS:
        raise MethodUnknown(_METHODS)
    fields = request.headers
    if form is Form.FORWARDED:
        host = _required(fields, b"x-forwarded-host", "X-Forwarded-Host")
        target = _required(fields, b"x-forwarded-uri", "X-Forwarded-Uri")
        method = fields.get(b"x-forwarded-method", b"GET")
        scheme = fields.get(b"x-forwarded-proto", b"http")
        known = len(target) + len(host) + len(method) + len(scheme) <= ADDRESS_BYTES_CACHED
        parse = _forwarded if known else _forwarded.__wrapped__
        found = parse(method, scheme, host, target)
    else:
        url = _required(fields, b"x-original-url", "X-Original-URL")
        method = fields.get(b"x-original-method", b"GET")
        known = len(url) + len(method) <= ADDRESS_BYTES_CACHED
        found = (_original if known else _original.__wrapped__)(method, url)
    return _asked(found, fields, form)


def _of_envoy(request: Request) -> Asked:
    query, fields = request.query_string, request.headers
    if not query.startswith(_ENVOY):
        raise InputInvalid("as", NOT_A_FORM)
    target, host = query[len(_ENVOY) :], _required(fields, b"host", "Host")
    method = request.method.encode("ascii")
    scheme = fields.get(b"x-forwarded-proto", b"http")
    known = len(target) + len(host) + len(method) + len(scheme) <= ADDRESS_BYTES_CACHED
    parse = _appended if known else _appended.__wrapped__
    return _asked(parse(method, scheme, host, target), fields, Form.ENVOY)


def _asked(found: _Address, fields: dict[bytes, bytes], form: Form) -> Asked:
    site = SiteRequest(found.method, found.host, found.path, fields)
    return Asked(site, found.scheme, found.authority, found.target, form)


@lru_cache(maxsize=ADDRESSES_CACHED)
def _forwarded(method: bytes, scheme: bytes, host: bytes, target: bytes) -> _Address:
    text = target.decode("latin-1")
    return _address("X-Forwarded-Uri", method, _last(scheme), _last(host), text)


@lru_cache(maxsize=ADDRESSES_CACHED)
def _appended(method: bytes, scheme: bytes, host: bytes, target: bytes) -> _Address:
    text = target.decode("latin-1")
    return _address("uri", method, _last(scheme), host.decode("latin-1"), text)


@lru_cache(maxsize=ADDRESSES_CACHED)
def _original(method: bytes, url: bytes) -> _Address:
    name = "X-Original-URL"
    found = _ORIGINAL.fullmatch(url.decode("latin-1"))
    if found is None:
        raise InputInvalid(name, NOT_AN_ADDRESS)
    return _address(name, method, found[1], found[2], found[3] or "/")


def _address(name: str, method: bytes, scheme: str, authority: str, target: str) -> _Address:
    host = _host(authority)
    if host is None or scheme not in {"http", "https"} or _TARGET.fullmatch(target) is None:
        raise InputInvalid(name, NOT_AN_ADDRESS)
    path = normal_path(target.partition("?")[0])
    return _Address(method.decode("latin-1").upper(), scheme, authority, target, host, path)


def _required(fields: dict[bytes, bytes], name: bytes, shown: str) -> bytes:
    value = fields.get(name)
    if not value:
        raise InputInvalid(shown, MISSING)
    return value


def _last(value: bytes) -> str:
    """Return the last of several values, which the nearest proxy has added."""
    return value.rpartition(b",")[2].strip().decode("latin-1")


def _host(authority: str) -> str | None:
    """Return the host of an authority in lower case, or `None` if it is not one.

    Without the final dot of an absolute name: browsers keep it, and it is the same site.
    """
    if _AUTHORITY.fullmatch(authority) is None:
        return None
    if authority.startswith("["):
        return authority.partition("]")[0].lower() + "]"
    return authority.partition(":")[0].lower().removesuffix(".")


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
