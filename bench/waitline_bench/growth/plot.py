"""Plots of the costs by size, next to a logarithm."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from waitline.sales.drawing import plots
from waitline_bench.growth.costs import growth_max

GAP = 12
"""Vertical gap between two plots, in points."""

ZOOM = 1.5
"""Scale at which browsers display it."""

TITLES = {
    "waiting": ("Cost by visitors waiting", "visitors waiting in one room"),
    "rooms": ("Cost by rooms", "rooms"),
}

LEFT_OUT = "idle: store"
"""Most lines of a plot: more cannot be distinguished."""


def drawn(figures: Mapping[str, Any]) -> str:
    """Return both plots as one SVG text.

    Args:
        figures: As `measure.measure` returns them.

    Raises:
        Misconfigured: The drawing library is not installed.
    """
    return _stacked([_drawn(kind, table) for kind, table in figures.items()])


def _drawn(kind: str, table: Mapping[str, Any]) -> str:
    sizes = table["sizes"]
    title, axis = TITLES[kind]
    series = [
        plots.Series(row["name"], sizes, row["of_first"])
        for row in table["rows"]
        if row["is_cost"] and row["name"] != LEFT_OUT
    ]
    limit = [growth_max(size, sizes[0]) for size in sizes]
    series.append(plots.Series("log N", sizes, limit, dashed=True, colour=plots.GREY))
    return plots.lines(
        series,
        title,
        f"times that of {sizes[0]:,}",
        x=plots.Axis(axis, scale="log"),
        points=True,
    )


def _stacked(drawings: Sequence[str]) -> str:
    """Stack plots on a background of their own: an SVG file has no page behind it."""
    parts, width, height = [], 0.0, 0.0
    for drawing in drawings:
        box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', drawing)
        assert box is not None
        wide, high = float(box[1]), float(box[2])
        parts.append(
            drawing.replace("<svg ", f'<svg y="{height:g}" width="{wide:g}" height="{high:g}" ', 1)
        )
        width, height = max(width, wide), height + high + GAP
    size = f'width="{width * ZOOM:g}" height="{height * ZOOM:g}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {width:g} {height:g}">'
    paper = '<rect width="100%" height="100%" fill="var(--paper, #ffffff)"/>'
    return "\n".join([head, paper, *parts, "</svg>", ""])
