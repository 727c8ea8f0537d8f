"""The performance report as one self-contained HTML file."""

from waitline.sales.drawing import page
from waitline.sales.performance_report.content import PerformanceReport
from waitline.sales.performance_report.sections import ReportSection

TITLE = "Waitline performance"


def html(found: PerformanceReport) -> str:
    """Return the page."""
    unused = [f"Not part of this report: {', '.join(found.unused)}."] if found.unused else []
    return page.page(
        TITLE,
        page.heading("Waitline", "Performance", "What was measured, next to what was before, to "
                     "the targets, and to what others have published."),
        page.verdict(found.line, found.missed, good=found.good),
        page.tiles(page.Tile(*one) for one in found.tiles),
        *map(_section, found.sections),
        page.footer("Made by `waitline report performance`.", *unused),
    )  # fmt: skip


def _section(section: ReportSection) -> page.Markup:
    parts: list[str] = [
        page.table(listing.headings, listing.rows, words=listing.words)
        for listing in section.listings
    ]
    if section.drawings:
        parts.append(page.plots(one.svg for one in section.drawings))
    if section.commands:
        lines = page.element("pre", page.code("\n".join(section.commands)))
        parts.append(page.element("div", lines, kind="card"))
    return page.section(section.title, *parts, about=section.about)
