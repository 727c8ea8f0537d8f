"""HTML page of a simulated sale: the line, arrivals and admissions, and the requests they cause."""

from collections.abc import Iterator, Sequence

from waitline.sales.drawing import page, plots
from waitline.sales.simulation.model import Prediction
from waitline.sales.simulation_check.agreement import AGREES_WITHIN, Agreement
from waitline.sales.simulation_report import prediction_text

POINTS_MAX = 150
"""Most points of a curve; a sale of a day has 86 400 seconds. A point is the maximum of its
interval, which keeps peaks and hides the ripple of visitors who poll in step."""

_MINUTES_FROM_S = 300
"""Length from which a sale is plotted in minutes, in s."""

_TILES = 4
"""Number of key figures: drain time, and waits up to p90."""


def report(title: Sequence[str], outcome: Prediction, agreement: Agreement | None) -> str:
    """Return the page as one self-contained HTML file.

    Args:
        title: Description of the sale; lines after the first are smaller.
        outcome: The prediction.
        agreement: Its comparison with a replay, if there was one.

    Raises:
        Misconfigured: matplotlib is not installed.
    """
    figures = prediction_text.figures(outcome)
    parts = [
        page.heading("Waitline simulation", title[0], *title[1:]),
        *_verdict(agreement),
        *([page.notice(prediction_text.warning(outcome))] if outcome.late else []),
        page.tiles(page.Tile(name, value) for name, value in figures[:_TILES]),
        page.section("Over time", page.plots(_drawings(outcome, agreement))),
        page.section("In figures", page.table(("", ""), figures)),
        page.section(
            "Requests while waiting",
            page.table(prediction_text.REQUESTS, prediction_text.requests(outcome)),
            about="Requests that reach the queue service. With a CDN each edge fetches now-serving "
            "once a second for all of its visitors, and each visitor fetches its status once, when "
            "its turn comes.",
        ),
    ]
    return page.page(f"Simulation: {title[0]}", *parts)


def _verdict(agreement: Agreement | None) -> Iterator[str]:
    if agreement is None:
        return
    share = f"{AGREES_WITHIN:.0%}"
    text = (
        f"The sale was replayed, and the prediction was within {share}"
        if agreement.holds
        else f"The sale was replayed, and the prediction was off by more than {share}"
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
        loads, "Requests while waiting", "per s", x=x, y=plots.Axis("", "log", least=1)
    )


def _series(
    name: str, per_s: Sequence[int], unit_s: int, colour: int,
    *, dashed: bool = False, gaps: bool = False,
) -> plots.Series:  # fmt: skip
    """Return a curve of values per second; with `gaps`, zeros are left out (log scale)."""
    width = -(-len(per_s) // POINTS_MAX)
    starts = range(0, len(per_s), width)
    highest = [max(per_s[start : start + width]) for start in starts]
    values = [value if value or not gaps else None for value in highest]
    return plots.Series(name, [start / unit_s for start in starts], values, dashed, colour)
