"""The content of the performance report, in no format yet."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from waitline.kernel.plurals import counted
from waitline.sales.drawing.page import Cell
from waitline.sales.performance_report import comparisons, drawings, measured, published
from waitline.sales.performance_report.results import Results
from waitline.sales.performance_report.sections import Listing, ReportSection, Row, calls
from waitline.sales.performance_report.targets import MeasuredTarget, targets


class PerformanceReport(NamedTuple):
    """The whole report.

    Attributes:
        line: The verdict, in one line.
        good: Whether all targets are met.
        missed: The targets that are not, with the reason.
        tiles: Key figures: name, value, what it is compared with.
        sections: The sections.
        unused: Files that were not used.
    """

    line: str
    good: bool
    missed: list[str]
    tiles: list[tuple[str, str, str]]
    sections: list[ReportSection]
    unused: list[str]


def report(results: Results) -> PerformanceReport:
    """Return the report of some results.

    Raises:
        Misconfigured: matplotlib is not installed.
    """
    found = targets(results)
    missed = [one for one in found if not one.met]
    line = f"{len(found) - len(missed)} of {counted(len(found), 'target')} met"
    sections = [
        *_pictures(results), _conditions(results), *comparisons.before_and_after(results),
        *measured.hot_path(results),
        *measured.scale_out(results), *measured.primaries(results), *measured.rush(results),
        comparisons.beside_published(results), *comparisons.changes(results),
        *([_target_section(found)] if found else []), _commands(results),
    ]  # fmt: skip
    return PerformanceReport(
        line,
        not missed,
        [f"{one.name}: {one.measured}, target {one.wanted}; {one.why}" for one in missed],
        list(_tiles(results)),
        sections,
        results.unused,
    )


def _tiles(results: Results) -> Iterator[tuple[str, str, str]]:
    enter = calls(results).get("enter")
    if enter is not None:
        naive = f"{enter.of_naive:.1f} x a naive server" if enter.of_naive else ""
        yield "enter/s, one worker", f"{enter.per_s:,.0f}", naive
    for count in (2, 4):
        row = (results.latest("scale-out") or {}).get("enter", {}).get(str(count))
        if row is not None:
            beside = f"published: {published.SCALE_OUT[count]} x"
            yield f"enter, {counted(count, 'instance')}", f"{row.times:.2f} x", beside
    rush = results.latest("rush")
    if rush is not None:
        theirs = published.ENTRIES[0]
        beside = f"published: {theirs.p99_ms:.0f} ms at {theirs.per_s:,.0f}/s"
        yield f"entering at {rush.per_s:,.0f}/s, p99", f"{rush.p99_ms:.0f} ms", beside


def _pictures(results: Results) -> Iterator[ReportSection]:
    found = list(drawings.drawn(results))
    if found:
        yield ReportSection("In pictures", "", [], found)


def _conditions(results: Results) -> ReportSection:
    rows: list[Row] = []
    for one in results.shown():
        at = datetime.fromtimestamp(one.machine.at_ms / 1000, UTC)
        rows.append(
            [one.kind, f"{at:%Y-%m-%d %H:%M} UTC", one.machine.commit,
             f"{one.machine.processor}, {counted(one.machine.cores, 'core')}",
             f"{one.machine.system}, Python {one.machine.python}"]
        )  # fmt: skip
    return ReportSection(
        "Conditions",
        "Services, stores and load generator share the cores of one machine. Compare figures of "
        "one run only: ratios hold on other machines, rates do not. Details: docs/performance.md.",
        [Listing(("result", "measured", "commit", "processor", "system"), rows, words=True)],
    )


def _target_section(found: Sequence[MeasuredTarget]) -> ReportSection:
    rows: list[Row] = [
        [
            one.name,
            one.wanted,
            Cell(f"{one.measured} ({'met' if one.met else 'missed'})", one.met),
            one.why,
        ]
        for one in found
    ]
    return ReportSection(
        "Targets",
        "Of the wire contract and of docs/performance.md. The reason why one is missed is what the "
        "figures of its run show.",
        [Listing(("", "target", "measured", "why it is missed"), rows, words=True)],
    )


def _commands(results: Results) -> ReportSection:
    commands = [one.command for one in results.shown()]
    return ReportSection(
        "Make it again",
        "`make performance` runs all of it in less than 15 minutes, and writes this report. It "
        "needs wrk, and root for CPU quotas. One by one:",
        [],
        commands=[*commands, "waitline report performance out"],
    )
