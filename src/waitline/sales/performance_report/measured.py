"""Sections of what was measured: hot calls, instances, primaries, the largest rush."""

from collections.abc import Iterator

from waitline.kernel.plurals import counted
from waitline.sales.performance_report.results import Results, ScaleOutRow
from waitline.sales.performance_report.sections import Listing, ReportSection, Row
from waitline.sales.performance_report.targets import WORKS


def hot_path(results: Results) -> Iterator[ReportSection]:
    """Yield the section, if there is a result."""
    found = results.latest("hot-path")
    if found is None:
        return
    rows: list[Row] = [
        [call.name, f"{call.per_s:,.0f}", f"{call.least_per_s:,.0f} to {call.most_per_s:,.0f}",
         f"{call.of_empty:.2f}", f"{call.of_naive:.1f}" if call.of_naive else "",
         f"{call.cpu_us:.0f}"]
        for call in found.flat_out
    ]  # fmt: skip
    headings = ("", "requests/s", "range", "x empty", "x naive", "worker CPU µs")
    yield ReportSection(
        "Hot calls, one worker on one core",
        "An empty handler answers without a store. The host took at most "
        f"{found.stolen:.0%} of the CPU time (steal).",
        [Listing(headings, rows)],
    )


def scale_out(results: Results) -> Iterator[ReportSection]:
    """Yield the section, if there is a result."""
    found: dict[str, dict[str, ScaleOutRow]] | None = results.latest("scale-out")
    if not found:
        return
    rows: list[Row] = []
    for work, by_count in found.items():
        for count, row in sorted(by_count.items(), key=lambda item: int(item[0])):
            shares = [one.share for one in row.instances]
            rows.append(
                [f"{WORKS.get(work, work)}, {counted(int(count), 'instance')}",
                 f"{row.per_s:,.0f}",
                 f"{row.times:.2f} ({row.times_least:.2f} to {row.times_most:.2f})",
                 f"{row.efficiency:.0%}",
                 f"{min(shares):.1%} to {max(shares):.1%}",
                 f"{row.lease_refused:.1%}",
                 f"{max(step.p99_ms for step in row.steps.values()):.0f}",
                 f"{row.quota_used:.0%}",
                 f"{row.cores.get('others', 0) + row.cores.get('stolen', 0):.2f}"]
            )  # fmt: skip
    headings = ("", "visits/s", "x one instance", "efficiency", "share of an instance",
                "refused by lease", "p99 ms", "CPU quota used", "cores of others")  # fmt: skip
    yield ReportSection(
        "Instances",
        "Every instance has the same small CPU quota, so that the instances are the limit on one "
        "machine too; latencies are those of the quota. Efficiency is the multiple, divided by the "
        "number of instances.",
        [Listing(headings, rows)],
    )


def primaries(results: Results) -> Iterator[ReportSection]:
    """Yield the section, if there is a result."""
    found = results.latest("primaries")
    if found is None:
        return
    rows: list[Row] = [
        [f"{row.call}, {row.spread}",
         f"{row.per_s:,.0f}", f"{row.times:.2f} ({row.times_least:.2f} to {row.times_most:.2f})",
         f"{row.times / row.primaries:.0%}", f"{row.p50_ms:.0f}", f"{row.p99_ms:.0f}"]
        for row in sorted(found.rows, key=lambda row: (row.call, row.rooms, row.primaries))
    ]  # fmt: skip
    headings = ("", "visitors/s", "x one primary", "efficiency", "p50 ms", "p99 ms")
    yield ReportSection(
        "Rooms over primaries (shards)",
        "A room is on one primary, so one room gains nothing. Every primary has the same small CPU "
        "quota; a call carries 16 visitors.",
        [Listing(headings, rows)],
    )


def rush(results: Results) -> Iterator[ReportSection]:
    """Yield the section, if there is a result."""
    rush = results.latest("rush")
    if rush is None:
        return
    rows: list[Row] = [
        ["arrivals", f"{rush.visitors:,} at {rush.per_s:,.0f}/s"],
        ["queue workers", str(rush.workers)],
        ["dropped", f"{rush.dropped:,}"],
        ["p50 / p95 / p99, ms", f"{rush.p50_ms:.1f} / {rush.p95_ms:.1f} / {rush.p99_ms:.1f}"],
        *([f"CPU of {role}, µs per arrival", f"{used:.0f}"] for role, used in rush.cpu_us.items()),
        ["findings", "; ".join(rush.troubles) or "none"],
    ]
    yield ReportSection(
        "The largest rush",
        "Arrivals come whether or not earlier ones were answered; latency counts from when an "
        "arrival was due.",
        [Listing(("", ""), rows)],
    )
