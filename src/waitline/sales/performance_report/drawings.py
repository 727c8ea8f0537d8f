"""Plots of the performance report."""

from collections.abc import Iterator
from typing import NamedTuple

from waitline.sales.drawing import plots
from waitline.sales.performance_report import published
from waitline.sales.performance_report.results import Results
from waitline.sales.performance_report.targets import WORKS

COUNT = "instances"


class Drawing(NamedTuple):
    """A plot.

    Attributes:
        name: Name of its file, without suffix.
        title: Its title.
        svg: SVG text.
    """

    name: str
    title: str
    svg: str


def drawn(results: Results) -> Iterator[Drawing]:
    """Yield the plots of the results that there are.

    Raises:
        Misconfigured: matplotlib is not installed.
    """
    yield from (*_of_scale_out(results), *_of_primaries(results), *_of_rates(results))


def _of_scale_out(results: Results) -> Iterator[Drawing]:
    found = results.latest("scale-out")
    if not found:
        return
    counts = sorted({int(count) for rows in found.values() for count in rows})
    x = plots.Axis(COUNT, least=0, most=max(counts))
    lines = [
        plots.Series(WORKS.get(work, work), *_by_count(rows, "times"))
        for work, rows in found.items()
    ]
    ideal = plots.Series("ideal", counts, counts, dashed=True,
                         colour=plots.GREY)  # fmt: skip
    steps = {1: 1.0, **published.SCALE_OUT}
    theirs = plots.Series("published, Java", list(steps), list(steps.values()), dashed=True,
                          colour=4)  # fmt: skip
    title = "Throughput by instances, as a multiple of one"
    yield Drawing(
        "scale-out", title, plots.lines([*lines, ideal, theirs], title, "", x=x, points=True)
    )
    title = "P99 by instances, at full load"
    latencies = [
        plots.Series(
            WORKS.get(work, work),
            sorted(map(int, rows)),
            [
                max(step.p99_ms for step in rows[str(count)].steps.values())
                for count in sorted(map(int, rows))
            ],
        )
        for work, rows in found.items()
    ]
    yield Drawing("latency", title, plots.lines(latencies, title, "ms", x=x, points=True))


def _of_primaries(results: Results) -> Iterator[Drawing]:
    found = results.latest("primaries")
    if not found:
        return
    lines = []
    for call, primaries in sorted({(row.call, row.primaries) for row in found.rows}):
        rows = sorted(
            (row for row in found.rows if (row.call, row.primaries) == (call, primaries)),
            key=lambda row: row.rooms,
        )
        lines.append(
            plots.Series(
                f"{call}, {primaries} prim.", [row.rooms for row in rows],
                [row.per_s for row in rows],
            )
        )  # fmt: skip
    title = "Visitors per second by rooms"
    x = plots.Axis("rooms", least=0)
    yield Drawing("primaries", title, plots.lines(lines, title, "", x=x, points=True))


def _of_rates(results: Results) -> Iterator[Drawing]:
    found = results.latest("hot-path")
    if not found:
        return
    names = list(dict.fromkeys(call.name for call in found.paced))
    lines = []
    for name in names:
        calls = [call for call in found.paced if call.name == name]
        lines.append(
            plots.Series(name, [call.per_s for call in calls], [call.p99_ms for call in calls])
        )
    title = "P99 by requests per second, one worker"
    x = plots.Axis(
        "requests per second", least=0, most=1.05 * max(call.per_s for call in found.paced)
    )
    yield Drawing("rates", title, plots.lines(lines, title, "ms", x=x, points=True))


def _by_count(rows: dict[str, object], field: str) -> tuple[list[float], list[float]]:
    counts = sorted(map(int, rows))
    return list(counts), [float(getattr(rows[str(count)], field)) for count in counts]
