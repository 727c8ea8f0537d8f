"""Routes of the waiting room's pages: the waiting page, and the rules.

They are static files: the waiting page's script reads the room's name from its own address.
"""

from pathlib import Path
from urllib.parse import quote

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from waitline.http.static_files import load, prepare, respond, static_router
from waitline.services.queue.demo_link import DemoLink

_PAGES = Path(__file__).parent / "pages"


def router(root_path: str = "", demo: DemoLink | None = None) -> APIRouter:
    """Return the routes of the pages.

    Args:
        root_path: Path below which a proxy serves the service.
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
    waiting = load(_PAGES / "waiting.html")
    # Whether the browser's address has a room's slash as one, nobody knows here: proxies decode it.
    # So what is relative elsewhere is not below a room with a slash.
    deep = prepare("waiting.html", waiting.body.replace(b'"../', f'"{root_path}/'.encode()))

    async def waiting_page(room: str, request: Request) -> Response:
        target = None if demo is None else await demo.target(room)
        if target is not None:
            query = f"?{request.url.query}" if request.url.query else ""
            return RedirectResponse(f"./{target}{query}", 303)
        return respond(deep if "/" in room else waiting, request)

    # A room's name may hold a slash, so this takes the whole rest of the path.
    routes.add_api_route("/rooms/{room:path}", waiting_page, methods=["GET", "HEAD"])
    pages = {"/rules": _PAGES / "rules.html"}
    routes.include_router(static_router(sorted(_PAGES.iterdir()), pages))
    return routes
