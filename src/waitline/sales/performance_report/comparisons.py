"""Sections that compare: step by step, with published results, and with earlier results. Pure."""

from collections.abc import Iterator

from waitline.kernel.plurals import counted
from waitline.sales.performance_report import published
from waitline.sales.performance_report.results import Results
from waitline.sales.performance_report.sections import (
    NONE,
    Listing,
    ReportSection,
    Row,
    calls,
    criterion,
    step,
)
from waitline.sales.performance_report.targets import WORKS


def before_and_after(results: Results) -> Iterator[ReportSection]:
    """Yield what each step contributed, from a naive server to several instances and primaries."""
    rows = [*_code_steps(results), *_instance_steps(results), *_primary_steps(results)]
    if rows:
        yield ReportSection(
            "Before and after, step by step",
            "Each row changes one thing. Steps of different rows are measured under different "
            "limits (a core, a CPU quota per instance or per primary), so multiply factors, not "
            "rates. The naive server makes one call to the store per step, which is not atomic.",
            [Listing(("step", "unit", "before", "after", "change"), rows)],
        )


def _code_steps(results: Results) -> Iterator[Row]:
    found = calls(results)
    for name in ("enter", "status"):
        before, after = found.get(f"naive {name}"), found.get(name)
        if before is not None and after is not None:
            what = f"{name}: atomic scripts, batched, instead of a naive server"
            yield step(what, "requests/s", before.per_s, after.per_s)
            yield step(f"{name}: the same", "CPU µs", before.cpu_us, after.cpu_us)


def _instance_steps(results: Results) -> Iterator[Row]:
    for work, by_count in (results.latest("scale-out") or {}).items():
        for less, more in (("1", "2"), ("2", "4")):
            if "1" in by_count and less in by_count and more in by_count:
                # Multiples of one instance are of one round; rates of rounds differ.
                one = by_count["1"].per_s
                what = f"{WORKS.get(work, work)}: {more} instances instead of {less}"
                rates = (one * by_count[count].times for count in (less, more))
                yield step(what, "visits/s", *rates)


def _primary_steps(results: Results) -> Iterator[Row]:
    found = results.latest("primaries")
    for row in found.rows if found else ():
        if row.primaries > 1 and row.rooms > 1:
            what = f"{row.call}: {row.spread} instead of one"
            yield step(what, "visitors/s", row.per_s / row.times, row.per_s)


def beside_published(results: Results) -> ReportSection:
    """Return our results beside those of another implementation."""
    rows: list[Row] = [
        [f"published: Java, {one.hardware}", f"{one.per_s:,.0f}", f"{one.p95_ms:.0f}",
         f"{one.p99_ms:.0f}", NONE if one.dropped is None else f"{one.dropped:.2%}"]
        for one in published.ENTRIES
    ]  # fmt: skip
    rush = results.latest("rush")
    if rush is not None:
        workers = counted(rush.workers, "worker")
        rows.append(
            [f"ours: rush, {workers}, 1 Valkey", f"{rush.per_s:,.0f}", f"{rush.p95_ms:.1f}",
             f"{rush.p99_ms:.1f}", f"{rush.dropped / rush.visitors:.2%}"]
        )  # fmt: skip
    for run in results.scenarios():
        if run.scenario == "entry":
            p95, p99 = (criterion(run.thresholds, "enter", mark) for mark in ("p(95)", "p(99)"))
            rows.append(
                ["ours: entry, by k6", f"{run.offered.achieved_per_s:,.0f}", p95, p99,
                 f"{run.offered.dropped / max(1, run.offered.arrivals):.2%}"]
            )  # fmt: skip
    listings = [Listing(("entry", "entries/s", "p95 ms", "p99 ms", "dropped"), rows)]
    scale = (results.latest("scale-out") or {}).get("enter", {})
    if scale:
        listings.append(
            Listing(
                ("entries, x one instance", "published", "ours"),
                [
                    [counted(count, "instance"), f"{theirs:g}", f"{scale[str(count)].times:.2f}"]
                    for count, theirs in published.SCALE_OUT.items()
                    if str(count) in scale
                ],
            )
        )
    listings += [
        Listing(
            ("whole journey, p95 ms", "published", "ours"),
            [
                [name, f"{theirs:,.0f}", criterion(run.thresholds, name, "p(95)")]
                for name, theirs in published.JOURNEY.items()
            ],
        )
        for run in results.scenarios()
        if run.scenario == "booking"
    ]
    return ReportSection(
        "Beside the published results",
        "A Java implementation (Spring, Redis) of the same contract has published these, on its "
        "own hardware: compare with care. Of its whole journeys, "
        f"{published.JOURNEY_BOOKED:.1%} were booked and {published.JOURNEY_DROPPED:.0%} of the "
        f"arrivals dropped; its seat list alone took {published.SEATS_P95_MS:.0f} ms at p95.",
        listings,
    )


def changes(results: Results) -> Iterator[ReportSection]:
    """Yield what has changed since the first of several results of a kind."""
    rows = [*_changed_calls(results), *_changed_instances(results), *_changed_rush(results)]
    if rows:
        yield ReportSection(
            "Since the first of these results",
            "Results of different runs: a machine that was slower at the time changes everything.",
            [Listing(("", "unit", "first", "last", "change"), rows)],
        )


def _changed_calls(results: Results) -> Iterator[Row]:
    first = results.first("hot-path")
    before = {call.name: call for call in first.flat_out} if first else {}
    for name, call in calls(results).items():
        if name in before:
            yield step(name, "requests/s", before[name].per_s, call.per_s)
            yield step(name, "CPU µs", before[name].cpu_us, call.cpu_us)


def _changed_instances(results: Results) -> Iterator[Row]:
    first = results.first("scale-out") or {}
    for work, by_count in (results.latest("scale-out") or {}).items():
        for count, row in by_count.items():
            before = first.get(work, {}).get(count)
            if before is not None:
                name = f"{WORKS.get(work, work)}, {counted(int(count), 'instance')}"
                yield step(name, "visits/s", before.per_s, row.per_s)


def _changed_rush(results: Results) -> Iterator[Row]:
    first, last = results.first("rush"), results.latest("rush")
    if first is not None:
        yield step("rush, p99", "ms", first.p99_ms, last.p99_ms)
