"""Routes of the waiting room's pages: the start page, the waiting page, and the rules.

They are static files: the waiting page's script reads the room's name from its own address.
"""

from pathlib import Path
from urllib.parse import quote

from fastapi import APIRouter
from starlette.responses import RedirectResponse, Response

from waitline.http.static_files import static_router

_PAGES = Path(__file__).parent / "pages"


def router() -> APIRouter:
    """Return the routes of the pages.

    Raises:
        OSError: A file is missing.
    """
    routes = APIRouter(include_in_schema=False)

    async def open_room(room: str = "") -> Response:
        return RedirectResponse(f"/rooms/{quote(room, safe='')}" if room else "/", 303)

    # Before the waiting page, whose path would match an empty name.
    routes.add_api_route("/rooms", open_room, methods=["GET"])
    routes.add_api_route("/rooms/", open_room, methods=["GET"])
    pages = {
        "/": _PAGES / "index.html",
        "/rules": _PAGES / "rules.html",
        # A room's name may hold a slash, so this takes the whole rest of the path.
        "/rooms/{room:path}": _PAGES / "waiting.html",
    }
    routes.include_router(static_router(sorted(_PAGES.iterdir()), pages))
    return routes
