"""What the Python sites have in common: pages, and the settings of the connector."""

import os
from pathlib import Path
from typing import Any

from waitline_connect import Pass

PAGES = Path(__file__).with_name("pages")
PORT = int(os.environ.get("PORT", "8000"))

SETTINGS: dict[str, Any] = {
    "queue_url": os.environ.get("WAITLINE_QUEUE_URL", "http://127.0.0.1:8081"),
    "site_key": os.environ.get("WAITLINE_SITE_KEY", "a key for the example only"),
    "origins": [f"http://127.0.0.1:{PORT}"],
}

LEAVE = {"Waitline-Leave": "1"}
"""Header of an answer that ends the visit."""


def page(name: str, visit: Pass | None = None) -> str:
    """Return a page, with the visitor's place in it."""
    html = (PAGES / f"{name}.html").read_text("utf-8")
    return html.replace("{{place}}", str(visit.place if visit else "-"))


def style() -> str:
    """Return the style sheet."""
    return (PAGES / "style.css").read_text("utf-8")
