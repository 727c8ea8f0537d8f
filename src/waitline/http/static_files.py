"""Static files with ETag and gzip, and the API's documentation page.

The files are the same for everyone, so caches may store them. They are read once: those of the
documentation when it is first opened, others at startup. Files that pages load are in `assets.py`.
"""

import gzip
import re
from base64 import b64encode
from collections.abc import Mapping
from functools import cache
from hashlib import blake2b, sha256
from pathlib import Path
from typing import NamedTuple

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response
from swagger_ui_bundle import swagger_ui_path  # type: ignore[import-untyped]  # ships none

from waitline.http.caching import accepted_codings, etag_matches

FRESH_S = 300
"""TTL in caches of files whose names stay the same. Short enough that a correction reaches readers
soon."""

PAGE_FRESH_S = 5
"""TTL of pages in shared caches; browsers check theirs at every visit. Long enough to absorb a
crowd, and short, because after an upgrade an old page names files that no longer exist."""

_PAGE_CACHING = f"public, max-age=0, s-maxage={PAGE_FRESH_S}, must-revalidate"
_CACHING = f"public, max-age={FRESH_S}"

_COMPRESSED_BYTES_MIN = 1_024
"""Least size for compression: smaller files fit in one packet."""

_API_DOCS = Path(__file__).parent / "api_docs"
_SWAGGER = Path(swagger_ui_path)
_API_DOCS_FILES = (
    _API_DOCS / "docs.js",
    _API_DOCS / "docs.css",
    _SWAGGER / "swagger-ui.css",
    _SWAGGER / "swagger-ui-bundle.js",
)
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

_POLICY = (
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "object-src 'none'"
)
_INLINE_SCRIPT = re.compile(rb"<script(?: nomodule)?>(.*?)</script>", re.DOTALL)

# Swagger UI writes styles into its elements and draws with data: images.
_DOCS_POLICY = f"{_POLICY}; style-src 'self' 'unsafe-inline'; img-src 'self' data:"
_POLICIES = {"docs.html": _DOCS_POLICY}

_SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # A room's URL may contain a visitor's name, which must not leak to other sites. With
    # `no-referrer` browsers would say `Origin: null` in the forms of our own pages.
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class StaticFile(NamedTuple):
    """One file, prepared for responses.

    Attributes:
        body: Its bytes.
        compressed: The body with gzip; `None` for small files.
        headers: Headers of both.
    """

    body: bytes
    compressed: bytes | None
    headers: Mapping[str, str]


@cache
def load(file: Path) -> StaticFile:
    """Read a file and prepare its response.

    Raises:
        OSError: It is missing.
    """
    return prepare(file.name, file.read_bytes())


def prepare(name: str, body: bytes, caching: str = _CACHING) -> StaticFile:
    """Prepare the response with a file.

    Args:
        name: Its name.
        body: Its bytes.
        caching: For how long caches may use it.
    """
    headers = {
        "Content-Type": _TYPES[Path(name).suffix],
        "Content-Security-Policy": _POLICIES.get(name, _policy_of(body)),
        "Cache-Control": caching,
        # Weak: it identifies the content, in either encoding.
        "ETag": f'W/"{blake2b(body, digest_size=8).hexdigest()}"',
        "Vary": "Accept-Encoding",
        **_SECURITY_HEADERS,
    }
    compressed = gzip.compress(body, mtime=0) if len(body) >= _COMPRESSED_BYTES_MIN else None
    return StaticFile(body, compressed, headers)


def prepare_page(body: bytes) -> StaticFile:
    """Prepare the response with a page, which browsers check for changes at every visit."""
    return prepare("page.html", body, _PAGE_CACHING)


def _policy_of(body: bytes) -> str:
    """Return the policy of a page, which allows its own inline scripts and no others."""
    hashes = [
        f" 'sha256-{b64encode(sha256(script).digest()).decode('ascii')}'"
        for script in _INLINE_SCRIPT.findall(body)
    ]
    return f"{_POLICY}; script-src 'self'{''.join(hashes)}" if hashes else _POLICY


def docs_router() -> APIRouter:
    """Return the routes of the API's documentation page and of its files."""
    routes = APIRouter(include_in_schema=False)
    _add_page(routes, "/docs", _API_DOCS / "docs.html")
    for file in _API_DOCS_FILES:
        _add_page(routes, f"/docs/{file.name}", file)
    return routes


def _add_page(routes: APIRouter, path: str, file: Path) -> None:
    # Not a coroutine, so it runs in a thread: compressing them takes 0.1 s.
    def page(request: Request) -> Response:
        return respond(load(file), request)

    routes.add_api_route(path, page, methods=["GET", "HEAD"])


def respond(file: StaticFile, request: Request) -> Response:
    """Return the response with a file, or 304 if the client's copy is current."""
    tags = request.headers.get("if-none-match", "").encode("latin-1")
    if etag_matches(tags, file.headers["ETag"].encode("ascii")):
        return Response(status_code=304, headers=file.headers)
    if file.compressed is not None and "gzip" in accepted_codings(
        request.headers.get("accept-encoding", "")
    ):
        headers = {**file.headers, "Content-Encoding": "gzip"}
        return Response(file.compressed, headers=headers)
    return Response(file.body, headers=file.headers)
