"""Static files with ETag and gzip: a service's pages, and the API's documentation page.

The files are the same for everyone, so caches may store them. They are read once, at startup.
"""

import gzip
from collections.abc import Iterable, Mapping
from functools import cache
from hashlib import blake2b
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response
from swagger_ui_bundle import swagger_ui_path  # type: ignore[import-untyped]  # ships none

from waitline.http.caching import accepted_codings, etag_matches
from waitline.http.problems import PathUnknown

FRESH_S = 300
"""TTL in caches. Short enough that a correction reaches visitors during the sale, and long enough
to keep a crowd from fetching every file here."""

_COMPRESSED_BYTES_MIN = 1_024
"""Least size for compression: smaller files fit in one packet."""

_API_DOCS = Path(__file__).parent / "api_docs"
_SWAGGER = Path(swagger_ui_path)
_API_DOCS_FILES = (
    _API_DOCS / "docs.js",
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
# Swagger UI writes styles into its elements and draws with data: images.
_DOCS_POLICY = f"{_POLICY}; style-src 'self' 'unsafe-inline'; img-src 'self' data:"
_POLICIES = {"docs.html": _DOCS_POLICY}

_SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # A room's URL may contain a visitor's name, which must not leak to other sites.
    "Referrer-Policy": "no-referrer",
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


def prepare(name: str, body: bytes) -> StaticFile:
    """Prepare the response with a file.

    Args:
        name: Its name.
        body: Its bytes.
    """
    headers = {
        "Content-Type": _TYPES[Path(name).suffix],
        "Content-Security-Policy": _POLICIES.get(name, _POLICY),
        "Cache-Control": f"public, max-age={FRESH_S}",
        # Weak: it identifies the content, in either encoding.
        "ETag": f'W/"{blake2b(body, digest_size=8).hexdigest()}"',
        "Vary": "Accept-Encoding",
        **_SECURITY_HEADERS,
    }
    compressed = gzip.compress(body, mtime=0) if len(body) >= _COMPRESSED_BYTES_MIN else None
    return StaticFile(body, compressed, headers)


def static_router(
    files: Iterable[Path], pages: Mapping[str, Path] = MappingProxyType({})
) -> APIRouter:
    """Return the routes of static files: the pages, and every file under `/pages/`.

    Args:
        files: Served under `/pages/` by name.
        pages: Served at paths of their own, which may have parameters.

    Raises:
        OSError: A file is missing.
    """
    by_name = {file.name: load(file) for file in files}
    routes = APIRouter(include_in_schema=False)

    async def named_file(name: str, request: Request) -> Response:
        file = by_name.get(name)
        if file is None:
            raise PathUnknown
        return respond(file, request)

    for path, page in pages.items():
        _add_page(routes, path, load(page))
    routes.add_api_route("/pages/{name}", named_file, methods=["GET", "HEAD"])
    return routes


def docs_router() -> APIRouter:
    """Return the routes of the API's documentation page and of its files."""
    routes = APIRouter(include_in_schema=False)
    _add_page(routes, "/docs", load(_API_DOCS / "docs.html"))
    for file in _API_DOCS_FILES:
        _add_page(routes, f"/docs/{file.name}", load(file))
    return routes


def _add_page(routes: APIRouter, path: str, file: StaticFile) -> None:
    async def page(request: Request) -> Response:
        return respond(file, request)

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
