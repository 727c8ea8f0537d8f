"""HTML page of a past sale: the line, admissions, waits and seats sold."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

from waitline.booking.sale_totals import SaleTotals
from waitline.queue.record import BUCKETS, bounds_ms
from waitline.sales.drawing import page, plots
from waitline.sales.drawing.page import Markup
from waitline.sales.durations import format_duration
from waitline.sales.sale_report import summary
from waitline.sales.sale_report.summary import Aftermath, Figure

_FEW = 40
"""Up to this many points are marked: a bare line through few points suggests more data."""


def report(sale: Aftermath) -> str:
    """Return the page as one self-contained HTML file.

    Raises:
        Misconfigured: matplotlib is not installed.
    """
    at = datetime.fromtimestamp(sale.survey.at_ms / 1000, UTC)
    drawings = [*_of_line(sale), *(_of_sale(sale.sale_totals) if sale.sale_totals else ())]
    parts = [
        page.heading("Waitline sale", sale.room, f"State at {at:%Y-%m-%d %H:%M} UTC"),
        page.verdict(summary.order(sale), [], good=not sale.overtaken),
        page.tiles(_tiles(sale)),
        page.notice(*summary.differences(sale)),
    ]
    if drawings:
        parts.append(page.section("Over time", page.plots(drawings)))
    tables = [_table("The line", summary.line(sale))]
    if sale.sale_totals is not None:
        tables.append(_table("The box office", summary.sold(sale.sale_totals)))
    parts += [
        page.section("In figures", page.halves(*tables)),
        page.footer(
            "Totals of the line count from the creation of the room. The plots cover the last "
            "four hours with admissions, in steps of ten seconds. Percentiles of waits are "
            "accurate to 10 %.",
            "A refunded payment counts at the time at which it was paid.",
        ),
    ]
    return page.page(f"Sale: {sale.room}", *parts)


def _table(caption: str, figures: Iterable[Figure]) -> Markup:
    rows = ((page.explained(name, meaning), text) for name, text, meaning in figures)
    return page.table(("", ""), rows, caption=caption)


def _tiles(sale: Aftermath) -> Iterator[page.Tile]:
    counters, record = sale.survey.counters, sale.record
    entered = f"of {counters['entered']:,} who entered"
    yield page.Tile("admitted", f"{counters['admitted']:,}", entered)
    for share in (0.5, 0.95):
        wait_ms = record.wait_ms(share)
        text = "nobody" if wait_ms is None else format_duration(wait_ms)
        yield page.Tile(f"wait, p{share * 100:g}", text)
    if sale.sale_totals is None:
        yield page.Tile("no-shows", f"{counters['no_shows']:,}")
    else:
        totals = sale.sale_totals.totals
        yield page.Tile("seats sold", f"{totals.sold:,}", f"of {totals.seats:,}")


def _of_line(sale: Aftermath) -> Iterator[str]:
    steps = sale.record.steps
    if steps:
        xs = [_minutes(step.at_ms, steps[0].at_ms) for step in steps]
        x = plots.Axis("minutes after the first admission", least=0)
        few = len(xs) <= _FEW
        line = plots.Series("wait", xs, [step.waiting for step in steps], colour=0)
        inside = plots.Series("inside", xs, [step.inside for step in steps], colour=2)
        yield plots.lines([line, inside], "The line, and slots", "visitors", x=x, points=few)
        paces = summary.paces(steps)
        xs = [_minutes(pace.at_ms, steps[0].at_ms) for pace in paces]
        joined = plots.Series("joined", xs, [pace.joined for pace in paces], colour=7)
        admitted = plots.Series("admitted", xs, [pace.admitted for pace in paces], colour=0)
        yield plots.lines([joined, admitted], "Joined and admitted", "per s", x=x, points=few)
    if sale.record.admitted:
        yield _waits(sale)


def _waits(sale: Aftermath) -> str:
    """Plot the cumulative distribution of the wait."""
    record = sale.record
    last = max(bucket for bucket in range(BUCKETS) if record.waits[bucket])
    first = min(bucket for bucket in range(BUCKETS) if record.waits[bucket])
    xs, ys, seen = [bounds_ms(first)[0] / 1000], [0.0], 0
    for bucket in range(first, last + 1):
        seen += record.waits[bucket]
        xs.append(min(bounds_ms(bucket)[1], record.longest_ms) / 1000)
        ys.append(seen * 100 / record.admitted)
    series = [plots.Series("admitted", xs, ys, colour=0)]
    x, y = plots.Axis("seconds waited", least=0), plots.Axis(least=0, most=100)
    return plots.lines(series, "Admitted after at most", "% of visitors", x=x, y=y, points=True)


def _of_sale(sale_totals: SaleTotals) -> Iterator[str]:
    if not sale_totals.steps:
        return
    # Steps without events are missing, and count as zero.
    first, width_s = sale_totals.steps[0].at_s, sale_totals.width_s
    steps = {round((step.at_s - first) / width_s): step for step in sale_totals.steps}
    numbers = range(max(steps) + 1)
    unit_s = 60 if len(numbers) * width_s >= 120 else 1  # noqa: PLR2004 - two minutes
    xs = [number * width_s / unit_s for number in numbers]
    x = plots.Axis(f"{'minutes' if unit_s > 1 else 'seconds'} after the first reservation", least=0)
    series = []
    for name, colour in (("reserved", 7), ("paid", 2), ("expired", 4)):
        ys: Sequence[float] = [
            getattr(steps[number], name) / width_s if number in steps else 0 for number in numbers
        ]
        series.append(plots.Series(name, xs, ys, colour=colour))
    few = len(xs) <= _FEW
    yield plots.lines(series, "At the box office", "per s", x=x, points=few)


def _minutes(at_ms: int, first_ms: int) -> float:
    return (at_ms - first_ms) / 60_000
