"""Routes of the waiting room's pages: the waiting page, and the rules.

The waiting page is a static file: its script reads the room's name from its own address.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from waitline.http.assets import Assets
from waitline.http.problem_responses import ProblemResponses
from waitline.http.speculation import require_wanted
from waitline.http.static_files import StaticFile, prepare_page, respond
from waitline.http.templates import Templates
from waitline.http.texts import Language
from waitline.kernel.ids import RoomId
from waitline.services.queue.calls import QueueCalls
from waitline.services.queue.demo_link import DemoLink
from waitline.services.queue.now_serving import NowServingDocuments
from waitline.services.queue.plain_page import PARAMETER, PlainPage, kept_query
from waitline.services.same_origin import SameOrigin
from waitline.services.start_page import PAGES, SHARED, THEME

_PAGES = Path(__file__).parent / "pages"


class Served(NamedTuple):
    """What the pages are served with.

    Attributes:
        calls: The visitors' calls.
        same_origin: Refuses forms from pages of other origins.
        documents: What visitors may know of a room.
        problems: Counts refused calls, and knows the path below which a proxy serves the service.
        language: Language of pages in browsers that ask for none of ours.
        trusting: Whether a visitor's name is enough (trial mode).
        returns: Returns the address that a signed return holds.
    """

    calls: QueueCalls
    same_origin: SameOrigin
    documents: NowServingDocuments
    problems: ProblemResponses
    language: Language
    trusting: bool
    returns: Callable[[str, RoomId], str]


def router(served: Served) -> APIRouter:
    """Return the routes of the pages.

    Raises:
        OSError: A file is missing.
    """
    routes = APIRouter(include_in_schema=False)

    async def open_room(request: Request, room: str = "") -> Response:
        # Relative, as a proxy may serve the pages below a path.
        up = "../" if request.url.path.endswith("/") else "./"
        return RedirectResponse(up + (f"rooms/{quote(room, safe='')}" if room else ""), 303)

    # Before the waiting page, whose path would match an empty name.
    routes.add_api_route("/rooms", open_room, methods=["GET"])
    routes.add_api_route("/rooms/", open_room, methods=["GET"])
    own = (file for file in _PAGES.iterdir() if file.suffix != ".html")
    assets = Assets("pages", (*own, *THEME))
    shallow, deep = _waiting_pages(served, assets.path)
    templates, layout = Templates([_PAGES, PAGES], served.language), Assets("start", SHARED).path
    demo = DemoLink(served.documents) if served.trusting else None
    plain = PlainPage(
        served.calls,
        served.same_origin,
        served.documents,
        templates,
        served.problems,
        assets=assets.path,
        trusting=served.trusting,
        returns=served.returns,
    )

    async def waiting_page(room: str, request: Request) -> Response:
        target = None if demo is None else await demo.target(room)
        if target is not None:
            query = f"?{request.url.query}" if request.url.query else ""
            return RedirectResponse(f"./{target}{query}", 303)
        if PARAMETER in request.query_params:
            require_wanted(request.headers)
            return await plain.show(room, request)
        page = deep if "/" in room else shallow
        return respond(_with_query(page, request), request)

    async def plain_form(room: str, request: Request) -> Response:
        return await plain.act(room, request)

    # A room's name may hold a slash, so this takes the whole rest of the path.
    routes.add_api_route("/rooms/{room:path}", waiting_page, methods=["GET", "HEAD"])
    routes.add_api_route("/rooms/{room:path}", plain_form, methods=["POST"])

    async def rules(request: Request) -> Response:
        return templates.answer(request, "rules.html", root="./", assets=layout)

    routes.add_api_route("/rules", rules, methods=["GET", "HEAD"])
    routes.include_router(assets.router())
    return routes


def _with_query(page: StaticFile, request: Request) -> StaticFile:
    """Return the page with its query in the link for browsers without scripts.

    They keep the visitor that the shop has named, and the way back.
    """
    kept = kept_query(request).replace("&", "&amp;")
    if not kept:
        return page
    body = page.body.replace(b"url=?plain", f"url=?{kept}&amp;plain".encode())
    # Compression would be the most expensive part of the answer.
    return page._replace(body=body, compressed=None)


def _waiting_pages(served: Served, folder: str) -> tuple[StaticFile, StaticFile]:
    """Return the waiting page, and the one for rooms with a slash in their names."""
    page = (_PAGES / "waiting.html").read_bytes()
    page = page.replace(b"../pages/", f"../{folder}/".encode())
    page = page.replace(b'<html lang="en">', f'<html lang="{served.language}">'.encode())
    # Proxies decode paths, so it is unknown how the browser's URL encodes a slash of the room.
    # Links of such rooms' pages are therefore not relative.
    deep = page.replace(b'"../', f'"{served.problems.root_path}/'.encode())
    return prepare_page(page), prepare_page(deep)
