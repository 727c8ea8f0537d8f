"""The frame of a report: one HTML file that needs nothing else. Pure.

Whatever is not `Markup` is text, and is escaped.
"""

from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from typing import NamedTuple


class Markup(str):
    """HTML that is finished: not escaped again."""

    __slots__ = ()


class Cell(NamedTuple):
    """A cell of a table that is good or bad news.

    Attributes:
        text: What is written.
        good: Which of the two; `None` for neither.
    """

    text: str
    good: bool | None = None


class Tile(NamedTuple):
    """A figure to be seen from afar.

    Attributes:
        name: What it is.
        value: The figure.
        beside: What it is to be compared with.
    """

    name: str
    value: str
    beside: str = ""


Row = Sequence[str | Cell]


def page(title: str, *parts: str) -> str:
    """Return a whole document."""
    css = files("waitline.sales.drawing").joinpath("page.css").read_text("utf-8")
    body = "\n".join(map(_text, parts))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{css}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def heading(eyebrow: str, title: str, *paragraphs: str) -> Markup:
    """Return the head of a report."""
    inner = "".join(element("p", text) for text in paragraphs if text)
    top = element("div", eyebrow, kind="eyebrow") + element("h1", title)
    return Markup(f"<header>{top}{inner}</header>")


def verdict(text: str, reasons: Sequence[str], *, good: bool) -> Markup:
    """Return what came of it, in one box."""
    listed = "".join(element("li", reason) for reason in reasons)
    inner = element("strong", text) + (f"<ul>{listed}</ul>" if listed else "")
    return element("div", Markup(inner), kind=f"verdict {'good' if good else 'bad'}")


def note(*texts: str) -> Markup:
    """Return what a reader must know before the figures; nothing if there is nothing to say."""
    inner = "".join(element("p", text) for text in texts)
    return element("div", Markup(inner), kind="note") if inner else Markup("")


def section(title: str, *parts: str, about: str = "") -> Markup:
    """Return a heading and what is under it."""
    above = element("h2", title) + (element("p", about) if about else "")
    return Markup(f"<section>{above}{''.join(map(_text, parts))}</section>")


def tiles(figures: Iterable[Tile]) -> Markup:
    """Return the figures to be seen from afar."""
    inner = ""
    for name, value, beside in figures:
        small = element("small", beside) if beside else ""
        figure = element("dt", name) + element("dd", Markup(escape(value) + small))
        inner += element("div", Markup(figure))
    return element("dl", Markup(inner), kind="tiles")


def table(
    headings: Sequence[str], rows: Iterable[Row], *, caption: str = "", words: bool = False
) -> Markup:
    """Return a table, each row of which is named by its first cell.

    Args:
        headings: One a column.
        rows: As many cells each.
        caption: Above it.
        words: Whether it holds words rather than figures.
    """
    head = "".join(f'<th scope="col">{_text(text)}</th>' for text in headings)
    body = ""
    for first, *others in rows:
        name = first.text if isinstance(first, Cell) else first
        body += f'<tr><th scope="row">{_text(name)}</th>{"".join(map(_cell, others))}</tr>'
    above = element("caption", caption) if caption else ""
    top = f"<thead><tr>{head}</tr></thead>" if any(headings) else ""
    kind = ' class="words"' if words else ""
    inner = f"<table{kind}>{above}{top}<tbody>{body}</tbody></table>"
    # It can be wider than a phone, and is then moved with a finger, or with the keys.
    return Markup(f'<div class="card" tabindex="0">{inner}</div>')


def plots(drawings: Iterable[str]) -> Markup:
    """Return drawings side by side, or one below the other where there is no room."""
    inner = "".join(f'<figure class="card">{svg}</figure>' for svg in drawings)
    return element("div", Markup(inner), kind="plots")


def halves(*parts: Markup) -> Markup:
    """Return parts side by side, or one below the other where there is no room."""
    return element("div", Markup("".join(parts)), kind="halves")


def footer(*paragraphs: str) -> Markup:
    """Return how to read it, and how it was made."""
    return Markup("<footer>" + "".join(element("p", text) for text in paragraphs) + "</footer>")


def code(text: str) -> Markup:
    """Return what is typed or read by machines."""
    return element("code", text)


def element(name: str, inner: str, kind: str = "") -> Markup:
    """Return one element."""
    shown = f' class="{escape(kind, quote=True)}"' if kind else ""
    return Markup(f"<{name}{shown}>{_text(inner)}</{name}>")


def _cell(cell: str | Cell) -> str:
    text, good = cell if isinstance(cell, Cell) else (cell, None)
    kind = "" if good is None else f' class="{"good" if good else "bad"}"'
    return f"<td{kind}>{_text(text)}</td>"


def _text(text: str) -> str:
    return text if isinstance(text, Markup) else escape(text)
