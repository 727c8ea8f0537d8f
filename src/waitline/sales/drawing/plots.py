"""Plot figures as SVG text, for a page or for a file of its own.

Colours are CSS variables with a fallback: on a page they follow its dark or light theme. The SVG
contains no link and no script.
"""

import io
import re
from collections.abc import Sequence
from html import escape
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from waitline.kernel.errors import Misconfigured

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Scale = Literal["linear", "log"]

WIDTH_IN = 5.6
HEIGHT_IN = 2.9
"""Size of a plot, in inches: half the width of a desktop or all of a phone, legible on both."""

HEAD_IN, FOOT_IN, ROW_IN = 0.34, 0.42, 0.2
MARGIN_IN, EDGE_IN = 0.58, 0.08
"""Margins of the axes, in inches: title above; tick labels and a row of the legend below; labels of
five digits on the left, half a label on the right."""

LEGEND_COLUMNS = 4

FONT_PT = 9.5

COLOURS = (
    "#2f6fdf",
    "#e07b26",
    "#1f9d72",
    "#b24bd6",
    "#d63f5c",
    "#0f9fb8",
    "#8a7a17",
    "#8b93a1",
    "#7a5c3e",
    "#d5d9e1",
)
"""Distinguishable with the common colour vision deficiencies. The page has brighter ones for dark
mode."""

GREY = 7
"""Index of the colour for other processes, and for a baseline."""

PALE = 9
"""Index of the colour for CPU time taken by the host (steal)."""

_INK, _FAINT, _PAPER = "#0000e0", "#0000e1", "#0000e2"
"""Placeholders for the theme's colours, replaced in the SVG text; nothing else uses them."""

_THEME = {
    _INK: "var(--ink, #1c2230)",
    _FAINT: "var(--faint, #c9cfda)",
    _PAPER: "var(--paper, #ffffff)",
    **{f"#0000f{n:x}": f"var(--c{n}, {colour})" for n, colour in enumerate(COLOURS)},
}


class Series(NamedTuple):
    """One line, or one layer of a stack.

    Attributes:
        name: Name in the legend.
        xs: Rising values.
        ys: A value for each of `xs`; `None` leaves a gap.
        dashed: Whether the line is dashed: a limit, or a baseline.
        colour: Index in `COLOURS`; `None` takes the next.
    """

    name: str
    xs: Sequence[float]
    ys: Sequence[float | None]
    dashed: bool = False
    colour: int | None = None


class Axis(NamedTuple):
    """An axis of a plot.

    Attributes:
        name: Label.
        scale: Linear or logarithmic.
        least: Lower limit; `None` fits the data.
        most: Smallest upper limit; `None` fits the data.
    """

    name: str = ""
    scale: Scale = "linear"
    least: float | None = None
    most: float | None = None


TIME = Axis("seconds after the first arrival", least=0)


def lines(
    series: Sequence[Series], title: str, unit: str, *, x: Axis = TIME, y: Axis | None = None,
    points: bool = False,
) -> str:  # fmt: skip
    """Plot lines and return SVG text.

    Args:
        series: The lines; at most as many as there are colours.
        title: Title of the plot.
        unit: Unit of the values.
        x: Horizontal axis.
        y: Vertical axis; begins at 0 by default.
        points: Whether to mark each value.

    Raises:
        Misconfigured: matplotlib is not installed.
    """
    figure, axes = _sheet()
    for number, one in enumerate(series):
        axes.plot(
            one.xs,
            [float("nan") if value is None else value for value in one.ys],
            color=_colour(one, number),
            linestyle=(0, (4, 2.5)) if one.dashed else "-",
            linewidth=1.3 if one.dashed else 1.7,
            marker="o" if points else "",
            markersize=4,
            label=one.name,
        )
    _axes(axes, x, y or Axis(least=0))
    return _drawn(figure, axes, title, unit, [one.name for one in series])


def stacked(series: Sequence[Series], title: str, unit: str, *, most: float | None = None) -> str:
    """Plot a stacked area chart over time and return SVG text.

    Args:
        series: The layers from the lowest on, all with the same times.
        title: Title of the plot.
        unit: Unit of the values.
        most: Upper limit of their sum, shown as a line.

    Raises:
        Misconfigured: matplotlib is not installed.
    """
    figure, axes = _sheet()
    if series:
        axes.stackplot(
            series[0].xs,
            [[value or 0.0 for value in one.ys] for one in series],
            labels=[one.name for one in series],
            colors=[_colour(one, number) for number, one in enumerate(series)],
            edgecolor=_PAPER,
            linewidth=0.4,
        )
    if most is not None:
        axes.axhline(most, color=_INK, linestyle=(0, (1, 2)), linewidth=1)
    _axes(axes, TIME, Axis(least=0, most=None if most is None else most * 1.03))
    return _drawn(figure, axes, title, unit, [one.name for one in series])


def _colour(series: Series, number: int) -> str:
    chosen = number if series.colour is None else series.colour
    return f"#0000f{chosen % len(COLOURS):x}"


def require() -> None:
    """Check that matplotlib is installed, before a long measurement.

    Raises:
        Misconfigured: It is not.
    """
    if find_spec("matplotlib") is None:
        raise Misconfigured("matplotlib is not installed: pip install matplotlib")


def _sheet() -> "tuple[Figure, Axes]":
    require()
    from matplotlib.figure import Figure  # noqa: PLC0415 - the commands work without it

    figure = Figure(figsize=(WIDTH_IN, HEIGHT_IN))
    figure.patch.set_alpha(0)
    return figure, figure.add_subplot()


def _axes(axes: "Axes", x: Axis, y: Axis) -> None:
    axes.set_xscale(x.scale)
    axes.set_yscale(y.scale)
    axes.margins(x=0.01)
    for axis, set_limits in ((x, axes.set_xlim), (y, axes.set_ylim)):
        low, high = set_limits()
        set_limits(
            low if axis.least is None else axis.least,
            high if axis.most is None else max(axis.most, high),
        )
    axes.set_xlabel(x.name, color=_INK, fontsize=FONT_PT, loc="right", labelpad=1)
    if y.name:
        axes.set_ylabel(y.name, color=_INK, fontsize=FONT_PT)
    axes.grid(visible=True, axis="y", color=_FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.patch.set_alpha(0)
    axes.tick_params(colors=_INK, labelsize=FONT_PT, length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_FAINT)
    for axis, ticks in ((x, axes.xaxis), (y, axes.yaxis)):
        if axis.scale == "linear":
            ticks.set_major_formatter(_number)


def _number(value: float, _position: Any) -> str:  # noqa: ANN401 - given by matplotlib
    """Format the number of a tick briefly."""
    if abs(value) >= 1e6:  # noqa: PLR2004 - a million
        return f"{value / 1e6:g} M"
    return f"{value / 1e3:g} k" if abs(value) >= 1e4 else f"{value:,.10g}"  # noqa: PLR2004


def _drawn(figure: "Figure", axes: "Axes", title: str, unit: str, names: Sequence[str]) -> str:
    import matplotlib as mpl  # noqa: PLC0415 - the commands work without it

    # Laid out by hand: the automatic layout takes as long as everything else, and fixed margins
    # align the axes of stacked plots.
    rows = -(-len(names) // LEGEND_COLUMNS) if len(names) > 1 else 0
    figure.subplots_adjust(
        left=MARGIN_IN / WIDTH_IN,
        right=1 - EDGE_IN / WIDTH_IN,
        bottom=(FOOT_IN + ROW_IN * rows) / HEIGHT_IN,
        top=1 - HEAD_IN / HEIGHT_IN,
    )
    axes.set_title(
        f"{title}, {unit}" if unit else title,
        loc="left", x=-MARGIN_IN / (WIDTH_IN - MARGIN_IN - EDGE_IN), pad=8,
        color=_INK, fontsize=FONT_PT + 1.5, fontweight="bold",
    )  # fmt: skip
    if len(names) > 1:
        figure.legend(
            loc="lower left", bbox_to_anchor=(0, 0), ncols=LEGEND_COLUMNS, frameon=False,
            fontsize=FONT_PT, labelcolor=_INK, handlelength=1.2, columnspacing=1.2, borderpad=0,
        )  # fmt: skip
    text = io.StringIO()
    # Text stays text: it uses the page's font, can be searched, and takes a tenth of the size.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": title}):
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return _tidied(text.getvalue(), title, names)


def _tidied(svg: str, title: str, names: Sequence[str]) -> str:
    """Strip the SVG to the drawing, apply the theme's colours, and add an accessible name."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
    for stand_in, colour in _THEME.items():
        svg = svg.replace(stand_in, colour)
    # Ids are the same in every plot, and a page has several plots.
    prefix = re.sub(r"\W+", "-", title.lower())
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{prefix}-", svg)
    svg = re.sub(r"font-family: [^;\"]*", "font-family: system-ui, sans-serif", svg)
    # A style element would apply to the whole page.
    svg = re.sub(r"<style.*?</style>", "", svg, flags=re.DOTALL)
    label = escape(f"{title}: {', '.join(names)}" if names else title, quote=True)
    head = r'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="' + label + '"'
    box = re.search(r'viewBox="[^"]*"', svg)
    assert box is not None
    svg = re.sub(r"<svg[^>]*>", lambda _: f"{head} {box[0]}>", svg, count=1)
    # `xlink:href` needs a namespace declaration; `href` does not.
    svg = svg.replace("xlink:href", "href")
    return re.sub(r"\s*\n\s*", "\n", svg)
