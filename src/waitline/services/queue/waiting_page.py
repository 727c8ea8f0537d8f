"""Routes of the waiting room's pages: the waiting page, and the rules.

The waiting page is a static file: its script reads the room's name from its own address.
"""

from pathlib import Path
from urllib.parse import quote

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from waitline.http.assets import Assets
from waitline.http.static_files import prepare_page, respond
from waitline.http.templates import Templates
from waitline.http.texts import Language
from waitline.services.queue.demo_link import DemoLink
from waitline.services.start_page import PAGES, SHARED

_PAGES = Path(__file__).parent / "pages"


def router(root_path: str, language: Language, demo: DemoLink | None = None) -> APIRouter:
    """Return the routes of the pages.

    Args:
        root_path: Path below which a proxy serves the service.
        language: Language of pages in browsers that ask for none of ours.
        demo: The short address of the trial; `None` in production mode.

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
    assets = Assets("pages", (file for file in _PAGES.iterdir() if file.suffix != ".html"))
    waiting = (_PAGES / "waiting.html").read_bytes()
    waiting = waiting.replace(b"../pages/", f"../{assets.path}/".encode())
    waiting = waiting.replace(b'<html lang="en">', f'<html lang="{language}">'.encode())
    shallow = prepare_page(waiting)
    # Whether the browser's address has a room's slash as one, nobody knows here: proxies decode it.
    # So what is relative elsewhere is not below a room with a slash.
    deep = prepare_page(waiting.replace(b'"../', f'"{root_path}/'.encode()))

    async def waiting_page(room: str, request: Request) -> Response:
        target = None if demo is None else await demo.target(room)
        if target is not None:
            query = f"?{request.url.query}" if request.url.query else ""
            return RedirectResponse(f"./{target}{query}", 303)
        return respond(deep if "/" in room else shallow, request)

    # A room's name may hold a slash, so this takes the whole rest of the path.
    routes.add_api_route("/rooms/{room:path}", waiting_page, methods=["GET", "HEAD"])
    templates, layout = Templates([_PAGES, PAGES], language), Assets("start", SHARED).path

    async def rules(request: Request) -> Response:
        return templates.answer(request, "rules.html", root="./", assets=layout)

    routes.add_api_route("/rules", rules, methods=["GET", "HEAD"])
    routes.include_router(assets.router())
    return routes
