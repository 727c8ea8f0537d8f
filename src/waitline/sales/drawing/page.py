"""The page frame of reports: one self-contained HTML file. Pure.

A string that is not `Markup` is text, and is escaped.
"""

from collections.abc import Iterable, Sequence
from html import escape as escape_html
from importlib.resources import files
from typing import NamedTuple

from waitline.kernel.escapes import visible


class Markup(str):
    """HTML that must not be escaped again."""

    __slots__ = ()


class Cell(NamedTuple):
    """A table cell, coloured as good or bad.

    Attributes:
        text: Text of the cell.
        good: Whether it is good or bad; `None` for neither.
    """

    text: str
    good: bool | None = None


class Tile(NamedTuple):
    """A key figure, in large type.

    Attributes:
        name: Label.
        value: The figure.
        beside: Text to compare it with.
    """

    name: str
    value: str
    beside: str = ""


Row = Sequence[str | Cell]


def page(title: str, *parts: str) -> str:
    """Return a complete HTML document."""
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
    """Return a box with the verdict and its reasons."""
    listed = "".join(element("li", reason) for reason in reasons)
    inner = element("strong", text) + (f"<ul>{listed}</ul>" if listed else "")
    return element("div", Markup(inner), kind=f"verdict {'good' if good else 'bad'}")


def notice(*texts: str) -> Markup:
    """Return a box of remarks to read before the figures; empty if there are none."""
    inner = "".join(element("p", text) for text in texts)
    return element("div", Markup(inner), kind="note") if inner else Markup("")


def section(title: str, *parts: str, about: str = "") -> Markup:
    """Return a section: a heading and its content."""
    above = element("h2", title) + (element("p", about) if about else "")
    return Markup(f"<section>{above}{''.join(map(_text, parts))}</section>")


def tiles(figures: Iterable[Tile]) -> Markup:
    """Return the row of key figures."""
    inner = ""
    for name, value, beside in figures:
        small = element("small", beside) if beside else ""
        figure = element("dt", name) + element("dd", Markup(escape(value) + small))
        inner += element("div", Markup(figure))
    return element("dl", Markup(inner), kind="tiles")


def table(
    headings: Sequence[str], rows: Iterable[Row], *, caption: str = "", words: bool = False
) -> Markup:
    """Return a table. The first cell of each row is its heading.

    Args:
        headings: Column headings.
        rows: Rows, with a cell per column.
        caption: Caption above the table.
        words: Whether it holds text rather than figures; it is aligned accordingly.
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
    # On a phone it may scroll sideways; tabindex makes that work with the keyboard.
    return Markup(f'<div class="card" tabindex="0">{inner}</div>')


def explained(name: str, meaning: str) -> Markup:
    """Return the name of a row, with what it means below it."""
    return Markup(_text(name) + (element("small", meaning) if meaning else ""))


def plots(drawings: Iterable[str]) -> Markup:
    """Return plots side by side, or stacked on a narrow screen."""
    inner = "".join(f'<figure class="card">{svg}</figure>' for svg in drawings)
    return element("div", Markup(inner), kind="plots")


def halves(*parts: Markup) -> Markup:
    """Return parts side by side, or stacked on a narrow screen."""
    return element("div", Markup("".join(parts)), kind="halves")


def footer(*paragraphs: str) -> Markup:
    """Return the footer: how to read the report, and how it was made."""
    return Markup("<footer>" + "".join(element("p", text) for text in paragraphs) + "</footer>")


def code(text: str) -> Markup:
    """Return text in a code font."""
    return element("code", text)


def element(name: str, inner: str, kind: str = "") -> Markup:
    """Return one HTML element."""
    shown = f' class="{escape(kind)}"' if kind else ""
    return Markup(f"<{name}{shown}>{_text(inner)}</{name}>")


def _cell(cell: str | Cell) -> str:
    text, good = cell if isinstance(cell, Cell) else (cell, None)
    kind = "" if good is None else f' class="{"good" if good else "bad"}"'
    return f"<td{kind}>{_text(text)}</td>"


def _text(text: str) -> str:
    return text if isinstance(text, Markup) else escape(text)


def escape(text: str) -> str:
    """Escape a text, also for an attribute; marks that reorder a line are written out."""
    return escape_html(visible(text, multiline=True), quote=True)
