"""The performance report as Markdown, with its plots as files beside it. Pure."""

from collections.abc import Iterator

from waitline.kernel.escapes import visible
from waitline.sales.drawing.page import Cell
from waitline.sales.performance_report.content import PerformanceReport
from waitline.sales.performance_report.sections import Listing, ReportSection


def markdown(found: PerformanceReport, prefix: str) -> str:
    """Return the report.

    Args:
        found: The report.
        prefix: What the names of the plots' files begin with.
    """
    lines = ["# Performance report", "", f"**{found.line}.**", ""]
    if found.missed:
        lines += [*(f"- {_text(one)}" for one in found.missed), ""]
    if found.tiles:
        lines += [*_listing(Listing(("", "", ""), [list(one) for one in found.tiles])), ""]
    for section in found.sections:
        lines += _section(section, prefix)
    if found.unused:
        lines.append(f"Not part of this report: {', '.join(map(_text, found.unused))}.")
    return "\n".join(lines).rstrip() + "\n"


def _section(section: ReportSection, prefix: str) -> Iterator[str]:
    yield from (f"## {section.title}", "", *([section.about, ""] if section.about else []))
    for listing in section.listings:
        yield from _listing(listing)
        yield ""
    for one in section.drawings:
        yield from (f"![{_text(one.title)}]({prefix}-{one.name}.svg)", "")
    if section.commands:
        yield from ("```", *section.commands, "```", "")


def _listing(listing: Listing) -> Iterator[str]:
    yield f"| {' | '.join(map(_text, listing.headings))} |"
    yield "|" + ("---|" * len(listing.headings))
    for row in listing.rows:
        yield f"| {' | '.join(map(_cell, row))} |"


def _cell(cell: str | Cell) -> str:
    if isinstance(cell, Cell):
        return f"**{_text(cell.text)}**"
    return _text(cell)


def _text(text: str) -> str:
    """Return a text that Markdown shows as it is, on one line."""
    shown = visible(text).replace("\\", "\\\\")
    for sign in "|<*_`[":
        shown = shown.replace(sign, f"\\{sign}")
    return shown
