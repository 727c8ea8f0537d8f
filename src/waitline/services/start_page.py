"""Start page of a service: what runs there and where to go; JSON for programs.

In production mode it has no links to demos or to what is on the management address.
"""

from pathlib import Path
from typing import Any, Final, Literal

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from waitline.http.assets import Assets
from waitline.http.templates import Templates
from waitline.settings import Settings

PAGES: Final = Path(__file__).parent / "pages"
"""The start pages, and the layout that other pages share."""

THEME: Final = (PAGES / "theme.css", PAGES / "icon.svg")
"""Files that every page loads."""

SHARED: Final = (PAGES / "layout.css", *THEME)
"""Files that every page with the layout loads."""

Service = Literal["queue", "booking"]


def router(service: Service, settings: Settings) -> APIRouter:
    """Return the routes of a service's start page and its files.

    Args:
        service: Whose page it is.
        settings: The installation's settings.
    """
    trial = settings.mode == "trial"
    templates = Templates([PAGES], settings.language)
    assets = Assets("start", SHARED)
    others_port = settings.booking_port if service == "queue" else settings.queue_port
    routes = APIRouter(include_in_schema=False)

    async def start(request: Request) -> Response:
        if "text/html" not in request.headers.get("accept", ""):
            return _for_programs(service, settings)
        demo = ""
        if trial:
            # The same host as the browser knows it: a phone does not reach 127.0.0.1.
            host = request.url.hostname or settings.host
            named = f"[{host}]" if ":" in host else host
            demo = f"http://{named}:{others_port}/"
        return templates.answer(
            request,
            f"{service}.html",
            root="./",
            assets=assets.path,
            demo=demo,
            play_money=settings.play_money,
        )

    routes.add_api_route("/", start, methods=["GET", "HEAD"])
    routes.include_router(assets.router())
    return routes


def _for_programs(service: Service, settings: Settings) -> Response:
    root = (settings.queue_root_path if service == "queue" else settings.booking_root_path) or ""
    links = {"health": f"{root}/api/v1/health"}
    if service == "queue":
        links |= {
            "waitingPage": f"{root}/rooms/{{room}}",
            "enter": f"{root}/api/v1/queue/enter",
            "keys": f"{root}/.well-known/jwks.json",
        }
    else:
        links |= {"concerts": f"{root}/api/v1/concerts", "pages": f"{root}/shop"}
    shown: dict[str, Any] = {
        "service": service,
        "description": "Waitline queue service"
        if service == "queue"
        else "Waitline booking service",
        "mode": settings.mode,
    }
    if service == "booking":
        shown["payments"] = "play money" if settings.play_money else "real money"
    if settings.mode == "trial":
        links |= {"docs": f"{root}/docs", "openapi": f"{root}/openapi.json"}
    return JSONResponse(
        {**shown, "links": links},
        headers={
            "Cache-Control": "no-cache",
            "Vary": "Accept",
            "X-Content-Type-Options": "nosniff",
        },
    )
