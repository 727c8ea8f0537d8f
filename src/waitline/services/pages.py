"""What a browser shows: the start page, the waiting page, and the API's description.

All of it is plain files, the same for everybody, so any cache may keep them. No page holds
anything that a visitor or an address says; the waiting page reads its room's name itself.
"""

import gzip
from collections.abc import Iterable, Mapping
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from swagger_ui_bundle import swagger_ui_path  # type: ignore[import-untyped]  # ships none

from waitline.http.caching import accepted_codings
from waitline.http.problems import PathUnknown

FRESH_S = 300
"""How long a cache keeps a page. Much longer, and a page that was mended would meet its visitors
after the sale; much shorter, and a crowd would fetch it from us."""

_COMPRESSED_BYTES_MIN = 1_024
"""Below this a page fits one packet anyway."""

_HOUSE = Path(__file__).parent / "pages"
_SWAGGER = Path(swagger_ui_path)
_FILES = (
    _HOUSE / "index.html",
    _HOUSE / "waiting.html",
    _HOUSE / "waiting.css",
    _HOUSE / "waiting.js",
    _HOUSE / "estimate.js",
    _HOUSE / "texts.js",
    _HOUSE / "visitor.js",
    _HOUSE / "icon.svg",
    _HOUSE / "docs.html",
    _HOUSE / "docs.js",
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

_SAFETY = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # A room's address may name a visitor, which is nobody else's to know.
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class Page(NamedTuple):
    """One file as it is sent.

    Attributes:
        body: Its bytes.
        compressed: The same, gzipped; `None` where that gains nothing.
        headers: What goes with either.
    """

    body: bytes
    compressed: bytes | None
    headers: Mapping[str, str]


@cache
def load(files: Iterable[Path] = _FILES) -> dict[str, Page]:
    """Read the pages, by name."""
    return {file.name: _page(file) for file in files}


def _page(file: Path) -> Page:
    body = file.read_bytes()
    headers = {
        "Content-Type": _TYPES[file.suffix],
        "Content-Security-Policy": _POLICIES.get(file.name, _POLICY),
        "Cache-Control": f"public, max-age={FRESH_S}",
        # Weak: it names the content, in whichever encoding.
        "ETag": f'W/"{blake2b(body, digest_size=8).hexdigest()}"',
        "Vary": "Accept-Encoding",
        **_SAFETY,
    }
    compressed = gzip.compress(body, mtime=0) if len(body) >= _COMPRESSED_BYTES_MIN else None
    return Page(body, compressed, headers)


def router() -> APIRouter:
    """Return the routes of everything that a browser shows.

    Raises:
        OSError: A file is missing; better at the start than when a visitor asks.
    """
    routes = docs_router()

    async def find(room: str = "") -> Response:
        return RedirectResponse(f"/rooms/{quote(room, safe='')}" if room else "/", 303)

    _add(routes, "/", "index.html")
    routes.add_api_route("/rooms", find, methods=["GET"])
    routes.add_api_route("/rooms/", find, methods=["GET"])
    # A room's name may hold a slash, so this takes the whole rest of the path.
    _add(routes, "/rooms/{room:path}", "waiting.html")
    return routes


def docs_router() -> APIRouter:
    """Return the routes of the description of all calls, and of every page's parts.

    Raises:
        OSError: A file is missing.
    """
    routes = APIRouter(include_in_schema=False)
    pages = load()

    async def part(name: str, request: Request) -> Response:
        page = pages.get(name)
        if page is None:
            raise PathUnknown
        return answer(page, request)

    _add(routes, "/docs", "docs.html")
    routes.add_api_route("/pages/{name}", part, methods=["GET", "HEAD"])
    return routes


def _add(routes: APIRouter, path: str, name: str) -> None:
    page = load()[name]

    async def show(request: Request) -> Response:
        return answer(page, request)

    routes.add_api_route(path, show, methods=["GET", "HEAD"], name=name)


def answer(page: Page, request: Request) -> Response:
    """Send a page, or say that the browser has it."""
    known = request.headers.get("if-none-match", "")
    tag = page.headers["ETag"].removeprefix("W/")
    if tag in (one.strip().removeprefix("W/") for one in known.split(",")):
        return Response(status_code=304, headers=page.headers)
    if page.compressed is not None and "gzip" in accepted_codings(
        request.headers.get("accept-encoding", "")
    ):
        headers = {**page.headers, "Content-Encoding": "gzip"}
        return Response(page.compressed, headers=headers)
    return Response(page.body, headers=page.headers)
