"""A FastAPI site behind a waiting room: python examples/fastapi_site.py."""

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, Response

import shop
from waitline_connect.asgi import WaitlineMiddleware

app = FastAPI()
app.add_middleware(WaitlineMiddleware, **shop.SETTINGS)


@app.get("/")
def home() -> HTMLResponse:
    """Show the page that anybody may see."""
    return HTMLResponse(shop.page("home"))


@app.get("/tickets")
def tickets(request: Request) -> HTMLResponse:
    """Show the page behind the waiting room."""
    return HTMLResponse(shop.page("tickets", request.scope["waitline"]))


@app.post("/tickets/order")
def order(request: Request) -> HTMLResponse:
    """Take an order, which ends the visit."""
    return HTMLResponse(shop.page("ordered", request.scope["waitline"]), headers=shop.LEAVE)


@app.get("/static/style.css")
def style() -> Response:
    """Return the style sheet."""
    return Response(shop.style(), media_type="text/css")


if __name__ == "__main__":
    uvicorn.run(app, port=shop.PORT)
