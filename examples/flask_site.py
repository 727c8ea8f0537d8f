"""A Flask site behind a waiting room: python examples/flask_site.py."""

from flask import Flask, Response, request

import shop
from waitline_connect.wsgi import WaitlineMiddleware

app = Flask(__name__, static_folder=None)
app.wsgi_app = WaitlineMiddleware(app.wsgi_app, **shop.SETTINGS)  # type: ignore[method-assign]


@app.get("/")
def home() -> str:
    """Show the page that anybody may see."""
    return shop.page("home")


@app.get("/tickets")
def tickets() -> str:
    """Show the page behind the waiting room."""
    return shop.page("tickets", request.environ["waitline"])


@app.post("/tickets/order")
def order() -> Response:
    """Take an order, which ends the visit."""
    return Response(shop.page("ordered", request.environ["waitline"]), headers=shop.LEAVE)


@app.get("/static/style.css")
def style() -> Response:
    """Return the style sheet."""
    return Response(shop.style(), mimetype="text/css")


if __name__ == "__main__":
    app.run(port=shop.PORT)
