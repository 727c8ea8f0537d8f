"""A sale as a page: the line, who comes and who is let in, and what those who wait ask for."""

from collections.abc import Iterator, Sequence

from waitline.sales.drawing import page, plots
from waitline.sales.simulation.model import Prediction
from waitline.sales.simulation_check.agreement import AGREES_WITHIN, Agreement
from waitline.sales.simulation_report import prediction_text

POINTS_MAX = 150
"""Points of a curve: a sale of a day has 86 400 seconds. Each is the highest of its seconds, so
that peaks are seen, and not how those who joined together ask together every few seconds."""

_MINUTES_FROM_S = 300
"""Sales from this long are drawn in minutes."""

_TILES = 4
"""Figures that are seen from afar: drain time, and waits up to p90."""


def report(title: Sequence[str], outcome: Prediction, agreement: Agreement | None) -> str:
    """Return the page, complete in one file.

    Args:
        title: Which sale it is; further lines are smaller.
        outcome: What the simulation says.
        agreement: What a sale that took place says of that, if one did.

    Raises:
        Misconfigured: What draws is not installed.
    """
    figures = prediction_text.figures(outcome)
    parts = [
        page.heading("Waitline simulation", title[0], *title[1:]),
        *_verdict(agreement),
        *([page.note(prediction_text.warning(outcome))] if outcome.late else []),
        page.tiles(page.Tile(name, value) for name, value in figures[:_TILES]),
        page.section("Over time", page.plots(_drawings(outcome, agreement))),
        page.section("In figures", page.table(("", ""), figures)),
        page.section(
            "Requests of those who wait",
            page.table(prediction_text.REQUESTS, prediction_text.requests(outcome)),
            about="What reaches the queue service. Behind a CDN each edge asks once a second "
            "for everyone, and each visitor once when its turn has come.",
        ),
    ]
    return page.page(f"Simulation: {title[0]}", *parts)


def _verdict(agreement: Agreement | None) -> Iterator[str]:
    if agreement is None:
        return
    share = f"{AGREES_WITHIN:.0%}"
    text = (
        f"The sale took place, and the prediction was within {share}"
        if agreement.holds
        else f"The sale took place, and the prediction was off by more than {share}"
    )
    yield page.verdict(text, agreement.broken, good=agreement.holds)
    rows = [
        (row.name, row.predicted, row.measured, page.Cell(row.off, good=row.near))
        for row in prediction_text.compared(agreement)
    ]
    table = page.table(prediction_text.AGREEMENT, rows)
    yield page.section("Predicted and measured", table, about=prediction_text.beside(agreement))


def _drawings(outcome: Prediction, agreement: Agreement | None) -> Iterator[str]:
    minutes = len(outcome.line) >= _MINUTES_FROM_S
    unit_s = 60 if minutes else 1
    x = plots.Axis(f"{'minutes' if minutes else 'seconds'} after the start")
    line = [_series("simulated", outcome.line, unit_s, 0)]
    if agreement is not None:
        line.append(_series("measured", agreement.line, unit_s, 1, dashed=True))
    yield plots.lines(line, "The line", "visitors", x=x)
    pace = [
        _series("joined", outcome.joined, unit_s, 7),
        _series("admitted", outcome.admitted, unit_s, 0),
    ]
    yield plots.lines(pace, "Joined and admitted", "visitors/s", x=x)
    slots = _series("slots held", outcome.slots, unit_s, 2)
    yield plots.lines([slots], "Slots held", "", x=x)
    loads = [
        _series(load.name, load.per_s, unit_s, colour, gaps=True)
        for load, colour in zip(outcome.loads, (0, 1, 2), strict=True)
    ]
    yield plots.lines(
        loads, "Requests of those who wait", "per s", x=x, y=plots.Axis("", "log", least=1)
    )


def _series(
    name: str, per_s: Sequence[int], unit_s: int, colour: int,
    *, dashed: bool = False, gaps: bool = False,
) -> plots.Series:  # fmt: skip
    """Make a curve of one value a second; gaps where there is nothing, if zero cannot be drawn."""
    width = -(-len(per_s) // POINTS_MAX)
    starts = range(0, len(per_s), width)
    highest = [max(per_s[start : start + width]) for start in starts]
    values = [value if value or not gaps else None for value in highest]
    return plots.Series(name, [start / unit_s for start in starts], values, dashed, colour)
