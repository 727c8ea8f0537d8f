"""Format a simulated sale, and its check, for the terminal and the page. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

from waitline.kernel.plurals import counted
from waitline.sales.durations import format_duration
from waitline.sales.simulation.model import Prediction, Sale, Spread
from waitline.sales.simulation_check.agreement import Agreement, near_enough

_NAMES = {
    "drained_ms": "everybody admitted after",
    "mean_ms": "wait, mean",
    "p50_ms": "wait, p50",
    "p90_ms": "wait, p90",
    "p99_ms": "wait, p99",
    "longest_ms": "wait, longest",
    "peak_line": "most waiting at once",
}


class Compared(NamedTuple):
    """A predicted and a measured figure, formatted.

    Attributes:
        name: Name of the figure.
        predicted: Predicted value.
        measured: Measured value.
        off: Relative error of the prediction.
        near: Whether the error is within the tolerance.
    """

    name: str
    predicted: str
    measured: str
    off: str
    near: bool


def described(sale: Sale, over: str) -> tuple[str, str]:
    """Return two lines that describe a sale: arrivals and limits, and the visitors' behaviour.

    Args:
        sale: The sale.
        over: The arrival curve, as given on the command line.
    """
    limits, use = sale.limits, sale.use
    inside = f"{use.least_ms / 1000:g} s"
    if use.most_ms != use.least_ms:
        inside = f"{use.least_ms / 1000:g} to {use.most_ms / 1000:g} s (uniform)"
    slots = counted(limits.active_max, "slot")
    bounds = f"{limits.admit_per_s:,g}/s, burst {limits.burst:,g}; {slots}"
    begin = f"{limits.ready_ttl_ms / 1000:g} s to activate"
    return (
        f"{counted(sale.visitors, 'visitor')} {_when(over)}; {bounds}",
        f"{inside} inside; {sale.no_shows:.0%} no-shows, {begin}",
    )


def _when(over: str) -> str:
    if over == "burst":
        return "all at once"
    if "/s" in over:
        return over
    ramp = over.removeprefix("ramp:")
    return f"over {ramp}" if ramp == over else f"over {ramp}, at a rising rate"


def figures(outcome: Prediction) -> list[tuple[str, str]]:
    """Return the figures of a simulated sale, as pairs of name and text."""
    found = outcome.figures
    return [
        *((name, _value(field, getattr(found, field))) for field, name in _NAMES.items()),
        ("most slots held", f"{outcome.most_admitted:,}"),
        ("time until visitors learn of their turn, mean", format_duration(outcome.noticed_mean_ms)),
        ("no-shows", f"{outcome.no_shows:,}"),
    ]


def _value(field: str, value: float) -> str:
    return format_duration(value) if field.endswith("_ms") else f"{value:,.0f}"


REQUESTS = ("", "requests in total", "mean/s", "peak/s")
"""Headings of the rows of `requests`."""


def requests(outcome: Prediction) -> list[tuple[str, ...]]:
    """Return the requests of waiting visitors, a row for each polling method."""
    return [
        (load.name, f"{load.total:,}", f"{load.mean_per_s:,.0f}", f"{load.most_per_s:,}")
        for load in outcome.loads
    ]


def warning(outcome: Prediction) -> str:
    """Return a warning for the operator; empty if there is none."""
    if not outcome.late:
        return ""
    return (
        f"{counted(outcome.late, 'visitor')} learned of their turn too late to activate: the time "
        "to activate is too short for the polling interval"
    )


SPREAD = (
    "",
    "overtaken by more than a tick",
    "by at most",
    "everybody admitted after",
    "most slots held",
    "most admitted in 1 s",
)
"""Headings of the rows of `spread`."""


def spread(designs: Sequence[Spread]) -> list[tuple[str, ...]]:
    """Return what each design of a room on several shards makes of the sale."""
    return [
        (
            row.design,
            f"{row.overtaken:,}",
            f"{row.overtaken_most_ms:,} ms",
            format_duration(row.drained_ms),
            f"{row.most_admitted:,}",
            f"{row.most_per_s:,}",
        )
        for row in designs
    ]


AGREEMENT = ("", "predicted", "measured", "off by")
"""Headings of the rows of `compared`."""


def compared(agreement: Agreement) -> list[Compared]:
    """Return each predicted figure with the measured one."""
    rows = []
    for row in agreement.differences:
        said, found = (_value(row.name, value) for value in (row.predicted, row.measured))
        rows.append(Compared(_NAMES[row.name], said, found, f"{row.share:+.1%}", near_enough(row)))
    return rows


def beside(agreement: Agreement) -> str:
    """Return a text on the requests and on how reliable the measurement is."""
    text = (
        f"Requests while waiting: {agreement.requests_predicted:,} predicted, "
        f"{agreement.requests:,} measured. Simulated visitors acted at most "
        f"{agreement.behind_ms:,.0f} ms late."
    )
    if agreement.disturbed:
        text += " The machine was too busy for a reliable measurement; run it again."
    return text
