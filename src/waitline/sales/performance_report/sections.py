"""What sections of the performance report are made of, in no format yet. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

from waitline.sales.drawing.page import Cell
from waitline.sales.performance_report.drawings import Drawing
from waitline.sales.performance_report.results import HotCall, Results, ScenarioCriterion
from waitline.sales.performance_report.targets import subject

Row = Sequence[str | Cell]

NONE = "\u2013"
"""A figure that there is not."""


class Listing(NamedTuple):
    """A table.

    Attributes:
        headings: Of its columns.
        rows: A cell per column.
        words: Whether it holds text rather than figures.
    """

    headings: Sequence[str]
    rows: list[Row]
    words: bool = False


class ReportSection(NamedTuple):
    """A section.

    Attributes:
        title: Its heading.
        about: What it shows, and how to read it.
        listings: Its tables.
        drawings: Its plots.
        commands: Commands for a shell, below the tables.
    """

    title: str
    about: str
    listings: list[Listing]
    drawings: Sequence[Drawing] = ()
    commands: Sequence[str] = ()


def step(name: str, unit: str, before: float, after: float) -> Row:
    """Return a row that compares two figures."""
    change = f"{after / before - 1:+.0%}" if before else NONE
    return [name, unit, f"{before:,.0f}", f"{after:,.0f}", change]


def calls(results: Results) -> dict[str, HotCall]:
    """Return the calls at full load, by name."""
    found = results.latest("hot-path")
    return {call.name: call for call in found.flat_out} if found else {}


def criterion(found: Sequence[ScenarioCriterion], name: str, mark: str) -> str:
    """Return the figure of a criterion of a load scenario.

    Args:
        found: Its criteria.
        name: What it is about.
        mark: Part of its condition: `p(95)`.
    """
    for one in found:
        if subject(one) == name and mark in one.condition and one.value is not None:
            return f"{one.value:,.1f}"
    return NONE
